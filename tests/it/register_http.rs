//! The register and the visits as clients of the API meet them.

use chenlian::app::App;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, on_each_engine};
use crate::http::{Client, PASSWORD, Server, read, set_password};
use crate::outbox::SECRET;

/// So long after a sign-in it is no longer recent.
fn let_sign_ins_age(app: &App) {
    app.clock.advance(app.config.http.recent_authentication.0 + chrono::TimeDelta::minutes(1));
}

/// A client that has just typed the password.
async fn signed_in(app: &App, server: &Server, member: Uuid) -> Client {
    let digits: String = member.simple().to_string().bytes().rev().take(10).map(|byte| char::from(b'0' + byte % 10)).collect();
    let phone = format!("1{digits}");
    set_password(app, member, &phone).await;
    let mut client = server.stranger();
    let (status, answer) = client.post("/api/v1/sessions", json!({"phone": phone, "password": PASSWORD, "kind": "bearer"})).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    client.token = answer["token"].as_str().map(str::to_owned);
    client
}

async fn patch(client: &Client, path: &str, version: Option<i64>, body: &Value) -> (StatusCode, Value) {
    let request = client.request(Method::PATCH, path).json(body);
    match version {
        Some(version) => read(request.header("if-match", format!("\"{version}\""))).await,
        None => read(request).await,
    }
}

fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[name] = value;
    body
}

/// One noun: where it is made, what with, another content under the same id, and a change of it.
struct Noun {
    path: String,
    body: Value,
    other: (&'static str, Value),
    change: Value,
    /// Whether one entry can be read by its own address.
    single: bool,
}

fn nouns(world: &World) -> Vec<Noun> {
    let id = || Uuid::now_v7();
    let senior = format!("/api/v1/seniors/{}", world.seniors[0]);
    let noun = |path: &str, body: Value, other: (&'static str, Value), change: Value| Noun {
        path: format!("/api/v1/{path}"),
        body: with(&body, "id", json!(id())),
        other,
        change,
        single: true,
    };
    let of_senior = |path: &str, body: Value, other: (&'static str, Value), change: Value| Noun {
        path: format!("{senior}/{path}"),
        body: with(&body, "id", json!(id())),
        other,
        change,
        single: false,
    };
    vec![
        noun(
            "places",
            json!({"kind": "building", "name": "7号楼", "parent_id": world.compound}),
            ("name", json!("8号楼")),
            json!({"walk_order": 2}),
        ),
        noun("grids", json!({"name": "二网格", "place_ids": [world.building]}), ("name", json!("三网格")), json!({"name": "四网格"})),
        noun("homes", json!({"building_id": world.building, "unit": "1单元", "room": "101"}), ("room", json!("102")), json!({"floor": 1})),
        noun(
            "members",
            json!({"name": "赵一", "called": "赵师傅", "phone": "13911112222"}),
            ("name", json!("赵二")),
            json!({"locale": "en"}),
        ),
        noun(
            "role-grants",
            json!({"member_id": world.backup, "role": "building_lead", "place_id": world.building}),
            ("role", json!("volunteer")),
            json!({"to_date": "2026-11-30"}),
        ),
        noun(
            "duties",
            json!({"member_id": world.backup, "slot": "morning", "weekdays": 127, "building_ids": [world.building]}),
            ("weekdays", json!(1)),
            json!({"to_date": "2026-11-30"}),
        ),
        noun(
            "leaves",
            json!({"member_id": world.backup, "from_date": "2026-12-01", "return_date": "2026-12-03"}),
            ("return_date", json!("2026-12-04")),
            json!({"cancelled": true}),
        ),
        of_senior(
            "contacts",
            json!({"position": 1, "name": "张强", "relation": "儿子", "phone": "13700000000"}),
            ("name", json!("张刚")),
            json!({"minutes_away": 20}),
        ),
        of_senior(
            "consents",
            json!({"scope": "visit", "given_at": "2026-11-20T10:00:00+08:00", "given_how": "书面"}),
            ("given_how", json!("口头")),
            json!({"withdrawn": true}),
        ),
    ]
}

#[tokio::test]
async fn every_entry_is_made_once_changed_by_its_version_and_unknown_to_another_site() {
    on_each_engine(|app| async move {
        let (world, elsewhere) = (World::seed(&app, 1).await, World::seed(&app, 1).await);
        let server = Server::start(&app).await;
        let admin = server.client(&app, world.site, world.administrator).await;
        let foreigner = server.client(&app, elsewhere.site, elsewhere.administrator).await;
        for noun in nouns(&world) {
            let path = &noun.path;
            let (status, made) = admin.post(path, noun.body.clone()).await;
            assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
            assert_eq!(admin.post(path, noun.body.clone()).await, (StatusCode::CREATED, made.clone()), "{path} again");
            let other = with(&noun.body, noun.other.0, noun.other.1);
            assert_eq!(admin.post(path, other).await.0, StatusCode::CONFLICT, "{path} with other content");
            let (status, problem) = admin.post(path, with(&with(&noun.body, "surprise", json!(1)), "id", json!(Uuid::now_v7()))).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("surprise")), "{path}: {problem}");

            let one = format!("{path}/{}", made["id"].as_str().expect("an entry has an id"));
            if noun.single {
                assert_eq!(admin.get(&one).await, (StatusCode::OK, made.clone()), "{one}");
                assert_eq!(foreigner.get(&one).await.0, StatusCode::NOT_FOUND, "{one} for another site");
            }
            assert_eq!(patch(&foreigner, &one, Some(1), &noun.change).await.0, StatusCode::NOT_FOUND, "{one} for another site");
            assert_eq!(patch(&admin, &one, None, &noun.change).await.0, StatusCode::PRECONDITION_REQUIRED, "{one}");
            let (status, stale) = patch(&admin, &one, Some(99), &noun.change).await;
            assert_eq!((status, &stale["current"]["version"]), (StatusCode::PRECONDITION_FAILED, &json!(1)), "{one}: {stale}");
            let (status, changed) = patch(&admin, &one, Some(1), &noun.change).await;
            assert_eq!((status, &changed["version"]), (StatusCode::OK, &json!(2)), "{one}: {changed}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_somebody_reads_of_a_senior_follows_from_her_tie() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let path = format!("/api/v1/seniors/{}", world.seniors[0]);
        let primary = server.client(&app, world.site, world.primary).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let operator = server.client(&app, world.site, world.operator).await;

        let (_, mine) = primary.get("/api/v1/seniors").await;
        let shown = &mine["items"][0];
        assert_eq!((&shown["name"], &shown["phone"], &shown["room"]), (&json!("张桂英0"), &json!("0351000000"), &json!("401")));
        assert!(shown.get("categories").is_none() && shown.get("risk_band").is_none(), "{shown}");
        let (_, staff) = worker.get("/api/v1/seniors").await;
        assert_eq!((&staff["items"][0]["name"], &staff["items"][0]["risk_band"]), (&json!("张**"), &json!("yellow")));
        assert_eq!(operator.get(&path).await.0, StatusCode::NOT_FOUND);
        assert_eq!(operator.get("/api/v1/seniors").await.1["items"], json!([]));

        let contacts = format!("{path}/contacts");
        assert_eq!(primary.get(&contacts).await.0, StatusCode::FORBIDDEN, "a volunteer who was not told of an alert");
        let (status, problem) = worker.get(&contacts).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("reason")));
        assert_eq!(worker.get(&format!("{contacts}?reason=visit")).await.0, StatusCode::OK);
        let (status, all) = worker.post(&format!("{path}/reveal"), json!({"reason": "enrolment"})).await;
        assert_eq!((status, &all["senior"]["name"]), (StatusCode::OK, &json!("张桂英0")));
        let opened = crate::http::count(&app, "select count(*) from audit where act = 'read_sensitive'").await;
        assert_eq!(opened, 2, "each opening is on record, refused ones open nothing");
    })
    .await;
}

#[tokio::test]
async fn silencing_by_agreement_or_absence_needs_a_role_and_a_password_typed_just_now() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let senior = format!("/api/v1/seniors/{}", world.seniors[0]);
        let primary = server.client(&app, world.site, world.primary).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let_sign_ins_age(&app);
        let fresh = signed_in(&app, &server, world.social_worker).await;

        let agreement = json!({"id": Uuid::now_v7(), "slot": "morning", "expected_sign": "open", "deadline": "10:00", "sensor_policy": "sufficient"});
        let agreements = format!("{senior}/agreements");
        assert_eq!(primary.post(&agreements, agreement.clone()).await.0, StatusCode::FORBIDDEN);
        let (status, problem) = worker.post(&agreements, agreement.clone()).await;
        assert_eq!((status, &problem["key"]), (StatusCode::FORBIDDEN, &json!("register.silencing")));
        let (status, made) = fresh.post(&agreements, agreement).await;
        assert_eq!((status, &made["effective_from"]), (StatusCode::CREATED, &json!("2026-11-24")), "{made}");

        let absence = json!({"id": Uuid::now_v7(), "kind": "hospital", "from_date": "2026-11-23", "return_date": "2026-11-30", "reported_by": "女儿"});
        let (status, proposed) = primary.post(&format!("{senior}/absences"), absence).await;
        assert_eq!((status, &proposed["confirmed_at"]), (StatusCode::CREATED, &Value::Null));
        let confirm = format!("{senior}/absences/{}/confirm", proposed["id"].as_str().expect("an id"));
        let post = |client: &Client| read(client.request(Method::POST, &confirm).header("if-match", "\"1\""));
        let stranger = server.client(&app, world.site, world.building_lead).await;
        assert_eq!(post(&stranger).await.0, StatusCode::FORBIDDEN);
        assert_eq!(post(&primary).await.1["key"], json!("http.recent_sign_in_required"));
        let (status, confirmed) = post(&fresh).await;
        assert_eq!((status, &confirmed["confirmed_by"]), (StatusCode::OK, &json!(world.social_worker)), "{confirmed}");
        assert_eq!(post(&fresh).await.0, StatusCode::PRECONDITION_FAILED);
        let cancel = confirm.replace("/confirm", "/cancel");
        let (status, cancelled) = read(primary.request(Method::POST, &cancel).header("if-match", "\"2\"")).await;
        assert!(status == StatusCode::OK && !cancelled["cancelled_at"].is_null(), "{cancelled}");
    })
    .await;
}

#[tokio::test]
async fn a_site_is_changed_by_its_own_administrator_and_its_times_only_after_signing_in() {
    on_each_engine(|app| async move {
        let (world, elsewhere) = (World::seed(&app, 0).await, World::seed(&app, 0).await);
        let server = Server::start(&app).await;
        let admin = server.client(&app, world.site, world.administrator).await;
        let_sign_ins_age(&app);
        let (path, foreign) = (format!("/api/v1/sites/{}", world.site), format!("/api/v1/sites/{}", elsewhere.site));
        let (_, sites) = admin.get("/api/v1/sites").await;
        assert_eq!((&sites["items"][0]["id"], &sites["items"][1]), (&json!(world.site), &Value::Null));
        assert_eq!(admin.get(&foreign).await.0, StatusCode::NOT_FOUND);
        let times = json!({"settings": {"check": {"grace": "20m"}}});
        assert_eq!(patch(&admin, &path, Some(1), &times).await.1["key"], json!("http.recent_sign_in_required"));
        let fresh = signed_in(&app, &server, world.administrator).await;
        let (status, changed) = patch(&fresh, &path, Some(1), &times).await;
        assert_eq!((status, &changed["settings"]["check"]["grace"]), (StatusCode::OK, &json!("20m")), "{changed}");
        assert_eq!(patch(&fresh, &path, Some(1), &times).await.0, StatusCode::PRECONDITION_FAILED);
        let (status, problem) = patch(&fresh, &path, Some(2), &json!({"zone": "UTC"})).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("zone")));
        let volunteer = server.client(&app, world.site, world.primary).await;
        assert_eq!(patch(&volunteer, &path, Some(2), &json!({"name": "我的"})).await.0, StatusCode::FORBIDDEN);
    })
    .await;
}

#[tokio::test]
async fn a_visit_is_recorded_by_whoever_goes_and_its_findings_are_worked_off_by_the_staff() {
    on_each_engine(|app| async move {
        let (world, elsewhere) = (World::seed(&app, 1).await, World::seed(&app, 1).await);
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let backup = server.client(&app, world.site, world.backup).await;
        let foreigner = server.client(&app, elsewhere.site, elsewhere.social_worker).await;
        let visit = json!({
            "id": Uuid::now_v7(), "senior_id": world.seniors[0], "kind": "care_visit", "method": "door", "started_at": "2026-11-23T05:40:00+08:00",
            "result": "met", "contact_with": "senior", "conditions": {"health": "poor"}, "safety": {"gas": "hazard"}, "note": "想女儿了"
        });
        let (status, made) = primary.post("/api/v1/visits", visit.clone()).await;
        assert_eq!((status, &made["next_due"]), (StatusCode::CREATED, &json!("2026-12-07")), "{made}");
        assert_eq!(primary.post("/api/v1/visits", visit.clone()).await, (StatusCode::CREATED, made.clone()));
        let strange = with(&with(&visit, "id", json!(Uuid::now_v7())), "started_at", json!("2026-11-23 05:40:00"));
        let (status, problem) = primary.post("/api/v1/visits", strange).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("started_at")), "{problem}");
        let word = with(&with(&visit, "id", json!(Uuid::now_v7())), "conditions", json!({"mood": "good"}));
        assert_eq!(primary.post("/api/v1/visits", word).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(foreigner.post("/api/v1/visits", with(&visit, "id", json!(Uuid::now_v7()))).await.0, StatusCode::NOT_FOUND);

        let one = format!("/api/v1/visits/{}", made["id"].as_str().expect("an id"));
        assert_eq!(worker.get(&one).await.1["conditions"], json!({"health": "poor"}));
        let (_, plain) = backup.get(&one).await;
        assert_eq!((&plain["conditions"], &plain["note"]), (&json!({}), &Value::Null), "who may not read about health sees that somebody came");
        assert_eq!(foreigner.get(&one).await.0, StatusCode::NOT_FOUND);

        assert_eq!(primary.get("/api/v1/findings").await.0, StatusCode::FORBIDDEN);
        let (_, found) = worker.get("/api/v1/findings?state=requested").await;
        let gas = &found["items"][0];
        assert_eq!((&gas["item"], &gas["kind"]), (&json!("gas"), &json!("hazard")));
        let finding = format!("/api/v1/findings/{}", gas["id"].as_str().expect("an id"));
        assert_eq!(patch(&foreigner, &finding, Some(1), &json!({"state": "rated"})).await.0, StatusCode::NOT_FOUND);
        let (status, moved) = patch(&worker, &finding, Some(1), &json!({"state": "dispatched"})).await;
        assert_eq!((status, &moved["state"]), (StatusCode::OK, &json!("dispatched")));
        assert_eq!(patch(&worker, &finding, Some(1), &json!({"state": "rated"})).await.0, StatusCode::PRECONDITION_FAILED);
    })
    .await;
}

#[tokio::test]
async fn the_days_of_a_senior_and_the_gaps_around_her_are_shown_to_those_who_see_her() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        crate::outbox::change(&app, "update home set key_holder_member_id = (select id from member order by id limit 1)").await;
        let server = Server::start(&app).await;
        let (site, now) = (world.site, app.clock.now());
        crate::done!(app, |tx| chenlian::store::plan::plan_site(&mut tx, site, now)).expect("the days are planned");
        let primary = server.client(&app, world.site, world.primary).await;
        let days = format!("/api/v1/seniors/{}/days", world.seniors[0]);
        let (status, seen) = primary.get(&format!("{days}?from=2026-11-23&to=2026-11-24")).await;
        assert_eq!(status, StatusCode::OK, "{seen}");
        assert_eq!(seen["items"].as_array().map(Vec::len), Some(2));
        assert_eq!((&seen["items"][0]["date"], &seen["items"][0]["checks"][0]["state"]), (&json!("2026-11-23"), &json!("expected")));
        for wrong in ["from=2026-11-24&to=2026-11-23", "from=2026-09-01&to=2026-11-23", "from=2026-11-23"] {
            assert_eq!(primary.get(&format!("{days}?{wrong}")).await.0, StatusCode::BAD_REQUEST, "{wrong}");
        }
        assert_eq!(primary.get("/api/v1/reachability").await.0, StatusCode::FORBIDDEN);
        let admin = server.client(&app, world.site, world.administrator).await;
        let (_, reach) = admin.get("/api/v1/reachability").await;
        assert_eq!((&reach["seniors"], &reach["covered"], &reach["operator_reachable"]), (&json!(1), &json!(1), &json!(true)), "{reach}");
        let worker = server.client(&app, world.site, world.social_worker).await;
        assert_eq!(worker.get(&format!("/api/v1/reachability?place={}", world.community)).await.0, StatusCode::OK);
        assert_eq!(worker.get(&format!("/api/v1/reachability?place={}", world.street)).await.0, StatusCode::NOT_FOUND, "above her scope");
    })
    .await;
}

#[tokio::test]
async fn a_senior_is_registered_paired_and_a_member_is_reached_on_verified_channels() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let_sign_ins_age(&app);
        let admin = signed_in(&app, &server, world.administrator).await;
        let home = json!({"id": Uuid::now_v7(), "building_id": world.building, "unit": "1单元", "room": "301"});
        assert_eq!(worker.post("/api/v1/homes", home.clone()).await.0, StatusCode::CREATED);
        let senior = json!({"id": Uuid::now_v7(), "home_id": home["id"], "name": "李秀芳", "called": "李奶奶", "risk_band": "green"});
        assert_eq!(worker.post("/api/v1/seniors", senior.clone()).await.0, StatusCode::CREATED);
        let nowhere = with(&with(&senior, "home_id", json!(Uuid::now_v7())), "id", json!(Uuid::now_v7()));
        assert_eq!(worker.post("/api/v1/seniors", nowhere).await.0, StatusCode::NOT_FOUND);
        let path = format!("/api/v1/seniors/{}", senior["id"].as_str().expect("an id"));
        let pairing = json!({"id": Uuid::now_v7(), "member_id": world.backup, "kind": "primary"});
        let (status, paired) = worker.post(&format!("{path}/pairings"), pairing).await;
        assert_eq!((status, &paired["from_date"]), (StatusCode::CREATED, &json!("2026-11-23")), "{paired}");
        assert_eq!(patch(&worker, &path, Some(7), &json!({"called": "李姨"})).await.0, StatusCode::PRECONDITION_FAILED);
        assert_eq!(patch(&worker, &path, Some(1), &json!({"called": "李姨", "ended_why": "moved"})).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(patch(&worker, &path, Some(1), &json!({"ended_why": "moved"})).await.0, StatusCode::FORBIDDEN);
        let (status, ended) = patch(&admin, &path, Some(1), &json!({"ended_why": "moved"})).await;
        assert_eq!((status, &ended["ended_why"]), (StatusCode::OK, &json!("moved")), "{ended}");

        let channels = format!("/api/v1/members/{}/channels", world.backup);
        let own = server.client(&app, world.site, world.backup).await;
        let unsigned = json!({"id": Uuid::now_v7(), "channel": "webhook", "address": "https://example.org/hook"});
        let guessable = with(&unsigned, "secret", json!("whsec_abc"));
        for unusable in [unsigned.clone(), guessable] {
            let (status, problem) = own.post(&channels, unusable).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("secret")), "{problem}");
        }
        let webhook = with(&unsigned, "secret", json!(SECRET));
        let (status, made) = own.post(&channels, webhook).await;
        assert!(status == StatusCode::CREATED && !made.to_string().contains("whsec"), "{made}");
        let channel = format!("{channels}/{}", made["id"].as_str().expect("an id"));
        assert_eq!(patch(&own, &channel, Some(1), &json!({"verified": true})).await.0, StatusCode::FORBIDDEN);
        assert!(!patch(&admin, &channel, Some(1), &json!({"verified": true})).await.1["verified_at"].is_null());
        let password = format!("/api/v1/members/{}/password", world.backup);
        let (status, problem) = read(admin.request(Method::PUT, &password).json(&json!({"password": "kurz"}))).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("password")));
        assert_eq!(
            read(admin.request(Method::PUT, &password).json(&json!({"password": "long enough 帘"}))).await.0,
            StatusCode::NO_CONTENT
        );
        assert_eq!(own.get(&channels).await.0, StatusCode::UNAUTHORIZED, "her old sign-ins have ended");
    })
    .await;
}
