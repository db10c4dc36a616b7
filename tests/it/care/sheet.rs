//! The list to print the evening before, for a morning without a server.

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::change;
use crate::harness::{World, on_each_engine};
use crate::http::{Server, count};

const TOMORROW: &str = "2026-11-24";

fn sheet(world: &World) -> String {
    format!("/api/v1/rounds?sheet=true&place={}&date={TOMORROW}", world.building)
}

/// Two seniors: the first has a neighbour with the key, a daughter and a son, who is to be phoned first.
async fn street(app: &chenlian::app::App, server: &Server) -> World {
    let world = World::seed(app, 2).await;
    let admin = server.client(app, world.site, world.administrator).await;
    let path = format!("/api/v1/seniors/{}/contacts", world.seniors[0]);
    for (position, name, relation, minutes) in [(2, "张丽", "女儿", Some(40)), (1, "张强", "儿子", None)] {
        let body = json!({"id": Uuid::now_v7(), "position": position, "name": name, "relation": relation, "phone": "13700000000",
            "minutes_away": minutes, "agreed_automatic": false});
        let (status, made) = admin.post(&path, body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    let sql = "update home set key_holder_name = '李婶', key_holder_phone = '13900000000'
        where site_id = $1 and id = (select home_id from senior where id = $2)";
    change(app, &world, sql, world.seniors[0]).await;
    world
}

#[tokio::test]
async fn the_evening_before_a_list_names_whom_to_phone_although_nobody_has_planned_tomorrow_yet() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let world = street(&app, &server).await;
        let sql = "insert into leave_of_absence (site_id, id, member_id, from_date, return_date, substitute_id, version, created_at)
            select site_id, id, $2, '2026-11-24', '2026-11-25', (select member_id from role_grant where site_id = $1 and role = 'building_lead'),
                1, created_at from member where site_id = $1 and id = $2";
        change(&app, &world, sql, world.primary).await;
        let (status, page) = server.client(&app, world.site, world.social_worker).await.get(&sheet(&world)).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let stops = page["stops"].as_array().expect("stops");
        assert_eq!(stops.iter().map(|stop| &stop["called"]).collect::<Vec<_>>(), ["张奶奶0", "张奶奶1"], "{page}");
        assert_eq!((&stops[0]["phone"], &stops[0]["room"]), (&json!("0351000000"), &json!("401")));
        let contact = |name: &str, relation: &str, minutes: Value| {
            json!({"name": name, "relation": relation, "phone": "13700000000", "minutes_away": minutes})
        };
        let expected = json!({
            "primary": {"name": "陈楼长", "phone": "13800000002"}, "backup": {"name": "刘桂芳", "phone": "13800000001"},
            "contacts": [contact("张强", "儿子", Value::Null), contact("张丽", "女儿", json!(40))],
            "key_holder": {"name": "李婶", "phone": "13900000000"}
        });
        assert_eq!(stops[0]["sheet"], expected);
        assert_eq!((&stops[1]["sheet"]["contacts"], &stops[1]["sheet"]["key_holder"]), (&json!([]), &Value::Null));
        // Who opened what is on record, once per senior (I33).
        let opened = "select count(*) from audit a join senior s on s.site_id = a.site_id and s.id = a.object_id
            join role_grant g on g.site_id = a.site_id and g.member_id = a.actor_id and g.role = 'social_worker'
            where a.act = 'read_sensitive' and a.fields = 'phone contacts key_holder sheet'";
        assert_eq!(count(&app, opened).await, 2);
        // The round itself stays without it.
        let (_, round) = server.client(&app, world.site, world.social_worker).await.get(&sheet(&world).replace("sheet=true&", "")).await;
        assert_eq!(round["stops"][0]["sheet"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_list_to_print_is_for_staff_of_the_place_and_for_a_day_that_can_be_planned() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let (world, other) = (street(&app, &server).await, World::seed(&app, 1).await);
        let client = |site, member| server.client(&app, site, member);
        for (who, expected) in [
            (client(world.site, world.primary).await, StatusCode::FORBIDDEN),
            (client(world.site, world.operator).await, StatusCode::FORBIDDEN),
            (client(other.site, other.administrator).await, StatusCode::NOT_FOUND),
            (server.stranger(), StatusCode::UNAUTHORIZED),
        ] {
            let (status, page) = who.get(&sheet(&world)).await;
            assert_eq!(status, expected, "{page}");
        }
        assert_eq!(count(&app, "select count(*) from audit where act = 'read_sensitive'").await, 0, "nothing was opened");
        // A building lead phones the seniors and those who look after them; whom else to phone is not hers to read.
        let (_, page) = client(world.site, world.building_lead).await.get(&sheet(&world)).await;
        let lines = page["stops"][0]["sheet"].as_object().expect("lines");
        assert_eq!(lines.keys().collect::<Vec<_>>(), ["backup", "primary"], "{page}");
        assert_eq!(page["stops"][0]["phone"], "0351000000");
        let worker = client(world.site, world.social_worker).await;
        for path in [sheet(&world).replace(TOMORROW, "2026-11-25"), "/api/v1/rounds?sheet=true&date=2026-11-25".to_owned()] {
            let (status, problem) = worker.get(&path).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
            assert!(problem.to_string().contains("date"), "{problem}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_evening_before_a_walker_prints_her_own_round_without_the_phones_of_others() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let world = street(&app, &server).await;
        let path = format!("/api/v1/rounds?sheet=true&date={TOMORROW}");
        let (status, page) = server.client(&app, world.site, world.primary).await.get(&path).await;
        assert_eq!((status, page["stops"].as_array().map(Vec::len)), (StatusCode::OK, Some(2)), "{page}");
        assert!(page["stops"].as_array().is_some_and(|stops| stops.iter().all(|stop| stop["sheet"].is_null())), "{page}");
        assert!(!page.to_string().contains("13700000000"), "{page}");
        let opened = "select count(*) from audit where act = 'read_sensitive' and fields = 'phone sheet'";
        assert_eq!(count(&app, opened).await, 2, "paper goes where no sign-in is asked for");
        let (_, page) = server.client(&app, world.site, world.social_worker).await.get(&path).await;
        assert_eq!(page["stops"], json!([]), "she walks no round");
    })
    .await;
}
