//! A compound of sixty on the whole program, minute by minute: one volunteer stays in bed, everything else is as always.

use std::collections::BTreeMap;

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{deliver, escalate, plan_day, prove, watch};
use chenlian::on;
use chenlian::store::bulk;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{World, local, on_each_engine};
use crate::morning::{by_member, send, set};
use crate::outbox::crowd;

const SENIORS: usize = 60;
const VOLUNTEERS: usize = 5;
const ROUND: usize = SENIORS / VOLUNTEERS;
/// Nobody reads more than this on one morning.
const MESSAGES_MAX: i64 = 6;

#[tokio::test]
async fn when_one_volunteer_stays_away_nobody_is_flooded_no_family_is_frightened_and_everybody_is_seen() {
    on_each_engine(|app| async move {
        let (world, volunteers) = compound(&app).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        set(&app, local("08:00:00")).await;
        for senior in ROUND..SENIORS {
            see(&app, &world, senior, SignalKind::Open, volunteers[senior / ROUND]).await;
        }
        let mut first_look = None;
        let backup = volunteers[1];
        let mut now = local("08:55:00");
        while now <= local("12:00:00") {
            set(&app, now).await;
            pass(&app).await;
            first_look = first_look.or(walk(&app, &world, now, backup).await);
            now += TimeDelta::minutes(1);
        }
        let families: Vec<(DateTime<Utc>,)> = ask(&app, "select created_at from notice where key = 'notice.alert_family'").await;
        let earliest = first_look.expect("somebody looked").min(local("10:15:00"));
        assert!(families.iter().all(|(at,)| *at >= earliest), "the family waits for a look or half an hour: {families:?}");

        let states: Vec<(String, i64)> =
            ask(&app, "select state, count(*) from daily_check where local_date = '2026-11-23' group by state order by state").await;
        assert_eq!(states, [("ok".to_owned(), 48), ("ok_late".to_owned(), 12)], "everybody was seen in the end");
        let open: Vec<(i64,)> = ask(&app, "select count(*) from alert where resolved_at is null").await;
        assert_eq!(open, [(0,)]);

        let told: Vec<(Uuid, i64)> = ask(&app, "select recipient_id, count(*) from message group by recipient_id").await;
        let most = told.iter().map(|(_, count)| *count).max().expect("people were told");
        assert!(most <= MESSAGES_MAX, "{:?}", by_name(&world, &volunteers, &told));
        let left: Vec<(i64,)> = ask(&app, "select count(*) from notice where state in ('pending', 'sealed')").await;
        assert_eq!(left, [(0,)], "no word is left lying");
    })
    .await;
}

/// What the server does in one minute.
async fn pass(app: &App) {
    watch::run_once(app).await.expect("the watch passes");
    escalate::run_once(app).await.expect("the ladder passes");
    deliver::run_once(app).await.expect("messages go out");
    prove::run_once(app).await.expect("the words of the day");
}

/// The backup leaves seven minutes after the alert and looks at one window a minute. Returns when the look was.
async fn walk(app: &App, world: &World, now: DateTime<Utc>, backup: Uuid) -> Option<DateTime<Utc>> {
    let minute = usize::try_from((now - local("09:52:00")).num_minutes()).ok().filter(|minute| *minute < ROUND)?;
    see(app, world, minute, SignalKind::Open, backup).await;
    Some(now)
}

async fn see(app: &App, world: &World, senior: usize, kind: SignalKind, by: Uuid) {
    send(app, world, vec![by_member(world.seniors[senior], kind, app.clock.now(), by)]).await;
}

/// Five volunteers with a building of twelve each; each one's neighbour is the backup.
async fn compound(app: &App) -> (World, Vec<Uuid>) {
    let world = World::seed(app, SENIORS).await;
    let mut volunteers = vec![world.primary, world.backup];
    volunteers.extend(crowd(app, &world, VOLUNTEERS - 2, None).await);
    let (copy, walkers, now) = (world.clone(), volunteers.clone(), app.clock.now());
    app.write(move |mut tx| async move {
        let mut rows = Vec::new();
        for (number, senior) in copy.seniors.iter().enumerate() {
            let (own, next) = (walkers[number / ROUND], walkers[(number / ROUND + 1) % VOLUNTEERS]);
            rows.push(json!({ "senior": senior, "kind": "primary", "member": own }));
            rows.push(json!({ "senior": senior, "kind": "backup", "member": next }));
        }
        let sql = "update pairing set member_id = {member:uuid} from {rows} where pairing.senior_id = {senior:uuid} and pairing.kind = {kind:text}";
        bulk::execute(&mut tx, sql, &rows).await?;
        for building in 1..VOLUNTEERS {
            let id = Uuid::now_v7();
            let place = json!({ "site": copy.site, "id": id, "name": format!("{}号楼", building + 3), "above": copy.compound, "at": bulk::time(now) });
            let sql = "insert into place (site_id, id, kind, name, parent_id, walk_order, version, created_at)
                select {site:uuid}, {id:uuid}, 'building', {name:text}, {above:uuid}, 1, 1, {at:time} from {rows}";
            bulk::execute(&mut tx, sql, &[place]).await?;
            let above = [(id, 0), (copy.compound, 1), (copy.community, 2), (copy.street, 3)];
            let closure: Vec<_> =
                above.iter().map(|(above, depth)| json!({ "site": copy.site, "above": above, "below": id, "depth": depth })).collect();
            let sql = "insert into place_closure (site_id, ancestor_id, descendant_id, depth)
                select {site:uuid}, {above:uuid}, {below:uuid}, {depth:int} from {rows}";
            bulk::execute(&mut tx, sql, &closure).await?;
            let moved: Vec<_> =
                copy.seniors[building * ROUND..(building + 1) * ROUND].iter().map(|senior| json!({ "senior": senior, "building": id })).collect();
            let sql = "update home set building_id = {building:uuid} from {rows}
                where home.id = (select senior.home_id from senior where senior.id = {senior:uuid})";
            bulk::execute(&mut tx, sql, &moved).await?;
        }
        Ok((tx, ()))
    })
    .await
    .expect("the compound is built");
    (world, volunteers)
}

async fn ask<T>(app: &App, sql: &'static str) -> Vec<T>
where
    T: Send + Unpin + 'static,
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    app.read(move |mut tx| async move {
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("the question is well put")
}

fn by_name(world: &World, volunteers: &[Uuid], told: &[(Uuid, i64)]) -> BTreeMap<String, i64> {
    let name = |id: &Uuid| match volunteers.iter().position(|volunteer| volunteer == id) {
        Some(number) => format!("volunteer {number}"),
        None if *id == world.building_lead => "building lead".to_owned(),
        None if *id == world.social_worker => "social worker".to_owned(),
        None => id.to_string(),
    };
    told.iter().map(|(id, count)| (name(id), *count)).collect()
}
