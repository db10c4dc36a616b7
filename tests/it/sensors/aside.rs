//! What was put aside: who hears of it, and who may look at it. A press for help that was refused is heard at once.

use chenlian::app::App;
use chenlian::jobs::quarantine as job;
use chenlian::on;
use chrono::TimeDelta;

use super::client::{Client, Envelope};
use super::*;
use crate::harness::{World, at, local, on_each_engine};
use crate::http::Server;
use crate::morning::{notices, set};

const HELP: u32 = 7;
const OK: u32 = 8;
const TOPIC: &str = "chk/1/d-1/up/evt";

fn button(world: &World, name: &str) -> NewDevice {
    NewDevice { role: DeviceRole::HelpButton, ..native(world, name) }
}

fn press(sensor: &Installed, boot_n: u32, seq: u32) -> Vec<u8> {
    Envelope { topic: TOPIC, key: sensor.key(), boot_n, seq, up_ms: 9_000 }.sign(&[(9_000, HELP, 1)])
}

/// (recipient, key) of what was said about presses, in order.
async fn rung(app: &App) -> Vec<(Uuid, String)> {
    let all = notices(app).await;
    let mut said: Vec<_> = all.into_iter().filter(|(_, key, _)| key.contains("help_refused")).map(|(who, key, _)| (who, key)).collect();
    said.sort();
    said
}

fn sorted(mut expected: Vec<(Uuid, &str)>) -> Vec<(Uuid, String)> {
    expected.sort_unstable();
    expected.into_iter().map(|(who, key)| (who, key.to_owned())).collect()
}

/// I11, I31: refused, so no alert; and somebody rings her all the same.
#[tokio::test]
async fn a_press_of_a_button_that_lost_its_memory_is_refused_and_somebody_is_asked_to_ring() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, button(&world, "d-1"), Some(world.seniors[0])).await;
        set(&app, local("10:00:00")).await;
        let mut client = Client::of(&running, &sensor).await;
        client.tell(TOPIC, Envelope { topic: TOPIC, key: sensor.key(), boot_n: 3, seq: 90, up_ms: 9_000 }.sign(&[(9_000, OK, 1)])).await;
        for _ in 0..2 {
            client.tell(TOPIC, press(&sensor, 1, 1)).await;
        }
        assert_eq!(alerts(&app, world.seniors[0]).await, 0);
        let said = sorted(vec![(world.primary, "notice.help_refused"), (world.operator, "notice.help_refused_bound")]);
        assert_eq!(rung(&app).await, said, "once, in duty hours, however often it is repeated");
        set(&app, local("22:00:00")).await;
        client.tell(TOPIC, press(&sensor, 1, 2)).await;
        let awake = rung(&app).await.into_iter().filter(|(who, _)| *who == world.street_duty).count();
        assert_eq!((rung(&app).await.len(), awake), (5, 1), "at night also whoever answers at any hour");
        // Numbers of the same boot, far behind the window, of a press that nobody knows: not a lost receipt.
        let anew = Envelope { topic: TOPIC, key: sensor.key(), boot_n: 3, seq: 2, up_ms: 9_000 }.sign(&[(9_000, HELP, 1)]);
        client.tell(TOPIC, anew).await;
        assert_eq!(rung(&app).await.len(), 8);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_press_that_was_handled_may_come_again_without_another_word() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, button(&world, "d-1"), Some(world.seniors[0])).await;
        let mut client = Client::of(&running, &sensor).await;
        for _ in 0..3 {
            client.tell(TOPIC, press(&sensor, 1, 1)).await;
        }
        assert_eq!(alerts(&app, world.seniors[0]).await, 1);
        assert_eq!((rung(&app).await, quarantine(&app).await), (vec![], vec![]));
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_press_that_cannot_be_proved_is_heard_if_the_device_itself_can_have_sent_it() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, button(&world, "d-1"), Some(world.seniors[0])).await;
        set(&app, local("10:00:00")).await;
        let mut client = Client::of(&running, &sensor).await;
        let wrong = |kind, seq| Envelope { topic: TOPIC, key: [9; 32], boot_n: 1, seq, up_ms: 9_000 }.sign(&[(9_000, kind, 1)]);
        client.tell(TOPIC, wrong(OK, 1)).await;
        assert_eq!(rung(&app).await, [], "that all is well need not be told");
        client.tell(TOPIC, wrong(HELP, 2)).await;
        assert_eq!(rung(&app).await.len(), 2);
        client.tell(TOPIC, vec![0xff; 40]).await;
        assert_eq!(rung(&app).await.len(), 4, "what nobody can read of a help button may be a press");
        client.keep(TOPIC, press(&sensor, 1, 3)).await;
        assert_eq!(rung(&app).await.len(), 6, "a press that was kept on the way");
        assert_eq!(alerts(&app, world.seniors[0]).await, 0);
        for seq in 10..30 {
            client.tell(TOPIC, wrong(HELP, seq)).await;
        }
        assert_eq!(rung(&app).await.len(), 12, "nobody can ring a street awake with one device");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_press_on_a_button_bound_to_nobody_or_with_a_damaged_record_is_heard() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let loose = install(&app, &world, button(&world, "d-1"), None).await;
        let mut client = Client::of(&running, &loose).await;
        client.tell(TOPIC, press(&loose, 1, 1)).await;
        let said = sorted(vec![(world.social_worker, "notice.help_refused_unbound"), (world.operator, "notice.help_refused_unbound")]);
        assert_eq!(rung(&app).await, said, "its installer knows where it hangs");
        let damaged = install(&app, &world, button(&world, "d-2"), Some(world.seniors[0])).await;
        let id = damaged.device.id;
        app.write(move |mut tx| async move {
            let sql = "update device set level = 'nonsense', level_since = created_at where id = $1";
            on!(&mut tx, |conn| sqlx::query(sql).bind(id).execute(conn).await.map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        let topic = "chk/1/d-2/up/evt";
        let pressed = Envelope { topic, key: damaged.key(), boot_n: 1, seq: 1, up_ms: 9_000 }.sign(&[(9_000, HELP, 1)]);
        Client::of(&running, &damaged).await.tell(topic, pressed).await;
        assert!(rung(&app).await.contains(&(world.primary, "notice.help_refused".to_owned())));
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_operators_hear_of_a_device_once_a_day_and_old_samples_are_forgotten() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let one = install(&app, &world, native(&world, "d-1"), None).await;
        let two = install(&app, &world, native(&world, "d-2"), None).await;
        let (mut first, mut second) = (Client::of(&running, &one).await, Client::of(&running, &two).await);
        first.tell(TOPIC, "nonsense").await;
        assert_eq!(job::run_once(&app).await.unwrap().notices, 0, "what begins together is told together");
        second.tell("chk/1/d-2/up/evt", "nonsense").await;
        app.clock.advance(TimeDelta::minutes(10));
        assert_eq!(job::run_once(&app).await.unwrap().notices, 1);
        first.tell(TOPIC, "more").await;
        app.clock.advance(TimeDelta::hours(2));
        assert_eq!(job::run_once(&app).await.unwrap().notices, 0, "of each device once a day");
        set(&app, at("2026-11-24T00:00:00Z")).await;
        first.tell(TOPIC, "again").await;
        app.clock.advance(TimeDelta::minutes(10));
        assert_eq!(job::run_once(&app).await.unwrap().notices, 1);
        let said = notices(&app).await;
        assert!(said.iter().all(|(who, key, _)| (*who, key.as_str()) == (world.operator, "notice.quarantined")), "{said:?}");
        app.clock.advance(TimeDelta::days(31));
        assert_eq!(job::run_once(&app).await.unwrap().forgotten, 4);
        assert_eq!(quarantine(&app).await, Vec::<String>::new());
        running.stop().await;
    })
    .await;
}

/// I30, I32, I33.
#[tokio::test]
async fn what_was_put_aside_is_listed_with_its_reason_and_its_bytes_are_for_those_who_keep_devices() {
    on_each_engine(async |app: App| {
        let (world, other) = (World::seed(&app, 1).await, World::seed(&app, 1).await);
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let mut mqtt = Client::of(&running, &sensor).await;
        for payload in ["first", "second", "third"] {
            app.clock.advance(TimeDelta::seconds(1));
            mqtt.tell(TOPIC, payload).await;
        }
        let server = Server::start(&app).await;
        let operator = server.client(&app, world.site, world.operator).await;
        let (_, page) = operator.get("/api/v1/devices/quarantine?limit=2").await;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(2), "{page}");
        let newest = &page["items"][0];
        assert_eq!((&newest["reason"], &newest["device_name"], &newest["topic"]), (&"unreadable".into(), &"d-1".into(), &TOPIC.into()));
        assert_eq!((&newest["size_bytes"], newest["text"].as_str()), (&5.into(), Some("消息的格式读不懂。")));
        assert!(newest.get("sample_hex").is_none());
        let rest = format!("/api/v1/devices/quarantine?limit=2&cursor={}", page["next"].as_str().expect("a next page"));
        let (_, last) = operator.get(&rest).await;
        assert_eq!((last["items"].as_array().map(Vec::len), last.get("next")), (Some(1), None), "{last}");
        let path = format!("/api/v1/devices/quarantine/{}", newest["id"].as_str().unwrap());
        assert_eq!(operator.get(&path).await.0, 403);
        let (_, whole) = server.client(&app, world.site, world.administrator).await.get(&path).await;
        assert_eq!(whole["sample_hex"], "7468697264", "{whole}");
        let stranger = server.client(&app, other.site, other.administrator).await;
        assert_eq!(stranger.get(&path).await.0, 404);
        assert_eq!(stranger.get("/api/v1/devices/quarantine").await.1["items"], serde_json::json!([]));
        let read: Vec<String> = ask!(app, query_scalar, "select act from audit where object_kind = 'quarantined_message'");
        assert_eq!(read, ["read"]);
        running.stop().await;
    })
    .await;
}
