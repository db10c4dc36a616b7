//! The words of every day, and the sign of life: our own silence must be noticed too.

use chenlian::config::MqttMode;
use chenlian::domain::health::Ailment;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::heartbeat::{self, ClockSense};
use chenlian::jobs::{deliver, prove, watch};
use chenlian::mqtt::external::Status;
use chenlian::on;
use chenlian::store::vitals;
use uuid::Uuid;

use super::{Play, Receiver, instance, later, tell};
use crate::harness::{World, local, on_each_engine};
use crate::morning::{look, pass_at, planned, set};

/// (recipient, arguments) of the notices with this key.
async fn told(app: &chenlian::app::App, key: &'static str) -> Vec<(Uuid, String)> {
    app.read(move |mut tx| async move {
        let sql = "select recipient_id, arguments from notice where key = $1 order by recipient_id";
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).bind(key).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("notices are read")
}

#[tokio::test]
async fn by_ten_o_clock_somebody_reads_how_many_were_seen() {
    on_each_engine(|app| async move {
        let world = planned(&app, 4).await;
        pass_at(&app, local("08:30:00")).await;
        look(&app, &world, 0, SignalKind::Open, local("08:00:00")).await;
        look(&app, &world, 1, SignalKind::Open, local("08:10:00")).await;
        pass_at(&app, local("09:45:00")).await;
        look(&app, &world, 2, SignalKind::SeenInPerson, local("09:45:00")).await;
        set(&app, local("09:49:59")).await;
        assert_eq!(prove::run_once(&app).await.expect("too early").proofs, 0);
        set(&app, local("09:50:00")).await;
        assert_eq!(prove::run_once(&app).await.expect("the proof is written").proofs, 2);
        assert_eq!(prove::run_once(&app).await.expect("once a day").proofs, 0);

        let proofs = told(&app, "notice.proof").await;
        let mut people = [world.secretary, world.operator];
        people.sort_unstable();
        assert_eq!(proofs.iter().map(|(member, _)| *member).collect::<Vec<_>>(), people);
        for (_, arguments) in proofs {
            let arguments: serde_json::Value = serde_json::from_str(&arguments).expect("JSON");
            let read = ["total", "seen", "visited", "open", "excused"].map(|name| arguments[name].as_str().expect("a number").to_owned());
            // The third was found after the cutoff: ok_late counts as seen. The fourth is still looked for.
            assert_eq!(read, ["4", "3", "0", "1", "0"], "{arguments}");
        }
    })
    .await;
}

#[tokio::test]
async fn in_the_afternoon_the_secretary_hears_that_nobody_walks_tomorrow() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        set(&app, local("17:00:00")).await;
        let covered = prove::run_once(&app).await.expect("the pass");
        assert_eq!(covered.uncovered, 0, "the primary walks");

        let world_b = planned(&app, 3).await;
        away(&app, &world_b, world_b.primary).await;
        away(&app, &world_b, world_b.backup).await;
        assert_eq!(prove::run_once(&app).await.expect("the pass").uncovered, 1);
        let notices = told(&app, "notice.no_cover").await;
        assert_eq!(notices, [(world_b.secretary, r#"{"building":"3号楼","count":"3"}"#.to_owned())], "one building, one notice");
        assert_ne!(world.site, world_b.site);
    })
    .await;
}

async fn away(app: &chenlian::app::App, world: &World, member: Uuid) {
    let (site, now) = (world.site, app.clock.now());
    let from = chrono::NaiveDate::from_ymd_opt(2026, 11, 24).expect("a literal date");
    app.write(move |mut tx| async move {
        let sql = "insert into leave_of_absence (site_id, id, member_id, from_date, return_date, version, created_at)
            values ($1, $2, $3, $4, $5, 1, $6)";
        on!(&mut tx, |conn| sqlx::query(sql)
            .bind(site)
            .bind(Uuid::now_v7())
            .bind(member)
            .bind(from)
            .bind(from + chrono::Days::new(7))
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("a leave");
}

#[tokio::test]
async fn the_heartbeat_goes_out_while_all_is_well_and_stops_when_something_is_not() {
    on_each_engine(|app| async move {
        let outside = Receiver::start(&[Play::Status(200)]).await;
        let app = instance(&app, |config| {
            config.heartbeat.url.clone_from(&outside.url);
            config.mqtt.mode = MqttMode::Embedded;
        });
        let world = World::seed(&app, 0).await;
        let client = heartbeat::client().expect("a client");
        let mut clock = ClockSense::default();

        let before = heartbeat::run_once(&app, &client, &mut clock).await.expect("a look");
        assert_eq!(before.ailments, [Ailment::WatchStopped, Ailment::MqttDown]);
        watch::run_once(&app).await.expect("the watch passes");
        let (status, broker) = tokio::sync::watch::channel(Status { subscribed: true, ..Status::default() });
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let following = tokio::spawn(heartbeat::follow_sensors(app.clone(), Some(broker), stopped));
        heard(&app, vitals::MQTT_UP).await;
        let well = heartbeat::run_once(&app, &client, &mut clock).await.expect("a beat");
        assert_eq!((well.ailments, well.accepted), (vec![], Some(true)));
        assert!(outside.requests()[0].line.starts_with("GET /hook"), "{:?}", outside.requests());

        tell(&app, world.site, &[world.primary], 1).await;
        later(&app, 121);
        watch::run_once(&app).await.expect("the watch passes");
        let stuck = heartbeat::run_once(&app, &client, &mut clock).await.expect("a look");
        assert_eq!((stuck.ailments, stuck.accepted), (vec![Ailment::OutboxStuck], None));
        deliver::run_once(&app).await.expect("the outbox moves");
        assert_eq!(heartbeat::run_once(&app, &client, &mut clock).await.expect("a beat").accepted, Some(true));
        status.send_modify(|status| status.subscribed = false);
        heard(&app, "down").await;
        let deaf = heartbeat::run_once(&app, &client, &mut clock).await.expect("a look");
        assert_eq!(deaf.ailments, [Ailment::MqttDown]);
        assert_eq!(outside.requests().len(), 2);
        stop.send(true).expect("it listens");
        following.await.expect("it ends");
    })
    .await;
}

/// Waits until the link to the sensors is on record as `expected`.
async fn heard(app: &chenlian::app::App, expected: &'static str) {
    let recorded = async {
        while super::texts(app, "select detail from job_pass where job = 'mqtt'").await != [expected] {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), recorded).await.expect("the link is on record");
}
