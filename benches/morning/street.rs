//! A large site, written in bulk: every senior has a home, an agreement and an assigned member with a webhook of her own.

use chenlian::app::App;
use chenlian::domain::signal::Source;
use chenlian::store::bulk::{self, hex};
use chenlian::store::signal::{self, NewSignal};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{SignalKind, deliver, local, on, plan_day, watch};
use crate::harness::World;

pub const SENIORS: usize = 2_000;
const SECRET: &[u8] = b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// As many looks as one request may bring.
pub const BATCH: usize = 500;

pub struct Street {
    pub world: World,
    pub seniors: Vec<Uuid>,
}

impl Street {
    /// Everybody planned, the curtain seen shut, and the clock at the cutoff.
    pub async fn due(app: &App, url: &str) -> Self {
        let street = Self::planned(app, url).await;
        let (site, now) = (street.world.site, app.clock.now());
        for batch in street.looks(SignalKind::Closed, local("05:50:00")).chunks(BATCH) {
            let batch = batch.to_vec();
            app.write(move |mut tx| async move {
                signal::append(&mut tx, site, &batch, now).await?;
                Ok((tx, ()))
            })
            .await
            .expect("looks are stored");
        }
        app.clock.advance(local("09:45:00") - now);
        street
    }

    pub async fn planned(app: &App, url: &str) -> Self {
        Self::planned_for(app, url, SENIORS).await
    }

    pub async fn planned_for(app: &App, url: &str, seniors: usize) -> Self {
        let world = World::seed(app, 0).await;
        let seniors: Vec<Uuid> = (0..seniors).map(|_| Uuid::now_v7()).collect();
        let now = app.clock.now();
        let rows: Vec<Value> = seniors
            .iter()
            .enumerate()
            .map(|(number, id)| {
                let channel = Uuid::now_v7();
                let secret = hex(&app.seal.seal(&deliver::secret_place(channel), SECRET));
                json!({ "site": world.site, "id": id, "home": Uuid::now_v7(), "building": world.building, "member": Uuid::now_v7(), "number": number,
                    "channel": channel, "secret": secret, "agreement": Uuid::now_v7(), "pairing": Uuid::now_v7(), "name": format!("奶奶{number}"),
                    "phone": format!("139{number:08}"), "url": format!("{url}&n={number}"), "from": "2020-01-01", "at": bulk::time(now), "no": false })
            })
            .collect();
        app.write(move |mut tx| async move {
            for sql in PEOPLE {
                bulk::execute(&mut tx, sql, &rows).await?;
            }
            Ok((tx, ()))
        })
        .await
        .expect("the street is written");
        plan_day::run_once(app).await.expect("the day is planned");
        Self { world, seniors }
    }

    pub fn looks(&self, kind: SignalKind, observed_at: chrono::DateTime<chrono::Utc>) -> Vec<NewSignal> {
        let look = |senior: &Uuid| NewSignal {
            id: Uuid::now_v7(),
            senior_id: *senior,
            kind,
            observed_at,
            observed_by: Some(self.world.primary),
            entered_by: Some(self.world.primary),
            device_id: None,
            source: Source::Member,
            evidence: None,
            replaces: None,
            reason: None,
            note: None,
            deed: None,
        };
        self.seniors.iter().map(look).collect()
    }

    /// One pass of the watch; afterwards there is an alert and a notice for everybody.
    pub async fn pass(&self, app: &App) {
        let report = watch::run_once(app).await.expect("the watch passes");
        assert_eq!(report.seniors, SENIORS);
        let counts: (i64, i64) = app
            .read(|mut tx| async move {
                let sql = "select (select count(*) from alert), (select count(*) from notice where class = 'alert')";
                let counts = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_one(conn).await)?;
                Ok((tx, counts))
            })
            .await
            .expect("rows are counted");
        let everybody = i64::try_from(SENIORS).expect("few");
        assert_eq!(counts, (everybody, everybody));
    }
}

const PEOPLE: [&str; 7] = [
    "insert into member (site_id, id, name, called, phone, locale, version, created_at)
        select {site:uuid}, {member:uuid}, '某某', '某师傅', {phone:text}, 'zh-CN', 1, {at:time} from {rows}",
    "insert into member_channel (site_id, id, member_id, position, channel, address, secret_sealed, verified_at, version, created_at)
        select {site:uuid}, {channel:uuid}, {member:uuid}, 1, 'webhook', {url:text}, {secret:bytes}, {at:time}, 1, {at:time} from {rows}",
    "insert into home (site_id, id, building_id, unit, floor, room, window_hint, walk_order, version, created_at)
        select {site:uuid}, {home:uuid}, {building:uuid}, '2单元', 4, {phone:text}, '左二窗', {number:int}, 1, {at:time} from {rows}",
    "insert into senior (site_id, id, home_id, name, called, phone, categories, risk_band, hearing_hint, purpose, version, created_at)
        select {site:uuid}, {id:uuid}, {home:uuid}, {name:text}, {name:text}, '0351000000', '[]', 'yellow', '', 'real', 1, {at:time} from {rows}",
    "insert into senior_residence (site_id, id, senior_id, home_id, from_date, created_at)
        select {site:uuid}, {id:uuid}, {id:uuid}, {home:uuid}, {from:date}, {at:time} from {rows}",
    "insert into agreement (site_id, id, senior_id, slot, weekdays, expected_sign, sensor_policy, require_change, from_date, content_hash, created_at)
        select {site:uuid}, {agreement:uuid}, {id:uuid}, 'morning', 127, 'open', 'sufficient', {no:bool}, {from:date}, {secret:bytes}, {at:time}
        from {rows}",
    "insert into pairing (site_id, id, senior_id, member_id, kind, from_date, version, created_at)
        select {site:uuid}, {pairing:uuid}, {id:uuid}, {member:uuid}, 'primary', {from:date}, 1, {at:time} from {rows}",
];
