//! Pop-ups: how a browser is switched on and off, and what it is shown beside the ways that reach its person.

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::escalate;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::{Answer, Fake};
use super::story::deliver;
use super::web_push::{opened, settings, subscription};
use crate::harness::{World, declare_channels, local, on_each_engine};
use crate::http::{Client, Server};
use crate::morning::{alerts, look};
use crate::outbox::{cutoff, instance, number, shut_morning, silence, texts};

const SUBSCRIPTIONS: &str = "/api/v1/web-push/subscriptions";

/// A push service that refuses the key for addresses with `old` in them, and has ended those with `over`.
async fn service() -> Fake {
    Fake::start(&[], |request, accepted| {
        if request.path.contains("old") {
            return Answer::text(403, "");
        }
        if request.path.contains("over") {
            return Answer::text(410, "");
        }
        accepted.push(request.path.clone());
        Answer::text(201, "")
    })
    .await
}

async fn with_key(app: &App) -> App {
    let app = instance(app, settings);
    declare_channels(&app).await;
    app
}

/// As a browser writes it.
fn given(endpoint: &str) -> Value {
    let mut body: Value = serde_json::from_slice(&subscription(endpoint)).expect("JSON");
    body["id"] = json!(Uuid::now_v7());
    body
}

async fn switch_on(client: &Client, endpoint: &str) -> Value {
    let (status, channel) = client.post(SUBSCRIPTIONS, given(endpoint)).await;
    assert_eq!(status, StatusCode::CREATED, "{channel}");
    channel
}

async fn channels(client: &Client, member: Uuid) -> Vec<String> {
    let (_, list) = client.get(&format!("/api/v1/members/{member}/channels")).await;
    list["items"].as_array().into_iter().flatten().filter_map(|one| Some(one["channel"].as_str()?.to_owned())).collect()
}

async fn page(client: &Client) -> String {
    let answer = client.request(Method::GET, "/me/channels").header("accept", "text/html").send().await.expect("a page");
    answer.text().await.expect("text")
}

#[tokio::test]
async fn a_browser_is_one_channel_however_often_and_by_whomever_it_is_switched_on() {
    on_each_engine(|app| async move {
        let (fake, app) = (service().await, with_key(&app).await);
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let (primary, backup) = (server.client(&app, world.site, world.primary).await, server.client(&app, world.site, world.backup).await);
        let endpoint = |name: &str| format!("{}/push/{name}", fake.url);

        let first = switch_on(&primary, &endpoint("a")).await;
        assert!(!first["verified_at"].is_null(), "whoever is signed in there reads there: {first}");
        assert!(first.get("secret").is_none() && !first.to_string().contains("/push/a"), "a subscription never comes out: {first}");
        deliver(&app).await;
        assert_eq!(fake.accepted(), ["/push/a"], "she sees one at once");
        assert!(page(&primary).await.contains("data-known=\"") && !page(&primary).await.contains("/push/a"));

        let again = switch_on(&primary, &endpoint("a")).await;
        assert_eq!(again["id"], first["id"], "the same browser");
        deliver(&app).await;
        let renewed = Value::Object(
            given(&endpoint("b"))
                .as_object()
                .cloned()
                .into_iter()
                .flatten()
                .chain([("replaces".to_owned(), json!(endpoint("a")))])
                .collect(),
        );
        let (status, changed) = primary.post(SUBSCRIPTIONS, renewed.clone()).await;
        assert_eq!((status, &changed["id"]), (StatusCode::CREATED, &first["id"]), "it changed its subscription by itself: {changed}");
        let mut of_nobody = renewed;
        of_nobody["id"] = json!(Uuid::now_v7());
        of_nobody["replaces"] = json!(endpoint("unknown"));
        assert_eq!(backup.post(SUBSCRIPTIONS, of_nobody).await.0, StatusCode::NOT_FOUND, "somebody else is signed in by now");
        deliver(&app).await;
        assert_eq!(fake.accepted(), ["/push/a"; 2], "a renewal shows nothing");

        let taken = switch_on(&backup, &endpoint("b")).await;
        assert_ne!(taken["id"], first["id"]);
        assert_eq!(
            (channels(&primary, world.primary).await, channels(&backup, world.backup).await),
            (vec!["log".to_owned()], vec!["log".to_owned(), "web_push".to_owned()])
        );
        for _ in 0..2 {
            let (status, _) = backup.post("/api/v1/web-push/unsubscribe", json!({ "endpoint": endpoint("b") })).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "also when it is off already");
        }
        assert_eq!(channels(&backup, world.backup).await, ["log"]);
        assert_eq!(number(&app, "select count(*) from member_channel where secret_sealed is not null").await, 0, "nothing of it is kept");
        for name in ["c", "d"] {
            switch_on(&backup, &endpoint(name)).await;
            backup.post("/api/v1/web-push/unsubscribe", json!({ "endpoint": endpoint(name) })).await;
        }
        assert_eq!(number(&app, "select count(*) from member_channel where channel = 'web_push'").await, 2, "rows are used again");

        switch_on(&primary, &endpoint("e")).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        assert_eq!(administrator.delete(&format!("/api/v1/members/{}/sessions", world.primary)).await.0, StatusCode::NO_CONTENT);
        assert_eq!(number(&app, "select count(*) from member_channel where secret_sealed is not null").await, 0, "her computer is lost");
        let acts = texts(&app, "select distinct act from audit where object_kind = 'member_channel' order by act").await;
        assert_eq!(acts, ["subscribe", "test", "unsubscribe"]);
    })
    .await;
}

#[tokio::test]
async fn a_subscription_is_refused_with_the_field_that_is_wrong() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        assert_eq!(client.get("/api/v1/web-push").await.1, json!({ "public_key": null }));
        assert_eq!(client.post(SUBSCRIPTIONS, given("https://push.example.org/1")).await.0, StatusCode::CONFLICT, "no key, no pop-ups");
        assert!(!page(&client).await.contains("id=\"push\""), "and no button");

        let strict = instance(&app, |config| {
            settings(config);
            config.outbox.allow_private_targets = false;
        });
        let server = Server::start(&strict).await;
        let client = server.client(&strict, world.site, world.primary).await;
        assert!(page(&client).await.contains("id=\"push\""));
        let (_, key) = client.get("/api/v1/web-push").await;
        assert!(key["public_key"].as_str().is_some_and(|key| key.len() == 87), "65 bytes: {key}");
        let with = |pointer: &str, value: Value| {
            let mut body = given("https://93.184.216.34/push/1");
            *body.pointer_mut(pointer).expect("a field") = value;
            body
        };
        let odd = |field: &str| {
            let mut body = given("https://93.184.216.34/push/1");
            body[field] = json!("x");
            body
        };
        for (body, field) in [
            (with("/endpoint", json!("http://93.184.216.34/push/1")), "endpoint"),
            (with("/endpoint", json!("https://127.0.0.1/push/1")), "endpoint"),
            (with("/endpoint", json!("https://192.168.1.1/push/1")), "endpoint"),
            (with("/endpoint", json!("https://[fd00::1]/push/1")), "endpoint"),
            (with("/endpoint", json!("https://no-such-host.invalid/")), "endpoint"),
            (with("/endpoint", json!("push")), "endpoint"),
            (with("/keys/auth", json!("BTBZMqHH6r4Tts7J_aSI")), "keys.auth"),
            (with("/keys/p256dh", json!("BTBZMqHH6r4Tts7J_aSIgg")), "keys.p256dh"),
            (odd("topic"), "topic"),
        ] {
            let (status, problem) = client.post(SUBSCRIPTIONS, body).await;
            assert_eq!((status, problem["errors"][0]["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)), "{problem}");
        }
        let path = format!("/api/v1/members/{}/channels", world.primary);
        let pasted = json!({ "id": Uuid::now_v7(), "channel": "web_push", "secret": String::from_utf8(subscription("https://127.0.0.1/")).expect("text") });
        let (status, problem) = client.post(&path, pasted).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (StatusCode::BAD_REQUEST, Some("secret")), "only a browser gives it: {problem}");
        assert_eq!(number(&strict, "select count(*) from member_channel where channel = 'web_push'").await, 0);
    })
    .await;
}

/// A pop-up is an extra: what tells her goes out all the same, and by pop-ups alone nobody is told (I11, I16).
#[tokio::test]
async fn what_is_told_by_another_way_is_shown_as_well_and_a_pop_up_alone_tells_nobody() {
    on_each_engine(|app| async move {
        let (fake, app) = (service().await, with_key(&app).await);
        let world = shut_morning(&app, 2).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        switch_on(&primary, &format!("{}/push/desk", fake.url)).await;
        switch_on(&primary, &format!("{}/push/office", fake.url)).await;
        deliver(&app).await;
        let tests = fake.requests().len();
        cutoff(&app).await;
        deliver(&app).await;
        assert_eq!(fake.accepted()[tests..].len(), 2, "one for each browser");
        let note = opened(&fake.requests()[tests].body).expect("the browser opens it");
        assert_eq!((note["level"].as_str(), note["alerts"].as_array().map(Vec::len)), (Some("alert"), Some(2)), "{note}");
        assert_eq!(texts(&app, "select distinct state from notice where class = 'alert'").await, ["delivered"], "by the other way");
        assert_eq!(
            number(&app, "select count(*) from notice n join message m on m.id = n.message_id where m.channel = 'web_push'").await,
            0
        );
        look(&app, &world, 0, SignalKind::SeenInPerson, local("09:46:00")).await;
        deliver(&app).await;
        let note = opened(&fake.requests().last().expect("more").body).expect("the browser opens it");
        assert_eq!((note["is_over"].as_bool(), note["alerts"].as_array().map(Vec::len)), (Some(true), Some(1)), "{note}");
        assert!(alerts(&app).await.iter().all(|alert| alert.2 == 0), "nobody else was asked");
    })
    .await;
    on_each_engine(|app| async move {
        let (fake, app) = (service().await, with_key(&app).await);
        let world = shut_morning(&app, 1).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        silence(&app, world.primary).await;
        switch_on(&primary, &format!("{}/push/desk", fake.url)).await;
        cutoff(&app).await;
        deliver(&app).await;
        escalate::run_once(&app).await.expect("the ladder passes");
        assert_eq!(
            number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await,
            1,
            "the next person is asked at once"
        );
        assert!(alerts(&app).await[0].2 > 0, "{:?}", alerts(&app).await);
    })
    .await;
}

/// What ends one browser's subscription ends no other's, and the operators hear of a key that nobody takes.
#[tokio::test]
async fn a_key_that_one_browser_refuses_ends_that_browser_and_one_that_all_refuse_stops_the_channel() {
    on_each_engine(|app| async move {
        let (fake, app) = (service().await, with_key(&app).await);
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        let at = |name: &str| format!("{}/push/{name}", fake.url);
        let fault = "select channel from channel_account where fault_at is not null";
        let off =
            "select disabled_why from member_channel where disabled_at is not null and secret_sealed is not null order by disabled_why";
        switch_on(&client, &at("old-1")).await;
        deliver(&app).await;
        assert_eq!((texts(&app, fault).await, texts(&app, off).await.len()), (vec!["web_push".to_owned()], 0), "nobody can tell yet");
        assert_eq!(number(&app, "select count(*) from notice where key = 'notice.account_refused'").await, 1);
        switch_on(&client, &at("new")).await;
        deliver(&app).await;
        assert_eq!(texts(&app, fault).await, Vec::<String>::new(), "the key is right");
        switch_on(&client, &at("old-1")).await;
        switch_on(&client, &at("over")).await;
        deliver(&app).await;
        assert_eq!(
            (texts(&app, fault).await, texts(&app, off).await),
            (Vec::new(), vec!["status 403".to_owned(), "status 410".to_owned()])
        );
        assert_eq!(number(&app, "select count(*) from message where channel = 'web_push' and state = 'sent'").await, 1);
    })
    .await;
}
