//! Default deny, tried on every route of the OpenAPI document, also on those that are written after this test (I30, I32).
//!
//! A new route fails here until it asks for a sign-in first, refuses a member without a role, and answers a foreign id like
//! an unknown one. A body is made from the route's schema; where that is not valid, put one into [`bodies`].

use std::collections::BTreeSet;

use chenlian::app::App;
use chenlian::{http, on};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Server, count};
use crate::harness::{World, on_each_engine};

/// Routes that need no sign-in.
const PUBLIC: &[(&str, &str)] = &[
    ("post", "/api/v1/sessions"),
    ("post", "/api/v1/sessions/join"),
    ("post", "/api/v1/claims"),
    ("post", "/api/v1/claims/drill"),
    ("post", "/api/v1/contact-answers"),
];
/// Routes that show and change only what is the caller's own; a member without any role may use them.
const OWN: &[&str] = &[
    "/api/v1/sessions",
    "/api/v1/sessions/join",
    "/api/v1/claims",
    "/api/v1/claims/drill",
    "/api/v1/contact-answers",
    "/api/v1/sessions/current",
    "/api/v1/sessions/current/confirm",
    "/api/v1/sessions/{id}",
    "/api/v1/second-factor",
    "/api/v1/second-factor/confirm",
    "/api/v1/web-push/subscriptions",
    "/api/v1/web-push/unsubscribe",
];
/// Answers that never end; only their head is read. They are tried in `events`.
const STREAMS: &[&str] = &["/api/v1/events"];

/// Bodies for routes whose schema does not say enough.
fn bodies(world: &World) -> Vec<(&'static str, &'static str, Value)> {
    // One signal or a list of them: the schema leaves both out.
    let signal = json!({ "id": Uuid::now_v7(), "senior_id": world.seniors[0], "kind": "open", "observed_at": "2026-11-23T06:00:00+08:00" });
    // Of a place: without one it is about whoever types it in.
    let sheet = json!({ "id": Uuid::now_v7(), "place_id": world.building, "slot": "morning", "looked_at": "2026-11-23T06:00:00+08:00" });
    // A key goes in and never comes out, so the schema does not ask for it.
    let group = json!({ "id": Uuid::now_v7(), "place_id": world.building, "name": "3号楼群", "channel": "wecom_bot", "key": "k-1" });
    let trial = json!({ "channel": "log", "to": "x" });
    vec![
        ("post", "/api/v1/signals", signal),
        ("post", "/api/v1/signals/sheet", sheet),
        ("post", "/api/v1/groups", group),
        ("post", "/api/v1/system/channel-tests", trial),
    ]
}

/// One operation of the document.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    /// The required parameters of the query, and a reason where one may be asked for.
    query: Vec<(String, String)>,
    pub(super) body: Option<Value>,
}

pub(super) fn operations(world: &World) -> Vec<Operation> {
    let document = serde_json::to_value(http::openapi()).expect("the document is plain data");
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let Ok(verb) = method.to_uppercase().parse::<Method>() else { continue };
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let given = bodies(world).into_iter().find(|(m, p, _)| m == method && p == path).map(|(_, _, body)| body);
            let body = given.or_else(|| (!schema.is_null()).then(|| sample(schema, "", &document, world)));
            let query = query(&operation["parameters"], &document, world);
            operations.push(Operation { method: verb, path: path.clone(), query, body });
        }
    }
    assert!(operations.len() >= 4, "the document lists the routes");
    operations
}

fn query(parameters: &Value, document: &Value, world: &World) -> Vec<(String, String)> {
    let in_query = parameters.as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "query");
    let needed = in_query.filter(|parameter| parameter["required"] == true || parameter["name"] == "reason");
    let pairs = needed.map(|parameter| {
        let name = parameter["name"].as_str().expect("a parameter has a name");
        let value = sample(&parameter["schema"], name, document, world);
        (name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    });
    pairs.collect()
}

#[test]
fn the_document_names_the_words_that_are_sent() {
    let document = serde_json::to_value(http::openapi()).expect("the document is plain data");
    assert_eq!(document["components"]["schemas"]["SessionKind"]["enum"], json!(["cookie", "bearer"]));
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for parameter in methods.as_object().into_iter().flatten().filter_map(|(_, one)| one["parameters"].as_array()).flatten() {
            let name = parameter["name"].as_str().expect("a parameter has a name");
            let in_path = path.contains(&format!("{{{name}}}"));
            assert_eq!(parameter["in"] == "path", in_path, "{path}: {name}; say #[into_params(parameter_in = Query)]");
        }
    }
}

/// A value that a schema allows, with ids of this world where a name tells which.
fn sample(schema: &Value, name: &str, document: &Value, world: &World) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return sample(document.pointer(pointer).expect("a reference leads somewhere"), name, document, world);
    }
    if let Some(first) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return first.clone();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(first) = schema[choice].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            return sample(first, name, document, world);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = serde_json::Map::new();
        for part in parts {
            whole.extend(sample(part, name, document, world).as_object().cloned().unwrap_or_default());
        }
        return Value::Object(whole);
    }
    let kind =
        schema["type"].as_str().or_else(|| schema["type"].as_array()?.iter().find_map(|kind| kind.as_str().filter(|k| *k != "null")));
    match kind {
        Some("object") => {
            let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let members = required.into_iter().map(|key| (key.to_owned(), sample(&schema["properties"][key], key, document, world)));
            Value::Object(members.collect())
        }
        Some("array") => json!([sample(&schema["items"], name, document, world)]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("string") => sample_text(schema, name, world),
        _ => Value::Null,
    }
}

fn sample_text(schema: &Value, name: &str, world: &World) -> Value {
    match schema["format"].as_str() {
        Some("uuid") if name.contains("senior") => json!(world.seniors[0]),
        Some("uuid") if name.contains("member") || name.contains("substitute") => json!(world.backup),
        Some("uuid") if name.contains("building") || name.contains("place") => json!(world.building),
        Some("uuid") => json!(Uuid::now_v7()),
        Some("date-time") => json!("2026-11-23T06:00:00+08:00"),
        Some("date") => json!("2026-11-24"),
        Some("time") => json!("09:00"),
        Some("phone") => json!("13912345678"),
        _ if name.ends_with("_at") => json!("2026-11-23T06:00:00+08:00"),
        _ if name.ends_with("date") || matches!(name, "from" | "to") => json!("2026-11-24"),
        _ => json!("请看看她今天好不好。"),
    }
}

/// The table behind a segment of a path, so that a route is tried with an id that exists in this world.
fn table_of(segment: &str) -> Option<&'static str> {
    Some(match segment {
        "seniors" => "senior",
        "members" => "member",
        "places" => "place",
        "grids" => "grid",
        "homes" => "home",
        "role-grants" => "role_grant",
        "drills" => "drill",
        "duties" => "duty",
        "leaves" => "leave_of_absence",
        "contacts" => "contact",
        "consents" => "consent",
        "agreements" => "agreement",
        "absences" => "absence",
        "pairings" => "pairing",
        "alerts" => "alert",
        "visits" => "visit",
        "findings" | "hazards" | "needs" => "finding",
        "devices" => "device",
        "quarantine" => "quarantined_message",
        "channels" => "member_channel",
        "groups" => "group_chat",
        "signals" => "signal",
        "sites" => "site",
        _ => return None,
    })
}

/// The path with an id of this world in each place, or an unknown one.
pub(super) async fn filled(app: &App, world: &World, path: &str) -> String {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/') {
        if !segment.starts_with('{') {
            segments.push(segment.to_owned());
            continue;
        }
        let id = match segments.last().map(String::as_str).and_then(table_of) {
            Some("senior") => Some(world.seniors[0]),
            Some("member") => Some(world.primary),
            Some("site") => Some(world.site),
            Some(table) => some_id(app, table, world.site).await,
            None => None,
        };
        segments.push(id.unwrap_or_else(Uuid::now_v7).to_string());
    }
    segments.join("/")
}

pub(super) async fn some_id(app: &App, table: &'static str, site: Uuid) -> Option<Uuid> {
    let sql = format!("select id from {table} where site_id = $1 order by id limit 1");
    app.read(move |mut tx| async move {
        let sql = sqlx::AssertSqlSafe(sql);
        let id = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(site).fetch_optional(conn).await)?;
        Ok((tx, id))
    })
    .await
    .expect("the table is read")
}

/// Every id of a world that must not be seen from outside.
fn ids(world: &World) -> BTreeSet<String> {
    let members = [world.primary, world.backup, world.building_lead, world.social_worker, world.secretary, world.street_duty];
    let places = [world.site, world.street, world.community, world.compound, world.building];
    members.into_iter().chain(places).chain(world.seniors.clone()).map(|id| id.to_string()).collect()
}

/// Things around the seniors, so that more paths lead to something.
pub(super) async fn furnish(app: &App, world: &World) {
    let (world, now) = (world.clone(), app.clock.now());
    app.write(move |mut tx| async move {
        let texts = [
            "insert into grid (site_id, id, name, version, created_at) values ($1, $2, '一网格', 1, $4)",
            "insert into contact (site_id, id, senior_id, position, name, relation, phone, agreed_automatic, version, created_at)
                values ($1, $2, $3, 1, '女儿', 'daughter', '13700000000', false, 1, $4)",
            "insert into consent (site_id, id, senior_id, scope, given_at, given_how, version, created_at)
                values ($1, $2, $3, 'daily_check', $4, 'paper', 1, $4)",
            "insert into absence (site_id, id, senior_id, kind, from_date, return_date, reported_by, content_hash, version, created_at)
                select $1, $2, $3, 'away', from_date, from_date, '本人', content_hash, 1, $4 from agreement
                where site_id = $1 and senior_id = $3",
            "insert into alert (site_id, id, senior_id, state, ladder, cause, epoch, level, trial, drill, opened_at, epoch_at, version)
                values ($1, $2, $3, 'open', 'missed', 'not_open', 1, 0, false, false, $4, $4, 1)",
            "insert into quarantined_message (site_id, id, topic, reason, why, sample, size_bytes, received_at)
                select $1, $2, 'chk/1/d-9/up/evt', 'unknown_device', '', content_hash, 1, $4 from agreement
                where site_id = $1 and senior_id = $3",
        ];
        for sql in texts {
            let id = Uuid::now_v7();
            on!(&mut tx, |conn| sqlx::query(sql)
                .bind(world.site)
                .bind(id)
                .bind(world.seniors[0])
                .bind(now)
                .execute(conn)
                .await
                .map(|_| ()))?;
        }
        Ok((tx, ()))
    })
    .await
    .expect("the world is furnished");
}

/// A member of a site without any role.
pub async fn roleless(app: &App, site: Uuid) -> Uuid {
    let (id, now) = (Uuid::now_v7(), app.clock.now());
    app.write(move |mut tx| async move {
        let sql = "insert into member (site_id, id, name, called, phone, locale, version, created_at)
            values ($1, $2, '新人', '小新', '13899999999', 'zh-CN', 1, $3)";
        on!(&mut tx, |conn| sqlx::query(sql).bind(site).bind(id).bind(now).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("a member is added");
    id
}

/// Another building of the same compound, and somebody who leads it and nothing else.
async fn neighbour(app: &App, world: &World) -> Uuid {
    let (member, now, world) = (roleless(app, world.site).await, app.clock.now(), world.clone());
    app.write(move |mut tx| async move {
        let building = Uuid::now_v7();
        let place = "insert into place (site_id, id, kind, name, parent_id, walk_order, version, created_at)
            values ($1, $2, 'building', '4号楼', $3, 2, 1, $4)";
        on!(&mut tx, |conn| sqlx::query(place)
            .bind(world.site)
            .bind(building)
            .bind(world.compound)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        let closure = "insert into place_closure (site_id, ancestor_id, descendant_id, depth) values ($1, $2, $2, 0)";
        on!(&mut tx, |conn| sqlx::query(closure).bind(world.site).bind(building).execute(conn).await.map(|_| ()))?;
        let from = chrono::NaiveDate::from_ymd_opt(2020, 1, 1).expect("a literal date");
        world.grant(&mut tx, member, "building_lead", building, from, now).await;
        Ok((tx, ()))
    })
    .await
    .expect("a neighbour is added");
    member
}

/// Status and text of an answer; of a stream only the head.
pub(super) async fn call(client: &Client, operation: &Operation, path: &str) -> (StatusCode, String) {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&operation.query).finish();
    let path = format!("{path}?{query}");
    let request = client.request(operation.method.clone(), &path).header("idempotency-key", Uuid::now_v7().to_string());
    let request = request.header("if-match", "\"1\"");
    let request = match &operation.body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.expect("the server answers");
    let status = response.status();
    let text = if STREAMS.contains(&operation.path.as_str()) { String::new() } else { response.text().await.expect("a whole answer") };
    (status, text)
}

#[tokio::test]
async fn a_stranger_is_asked_to_sign_in_on_every_route() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let mut with_false_token = server.stranger();
        with_false_token.token = Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
        for client in [server.stranger(), with_false_token] {
            for operation in operations(&world) {
                let method = operation.method.as_str().to_lowercase();
                if PUBLIC.contains(&(method.as_str(), operation.path.as_str())) {
                    continue;
                }
                // Without a body and without If-Match: who is not signed in learns nothing about what a route wants.
                let bare = client.request(operation.method.clone(), &filled(&app, &world, &operation.path).await);
                let (status, _) = super::read(bare).await;
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {}", operation.path);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_member_without_a_role_reads_nothing_and_changes_nothing() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        furnish(&app, &world).await;
        let newcomer = roleless(&app, world.site).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, newcomer).await;
        let known = ids(&world);
        let mut findings = Vec::new();
        for operation in operations(&world) {
            if OWN.contains(&operation.path.as_str()) || STREAMS.contains(&operation.path.as_str()) {
                continue;
            }
            let path = filled(&app, &world, &operation.path).await;
            let (status, text) = call(&client, &operation, &path).await;
            let what = format!("{} {}: {status} {text}", operation.method, operation.path);
            let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
            // Nobody's id may stand in an empty list; the site's own name is no secret to its members.
            let leaked = known.iter().any(|id| text.contains(id) && *id != world.site.to_string() && !path.contains(id));
            let empty = operation.method == Method::GET && status == StatusCode::OK && !leaked;
            if !refused && !empty {
                findings.push(what);
            }
        }
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    })
    .await;
}

#[tokio::test]
async fn an_administrator_of_another_site_finds_nothing_here() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        furnish(&app, &world).await;
        let other = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, other.site, other.administrator).await;
        let known = ids(&world);
        let mut findings = Vec::new();
        // With a foreign id in the path everything else is her own; without one the body names foreign things.
        let (with_id, without) = (operations(&other), operations(&world));
        let with_id = with_id.into_iter().filter(|operation| operation.path.contains('{'));
        for operation in with_id.chain(without.into_iter().filter(|operation| !operation.path.contains('{'))) {
            // Her own sign-out would end this test's sign-in.
            if STREAMS.contains(&operation.path.as_str()) || operation.path == "/api/v1/sessions/current" {
                continue;
            }
            let path = filled(&app, &world, &operation.path).await;
            let rows = rows_of(&app, world.site).await;
            let (status, text) = call(&client, &operation, &path).await;
            let what = format!("{} {}: {status} {text}", operation.method, operation.path);
            let answered = if operation.path.contains('{') { status == StatusCode::NOT_FOUND } else { !status.is_server_error() };
            let leaked = status.is_success() && known.iter().any(|id| text.contains(id));
            let changed = rows_of(&app, world.site).await != rows;
            if !answered || leaked || changed {
                findings.push(what);
            }
        }
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    })
    .await;
}

/// What a write in a site leaves behind: every change has an audit row.
async fn rows_of(app: &App, site: Uuid) -> i64 {
    app.read(move |mut tx| async move {
        let sql = "select count(*) from audit where site_id = $1";
        let rows: i64 = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(site).fetch_one(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("the rows are counted")
}

#[tokio::test]
async fn a_senior_exists_for_those_around_her_and_for_nobody_else() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        furnish(&app, &world).await;
        let outsider = neighbour(&app, &world).await;
        let server = Server::start(&app).await;
        let stranger = server.client(&app, world.site, outsider).await;
        let own = [world.primary, world.building_lead, world.social_worker, world.administrator];
        for operation in operations(&world).into_iter().filter(|operation| operation.path.contains("/seniors/{")) {
            let path = filled(&app, &world, &operation.path).await;
            let (status, text) = call(&stranger, &operation, &path).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{} {}: {text}", operation.method, operation.path);
            // Only reading: a write would change what the next one finds.
            for member in own.iter().filter(|_| operation.method == Method::GET && operation.path.matches('{').count() == 1) {
                let client = server.client(&app, world.site, *member).await;
                let (status, text) = call(&client, &operation, &path).await;
                assert!(matches!(status, StatusCode::OK | StatusCode::FORBIDDEN), "{}: {status} {text}", operation.path);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn only_those_who_answer_for_the_site_read_its_audit_and_its_messages() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        for (member, audit, messages) in [
            (world.administrator, 200, 200),
            (world.secretary, 403, 200),
            (world.social_worker, 403, 200),
            (world.street_duty, 403, 200),
            (world.operator, 403, 200),
            (world.building_lead, 403, 403),
            (world.primary, 403, 403),
        ] {
            let client = server.client(&app, world.site, member).await;
            assert_eq!(client.get("/api/v1/audit").await.0.as_u16(), audit);
            assert_eq!(client.get("/api/v1/notifications").await.0.as_u16(), messages);
        }
        assert_eq!(count(&app, "select count(*) from audit").await, 0, "reading these lists writes nothing");
    })
    .await;
}
