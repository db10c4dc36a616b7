//! The register: who may connect, what a change does, and what it leaves on record.

use chenlian::app::App;
use chenlian::config::MqttMode;
use chenlian::store::Error;
use chrono::TimeDelta;

use super::client::{Client, Envelope, Heard};
use super::*;
use crate::harness::{World, on_each_engine};
use crate::http::Server;

/// Acts on devices, in order of their writing.
async fn audit(app: &App) -> Vec<String> {
    ask!(app, query_scalar, "select act from audit where object_kind = 'device' order by seq")
}

async fn may_enter(app: &App, name: &str, password: &str) -> bool {
    let (name, password, now) = (name.to_owned(), password.to_owned(), app.clock.now());
    let found = app
        .read(move |mut tx| async move {
            let found = devices::authenticate(&mut tx, &name, password.as_bytes(), now).await?;
            Ok((tx, found))
        })
        .await;
    found.unwrap().is_some()
}

#[tokio::test]
async fn a_rotated_credential_is_valid_beside_the_new_one_for_a_week() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let (id, by, now) = ((world.site, sensor.device.id), world.social_worker, app.clock.now());
        let seal = app.seal.clone();
        let new = app
            .write(move |mut tx| async move {
                let new = devices::rotate(&mut tx, id, 1, by, &seal, now).await?;
                Ok((tx, new))
            })
            .await
            .unwrap();
        assert_eq!(new.kid, 2);
        assert!(may_enter(&app, "d-1", sensor.password()).await && may_enter(&app, "d-1", &new.password).await);
        assert!(!may_enter(&app, "d-1", "wrong").await);
        assert!(!may_enter(&app, "d-2", sensor.password()).await);
        app.clock.advance(TimeDelta::days(7));
        assert!(!may_enter(&app, "d-1", sensor.password()).await);
        assert!(may_enter(&app, "d-1", &new.password).await);
        assert_eq!(audit(&app).await, ["create", "rotate"]);
    })
    .await;
}

#[tokio::test]
async fn neither_password_nor_key_stands_in_the_database() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let rows: Vec<(Vec<u8>, Vec<u8>)> = ask!(app, query_as, "select password_hash, key_sealed from device_credential");
        let [(password, key)] = &rows[..] else { panic!("one credential, not {}", rows.len()) };
        let holds = |stored: &[u8], secret: &[u8]| stored.windows(secret.len()).any(|window| window == secret);
        assert!(!holds(password, sensor.password().as_bytes()));
        assert!(!holds(key, &sensor.key()));
    })
    .await;
}

#[tokio::test]
async fn binding_to_another_home_forgets_the_old_curtain() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 2).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let (id, by, now) = ((world.site, sensor.device.id), world.social_worker, app.clock.now());
        let bind = async |senior, version| {
            app.write(move |mut tx| async move {
                let device = devices::bind(&mut tx, id, senior, version, by, now).await?;
                Ok((tx, device))
            })
            .await
        };
        assert!(sensor.device.calibrated_at.is_some());
        let bound = bind(Some(world.seniors[1]), sensor.device.version).await.unwrap();
        assert_eq!((bound.senior_id, bound.calibrated_at), (Some(world.seniors[1]), None));
        let stale = bind(None, sensor.device.version).await;
        assert!(matches!(stale, Err(Error::Refused(refusal)) if refusal.key == "problem.stale"));
        let unknown = bind(Some(Uuid::now_v7()), bound.version).await;
        assert!(matches!(unknown, Err(Error::Refused(refusal)) if refusal.field.as_deref() == Some("senior_id")));
        bind(None, bound.version).await.unwrap();
        assert_eq!(audit(&app).await, ["create", "bind", "calibrate", "bind", "unbind"]);
    })
    .await;
}

/// What was entered wrongly is corrected: only what was meant changes, and what means nothing any more is forgotten.
#[tokio::test]
async fn a_slip_in_an_entry_is_corrected_and_what_was_read_before_it_means_nothing_any_more() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await.device.id;
        let sensor = install(&app, &world, behind(&world, home, "curtian"), Some(world.seniors[0])).await.device;
        install(&app, &world, behind(&world, home, "window"), None).await;
        let own = install(&app, &world, native(&world, "d-1"), None).await.device;
        let server = Server::start(&app).await;
        let office = server.client(&app, world.site, world.administrator).await;
        let change = async |device: &Device, version: i64, body: serde_json::Value| {
            let path = format!("/api/v1/devices/{}", device.id);
            let request = office.request(reqwest::Method::PATCH, &path).header("if-match", format!("\"{version}\"")).json(&body);
            let (status, answer) = crate::http::read(request).await;
            (status.as_u16(), answer)
        };
        let version = sensor.version;
        for (device, field, body) in [
            (&sensor, "name", serde_json::json!({ "name": "a/set/b" })),
            (&sensor, "name", serde_json::json!({ "name": "window" })),
            (&sensor, "role", serde_json::json!({ "role": "gateway" })),
            (&sensor, "expected_interval_seconds", serde_json::json!({ "expected_interval_seconds": 1 })),
            (&own, "name", serde_json::json!({ "name": "d-2" })),
            (&own, "component", serde_json::json!({ "component": "cover:0" })),
        ] {
            let (status, problem) = change(device, device.version, body).await;
            assert!((400..410).contains(&status) && problem["errors"][0]["field"] == field, "{field}: {status} {problem}");
        }
        assert_eq!(change(&sensor, version - 1, serde_json::json!({ "role": "cover" })).await.0, 412);

        let (status, same) =
            change(&sensor, version, serde_json::json!({ "expected_interval_seconds": 3600, "role": "curtain_contact" })).await;
        assert_eq!((status, same["expected_interval_seconds"].as_i64()), (200, Some(3600)), "{same}");
        assert!(same["calibrated_at"].is_string(), "it is read as before: {same}");
        assert_eq!(same["silent_after"].as_str().map(|at| at.parse::<chrono::DateTime<chrono::Utc>>().unwrap()), {
            Some(app.clock.now() + TimeDelta::minutes(100))
        });
        let (status, moved) = change(&sensor, version + 1, serde_json::json!({ "name": "curtain", "role": "cover" })).await;
        assert_eq!((status, moved["name"].as_str(), moved["role"].as_str()), (200, Some("curtain"), Some("cover")), "{moved}");
        assert_eq!((&moved["calibrated_at"], &moved["level"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        assert_eq!(moved["senior_id"].as_str(), Some(world.seniors[0].to_string().as_str()), "it hangs where it hung");
        assert_eq!(audit(&app).await.iter().filter(|act| *act == "change").count(), 2);
        let told = crate::morning::notices(&app).await;
        assert!(told.iter().any(|(_, key, _)| key == "notice.silenced_device"), "who relies on it hears of it: {told:?}");
        let page = office.request(reqwest::Method::GET, &format!("/admin/devices/{}", sensor.id)).header("accept", "text/html");
        let page = page.send().await.unwrap().text().await.unwrap();
        assert!(page.contains(r#"id="device-correct""#) && page.contains(r#"<option value="cover" selected>"#), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_device_that_makes_no_sense_is_not_entered() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await.device.id;
        install(&app, &world, native(&world, "d-1"), None).await;
        let device = || native(&world, "d-9");
        let cases = [
            ("name", native(&world, "a+b")),
            ("name", native(&world, "d-1")),
            ("name", behind(&world, home, "bridge/state")),
            ("name", behind(&world, home, "卧室/set/窗帘")),
            ("name", behind(&world, home, "卧室/get")),
            ("name", behind(&world, home, "卧室/availability")),
            ("expected_interval_seconds", NewDevice { expected_interval_seconds: 0, ..device() }),
            ("base_topic", NewDevice { base_topic: Some("chk".to_owned()), ..gateway(&world, "gw-9") }),
            ("base_topic", NewDevice { base_topic: None, ..gateway(&world, "gw-9") }),
            ("role", NewDevice { role: DeviceRole::Gateway, ..device() }),
            ("gateway_id", NewDevice { gateway_id: Some(home), ..device() }),
            ("gateway_id", behind(&world, Uuid::now_v7(), "x")),
        ];
        for (field, new) in cases {
            let (shown, seal, now) = (format!("{new:?}"), app.seal.clone(), app.clock.now());
            let refused = app
                .write(move |mut tx| async move {
                    devices::create(&mut tx, &new, None, &seal, now).await?;
                    Ok((tx, ()))
                })
                .await;
            let named = matches!(&refused, Err(Error::Refused(refusal)) if refusal.field.as_deref() == Some(field));
            assert!(named, "{field}: {refused:?} for {shown}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_revoked_device_is_out_within_five_seconds_and_its_name_is_free_again() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let mut client = Client::of(&running, &sensor).await;
        let (id, by, now) = ((world.site, sensor.device.id), world.social_worker, app.clock.now());
        let revoked_at = std::time::Instant::now();
        app.write(move |mut tx| async move {
            devices::revoke(&mut tx, id, by, now).await?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        // Even before it is thrown out it is not listened to any more.
        let topic = "chk/1/d-1/up/evt";
        let press = Envelope { topic, key: sensor.key(), boot_n: 1, seq: 1, up_ms: 9000 };
        client.say(topic, press.sign(&[(8000, 7, 1)])).await;
        assert_eq!(client.next().await, Heard::Lost);
        assert_eq!(signals(&app, world.seniors[0]).await, []);
        assert!(revoked_at.elapsed() < Duration::from_secs(5), "{:?}", revoked_at.elapsed());
        assert_eq!(Client::open(&running, "d-1", Some(sensor.password())).next().await, Heard::Lost);
        let successor = install(&app, &world, native(&world, "d-1"), None).await;
        Client::of(&running, &successor).await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_nameless_client_enters_only_where_the_demo_allows_it() {
    on_each_engine(async |app: App| {
        let (_, closed) = started(&app).await;
        assert_eq!(Client::open(&closed, "d-1", None).next().await, Heard::Lost);
        closed.stop().await;
        let demo = with_settings(&app, |config| config.mqtt.anonymous_loopback = true);
        let open = running::start(&demo).await.unwrap();
        assert_eq!(Client::open(&open, "d-1", None).next().await, Heard::Connected);
        open.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_gateways_on_one_broker_have_topics_of_their_own() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let app = with_settings(&app, |config| config.mqtt.mode = MqttMode::External);
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        let enter = async |name: &str, base_topic: &str| {
            let body = serde_json::json!({
                "id": Uuid::now_v7(), "name": name, "ecosystem": "gateway", "role": "gateway", "base_topic": base_topic
            });
            let (status, answer) = client.post("/api/v1/devices", body).await;
            (status.as_u16(), answer)
        };
        let (entered, first) = enter("gw-1", "zigbee2mqtt").await;
        assert_eq!((entered, enter("gw-3", "zigbee2mqtt/3").await.0), (201, 201));
        let (refused, why) = enter("gw-2", "zigbee2mqtt").await;
        assert_eq!((refused, why["errors"][0]["field"].as_str()), (409, Some("base_topic")), "{why}");
        let id = (world.site, first["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"));
        let (by, now) = (world.administrator, app.clock.now());
        app.write(move |mut tx| async move { devices::revoke(&mut tx, id, by, now).await.map(|()| (tx, ())) }).await.unwrap();
        assert_eq!(enter("gw-2", "zigbee2mqtt").await.0, 201, "a topic given up is free again");
    })
    .await;
}
