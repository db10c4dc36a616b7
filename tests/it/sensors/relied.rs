//! Whether sensors can be relied on: told once per cause, and shown before the round starts.

use chenlian::app::App;
use chenlian::jobs::{plan_day, silence};
use chrono::TimeDelta;
use serde_json::json;

use super::client::Client;
use super::*;
use crate::harness::{World, local, on_each_engine};
use crate::http::Server;
use crate::morning::{notices, set};

/// Who was told what about silence.
async fn told(app: &App) -> Vec<(Uuid, String)> {
    notices(app).await.into_iter().filter(|(_, key, _)| key.ends_with("_silent")).map(|(who, key, _)| (who, key)).collect()
}

/// One gateway with one contact in each senior's home, all of them heard now.
async fn house(app: &App, world: &World, running: &running::Running) -> (Installed, Client) {
    let home = install(app, world, gateway(world, "gw-1"), None).await;
    for (n, senior) in world.seniors.iter().enumerate() {
        let new = NewDevice { expected_interval_seconds: 3_600, ..behind(world, home.device.id, &format!("window-{n}")) };
        install(app, world, new, Some(*senior)).await;
    }
    let mut client = Client::of(running, &home).await;
    client.tell("zigbee2mqtt/bridge/state", "online").await;
    app.clock.advance(TimeDelta::minutes(1));
    for n in 0..world.seniors.len() {
        client.tell(&format!("zigbee2mqtt/window-{n}"), r#"{"contact":true}"#).await;
    }
    (home, client)
}

/// Why a person has to look, by senior, in the round of the primary.
async fn human_looks(server: &Server, app: &App, world: &World) -> Vec<serde_json::Value> {
    let client = server.client(app, world.site, world.primary).await;
    let (status, round) = client.get("/api/v1/rounds").await;
    assert_eq!(status, 200, "{round}");
    let stops = round["stops"].as_array().expect("stops");
    let of = |senior: &Uuid| stops.iter().find(|stop| stop["senior_id"] == json!(senior)).expect("in the round")["human_look"].clone();
    world.seniors.iter().map(of).collect()
}

/// domain.md §10: many silent at once with one cause is one notice.
#[tokio::test]
async fn ten_devices_silent_under_one_gateway_are_one_notice() {
    on_each_engine(async |app: App| {
        set(&app, local("03:00:00")).await;
        let world = World::seed(&app, 10).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let (_, mut client) = house(&app, &world, &running).await;
        set(&app, local("06:00:00")).await;
        // One more report a little later than the others.
        client.tell("zigbee2mqtt/window-9", r#"{"contact":true,"battery":90}"#).await;
        assert_eq!(silence::run_once(&app).await.unwrap().fell_silent, 9);
        let mut expected: Vec<(Uuid, String)> =
            [world.primary, world.social_worker, world.operator].map(|who| (who, "notice.gateway_silent".to_owned())).into();
        expected.sort();
        let sorted = |mut all: Vec<(Uuid, String)>| {
            all.sort();
            all
        };
        assert_eq!(sorted(told(&app).await), expected, "one to each who relies on it or mends it");
        set(&app, local("09:00:00")).await;
        assert_eq!(silence::run_once(&app).await.unwrap().fell_silent, 1);
        assert_eq!(silence::run_once(&app).await.unwrap(), silence::Report::default(), "nothing is expected any more");
        assert_eq!(sorted(told(&app).await), expected, "the tenth says nothing new");

        let server = Server::start(&app).await;
        let page = server.client(&app, world.site, world.operator).await;
        let page = page.request(reqwest::Method::GET, "/board/devices").send().await.unwrap().text().await.unwrap();
        assert!(page.contains("网关“gw-1”这一片") && page.contains("梯子（10处）") && page.contains("电池（10个感应器）"), "{page}");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_devices_senior_is_on_the_human_look_list_before_the_round() {
    on_each_engine(async |app: App| {
        set(&app, local("03:00:00")).await;
        let world = World::seed(&app, 2).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let (_, mut client) = house(&app, &world, &running).await;
        let server = Server::start(&app).await;
        assert_eq!(human_looks(&server, &app, &world).await, [json!(null), json!(null)], "both are relied on");
        set(&app, local("06:00:00")).await;
        client.tell("zigbee2mqtt/window-1", r#"{"contact":true,"battery":90}"#).await;
        assert_eq!(silence::run_once(&app).await.unwrap().fell_silent, 1);
        assert_eq!(human_looks(&server, &app, &world).await, [json!("silent"), json!(null)], "half an hour before the round");
        let mut expected: Vec<(Uuid, String)> =
            [world.primary, world.social_worker].map(|who| (who, "notice.sensor_silent".to_owned())).into();
        expected.sort();
        assert_eq!(told(&app).await, expected);
        let reader = server.client(&app, world.site, world.primary).await;
        let page = reader.request(reqwest::Method::GET, "/round").send().await.unwrap().text().await.unwrap();
        assert!(page.contains("窗帘感应器没信号，是设备的事，不用慌。请到楼下看一眼窗户。"));

        // The gateway itself goes, says so, and is missed after ten minutes.
        client.tell("zigbee2mqtt/bridge/state", "offline").await;
        assert_eq!(human_looks(&server, &app, &world).await, [json!("gateway_silent"), json!("gateway_silent")]);
        assert_eq!(silence::run_once(&app).await.unwrap().next, Some(local("06:10:00")));
        set(&app, local("06:10:01")).await;
        assert_eq!(silence::run_once(&app).await.unwrap().fell_silent, 1);
        assert_eq!(told(&app).await.into_iter().filter(|(_, key)| key == "notice.gateway_silent").count(), 3);
        client.tell("zigbee2mqtt/bridge/state", "online").await;
        set(&app, local("06:11:00")).await;
        client.tell("zigbee2mqtt/window-0", r#"{"contact":true,"battery":90}"#).await;
        assert_eq!(human_looks(&server, &app, &world).await, [json!(null), json!(null)], "heard again");
        running.stop().await;
    })
    .await;
}

/// domain.md §10. A house without power: its devices spoke last at different minutes, and fall silent one by one.
#[tokio::test]
async fn devices_that_fall_silent_one_by_one_within_minutes_are_one_notice_and_one_alone_is_told_as_one() {
    on_each_engine(async |app: App| {
        set(&app, local("03:00:00")).await;
        let world = World::seed(&app, 4).await;
        let (app, running) = started(&app).await;
        let (_, mut client) = house(&app, &world, &running).await;
        for n in 0..4 {
            set(&app, local(&format!("03:1{n}:00"))).await;
            client.tell(&format!("zigbee2mqtt/window-{n}"), r#"{"contact":true,"battery":90}"#).await;
        }
        let keys = async || told(&app).await.into_iter().map(|(_, key)| key).collect::<std::collections::BTreeSet<_>>();
        // The first is due at ten to five, and waits for the others.
        set(&app, local("04:50:01")).await;
        let waiting = silence::Report { fell_silent: 0, next: Some(local("05:00:00")) };
        assert_eq!(silence::run_once(&app).await.unwrap(), waiting);
        set(&app, local("05:00:01")).await;
        assert_eq!(silence::run_once(&app).await.unwrap(), silence::Report { fell_silent: 4, next: None });
        assert_eq!(keys().await, ["notice.gateway_silent".to_owned()].into());

        client.tell("zigbee2mqtt/window-0", r#"{"contact":true,"battery":89}"#).await;
        client.tell("zigbee2mqtt/window-1", r#"{"contact":true,"battery":89}"#).await;
        client.tell("zigbee2mqtt/window-2", r#"{"contact":true,"battery":89}"#).await;
        set(&app, local("06:30:00")).await;
        client.tell("zigbee2mqtt/window-0", r#"{"contact":true,"battery":88}"#).await;
        client.tell("zigbee2mqtt/window-1", r#"{"contact":true,"battery":88}"#).await;
        client.tell("zigbee2mqtt/window-3", r#"{"contact":true,"battery":88}"#).await;
        set(&app, local("06:50:02")).await;
        assert_eq!(silence::run_once(&app).await.unwrap().fell_silent, 1);
        assert_eq!(keys().await, ["notice.gateway_silent".to_owned(), "notice.sensor_silent".to_owned()].into());
        running.stop().await;
    })
    .await;
}

/// A gateway that starts anew within ten minutes is no news.
#[tokio::test]
async fn a_gateway_that_is_back_soon_is_not_told() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let (home, mut client) = house(&app, &world, &running).await;
        client.tell("zigbee2mqtt/bridge/state", "offline").await;
        app.clock.advance(TimeDelta::minutes(9));
        client.tell("zigbee2mqtt/bridge/state", "online").await;
        app.clock.advance(TimeDelta::minutes(9));
        assert_eq!(silence::run_once(&app).await.unwrap().fell_silent, 0);
        assert_eq!(device(&app, (world.site, home.device.id)).await.silent_after, None, "it speaks by its devices");
        assert_eq!(told(&app).await, []);
        running.stop().await;
    })
    .await;
}
