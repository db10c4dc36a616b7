//! Devices that change their names at their gateway, and what is told about those that nobody has entered yet.

use chenlian::jobs::settle;
use reqwest::Method;

use super::client::Client;
use super::several::{GATEWAY, SERVER, instance};
use super::*;
use crate::harness::broker::Broker;
use crate::harness::{World, local, on_each_engine};
use crate::http::{Server, read};
use crate::morning::set;

/// Zigbee2MQTT's list, as large as a real one.
fn list(named: &[(&str, &str)]) -> String {
    let definition = "x".repeat(120_000);
    let devices: Vec<serde_json::Value> = named
        .iter()
        .map(|(address, name)| serde_json::json!({ "ieee_address": address, "friendly_name": name, "definition": { "description": definition } }))
        .collect();
    serde_json::Value::from(devices).to_string()
}

async fn acts(app: &App, device: Uuid) -> Vec<String> {
    ask!(app, query_scalar, "select act from audit where object_id = $1 order by seq", device)
}

#[tokio::test]
async fn a_device_that_is_renamed_at_its_gateway_is_followed_by_its_address() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 2).await;
        let (app, running) = started(&app).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let gateway = home.device.id;
        let before = install(&app, &world, behind(&world, gateway, "卧室"), Some(world.seniors[0])).await.device;
        let mut client = Client::of(&running, &home).await;
        let topic = "zigbee2mqtt/bridge/devices";
        client.keep(topic, list(&[("0x1", "卧室"), ("0x2", "客厅"), ("0x3", "厨房")])).await;
        let after = install(&app, &world, behind(&world, gateway, "客厅"), Some(world.seniors[1])).await.device;
        let of = async |device: &Device| self::device(&app, (world.site, device.id)).await;
        assert_eq!(of(&before).await.hardware_address.as_deref(), Some("0x1"), "learnt from the list");
        assert_eq!(of(&after).await.hardware_address.as_deref(), Some("0x2"), "known when it was entered");
        client.tell("zigbee2mqtt/卧室", r#"{"contact":true}"#).await;

        // One gets a new name, the other one that was just given up.
        client.keep(topic, list(&[("0x1", "3栋/卧室"), ("0x2", "卧室"), ("0x3", "厨房")])).await;
        client.keep("zigbee2mqtt/卧室", "").await;
        client.keep("zigbee2mqtt/客厅", "").await;
        assert_eq!((of(&before).await.name.as_str(), of(&after).await.name.as_str()), ("3栋/卧室", "卧室"));
        assert_eq!(acts(&app, before.id).await, ["create", "bind", "calibrate", "change", "rename"]);
        client.tell("zigbee2mqtt/3栋/卧室", r#"{"contact":true}"#).await;
        set(&app, local("07:30:00")).await;
        client.tell("zigbee2mqtt/3栋/卧室", r#"{"contact":false}"#).await;
        set(&app, local("07:35:00")).await;
        settle::run_once(&app).await.unwrap();
        assert_eq!(signals(&app, world.seniors[0]).await, [("open".to_owned(), "A".to_owned(), "accepted".to_owned())]);
        assert_eq!(signals(&app, world.seniors[1]).await, [], "its namesake of yesterday said nothing");

        // Two that swap their names.
        client.keep(topic, list(&[("0x1", "卧室"), ("0x2", "3栋/卧室")])).await;
        assert_eq!((of(&before).await.name.as_str(), of(&after).await.name.as_str()), ("卧室", "3栋/卧室"));
        client.keep(topic, "nonsense").await;
        assert_eq!(of(&before).await.name, "卧室");
        assert_eq!(quarantine(&app).await, Vec::<String>::new());
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_entered_is_shown_once_with_what_its_topic_its_words_and_its_announcement_say() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let new = NewDevice { base_topic: Some("site/7".to_owned()), ..gateway(&world, "gw-1") };
        let home = install(&app, &world, new, None).await;
        let mut client = Client::of(&running, &home).await;
        let announced = r#"{"stat_t":"wang/binary_sensor/bett/state","dev_cla":"vibration"}"#;
        client.keep("site/7/homeassistant/binary_sensor/wang/bett/config", announced).await;
        client.tell("site/7/wang/binary_sensor/bett/state", "ON").await;
        client.tell("site/7/wang/binary_sensor/bett/state", "OFF").await;
        client.tell("site/7/shellies/door/sensor/state", "open").await;
        client.tell("site/7/shellies/door/sensor/lux", "9").await;
        client.tell("site/7/shellies/door/sensor/temperature", "9").await;
        client.tell("site/7/tele/bridge/SENSOR", r#"{"ZbReceived":{"0x1":{"Contact":1}}}"#).await;
        let server = Server::start(&app).await;
        let office = server.client(&app, world.site, world.administrator).await;
        let page = async || {
            office.request(Method::GET, "/admin/devices").header("accept", "text/html").send().await.unwrap().text().await.unwrap()
        };
        let shown = page().await;
        let picks = |page: &str| page.matches("data-pick").count();
        assert_eq!(picks(&shown), 3, "{shown}");
        for said in [
            r#"data-name="wang/binary_sensor/bett""#,
            r#"data-role="vibration""#,
            r#"data-name="shellies/door""#,
            r#"data-ecosystem="shelly_gen1""#,
            r#"data-name="bridge" data-component="0x1""#,
        ] {
            assert!(shown.contains(said), "{said} in {shown}");
        }
        let body = serde_json::json!({
            "id": Uuid::now_v7(), "name": "bridge", "component": "0x1", "ecosystem": "tasmota", "role": "curtain_contact",
            "gateway_id": home.device.id, "settings": { "on": "maybe" }
        });
        let (status, problem) = office.post("/api/v1/devices", body.clone()).await;
        assert_eq!((status.as_u16(), problem["errors"][0]["field"].as_str()), (400, Some("settings.on")), "{problem}");
        let mut body = body;
        body["settings"] = serde_json::json!({ "zone": "Asia/Shanghai" });
        let (status, made) = office.post("/api/v1/devices", body).await;
        assert_eq!(
            (status.as_u16(), made["component"].as_str(), made["settings"]["zone"].as_str()),
            (201, Some("0x1"), Some("Asia/Shanghai"))
        );
        assert_eq!(picks(&page().await), 2, "what has been entered is gone from the list");

        let path = format!("/api/v1/devices/{}", made["id"].as_str().unwrap());
        let change = async |version: &str, body: serde_json::Value| {
            read(office.request(Method::PATCH, &path).header("if-match", version).json(&body)).await
        };
        let (status, problem) = change("\"1\"", serde_json::json!({})).await;
        assert_eq!(status.as_u16(), 400, "{problem}");
        let (status, problem) = change("\"1\"", serde_json::json!({ "settings": { "max": 0 } })).await;
        assert_eq!((status.as_u16(), problem["errors"][0]["field"].as_str()), (400, Some("settings.max")), "{problem}");
        let (status, changed) = change("\"1\"", serde_json::json!({ "settings": { "max": 99 }, "senior_id": world.seniors[0] })).await;
        assert_eq!((status.as_u16(), changed["settings"]["max"].as_i64()), (200, Some(99)), "{changed}");
        assert_eq!(changed["senior_id"].as_str(), Some(world.seniors[0].to_string().as_str()));
        running.stop().await;
    })
    .await;
}

/// A house that announces without end fills no disk.
#[tokio::test]
async fn announcements_are_kept_up_to_a_bound() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let mut client = Client::of(&running, &home).await;
        for part in 0..20 {
            let parts: Vec<String> =
                (0..32).map(|n| format!(r#""{n}":{{"p":"binary_sensor","dev_cla":"door","stat_t":"x/{part}/{n}"}}"#)).collect();
            client.keep(&format!("homeassistant/device/d{part}/config"), format!("{{\"cmps\":{{{}}}}}", parts.join(","))).await;
        }
        let kept: Vec<String> = ask!(app, query_scalar, "select topic from device_announced");
        assert_eq!(kept.len(), devices::ANNOUNCED_MAX);
        running.stop().await;
    })
    .await;
}

/// Whoever removes a device from home automation empties the topic that announced it.
#[tokio::test]
async fn an_announcement_that_is_taken_back_proposes_nothing_any_more() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let mut client = Client::of(&running, &home).await;
        let kept =
            async || -> Vec<(String, String)> { ask!(app, query_as, "select topic, role from device_announced order by topic, role") };
        let (contact, light) = ("homeassistant/binary_sensor/a/contact/config", "homeassistant/sensor/a/illuminance/config");
        let whole = "homeassistant/device/b/config";
        let door = r#"{"p":"binary_sensor","dev_cla":"door","stat_t":"x/b/door"}"#;
        let bed = r#"{"p":"binary_sensor","dev_cla":"vibration","stat_t":"x/b/bed"}"#;
        client.keep(contact, r#"{"stat_t":"zigbee2mqtt/a","dev_cla":"door","val_tpl":"{{ value_json.contact }}"}"#).await;
        client.keep(light, r#"{"stat_t":"zigbee2mqtt/a","dev_cla":"illuminance","val_tpl":"{{ value_json.illuminance }}"}"#).await;
        client.keep(whole, format!(r#"{{"cmps":{{"1":{door},"2":{bed}}}}}"#)).await;
        let row = |topic: &str, role: &str| (topic.to_owned(), role.to_owned());
        let (window, lux) = (row("zigbee2mqtt/a", "curtain_contact"), row("zigbee2mqtt/a", "lux"));
        assert_eq!(kept().await, [row("x/b/bed", "vibration"), row("x/b/door", "curtain_contact"), window.clone(), lux]);
        client.tell(light, "").await;
        client.keep(whole, format!(r#"{{"cmps":{{"1":{door}}}}}"#)).await;
        assert_eq!(kept().await, [row("x/b/door", "curtain_contact"), window], "another topic still announces it");
        client.tell(contact, "").await;
        client.tell(whole, "").await;
        client.tell(whole, "").await;
        assert_eq!(kept().await, []);
        assert_eq!(quarantine(&app).await, Vec::<String>::new());
        running.stop().await;
    })
    .await;
}

/// Home Assistant, Homie and ESPHome keep every state at the broker: what comes live counts, what was kept does not.
#[tokio::test]
async fn what_an_ecosystem_keeps_at_the_broker_counts_when_it_comes_live_and_not_when_it_is_read_again() {
    let Some(broker) = Broker::start(&[SERVER, GATEWAY]) else { return };
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 3).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await.device.id;
        let all = [
            (Ecosystem::Statestream, "ha/binary_sensor/curtain", "/state", ("off", "on")),
            (Ecosystem::Homie4, "homie/x/door", "/contact", ("false", "true")),
            (Ecosystem::Esphome, "wang/binary_sensor/curtain", "/state", ("OFF", "ON")),
        ];
        let publish = |name: &str, end: &str, payload: &str| {
            assert!(broker.publish_kept(GATEWAY, &format!("zigbee2mqtt/{name}{end}"), payload));
        };
        let mut ids = Vec::new();
        for (number, (ecosystem, name, ..)) in all.iter().enumerate() {
            let mut new = NewDevice { ecosystem: *ecosystem, ..behind(&world, home, name) };
            if *ecosystem == Ecosystem::Statestream {
                new.settings.insert("device_class".to_owned(), "door".into());
            }
            ids.push((world.site, install(&app, &world, new, Some(world.seniors[number])).await.device.id));
        }
        let (app, running) = instance(&app, &broker, "", 0).await;
        let level = async |id, level: &'static str| {
            until(level, async || device(&app, id).await.level.as_deref() == Some(level)).await;
        };
        for ((_, name, end, (closed, _)), id) in all.iter().zip(&ids) {
            publish(name, end, closed);
            level(*id, "closed").await;
        }
        set(&app, local("07:30:00")).await;
        for ((_, name, end, (_, opened)), id) in all.iter().zip(&ids) {
            publish(name, end, opened);
            level(*id, "open").await;
        }
        set(&app, local("07:35:00")).await;
        settle::run_once(&app).await.unwrap();
        for senior in &world.seniors {
            assert_eq!(signals(&app, *senior).await, [("open".to_owned(), "A".to_owned(), "accepted".to_owned())]);
        }
        running.stop().await;
        for (_, name, end, _) in all {
            assert!(broker.forget(GATEWAY, &format!("zigbee2mqtt/{name}{end}")));
        }
    })
    .await;
}
