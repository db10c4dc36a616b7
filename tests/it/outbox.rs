//! From a notice to a person's phone, over channels that break in every way.

use chenlian::app::App;
use chenlian::config::Config;
use chenlian::domain::notice::{NewNotice, NoticeClass};
use chenlian::domain::rules::Span;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::deliver;
use chenlian::on;
use chenlian::store::{Tx, bulk, case};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::harness::{World, local};
use crate::morning::{look, pass_at, planned};

mod back;
mod broken;
mod daily;
mod faults;
mod pause;
mod reach;
pub mod receiver;
mod shared;
mod stopping;
mod test_message;
mod whole;

pub use receiver::{Play, Receiver};

pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Another server process on the same database, with its own settings.
pub fn instance(app: &App, change: impl FnOnce(&mut Config)) -> App {
    let mut config = app.config.clone();
    change(&mut config);
    App::new(config, app.db.clone(), app.clock.clone(), app.seal.clone())
}

/// Attempts that give up after a second, and two tries.
pub fn hurried(app: &App) -> App {
    instance(app, |config| {
        config.outbox.attempt_timeout = Span::seconds(1);
        config.outbox.attempts_max = 2;
    })
}

/// A webhook before (position 0) or after (2) the log channel that everybody has at 1.
pub async fn webhook(app: &App, world: &World, member: Uuid, position: i64, url: &str) -> Uuid {
    let (id, site, url, now) = (Uuid::now_v7(), world.site, url.to_owned(), app.clock.now());
    let secret = app.seal.seal(&deliver::secret_place(id), SECRET.as_bytes());
    app.write(move |mut tx| async move {
        let sql = "insert into member_channel (site_id, id, member_id, position, channel, address, secret_sealed, verified_at, version, created_at)
            values ($1, $2, $3, $4, 'webhook', $5, $6, $7, 1, $7)";
        on!(&mut tx, |conn| sqlx::query(sql)
            .bind(site)
            .bind(id)
            .bind(member)
            .bind(position)
            .bind(url)
            .bind(secret)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok((tx, id))
    })
    .await
    .expect("the channel is stored")
}

/// Switches off what a member has had so far.
pub async fn silence(app: &App, member: Uuid) {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        let sql = "update member_channel set disabled_at = $2 where member_id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(member).bind(now).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the channels are switched off");
}

pub async fn texts(app: &App, sql: &'static str) -> Vec<String> {
    app.read(move |mut tx| async move {
        let rows = on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("rows are read")
}

pub async fn change(app: &App, sql: &'static str) {
    app.write(move |mut tx| async move {
        on!(&mut tx, |conn| sqlx::query(sql).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("rows are changed");
}

pub async fn number(app: &App, sql: &'static str) -> i64 {
    app.read(move |mut tx| async move {
        let count = on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
        Ok((tx, count))
    })
    .await
    .expect("a number is read")
}

/// A morning on which every senior's curtain was seen shut: the primary alone is told, at 09:45.
pub async fn shut_morning(app: &App, seniors: usize) -> World {
    let world = planned(app, seniors).await;
    pass_at(app, local("09:00:00")).await;
    for senior in 0..seniors {
        look(app, &world, senior, SignalKind::Closed, local("08:00:00")).await;
    }
    // Reminders are not what these tests are about.
    forget(app).await;
    world
}

pub async fn forget(app: &App) {
    app.write(|mut tx| async move {
        on!(&mut tx, |conn| sqlx::query("delete from notice where class = 'reminder'").execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("reminders are left out");
}

/// The cutoff passes; the alerts are open and their notices pending.
pub async fn cutoff(app: &App) {
    pass_at(app, local("09:45:00")).await;
    forget(app).await;
}

/// Alert notices without an alert behind them, `each` for every member.
pub async fn tell(app: &App, site: Uuid, members: &[Uuid], each: usize) {
    tell_of(app, site, members, each, ("notice.alert_call", NoticeClass::Alert)).await;
}

pub async fn tell_of(app: &App, site: Uuid, members: &[Uuid], each: usize, (key, class): (&'static str, NoticeClass)) {
    let now = app.clock.now();
    let notices: Vec<(Uuid, NewNotice)> = members
        .iter()
        .flat_map(|member| (0..each).map(move |n| (*member, n)))
        .map(|(recipient_id, n)| NewNotice {
            id: Uuid::now_v7(),
            alert_id: Some(Uuid::now_v7()),
            epoch: 1,
            step: 0,
            level: 0,
            recipient_id,
            key,
            arguments: [("building", "3号楼"), ("unit", "2单元"), ("senior", "张奶奶"), ("cause", "not_open")]
                .map(|(name, value)| (name.to_owned(), if name == "senior" { format!("{value}{n}") } else { value.to_owned() }))
                .into(),
            class,
            not_before: now,
            useless_from: None,
        })
        .map(|notice| (site, notice))
        .collect();
    app.write(move |mut tx| async move {
        case::send(&mut tx, notices, now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("notices are written");
}

/// More members, each with a log channel, or with a webhook at `url`.
pub async fn crowd(app: &App, world: &World, count: usize, url: Option<String>) -> Vec<Uuid> {
    let (site, now) = (world.site, app.clock.now());
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let rows: Vec<serde_json::Value> = ids
        .iter()
        .map(|id| {
            let (channel, channel_id) = (if url.is_some() { "webhook" } else { "log" }, Uuid::now_v7());
            let secret = app.seal.seal(&deliver::secret_place(channel_id), SECRET.as_bytes());
            let secret = bulk::hex(&secret);
            serde_json::json!({ "site": site, "id": id, "channel_id": channel_id, "secret": secret, "phone": id.to_string(), "at": bulk::time(now),
                "channel": channel, "address": url.clone().unwrap_or_default() })
        })
        .collect();
    app.write(move |mut tx| async move {
        insert_crowd(&mut tx, &rows).await?;
        Ok((tx, ()))
    })
    .await
    .expect("members are stored");
    ids
}

async fn insert_crowd(tx: &mut Tx, rows: &[serde_json::Value]) -> chenlian::store::Result<()> {
    let sql = "insert into member (site_id, id, name, called, phone, locale, version, created_at)
        select {site:uuid}, {id:uuid}, '某某', '老王', {phone:text}, 'zh-CN', 1, {at:time} from {rows}";
    bulk::execute(tx, sql, rows).await?;
    let sql = "insert into member_channel (site_id, id, member_id, position, channel, address, secret_sealed, verified_at, version, created_at)
        select {site:uuid}, {channel_id:uuid}, {id:uuid}, 1, {channel:text}, {address:text}, {secret:bytes}, {at:time}, 1, {at:time} from {rows}";
    bulk::execute(tx, sql, rows).await?;
    Ok(())
}

pub fn later(app: &App, seconds: i64) {
    app.clock.advance(TimeDelta::seconds(seconds));
}
