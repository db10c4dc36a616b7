//! Role × route × own, foreign and unknown: what each role of domain.md §2 may do where its scope is the whole street, and that a
//! foreign id is answered like an unknown one (I30, I32). A new route fails here until it has a row.

use std::collections::BTreeSet;

use chenlian::app::App;
use chenlian::domain::place::Role;
use chenlian::on;
use chrono::NaiveDate;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::{Operation, call, filled, furnish, operations, roleless, some_id};
use super::{Client, Server};
use crate::harness::{World, on_each_engine};

/// Who may, in the order of `Role::ALL`: administrator, volunteer, party hub household, building lead, full-time and part-time grid
/// officer, social worker, branch secretary, property staff, property committee, street duty, operator.
const ANYBODY: &str = "yyyyyyyyyyyy";
const REGISTER: &str = "yyyyyyyyyyy-";
const AROUND: &str = "y--yyyyy--y-";
const COMMAND: &str = "y-----yy--y-";
const KEEPERS: &str = "y-----yy----";
const ADMINISTRATOR: &str = "y-----------";
const DEVICES: &str = "y-----yy---y";
const SYSTEM: &str = "y----------y";
const DELIVERY: &str = "y-----yy--yy";
const NOBODY: &str = "------------";

/// Each route with those who may use it. Lists that show everybody her own are for anybody; whose they show, other tests say.
const TABLE: &[(&str, &str, &str)] = &[
    ("get", "alerts", ANYBODY),
    ("post", "alerts", AROUND),
    ("get", "alerts/{id}", AROUND),
    ("post", "alerts/{id}/claim", AROUND),
    ("post", "alerts/{id}/release", AROUND),
    ("post", "alerts/{id}/extend", AROUND),
    ("post", "alerts/{id}/on-site", AROUND),
    ("post", "alerts/{id}/no-answer", AROUND),
    ("post", "alerts/{id}/escalate", AROUND),
    ("post", "alerts/{id}/assign", COMMAND),
    ("post", "alerts/{id}/emergency", AROUND),
    ("post", "alerts/{id}/resolve", AROUND),
    ("post", "alerts/{id}/reopen", COMMAND),
    ("post", "alerts/{id}/review", COMMAND),
    ("get", "audit", ADMINISTRATOR),
    ("get", "checks", ANYBODY),
    ("get", "devices", DEVICES),
    ("post", "devices", KEEPERS),
    ("get", "devices/quarantine", DEVICES),
    ("get", "devices/quarantine/{id}", KEEPERS),
    ("get", "devices/{id}", DEVICES),
    ("patch", "devices/{id}", KEEPERS),
    ("post", "devices/{id}/calibrate", KEEPERS),
    ("post", "devices/{id}/rotate", KEEPERS),
    ("post", "devices/{id}/revoke", KEEPERS),
    ("get", "drills", KEEPERS),
    ("post", "drills", KEEPERS),
    ("get", "drills/{id}", KEEPERS),
    ("post", "drills/{id}/stop", KEEPERS),
    // Whoever was told confirms, whatever her role; nobody was.
    ("post", "drills/{id}/confirm", NOBODY),
    ("get", "duties", ANYBODY),
    ("post", "duties", KEEPERS),
    ("get", "duties/{id}", AROUND),
    ("patch", "duties/{id}", KEEPERS),
    ("get", "exports/agreements", KEEPERS),
    ("get", "exports/alerts", KEEPERS),
    ("get", "exports/drills/{id}", KEEPERS),
    ("get", "exports/members", ADMINISTRATOR),
    ("get", "exports/seniors", KEEPERS),
    ("get", "exports/visits", KEEPERS),
    ("get", "findings", KEEPERS),
    ("get", "findings/{id}", KEEPERS),
    ("patch", "findings/{id}", KEEPERS),
    ("get", "groups", ADMINISTRATOR),
    ("post", "groups", ADMINISTRATOR),
    ("patch", "groups/{id}", ADMINISTRATOR),
    ("post", "groups/{id}/test", ADMINISTRATOR),
    ("get", "grids", REGISTER),
    ("post", "grids", KEEPERS),
    ("get", "grids/{id}", REGISTER),
    ("patch", "grids/{id}", KEEPERS),
    ("get", "homes", AROUND),
    ("post", "homes", KEEPERS),
    ("get", "homes/{id}", AROUND),
    ("patch", "homes/{id}", KEEPERS),
    // Without a file: who may is told that there is none.
    ("post", "imports", KEEPERS),
    ("post", "imports/commit", KEEPERS),
    ("get", "imports/template", KEEPERS),
    ("get", "leaves", ANYBODY),
    ("post", "leaves", KEEPERS),
    ("get", "leaves/{id}", AROUND),
    ("patch", "leaves/{id}", KEEPERS),
    ("get", "members", ANYBODY),
    ("post", "members", ADMINISTRATOR),
    ("get", "members/{id}", AROUND),
    ("patch", "members/{id}", ADMINISTRATOR),
    ("get", "members/{id}/channels", ADMINISTRATOR),
    ("post", "members/{id}/channels", ADMINISTRATOR),
    ("patch", "members/{id}/channels/{channel}", ADMINISTRATOR),
    ("post", "members/{id}/channels/{channel}/test", ADMINISTRATOR),
    ("post", "members/{id}/channels/{channel}/code", ADMINISTRATOR),
    ("post", "members/{id}/channels/{channel}/verify", ADMINISTRATOR),
    ("put", "members/{id}/channel-order", ADMINISTRATOR),
    ("get", "members/{id}/quiet-hours", ADMINISTRATOR),
    ("put", "members/{id}/quiet-hours", ADMINISTRATOR),
    ("post", "members/{id}/invitations", ADMINISTRATOR),
    ("put", "members/{id}/password", ADMINISTRATOR),
    ("delete", "members/{id}/second-factor", ADMINISTRATOR),
    ("get", "members/{id}/sessions", ADMINISTRATOR),
    ("delete", "members/{id}/sessions", ADMINISTRATOR),
    ("get", "notifications", DELIVERY),
    ("get", "places", REGISTER),
    ("post", "places", KEEPERS),
    ("get", "places/{id}", REGISTER),
    ("patch", "places/{id}", KEEPERS),
    ("get", "reachability", AROUND),
    ("get", "role-grants", ANYBODY),
    ("post", "role-grants", ADMINISTRATOR),
    ("get", "role-grants/{id}", AROUND),
    ("patch", "role-grants/{id}", ADMINISTRATOR),
    ("get", "rounds", ANYBODY),
    ("get", "seniors", ANYBODY),
    ("post", "seniors", KEEPERS),
    ("get", "seniors/{id}", AROUND),
    ("patch", "seniors/{id}", KEEPERS),
    ("post", "seniors/{id}/reveal", COMMAND),
    ("get", "seniors/{id}/absences", AROUND),
    ("post", "seniors/{id}/absences", AROUND),
    ("post", "seniors/{id}/absences/{absence}/confirm", KEEPERS),
    ("post", "seniors/{id}/absences/{absence}/cancel", AROUND),
    ("post", "seniors/{id}/absences/{absence}/confirm-return", KEEPERS),
    ("get", "seniors/{id}/agreements", AROUND),
    ("post", "seniors/{id}/agreements", KEEPERS),
    ("post", "seniors/{id}/agreements/{agreement}/end", KEEPERS),
    ("get", "seniors/{id}/consents", COMMAND),
    ("post", "seniors/{id}/consents", KEEPERS),
    ("patch", "seniors/{id}/consents/{consent}", KEEPERS),
    ("get", "seniors/{id}/contacts", COMMAND),
    ("post", "seniors/{id}/contacts", KEEPERS),
    ("patch", "seniors/{id}/contacts/{contact}", KEEPERS),
    ("get", "seniors/{id}/days", AROUND),
    ("get", "seniors/{id}/year", AROUND),
    ("get", "seniors/{id}/pairings", AROUND),
    ("post", "seniors/{id}/pairings", KEEPERS),
    ("patch", "seniors/{id}/pairings/{pairing}", KEEPERS),
    ("post", "signals", AROUND),
    ("post", "signals/sheet", AROUND),
    ("get", "sites", ANYBODY),
    ("get", "sites/{id}", ANYBODY),
    ("patch", "sites/{id}", KEEPERS),
    ("get", "statistics", KEEPERS),
    ("get", "system", SYSTEM),
    ("post", "system/channel-tests", SYSTEM),
    ("get", "visits", ANYBODY),
    ("get", "visits/due", KEEPERS),
    ("post", "visits", AROUND),
    ("get", "visits/{id}", AROUND),
    // Pop-ups in the browser of whoever asks.
    ("get", "web-push", ANYBODY),
    ("post", "web-push/subscriptions", ANYBODY),
    ("post", "web-push/unsubscribe", ANYBODY),
];

/// Routes about the caller's own sign-ins; `sessions` and `office` try them. Streams never end; `events` tries them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("get", "sessions"),
    ("post", "sessions"),
    ("post", "sessions/join"),
    ("post", "claims"),
    ("post", "claims/drill"),
    ("post", "contact-answers"),
    ("delete", "sessions/current"),
    ("post", "sessions/current/confirm"),
    ("delete", "sessions/{id}"),
    ("post", "second-factor"),
    ("post", "second-factor/confirm"),
    ("get", "events"),
];

fn name(operation: &Operation) -> (String, String) {
    let path = operation.path.trim_start_matches("/api/v1/").to_owned();
    (operation.method.as_str().to_lowercase(), path)
}

fn row(operation: &Operation) -> Option<&'static str> {
    let (method, path) = name(operation);
    TABLE.iter().find(|(m, p, _)| *m == method && *p == path).map(|(.., who)| *who)
}

/// What changes what others may do comes last: a second street, after which no role covers the whole site, and before it the end of
/// the device.
fn turn(operation: &Operation) -> u8 {
    match name(operation) {
        (method, path) if method == "post" && path == "places" => 2,
        (_, path) if path.ends_with("/revoke") => 1,
        _ => 0,
    }
}

/// Whoever went or was told sees more until the alert is over: the other routes are tried by role alone.
async fn close_alerts(app: &App, world: &World) {
    let site = world.site;
    app.write(move |mut tx| async move {
        let sql = "update alert set resolved_at = coalesce(resolved_at, opened_at), claimed_by = null where site_id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(site).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the alerts are over");
}

async fn granted(app: &App, world: &World, role: Role) -> Uuid {
    let (member, now, world) = (roleless(app, world.site).await, app.clock.now(), world.clone());
    app.write(move |mut tx| async move {
        let from = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a literal date");
        world.grant(&mut tx, member, role.as_str(), world.street, from, now).await;
        Ok((tx, ()))
    })
    .await
    .expect("a role is granted");
    member
}

/// One of everything that a path can name, entered as its administrator does.
async fn complete(app: &App, server: &Server, world: &World) {
    furnish(app, world).await;
    let client = server.client(app, world.site, world.administrator).await;
    let id = || Uuid::now_v7();
    let senior = world.seniors[0];
    for (path, body) in [
        ("devices", json!({"id": id(), "name": format!("d-{}", id().simple()), "ecosystem": "native", "role": "curtain_contact"})),
        ("drills", json!({"id": id(), "place_id": world.building})),
        ("duties", json!({"id": id(), "member_id": world.backup, "slot": "morning", "weekdays": 127, "building_ids": [world.building]})),
        ("groups", json!({"id": id(), "place_id": world.building, "name": "3号楼群", "channel": "wecom_bot", "key": "k-1"})),
        ("leaves", json!({"id": id(), "member_id": world.backup, "from_date": "2026-12-01", "return_date": "2026-12-03"})),
        (
            "visits",
            json!({"id": id(), "senior_id": senior, "kind": "care_visit", "method": "door", "started_at": "2026-11-23T05:40:00+08:00",
                "result": "met", "contact_with": "senior", "safety": {"gas": "hazard"}}),
        ),
    ] {
        let (status, made) = client.post(&format!("/api/v1/{path}"), body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
    }
}

#[test]
fn every_route_of_the_document_has_its_row() {
    let document = serde_json::to_value(chenlian::http::openapi()).expect("the document is plain data");
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().into_iter().flatten().map(|(method, _)| method.clone()) {
            routes.insert((method, path.trim_start_matches("/api/v1/").to_owned()));
        }
    }
    let rows = TABLE.iter().map(|(method, path, _)| (*method, *path)).chain(ELSEWHERE.iter().copied());
    let rows: BTreeSet<_> = rows.map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(rows, routes);
    assert!(TABLE.iter().all(|(.., who)| who.len() == Role::ALL.len()), "one letter per role");
}

#[tokio::test]
async fn each_role_does_what_its_row_says_and_nothing_else() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let mut findings = Vec::new();
        for (column, role) in Role::ALL.iter().enumerate() {
            let world = World::seed(&app, 1).await;
            complete(&app, &server, &world).await;
            let member = granted(&app, &world, *role).await;
            let client = server.client(&app, world.site, member).await;
            let mut all = operations(&world);
            all.sort_by_key(turn);
            for mut operation in all {
                let Some(who) = row(&operation) else { continue };
                if !operation.path.starts_with("/api/v1/alerts") {
                    close_alerts(&app, &world).await;
                }
                if let Some(home) = operation.body.as_mut().and_then(|body| body.get_mut("home_id")) {
                    *home = json!(some_id(&app, "home", world.site).await);
                }
                let path = filled(&app, &world, &operation.path).await;
                let (status, text) = call(&client, &operation, &path).await;
                let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
                let may = who.as_bytes()[column] == b'y';
                if refused == may || status.is_server_error() {
                    findings.push(format!("{role}: {} {}: {status} {text}", operation.method, operation.path));
                }
            }
        }
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    })
    .await;
}

/// An answer without the number of its request.
async fn answer(client: &Client, operation: &Operation, path: &str) -> (StatusCode, Value) {
    let (status, text) = call(client, operation, path).await;
    let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if let Some(problem) = body.as_object_mut() {
        problem.remove("request_id");
    }
    (status, body)
}

/// The same path with ids that nobody has given.
fn with_unknown_ids(path: &str) -> String {
    let unknown = |segment: &str| if Uuid::parse_str(segment).is_ok() { Uuid::now_v7().to_string() } else { segment.to_owned() };
    path.split('/').map(unknown).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn a_foreign_id_is_answered_word_for_word_like_an_unknown_one() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let (world, other) = (World::seed(&app, 1).await, World::seed(&app, 1).await);
        complete(&app, &server, &world).await;
        let client = server.client(&app, other.site, other.administrator).await;
        let mut findings = Vec::new();
        for operation in operations(&other).into_iter().filter(|operation| operation.path.contains('{')) {
            let foreign = filled(&app, &world, &operation.path).await;
            let known = answer(&client, &operation, &foreign).await;
            let unknown = answer(&client, &operation, &with_unknown_ids(&foreign)).await;
            if known != unknown || known.0 != StatusCode::NOT_FOUND {
                findings.push(format!("{} {}: {known:?}, unknown {unknown:?}", operation.method, operation.path));
            }
        }
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    })
    .await;
}
