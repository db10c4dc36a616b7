//! Charts, the system page and the record of acts.

use chenlian::jobs::watch;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::{change, html, planned, second_building};
use crate::harness::{local, on_each_engine};
use crate::http::Server;
use crate::morning::set;

#[tokio::test]
async fn charts_draw_the_figures_of_each_day_and_building_and_say_when_there_are_none() {
    on_each_engine(|app| async move {
        let world = planned(&app, 4).await;
        second_building(&app, &world, &world.seniors[3..]).await;
        set(&app, local("09:45:00")).await;
        watch::run_once(&app).await.expect("the watch passes");
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (status, figures) = worker.get("/api/v1/statistics?from=2026-11-23&to=2026-11-23").await;
        assert_eq!(status, StatusCode::OK, "{figures}");
        let buildings: Vec<_> = figures["buildings"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|of| (of["name"].clone(), of["checks"]["not_observed"].clone(), of["alerts"]["per_100_senior_days"].clone()))
            .collect();
        assert_eq!(buildings, [(json!("3号楼"), json!(3), json!(100.0)), (json!("9号楼"), json!(1), json!(100.0))]);

        let (status, page) = html(&worker, "/charts?from=2026-11-17&to=2026-11-23").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page.contains("<title id=\"rate_by_building-t\">") && page.contains("<desc id=\"rate_by_building-d\">"));
        assert!(
            page.contains(
                "<th scope=\"row\">9号楼</th><td class=\"number\">1</td><td class=\"number\">1</td><td class=\"number\">100</td>"
            )
        );
        assert!(!page.contains("style="), "the policy of the page forbids it");
        let (_, before) = html(&worker, "/charts?from=2026-10-01&to=2026-10-07").await;
        assert!(before.contains("这段时间这里还没有数字") && !before.contains("<figure"));
        for member in [world.primary, world.building_lead, world.operator] {
            assert_eq!(html(&server.client(&app, world.site, member).await, "/charts").await.0, StatusCode::FORBIDDEN);
        }
        assert_eq!(html(&worker, &format!("/charts?place={}", world.street)).await.0, StatusCode::NOT_FOUND, "above her community");
        assert_eq!(html(&worker, "/charts?from=2026-11-23&to=2026-11-01").await.0, StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test]
async fn the_system_page_is_red_when_no_operator_can_be_reached() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let operator = server.client(&app, world.site, world.operator).await;
        let (status, page) = html(&operator, "/system").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(!page.contains("没有能收到消息的运维"), "{page}");
        change(&app, "update member_channel set verified_at = null where member_id = $1", world.operator).await;
        let (_, page) = html(&operator, "/system").await;
        assert!(page.contains("id=\"system-bad\"") && page.contains("没有能收到消息的运维"), "{page}");
        let (_, system) = operator.get("/api/v1/system").await;
        assert_eq!((&system["operators_reachable"], &system["weaknesses"][0]), (&json!(0), &json!("no_operator")), "{system}");
        assert_eq!(system["seniors"], 1);
        for member in [world.social_worker, world.primary, world.secretary] {
            let client = server.client(&app, world.site, member).await;
            assert_eq!(html(&client, "/system").await.0, StatusCode::FORBIDDEN);
        }
        assert_eq!(html(&operator, "/board/deliveries").await.0, StatusCode::OK);
        assert_eq!(html(&operator, "/board/devices").await.0, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn the_record_names_who_did_what_and_is_filtered_by_person_object_and_day() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        set(&app, local("09:45:00")).await;
        watch::run_once(&app).await.expect("the watch passes");
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let (_, list) = primary.get("/api/v1/alerts").await;
        let alert = list["items"][0]["id"].as_str().expect("an id").to_owned();
        primary.post(&format!("/api/v1/alerts/{alert}/claim"), json!({"id": Uuid::now_v7()})).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let (status, page) = html(&administrator, "/audit").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page.contains("<td>说去看看</td>") && page.contains("待上门开始"));
        let (_, hers) = html(&administrator, &format!("/audit?actor={}&object=&from=&to=", world.primary)).await;
        assert!(hers.contains("<td>说去看看</td>") && !hers.contains("<td>待上门开始</td>"), "{hers}");
        let (_, of_alert) = html(&administrator, &format!("/audit?object={alert}&from=2026-11-23&to=2026-11-23")).await;
        assert!(of_alert.contains("<td>说去看看</td>") && of_alert.contains("<td>待上门开始</td>"), "{of_alert}");
        for query in ["from=2026-11-24", "to=2026-11-22"] {
            let (_, other) = html(&administrator, &format!("/audit?object={alert}&{query}")).await;
            assert!(other.contains("没有这样的记录"), "{query}");
        }
        for member in [world.primary, world.social_worker, world.secretary, world.operator] {
            let client = server.client(&app, world.site, member).await;
            assert_eq!(html(&client, "/audit").await.0, StatusCode::FORBIDDEN);
        }
    })
    .await;
}
