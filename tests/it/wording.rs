//! What people read: the moment of day and the reason are right, and no sentence mixes languages.

use chenlian::app::App;
use chenlian::domain::case::Actor;
use chenlian::domain::message::{Item, compose};
use chenlian::notify::compose::{Letter, render};
use chenlian::on;
use chenlian::store::{case, plan};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::done;
use crate::harness::{World, at, local, on_each_engine};
use crate::http::{Client, Server, read};

/// What a member would read now, of everything of a class that she was told.
pub async fn letter(app: &App, recipient: Uuid, class: &'static str) -> String {
    let rows: Vec<(Option<Uuid>, String, String)> = app
        .read(move |mut tx| async move {
            let sql = "select alert_id, key, arguments from notice where recipient_id = $1 and class = $2 order by created_at, id";
            let rows = on!(&mut tx, |conn| sqlx::query_as(sql).bind(recipient).bind(class).fetch_all(conn).await)?;
            Ok((tx, rows))
        })
        .await
        .unwrap();
    let item = |(alert_id, key, arguments): (_, _, String)| Item { alert_id, key, arguments: serde_json::from_str(&arguments).unwrap() };
    let items: Vec<Item> = rows.into_iter().map(item).collect();
    render(&Letter { called: "王师傅", locale: "zh-CN", drill: false, link: None }, &compose(&items))
}

#[tokio::test]
async fn a_request_in_the_middle_of_the_night_says_nothing_about_the_morning() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        app.clock.advance(at("2026-11-23T16:40:00Z") - app.clock.now());
        let (site, senior, now) = (world.site, world.seniors[0], app.clock.now());
        let actor = Actor { id: world.social_worker, may_silence: false, may_confirm: false };
        done!(app, |tx| case::raise(&mut tx, site, senior, actor, Uuid::now_v7(), None, now)).unwrap();
        assert_eq!(letter(&app, world.primary, "alert").await, "王师傅，有人请您去看看3号楼的1位老人：2单元张奶奶0。请先打电话，再敲门。");
    })
    .await;
}

#[tokio::test]
async fn a_curtain_that_stays_open_in_the_evening_is_not_told_as_a_morning() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (copy, senior, from, now) = (world.clone(), world.seniors[0], crate::register::day("2020-01-01"), app.clock.now());
        app.write(move |mut tx| async move {
            copy.agreement(&mut tx, senior, "evening", "closed", from, now).await;
            plan::plan_site(&mut tx, copy.site, now).await?;
            let sql = "delete from daily_check where slot = 'morning'";
            on!(&mut tx, |conn| sqlx::query(sql).execute(conn).await.map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        app.clock.advance(local("20:15:01") - app.clock.now());
        chenlian::jobs::watch::run_once(&app).await.unwrap();
        let text = letter(&app, world.primary, "alert").await;
        let building = letter(&app, world.building_lead, "alert").await;
        let both = format!("{text}{building}");
        assert!(both.contains("晚") && !both.contains("早"), "{both}");
    })
    .await;
}

/// Words that stay as they are in a Chinese sentence: names of fields, words of the API, forms to copy.
const IDENTIFIERS: [&str; 12] = ["JSON", "UUID", "UTF", "NUL", "true", "false", "T", "m", "s", "id", "Idempotency", "Key"];

/// Names of things.
const PRODUCTS: [&str; 4] = ["https", "zigbee2mqtt", "Zigbee2MQTT", "\\n"];

/// Fields of a device's settings and their words.
const SETTINGS: &[&str] = &[
    "senior_id",
    "component",
    "settings",
    "actions",
    "long",
    "sos",
    "ok",
    "cover",
    "x",
    "on",
    "open",
    "closed",
    "json",
    "attribute",
    "output",
    "Asia",
    "Shanghai",
    "contact",
    "window",
    "position",
    "illuminance",
    "motion",
    "vibration",
    "tilt",
    "rotation",
    "battery",
    "open_position",
    "max",
    "device_class",
    "parts",
    "group",
    "sleeps",
    "encrypted",
    "zone",
    "tilt",
    "type",
    "id",
];

fn foreign_words(sentence: &str, allowed: &[&str]) -> Vec<String> {
    let words = sentence.split(|letter: char| !letter.is_ascii_alphabetic() && letter != '_').filter(|word| !word.is_empty());
    words
        .filter(|word| word.bytes().any(|letter| letter.is_ascii_alphabetic()) && !IDENTIFIERS.contains(word) && !allowed.contains(word))
        .map(str::to_owned)
        .collect()
}

async fn problem(client: &Client, locale: &str, body: &[u8]) -> Value {
    let request = client.request(Method::POST, "/api/v1/sessions").header("content-type", "application/json");
    let mut request = request.body(body.to_vec()).build().unwrap();
    request.headers_mut().insert("accept-language", locale.parse().unwrap());
    let response = crate::http::plain_client().execute(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_a_field_is_said_in_one_language_and_what_was_sent_is_not_repeated() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let cases: [(&str, &[u8], &[&str]); 9] = [
            ("missing", br#"{"phone":"13800000000"}"#, &[]),
            (
                "unknown",
                br#"{"phone":"138000","password":"12345678","geheim":1}"#,
                &["phone", "password", "code", "kind", "site_id", "label"],
            ),
            ("type", br#"{"phone":"138000","password":["geheim"]}"#, &[]),
            ("length", format!(r#"{{"phone":"138000","password":"{}"}}"#, "a".repeat(129)).leak().as_bytes(), &[]),
            ("uuid", br#"{"phone":"138000","password":"12345678","site_id":"geheim"}"#, &[]),
            ("word", br#"{"phone":"138000","password":"12345678","kind":"geheim"}"#, &["cookie", "bearer"]),
            ("phone", br#"{"phone":"geheim","password":"12345678"}"#, &[]),
            ("syntax", br#"{"phone":geheim"#, &[]),
            ("twice", br#"{"phone":"138000","phone":"139000"}"#, &[]),
        ];
        for (what, body, allowed) in cases {
            for locale in ["zh-CN", "en"] {
                let problem = problem(&stranger, locale, body).await;
                let error = &problem["errors"][0];
                let sentence = error["detail"].as_str().unwrap();
                let whole = error.to_string();
                let quoted = error["field"].as_str().is_some_and(|field| field == "geheim");
                assert!(quoted || !whole.contains("geheim"), "{what}: {whole}");
                assert!(error["expected"].as_str().is_some_and(str::is_ascii), "{what}: {whole}");
                let chinese = sentence.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
                assert_eq!(chinese, locale == "zh-CN", "{what}: {sentence}");
                if locale == "zh-CN" {
                    assert_eq!(foreign_words(sentence, allowed), Vec::<String>::new(), "{what}: {sentence}");
                }
            }
        }
    })
    .await;
}

/// Every sentence of the files in Chinese: what stands in Latin letters is something to type or to copy.
#[test]
fn chinese_sentences_hold_no_foreign_words() {
    let own = [
        ("http", vec!["Content", "Type", "application", "json", "If", "Match"]),
        ("register", vec![]),
        ("visit", vec![]),
        ("notice", vec![]),
        ("problem", [vec!["place"], SETTINGS.to_vec()].concat()),
        // How every signing key begins; an address to copy the shape of; services by their names.
        ("channel", vec!["whsec_", "wang", "example", "org", "ntfy", "Gotify", "Bark", "Server", "PushPlus", "Apprise"]),
    ];
    for (area, allowed) in own {
        let path = format!("{}/locales/{area}.zh-CN.yml", env!("CARGO_MANIFEST_DIR"));
        for line in std::fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('#')) {
            let (_, text) = line.split_once(": ").unwrap();
            let plain: String = text
                .split("%{")
                .enumerate()
                .map(|(at, part)| if at == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) })
                .collect();
            let plain = PRODUCTS.iter().fold(plain, |plain, name| plain.replace(name, ""));
            let foreign = foreign_words(&plain, &allowed);
            assert_eq!(foreign, Vec::<String>::new(), "{line}");
        }
    }
}

#[tokio::test]
async fn a_wrong_length_of_time_is_explained_and_a_missing_place_is_asked_for() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let admin = server.client(&app, world.site, world.administrator).await;
        let path = format!("/api/v1/sites/{}", world.site);
        let wrong = json!({"settings": {"check": {"grace": "20 Minuten"}}});
        let (status, problem) = read(admin.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&wrong)).await;
        assert_eq!((status, problem["key"].as_str()), (StatusCode::BAD_REQUEST, Some("http.field_span")), "{problem}");
        assert!(!problem.to_string().contains("Minuten"), "{problem}");
        let worker = server.client(&app, world.site, world.social_worker).await;
        assert_eq!(worker.get("/api/v1/reachability").await.1["key"], "problem.place_needed");
        let path = format!("/api/v1/reachability?place={}", world.compound);
        assert_eq!(worker.get(&path).await.0, StatusCode::OK);
    })
    .await;
}
