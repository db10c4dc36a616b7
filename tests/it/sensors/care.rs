//! Devices that need somebody: low cells, a button that nobody would hear, keys under way.

use chenlian::app::App;
use chenlian::jobs::{battery, reach};
use chenlian::on;
use chenlian::store::Error;
use chrono::TimeDelta;
use firmware_sim::downlink::read_config;
use reqwest::Method;

use super::client::{Client, Envelope, Heard};
use super::several::{SERVER, instance};
use super::*;
use crate::harness::broker::Broker;
use crate::harness::{World, at, declare_channels, local, on_each_engine};
use crate::http::{Server, read};
use crate::morning::{notices, set};

const CFG: &str = "chk/1/d-1/dn/cfg";
const OK: u32 = 8;
const BATTERY: u32 = 10;

async fn bind(app: &App, device: &Device, senior: Uuid, by: Uuid) -> Result<Device, Error> {
    let (id, version, now) = ((device.site_id, device.id), device.version, app.clock.now());
    app.write(move |mut tx| async move {
        let bound = devices::bind(&mut tx, id, Some(senior), version, by, now).await?;
        Ok((tx, bound))
    })
    .await
}

async fn end_of(app: &App, member: Uuid) {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        let sql = "update member_channel set disabled_at = $2 where member_id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(member).bind(now).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .unwrap();
}

/// I16, domain.md §5: the help button is no 120.
#[tokio::test]
async fn a_help_button_is_bound_only_where_somebody_hears_it_at_night() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let new = NewDevice { role: DeviceRole::HelpButton, ..native(&world, "d-1") };
        let button = install(&app, &world, new, None).await.device;
        let quiet = with_settings(&app, |config| config.outbox.log_counts = false);
        declare_channels(&quiet).await;
        let server = Server::start(&quiet).await;
        let administrator = server.client(&quiet, world.site, world.administrator).await;
        let path = format!("/api/v1/devices/{}", button.id);
        let body = serde_json::json!({ "senior_id": world.seniors[0] });
        let request = administrator.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&body);
        let (status, problem) = read(request).await;
        assert_eq!(
            (status.as_u16(), problem["errors"][0]["field"].as_str()),
            (409, Some("senior_id")),
            "a log that nobody reads: {problem}"
        );
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains("物业或街道值班")), "{problem}");
        declare_channels(&app).await;
        let bound = bind(&app, &button, world.seniors[0], world.social_worker).await.expect("in the demo the log is read");
        assert_eq!(bound.senior_id, Some(world.seniors[0]));
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await.device.id;
        for (ecosystem, why) in [
            (Ecosystem::Zwave, "problem.device_help_unread"),
            (Ecosystem::Rtl433, "problem.device_help_unread"),
            (Ecosystem::Shelly1, "problem.device_presses"),
        ] {
            let unread = NewDevice { role: DeviceRole::HelpButton, ecosystem, ..behind(&world, home, ecosystem.as_str()) };
            let unread = install(&app, &world, unread, None).await.device;
            let refused = bind(&app, &unread, world.seniors[0], world.social_worker).await;
            assert!(matches!(&refused, Err(Error::Refused(refusal)) if refusal.key == why), "{ecosystem}: {refused:?}");
        }

        reach::run_once(&app).await.unwrap();
        let told = |all: Vec<(Uuid, String, String)>| all.into_iter().filter(|(_, key, _)| key == "notice.unreachable").count();
        let before = told(notices(&app).await);
        end_of(&app, world.street_duty).await;
        set(&app, at("2026-11-24T00:00:00Z")).await;
        reach::run_once(&app).await.unwrap();
        assert!(told(notices(&app).await) > before, "who hears it has left, and that is told");
        let server = Server::start(&app).await;
        let viewer = server.client(&app, world.site, world.administrator).await;
        let (_, red) = viewer.get("/api/v1/reachability").await;
        assert_eq!(red["counts"]["nobody_around_the_clock"], 1, "{red}");
    })
    .await;
}

#[tokio::test]
async fn low_cells_are_told_in_the_morning_once_until_new_ones_are_in() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 2).await;
        let (app, running) = started(&app).await;
        let mut clients = Vec::new();
        for (name, senior) in [("d-1", 0), ("d-2", 1)] {
            let sensor = install(&app, &world, native(&world, name), Some(world.seniors[senior])).await;
            clients.push((format!("chk/1/{name}/up/tele"), Client::of(&running, &sensor).await, sensor));
        }
        let mut seq = 0;
        let mut report = async |clients: &mut Vec<(String, Client, Installed)>, millivolt: i64, which: &[usize]| {
            for number in which {
                let (topic, client, sensor) = &mut clients[*number];
                seq += 1;
                let beat = Envelope { topic, key: sensor.key(), boot_n: 1, seq, up_ms: 9_000 };
                client.tell(topic, beat.sign(&[(9_000, BATTERY, millivolt)])).await;
            }
        };
        report(&mut clients, 2_100, &[0, 1]).await;
        set(&app, local("08:00:00")).await;
        assert_eq!(battery::run_once(&app).await.unwrap(), 0, "one reading proves nothing");
        report(&mut clients, 2_100, &[0, 1]).await;
        assert_eq!(battery::run_once(&app).await.unwrap(), 2);
        let said: Vec<_> = notices(&app).await.into_iter().map(|(who, key, _)| (who, key)).collect();
        let mut expected =
            vec![(world.primary, "notice.batteries_low".to_owned()), (world.social_worker, "notice.batteries_low".to_owned())];
        expected.sort();
        assert_eq!(said, expected, "one bundled notice to each who hears of silent devices");
        for time in ["09:00:00", "20:00:00"] {
            set(&app, local(time)).await;
            report(&mut clients, 2_050, &[0, 1]).await;
            assert_eq!(battery::run_once(&app).await.unwrap(), 0);
        }
        // New cells in one of them, which run low again another day.
        report(&mut clients, 3_000, &[0]).await;
        report(&mut clients, 2_050, &[0]).await;
        report(&mut clients, 2_050, &[0]).await;
        set(&app, at("2026-11-23T23:59:59Z")).await;
        assert_eq!(battery::run_once(&app).await.unwrap(), 0, "not at night");
        set(&app, at("2026-11-24T00:00:00Z")).await;
        assert_eq!(battery::run_once(&app).await.unwrap(), 1);
        assert_eq!(notices(&app).await.into_iter().filter(|(_, key, _)| key == "notice.battery_low").count(), 2);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn devices_needing_care_are_a_list_with_its_reasons() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 3).await;
        let (app, running) = started(&app).await;
        let well = install(&app, &world, native(&world, "d-well"), Some(world.seniors[0])).await;
        let raw = install(&app, &world, native(&world, "d-raw"), None).await.device;
        bind(&app, &raw, world.seniors[1], world.social_worker).await.unwrap();
        let poor = install(&app, &world, native(&world, "d-poor"), Some(world.seniors[2])).await;
        Client::of(&running, &well).await.tell("chk/1/d-well/up/status", r#"{"s":"on","bn":1,"bd":1}"#).await;
        let mut client = Client::of(&running, &poor).await;
        let topic = "chk/1/d-poor/up/tele";
        for seq in 1..3 {
            let beat = Envelope { topic, key: poor.key(), boot_n: 1, seq, up_ms: 9_000 };
            client.tell(topic, beat.sign(&[(9_000, BATTERY, 2_050)])).await;
        }
        client.tell(topic, "nonsense").await;
        client.tell("chk/1/d-poor/up/status", r#"{"s":"off","bn":1,"bd":1}"#).await;
        let server = Server::start(&app).await;
        let list = async |query: &str| {
            // A sign-in of the test lasts a day.
            let operator = server.client(&app, world.site, world.operator).await;
            let (status, page) = operator.get(&format!("/api/v1/devices?limit=1{query}")).await;
            assert_eq!(status, 200, "{page}");
            let mut found = page["items"].as_array().expect("items").clone();
            let mut next = page["next"].as_str().map(str::to_owned);
            while let Some(cursor) = next {
                let (_, page) = operator.get(&format!("/api/v1/devices?limit=1{query}&cursor={cursor}")).await;
                found.extend(page["items"].as_array().expect("items").clone());
                next = page["next"].as_str().map(str::to_owned);
            }
            found
        };
        let names = async |query: &str| -> Vec<String> {
            list(query).await.iter().map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(names("").await, ["d-well", "d-raw", "d-poor"]);
        assert_eq!(names("&needs_care=true").await, ["d-raw", "d-poor"]);
        assert_eq!(names("&needs_care=false").await, ["d-well"]);
        assert_eq!(names("&care=uncalibrated").await, ["d-raw"]);
        let worst = list("&care=battery_low").await;
        assert_eq!((&worst[0]["name"], &worst[0]["battery_low"]), (&"d-poor".into(), &true.into()));
        assert_eq!(worst[0]["care"], serde_json::json!(["offline", "battery_low", "quarantined"]));
        app.clock.advance(TimeDelta::days(2));
        assert_eq!(names("&care=quarantined").await, Vec::<String>::new(), "what was wrong two days ago is history");
        running.stop().await;
    })
    .await;
}

async fn rotate(app: &App, world: &World, id: Uuid) -> Credentials {
    let (id, by, now, seal) = ((world.site, id), world.social_worker, app.clock.now(), app.seal.clone());
    let version = device(app, id).await.version;
    app.write(move |mut tx| async move { devices::rotate(&mut tx, id, version, by, &seal, now).await.map(|new| (tx, new)) }).await.unwrap()
}

/// What a device is told when it subscribes.
async fn settings(client: &mut Client) -> Vec<u8> {
    client.listen(CFG).await;
    match client.next().await {
        Heard::Message { payload, .. } => payload,
        other => panic!("settings, not {other:?}"),
    }
}

#[tokio::test]
async fn while_keys_are_rotated_a_device_can_check_its_settings_with_the_key_it_has() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let new = rotate(&app, &world, sensor.device.id).await;
        let new_key = new.key.expect("it signs");
        let said = settings(&mut Client::of(&running, &sensor).await).await;
        assert!(read_config(CFG, &sensor.key(), &said).is_some(), "the old one, by which it came");
        assert!(read_config(CFG, &new_key, &said).is_none());
        let said = settings(&mut Client::connect(&running, "d-1", &new.password).await).await;
        assert!(read_config(CFG, &new_key, &said).is_some());
        // The next rotation ends the oldest at once.
        let newest = rotate(&app, &world, sensor.device.id).await;
        assert_eq!(Client::open(&running, "d-1", Some(sensor.password())).next().await, Heard::Lost);
        let said = settings(&mut Client::connect(&running, "d-1", &new.password).await).await;
        assert!(read_config(CFG, &new_key, &said).is_some());
        let said = settings(&mut Client::connect(&running, "d-1", &newest.password).await).await;
        assert!(read_config(CFG, &newest.key.expect("it signs"), &said).is_some());
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_lies_at_the_broker_for_a_device_is_signed_with_the_key_it_signs_with() {
    let Some(broker) = Broker::start(&[SERVER, "d-1"]) else { return };
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let (app, running) = instance(&app, &broker, "", 0).await;
        let (topic, old_key) = ("chk/1/d-1/up/evt", sensor.key());
        let said = |key: [u8; 32]| broker.kept("d-1", CFG).is_some_and(|kept| read_config(CFG, &key, &kept).is_some());
        until("its settings lie there", async || said(old_key)).await;
        let event = |key, kid, seq| Envelope { topic, key, boot_n: 1, seq, up_ms: 9_000 }.sign_as(kid, &[(9_000, OK, 1)]);
        assert!(broker.publish_bytes("d-1", topic, &event(old_key, 1, 1)));
        let id = (world.site, sensor.device.id);
        until("it is heard", async || device(&app, id).await.kid == Some(1)).await;
        let new = rotate(&app, &world, sensor.device.id).await;
        let (new_key, version) = (new.key.expect("it signs"), device(&app, id).await.version);
        let newer = || broker.kept("d-1", CFG).and_then(|kept| read_config(CFG, &old_key, &kept)).map(|config| i64::from(config.config_n));
        until("newer settings, which it can check", async || newer() == Some(version)).await;
        assert!(broker.publish_bytes("d-1", topic, &event(new_key, 2, 2)));
        until("settings for the new key", async || said(new_key)).await;
        app.clock.advance(TimeDelta::days(8));
        assert!(said(new_key), "and when the old one has run out");
        running.stop().await;
    })
    .await;
}
