//! Signals, rounds and checks as a phone meets them: sent one by one, in batches after hours without a network, from paper, and
//! wrongly (reliability.md §6).

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Server, count, read};
use crate::harness::{World, on_each_engine};
use crate::morning::planned;

const SIGNALS: &str = "/api/v1/signals";
const SEEN_AT: &str = "2026-11-23T05:58:00+08:00";

fn signal(senior: Uuid, kind: &str) -> Value {
    json!({ "id": Uuid::now_v7(), "senior_id": senior, "kind": kind, "observed_at": SEEN_AT })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

async fn states(client: &Client) -> Vec<String> {
    let (status, checks) = client.get("/api/v1/checks?date=2026-11-23&slot=morning").await;
    assert_eq!(status, StatusCode::OK, "{checks}");
    let items = checks["items"].as_array().expect("checks").iter();
    items.map(|check| check["state"].as_str().expect("a state").to_owned()).collect()
}

#[tokio::test]
async fn a_curtain_seen_open_is_stored_once_and_takes_its_stop_off_the_round() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let (status, round) = primary.get("/api/v1/rounds?date=2026-11-23&slot=morning").await;
        assert_eq!((status, &round["done"], round["stops"].as_array().map(Vec::len)), (StatusCode::OK, &json!(0), Some(2)), "{round}");
        assert_eq!(round["stops"][0]["window_hint"], "左二窗");
        let open = signal(world.seniors[0], "open");
        let (status, stored) = primary.post(SIGNALS, open.clone()).await;
        assert_eq!((status, &stored["status"], &stored["standing"]), (StatusCode::CREATED, &json!("stored"), &json!("accepted")));
        let (status, known) = primary.post(SIGNALS, open.clone()).await;
        assert_eq!((status, &known["status"]), (StatusCode::OK, &json!("known")));
        let other = primary.post(SIGNALS, with(open, "kind", json!("closed"))).await;
        assert_eq!((other.0, &other.1["key"]), (StatusCode::CONFLICT, &json!("problem.same_id_other_content")));
        assert_eq!(count(&app, "select count(*) from signal").await, 1, "the first is kept");
        assert_eq!(primary.get("/api/v1/rounds").await.1["done"], 1);
        let mut seen = states(&primary).await;
        seen.sort();
        assert_eq!(seen, ["expected", "ok"]);
        let (_, waiting) = primary.get("/api/v1/checks?date=2026-11-23&state=expected").await;
        assert_eq!(waiting["items"][0]["senior_id"], json!(world.seniors[1]), "{waiting}");
        let (_, nobody) = server.client(&app, world.site, world.operator).await.get("/api/v1/checks?date=2026-11-23").await;
        assert_eq!(nobody["items"], json!([]), "who runs the server sees no checks");
    })
    .await;
}

#[tokio::test]
async fn the_key_of_the_request_names_a_signal_without_an_id() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let mut body = signal(world.seniors[0], "open");
        body.as_object_mut().expect("an object").remove("id");
        let post = |body: &Value| read(primary.request(Method::POST, SIGNALS).header("idempotency-key", "look-number-1").json(body));
        let (status, first) = post(&body).await;
        assert_eq!(status, StatusCode::CREATED, "{first}");
        let (status, again) = post(&body).await;
        assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]));
        assert_eq!(post(&with(body.clone(), "kind", json!("closed"))).await.0, StatusCode::CONFLICT);
        let (status, problem) = primary.post(SIGNALS, body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("id")));
    })
    .await;
}

#[tokio::test]
async fn one_bad_look_of_a_batch_refuses_only_itself() {
    on_each_engine(|app| async move {
        let (world, other) = (planned(&app, 3).await, World::seed(&app, 1).await);
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let good = [signal(world.seniors[0], "open"), signal(world.seniors[1], "not_visible"), signal(world.seniors[2], "closed")];
        let bad = [
            (with(signal(world.seniors[0], "open"), "observed_at", json!("2026-11-23 05:58:00")), "observed_at"),
            (with(signal(world.seniors[0], "open"), "kind", json!("asleep")), "kind"),
            (with(signal(world.seniors[0], "open"), "mood", json!("good")), "mood"),
            (with(signal(world.seniors[0], "open"), "id", json!("7")), "id"),
            (with(signal(world.seniors[0], "open"), "observed_by", json!(Uuid::now_v7())), "observed_by"),
            (with(signal(world.seniors[0], "open"), "observed_by", json!(other.primary)), "observed_by"),
            (with(signal(world.seniors[0], "open"), "replaces", json!(Uuid::now_v7())), "reason"),
            (signal(world.seniors[0], "activity"), "kind"),
            (signal(other.seniors[0], "open"), "senior_id"),
            (signal(Uuid::now_v7(), "open"), "senior_id"),
            (json!(["a", "list"]), ""),
        ];
        for (item, field) in bad {
            let id = item.get("id").cloned().unwrap_or_default();
            let all = json!({ "signals": [good[0], item, good[1], good[2]] });
            let (status, answer) = primary.post(SIGNALS, all).await;
            assert_eq!(status, StatusCode::OK, "{field}: {answer}");
            let results = answer["results"].as_array().expect("results");
            let said: Vec<&str> = results.iter().filter_map(|one| one["status"].as_str()).collect();
            assert_eq!((said.len(), said[1]), (4, "refused"), "{answer}");
            assert!(said.iter().enumerate().all(|(place, status)| place == 1 || ["stored", "known"].contains(status)), "{answer}");
            assert_eq!(results[1]["field"], field, "{answer}");
            assert!(results[1]["id"].is_null() || results[1]["id"] == id, "{answer}");
            assert!(results[1]["detail"].as_str().is_some_and(|detail| !detail.starts_with("http.")), "{answer}");
        }
        assert_eq!(count(&app, "select count(*) from signal").await, 3);
        let mixed = with(good[0].clone(), "kind", json!("closed"));
        let (_, answer) = primary.post(SIGNALS, json!({ "signals": [mixed, good[1]] })).await;
        assert_eq!((&answer["results"][0]["status"], &answer["results"][1]["status"]), (&json!("conflict"), &json!("known")));
    })
    .await;
}

#[tokio::test]
async fn a_phone_that_was_hours_without_a_network_sends_what_it_kept() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        crate::morning::pass_at(&app, crate::harness::local("10:30:00")).await;
        assert_eq!(count(&app, "select count(*) from alert where resolved_at is null").await, 2);
        let kept = json!({ "signals": [signal(world.seniors[0], "open"), signal(world.seniors[1], "closed")] });
        let (status, answer) = primary.post(SIGNALS, kept.clone()).await;
        assert_eq!((status, &answer["results"][1]["status"]), (StatusCode::OK, &json!("stored")), "{answer}");
        let (_, checks) = primary.get("/api/v1/checks?date=2026-11-23&state=ok").await;
        assert_eq!((&checks["items"][0]["senior_id"], &checks["items"][0]["received_late"]), (&json!(world.seniors[0]), &json!(true)));
        assert_eq!(count(&app, "select count(*) from alert where resolved_at is null").await, 1, "seen in time, told late");
        let (_, again) = primary.post(SIGNALS, kept).await;
        assert!(again["results"].as_array().expect("results").iter().all(|one| one["status"] == "known"), "{again}");
        let ahead = with(signal(world.seniors[1], "open"), "observed_at", json!("2026-11-23T11:30:00+08:00"));
        assert_eq!(primary.post(SIGNALS, ahead).await.1["standing"], "clock_suspect");
        assert_eq!(count(&app, "select count(*) from alert where resolved_at is null").await, 1, "a clock that runs ahead decides nothing");
    })
    .await;
}

#[tokio::test]
async fn a_sheet_of_paper_is_one_look_at_everybody_and_the_same_sheet_stays_the_same() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        let server = Server::start(&app).await;
        let lead = server.client(&app, world.site, world.building_lead).await;
        let sheet = json!({
            "id": Uuid::now_v7(), "place_id": world.building, "slot": "morning", "looked_at": SEEN_AT, "observed_by": world.primary,
            "except": [{ "senior_id": world.seniors[1], "kind": "closed" }, { "senior_id": world.seniors[2] }]
        });
        let path = "/api/v1/signals/sheet";
        let (status, answer) = lead.post(path, sheet.clone()).await;
        assert_eq!((status, answer["results"].as_array().map(Vec::len)), (StatusCode::OK, Some(2)), "{answer}");
        assert_eq!(lead.post(path, sheet.clone()).await, (StatusCode::OK, answer));
        // Nothing that it says of anybody changes, but it is another sheet.
        for (name, value) in [("except", json!([{ "senior_id": world.seniors[2] }])), ("observed_by", json!(world.backup))] {
            assert_eq!(lead.post(path, with(sheet.clone(), name, value)).await.0, StatusCode::CONFLICT, "{name}");
        }
        assert_eq!(count(&app, "select count(*) from signal where source = 'sheet'").await, 2);
        let mut seen = states(&lead).await;
        seen.sort();
        assert_eq!(seen, ["expected", "ok", "tentative"]);
        let fresh = |name: &str, value: Value| with(with(sheet.clone(), "id", json!(Uuid::now_v7())), name, value);
        for (body, status) in [
            (fresh("except", json!([{ "senior_id": Uuid::now_v7() }])), StatusCode::BAD_REQUEST),
            (fresh("observed_by", json!(Uuid::now_v7())), StatusCode::BAD_REQUEST),
            (fresh("place_id", json!(Uuid::now_v7())), StatusCode::NOT_FOUND),
        ] {
            assert_eq!(lead.post(path, body.clone()).await.0, status, "{body}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_sheet_without_a_place_is_the_round_of_whoever_types_it_in() {
    on_each_engine(|app| async move {
        let (world, other) = (planned(&app, 2).await, World::seed(&app, 1).await);
        let server = Server::start(&app).await;
        let path = "/api/v1/signals/sheet";
        let sheet = |except: Value| json!({ "id": Uuid::now_v7(), "slot": "morning", "looked_at": SEEN_AT, "except": except });
        let primary = server.client(&app, world.site, world.primary).await;
        for (body, field) in [
            (sheet(json!([{ "senior_id": other.seniors[0] }])), "except[0].senior_id"),
            (with(sheet(json!([])), "looked_at", json!("2026-11-23T23:50:00+08:00")), "looked_at"),
        ] {
            let (status, problem) = primary.post(path, body).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{problem}");
        }
        let own = sheet(json!([{ "senior_id": world.seniors[1], "kind": "not_visible" }]));
        let (status, answer) = primary.post(path, own.clone()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let about: Vec<&Value> = answer["results"].as_array().expect("results").iter().map(|result| &result["senior_id"]).collect();
        assert_eq!(about, [&json!(world.seniors[0]), &json!(world.seniors[1])], "each result says whom it is about");
        assert_eq!(primary.post(path, own).await, (StatusCode::OK, answer), "the same sheet once more");
        assert_eq!(count(&app, "select count(*) from signal where source = 'sheet'").await, 2);
        let mut seen = states(&primary).await;
        seen.sort();
        assert_eq!(seen, ["ok", "tentative_blind"]);
        // Who walks no round has no sheet of her own.
        let (status, problem) = server.client(&app, world.site, world.social_worker).await.post(path, sheet(json!([]))).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("place_id")), "{problem}");
    })
    .await;
}

#[tokio::test]
async fn a_round_says_who_saw_what_last_from_whatever_phone_and_who_goes_up_with_the_walker() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let backup = server.client(&app, world.site, world.backup).await;
        let first = async || primary.get("/api/v1/rounds").await.1["stops"][0].clone();
        assert_eq!(first().await["look"], Value::Null);
        let by_other = signal(world.seniors[0], "closed");
        assert_eq!(backup.post(SIGNALS, by_other.clone()).await.0, StatusCode::CREATED);
        let stop = first().await;
        let seen = |kind: &str, mine: bool| (json!(kind), json!(mine));
        let of = |stop: &Value| (stop["look"]["kind"].clone(), stop["look"]["mine"].clone());
        assert_eq!(of(&stop), seen("closed", false));
        assert_eq!((&stop["look"]["by"], &stop["companion"]["phone"]), (&json!("刘师傅"), &json!("13800000001")), "{stop}");
        assert!(stop["look_again_at"].as_str() > stop["deadline_at"].as_str(), "{stop}");
        let later = with(signal(world.seniors[0], "open"), "observed_at", json!("2026-11-23T05:59:00+08:00"));
        assert_eq!(primary.post(SIGNALS, later.clone()).await.0, StatusCode::CREATED);
        assert_eq!(of(&first().await), seen("open", true));
        assert_eq!(first().await["look"]["id"], later["id"]);
        // What was corrected is not what anybody saw.
        let corrected = with(with(signal(world.seniors[0], "not_visible"), "replaces", later["id"].clone()), "reason", json!("点错了"));
        assert_eq!(primary.post(SIGNALS, with(corrected, "observed_at", later["observed_at"].clone())).await.0, StatusCode::CREATED);
        assert_eq!(of(&first().await), seen("not_visible", true));
        // A clock that runs ahead shows nothing.
        let ahead = with(signal(world.seniors[0], "open"), "observed_at", json!("2026-11-23T11:30:00+08:00"));
        assert_eq!(primary.post(SIGNALS, ahead).await.1["standing"], "clock_suspect");
        assert_eq!(of(&first().await), seen("not_visible", true));
    })
    .await;
}

/// What a single signal may hold wrongly, as its text, and the field that is named.
fn malformed(senior: Uuid) -> Vec<(&'static str, String, &'static str)> {
    let text = |name: &str, value: &str| {
        let whole = signal(senior, "open").to_string();
        let mut fields: Vec<String> =
            whole.trim_matches(['{', '}']).split(",\"").map(|field| field.trim_start_matches('"').to_owned()).collect();
        fields.retain(|field| !field.starts_with(&format!("{name}\"")));
        let rest: Vec<String> = fields.into_iter().map(|field| format!("\"{field}")).collect();
        format!("{{{},\"{name}\":{value}}}", rest.join(","))
    };
    let at = |value: &str| text("observed_at", &format!("\"{value}\""));
    vec![
        ("no offset", at("2026-11-23T05:58:00"), "observed_at"),
        ("a space for T", at("2026-11-23 05:58:00+08:00"), "observed_at"),
        ("before 2000", at("1999-12-31T23:59:59Z"), "observed_at"),
        ("after 2100", at("2101-01-01T00:00:00Z"), "observed_at"),
        ("a day that is none", at("2026-02-30T05:58:00Z"), "observed_at"),
        ("a leap second", at("2026-11-23T05:58:60Z"), "observed_at"),
        ("a number of seconds", text("observed_at", "1763856900"), "observed_at"),
        ("null", text("observed_at", "null"), "observed_at"),
        ("NUL", text("note", r#""a\u0000b""#), "note"),
        ("half a character", text("note", r#""\ud83d""#), "note"),
        ("too long", text("note", &format!("\"{}\"", "长".repeat(201))), "note"),
        ("too deep", text("note", &format!("{}1{}", "[".repeat(40), "]".repeat(40))), "note"),
        ("the same key twice", text("kind", r#""open","kind":"closed""#), "kind"),
        ("an unknown word", text("kind", r#""asleep""#), "kind"),
        ("an unknown field", text("mood", r#""good""#), "mood"),
        ("a number for an id", text("senior_id", "7"), "senior_id"),
        ("an infinite number", text("note", "1e999"), "note"),
        ("an id that is none", text("observed_by", r#""王师傅""#), "observed_by"),
        ("another's name", text("observed_by", &format!("\"{}\"", Uuid::now_v7())), "observed_by"),
        ("a list beside it", text("signals", "[]"), "signals"),
        ("only a note beside a list", format!("{{\"note\":\"x\",\"signals\":[{}]}}", signal(senior, "open")), "signals"),
        ("a list for an object", format!("[{}]", signal(senior, "open")), ""),
        ("cut off", r#"{"id":"#.to_owned(), "id"),
    ]
}

#[tokio::test]
async fn a_malformed_look_is_refused_by_its_field_and_the_good_ones_around_it_are_kept() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let send = |body: String| read(primary.request(Method::POST, SIGNALS).header("content-type", "application/json").body(body));
        for (what, body, field) in malformed(world.seniors[0]) {
            let (status, problem) = send(body.clone()).await;
            let named = problem["errors"][0]["field"].as_str().unwrap_or("no field");
            let fits = named == field || named.strip_prefix(field).is_some_and(|rest| rest.starts_with('[') && !field.is_empty());
            assert!(status == StatusCode::BAD_REQUEST && fits, "{what}: {status} {problem} {body}");
            assert_eq!(primary.post(SIGNALS, signal(world.seniors[0], "open")).await.0, StatusCode::CREATED, "after {what}");
        }
        let tables = i64::try_from(malformed(world.seniors[0]).len()).expect("a short table");
        assert_eq!(count(&app, "select count(*) from signal").await, tables, "none too many, none lost");
    })
    .await;
}

#[tokio::test]
async fn five_hundred_looks_fit_one_request_and_one_more_does_not() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let many =
            |number: usize| json!({ "signals": vec![(); number].iter().map(|()| signal(world.seniors[0], "open")).collect::<Vec<_>>() });
        let (status, problem) = primary.post(SIGNALS, many(501)).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("signals")), "{problem}");
        assert_eq!(count(&app, "select count(*) from signal").await, 0);
        let (status, answer) = primary.post(SIGNALS, many(500)).await;
        assert_eq!((status, answer["results"].as_array().map(Vec::len)), (StatusCode::OK, Some(500)));
        assert_eq!(count(&app, "select count(*) from signal").await, 500);
        assert_eq!(primary.post(SIGNALS, json!({ "signals": [] })).await.0, StatusCode::BAD_REQUEST);
    })
    .await;
}
