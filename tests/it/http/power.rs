//! Acts that give power or take a watcher away ask for a password typed just now; who keeps part of a register acts on that part.

use chenlian::app::App;
use chrono::{NaiveDate, TimeDelta};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::roleless;
use super::{Client, Server, read};
use crate::harness::{World, on_each_engine};

pub async fn grant(app: &App, world: &World, member: Uuid, role: &'static str, place: Uuid) {
    let (world, now) = (world.clone(), app.clock.now());
    app.write(move |mut tx| async move {
        let from = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a literal date");
        world.grant(&mut tx, member, role, place, from, now).await;
        Ok((tx, ()))
    })
    .await
    .expect("a role is granted");
}

async fn write(client: &Client, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = client.request(method, &format!("/api/v1/{path}")).header("if-match", "\"1\"").json(body);
    read(request).await
}

/// The first id of a list.
async fn first(client: &Client, path: &str) -> String {
    let (status, list) = client.get(&format!("/api/v1/{path}")).await;
    assert_eq!(status, StatusCode::OK, "{path}: {list}");
    list["items"][0]["id"].as_str().expect("an id").to_owned()
}

/// What gives power or takes a watcher away.
async fn acts(world: &World, fresh: &Client, device: &str, duty: &str) -> Vec<(Method, String, Value)> {
    let senior = format!("seniors/{}", world.seniors[0]);
    let channels = format!("members/{}/channels", world.primary);
    vec![
        (
            Method::POST,
            "role-grants".to_owned(),
            json!({"id": Uuid::now_v7(), "member_id": world.backup, "role": "administrator", "place_id": world.street}),
        ),
        (Method::PATCH, format!("role-grants/{}", first(fresh, "role-grants").await), json!({"to_date": "2026-11-23"})),
        (Method::PATCH, format!("members/{}", world.secretary), json!({"ended": true})),
        (Method::PATCH, format!("members/{}", world.secretary), json!({"phone": "13800007777"})),
        (Method::PATCH, format!("{channels}/{}", first(fresh, &channels).await), json!({"disabled": true})),
        (
            Method::PATCH,
            format!("{senior}/pairings/{}", first(fresh, &format!("{senior}/pairings")).await),
            json!({"to_date": "2026-11-23"}),
        ),
        (Method::PATCH, format!("duties/{duty}"), json!({"to_date": "2026-11-23"})),
        (
            Method::POST,
            "leaves".to_owned(),
            json!({"id": Uuid::now_v7(), "member_id": world.primary, "from_date": "2026-11-24", "return_date": "2026-11-25"}),
        ),
        (Method::PATCH, format!("devices/{device}"), json!({"senior_id": world.seniors[0]})),
        (Method::POST, format!("devices/{device}/calibrate"), json!({"while_closed": "open", "while_open": "closed"})),
        (Method::POST, format!("devices/{device}/revoke"), json!({})),
        (Method::PATCH, format!("sites/{}", world.site), json!({"latitude": 10.0})),
        (Method::PATCH, format!("sites/{}", world.site), json!({"settings": {"check": {"grace": "20m"}}})),
    ]
}

#[tokio::test]
async fn an_old_sign_in_and_a_token_without_a_password_give_no_power_and_take_no_watcher_away() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let fresh = server.client(&app, world.site, world.administrator).await;
        let (_, device) = write(
            &fresh,
            Method::POST,
            "devices",
            &json!({"id": Uuid::now_v7(), "name": "d-1", "ecosystem": "native", "role": "curtain_contact"}),
        )
        .await;
        let (_, duty) = write(
            &fresh,
            Method::POST,
            "duties",
            &json!({"id": Uuid::now_v7(), "member_id": world.backup, "slot": "morning", "weekdays": 127, "building_ids": [world.building]}),
        )
        .await;
        let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
        let acts = acts(&world, &fresh, &id(&device), &id(&duty)).await;
        app.clock.advance(app.config.http.recent_authentication.0 + TimeDelta::minutes(1));
        let (site, member, now) = (world.site, world.administrator, app.clock.now());
        let token = app.write(move |mut tx| async move {
            let lasts = TimeDelta::days(1);
            let token = chenlian::store::session::create_bearer(&mut tx, site, member, "script", now, lasts).await?;
            Ok((tx, token.text().to_owned()))
        });
        let by_command_line = Client { token: Some(token.await.expect("a token is made")), ..server.stranger() };
        for client in [&fresh, &by_command_line] {
            for (method, path, body) in &acts {
                let (status, problem) = write(client, method.clone(), path, body).await;
                let said = (status, problem["key"].clone());
                assert_eq!(said, (StatusCode::FORBIDDEN, json!("http.recent_sign_in_required")), "{method} {path} {body}: {problem}");
            }
            let (status, _) = write(client, Method::PATCH, &format!("members/{}", world.secretary), &json!({"locale": "en"})).await;
            assert_ne!(status, StatusCode::FORBIDDEN, "what gives nobody power needs nothing more");
        }
        let again = server.client(&app, world.site, world.administrator).await;
        for (method, path, body) in acts.iter().filter(|(_, path, _)| !path.starts_with("members")) {
            let (status, problem) = write(&again, method.clone(), path, body).await;
            assert_ne!(status, StatusCode::FORBIDDEN, "{method} {path}: {problem}");
        }
    })
    .await;
}

/// A second compound with one senior, her party member, and a social worker of each compound.
struct TwoCompounds {
    world: World,
    /// Keeps the register of the first compound only.
    here: Uuid,
    /// Looks after the senior of the second one.
    there: Uuid,
    senior_there: Uuid,
}

async fn two_compounds(app: &App) -> TwoCompounds {
    let (world, server) = (World::seed(app, 1).await, Server::start(app).await);
    let admin = server.client(app, world.site, world.administrator).await;
    let make = async |path: &str, body: Value| {
        let (status, made) = admin.post(&format!("/api/v1/{path}"), body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
        made["id"].as_str().and_then(|id| id.parse::<Uuid>().ok()).expect("an id")
    };
    let id = || Uuid::now_v7();
    let compound = make("places", json!({"id": id(), "kind": "compound", "name": "二苑", "parent_id": world.community})).await;
    let building = make("places", json!({"id": id(), "kind": "building", "name": "9号楼", "parent_id": compound})).await;
    let home = make("homes", json!({"id": id(), "building_id": building, "unit": "1单元", "room": "101"})).await;
    let senior_there =
        make("seniors", json!({"id": id(), "home_id": home, "name": "李秀芳", "called": "李奶奶", "risk_band": "red"})).await;
    let there = make("members", json!({"id": id(), "name": "赵一", "called": "赵师傅", "phone": "13911110001"})).await;
    make(&format!("seniors/{senior_there}/pairings"), json!({"id": id(), "member_id": there, "kind": "primary"})).await;
    let here = roleless(app, world.site).await;
    grant(app, &world, here, "social_worker", world.compound).await;
    TwoCompounds { world, here, there, senior_there }
}

#[tokio::test]
async fn a_social_worker_opens_no_door_of_another_compound_by_standing_in_there() {
    on_each_engine(|app| async move {
        let TwoCompounds { world, here, there, senior_there } = two_compounds(&app).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, here).await;
        let leave = |member: Uuid, substitute: Uuid| {
            json!({"id": Uuid::now_v7(), "member_id": member, "from_date": "2026-11-23", "return_date": "2026-11-25",
                "substitute_id": substitute})
        };
        let foreign = worker.post("/api/v1/leaves", leave(there, here)).await;
        let unknown = worker.post("/api/v1/leaves", leave(Uuid::now_v7(), here)).await;
        assert_eq!((foreign.0, &foreign.1["errors"]), (StatusCode::BAD_REQUEST, &unknown.1["errors"]), "{foreign:?}");
        // A member whom she knows, because he looks after somebody here as well.
        let admin = server.client(&app, world.site, world.administrator).await;
        let pairing = json!({"id": Uuid::now_v7(), "member_id": world.backup, "kind": "backup"});
        let (status, made) = admin.post(&format!("/api/v1/seniors/{senior_there}/pairings"), pairing).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let (status, problem) = worker.post("/api/v1/leaves", leave(world.backup, here)).await;
        assert_eq!((status, &problem["key"]), (StatusCode::FORBIDDEN, &json!("problem.forbidden")), "{problem}");
        assert_eq!(worker.get(&format!("/api/v1/seniors/{senior_there}")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(super::count(&app, "select count(*) from leave_of_absence").await, 0, "nothing of it is kept");
        let (status, entered) = worker.post("/api/v1/leaves", leave(world.primary, world.building_lead)).await;
        assert_eq!(status, StatusCode::CREATED, "her own compound's people: {entered}");
        let own = server.client(&app, world.site, world.backup).await;
        let (status, problem) = own.post("/api/v1/leaves", leave(world.backup, world.secretary)).await;
        assert!(status == StatusCode::CREATED || status == StatusCode::CONFLICT, "one's own leave is one's own: {problem}");
    })
    .await;
}

#[tokio::test]
async fn a_building_lead_reads_of_those_who_have_to_do_with_the_building() {
    on_each_engine(|app| async move {
        let TwoCompounds { world, there, .. } = two_compounds(&app).await;
        grant(&app, &world, there, "volunteer", world.street).await;
        let server = Server::start(&app).await;
        let lead = server.client(&app, world.site, world.building_lead).await;
        let (_, list) = lead.get("/api/v1/members?limit=2").await;
        let mut seen: Vec<String> = Vec::new();
        let mut page = list;
        loop {
            seen.extend(page["items"].as_array().expect("members").iter().filter_map(|one| one["id"].as_str().map(str::to_owned)));
            let Some(next) = page["next"].as_str() else { break };
            page = lead.get(&format!("/api/v1/members?limit=2&cursor={next}")).await.1;
        }
        let mut expected = [world.primary, world.backup, world.building_lead].map(|id| id.to_string());
        expected.sort();
        assert_eq!(seen, expected);
        let foreign = lead.get(&format!("/api/v1/members/{there}")).await;
        assert_eq!(foreign.0, StatusCode::NOT_FOUND);
        assert_eq!(lead.get(&format!("/api/v1/role-grants?member={there}")).await.1["items"], json!([]));
        let admin = server.client(&app, world.site, world.administrator).await;
        assert_eq!(admin.get(&format!("/api/v1/members/{there}")).await.0, StatusCode::OK);
    })
    .await;
}
