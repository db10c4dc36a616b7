//! From an open alert to a person, over texts, calls and reports of their providers.

use chenlian::app::App;
use chenlian::config::{Config, Secret};
use chenlian::domain::rules::Span;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::deliver;
use chenlian::on;
use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::fake::{Answer, Fake, Play};
use crate::harness::{World, declare_channels, local, on_each_engine};
use crate::http::{Client, Server};
use crate::morning::{alerts, look};
use crate::outbox::{cutoff, forget, instance, later, number, shut_morning, silence, texts};

pub(super) const CALLBACK_KEY: &str = "3f1c7a0e9d5b4826";
const PUBLIC_URL: &str = "https://cl.example.org";

/// Accepts everything, with a number of its own.
pub(super) async fn provider(plays: &[Play], number: &'static str) -> Fake {
    let field = if number == "b" { "BizId" } else { "CallId" };
    let mut count = 0;
    Fake::start(plays, move |request, accepted| {
        count += 1;
        accepted.push(request.query.clone());
        let id = format!("{number}{count}");
        Answer::json(200, &json!({ "Code": "OK", (field): id, "RequestId": "r" }))
    })
    .await
}

pub(super) fn templates(config: &mut Config, sms: &str, voice: &str) {
    let channels = &mut config.channels;
    channels.callback_key = Secret::new(CALLBACK_KEY);
    PUBLIC_URL.clone_into(&mut config.http.public_url);
    for templates in [&mut channels.aliyun_sms.templates, &mut channels.aliyun_voice.templates] {
        for (kind, number) in [
            (&mut templates.help, "T_HELP"),
            (&mut templates.alert, "T_ALERT"),
            (&mut templates.stand_down, "T_DOWN"),
            (&mut templates.notice, "T_NOTICE"),
            (&mut templates.drill, "T_DRILL"),
            (&mut templates.code, "T_CODE"),
        ] {
            number.clone_into(kind);
        }
    }
    sms.clone_into(&mut channels.aliyun_sms.base_url);
    voice.clone_into(&mut channels.aliyun_voice.base_url);
    "平安社区".clone_into(&mut channels.aliyun_sms.sign_name);
    for (id, secret) in [
        (&mut channels.aliyun_sms.access_key_id, &mut channels.aliyun_sms.access_key_secret),
        (&mut channels.aliyun_voice.access_key_id, &mut channels.aliyun_voice.access_key_secret),
    ] {
        "ak".clone_into(id);
        *secret = Secret::new("sk");
    }
}

/// The same server with these providers.
pub(super) async fn with(app: &App, sms: &Fake, voice: &Fake) -> App {
    let app = instance(app, |config| {
        templates(config, &sms.url, &voice.url);
        config.outbox.attempt_timeout = Span::seconds(2);
    });
    declare_channels(&app).await;
    app
}

/// A verified way of a member at a place of her list.
pub(super) async fn way(app: &App, world: &World, member: Uuid, position: i64, channel: &'static str, address: &'static str) {
    let (site, now) = (world.site, app.clock.now());
    app.write(move |mut tx| async move {
        let sql = "insert into member_channel (site_id, id, member_id, position, channel, address, verified_at, version, created_at)
            values ($1, $2, $3, $4, $5, $6, $7, 1, $7)";
        on!(&mut tx, |conn| sqlx::query(sql)
            .bind(site)
            .bind(Uuid::now_v7())
            .bind(member)
            .bind(position)
            .bind(channel)
            .bind(address)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the channel is stored");
}

/// The primary has a text message and a call, and nothing else.
pub(super) async fn by_telephone(app: &App, world: &World) {
    silence(app, world.primary).await;
    way(app, world, world.primary, 2, "aliyun_sms", "13900000001").await;
    way(app, world, world.primary, 3, "aliyun_voice", "13900000001").await;
}

pub(super) async fn deliver(app: &App) {
    deliver::run_once(app).await.expect("the outbox passes");
}

/// What a provider pushes.
pub(super) async fn pushed(server: &Server, channel: &str, key: &str, body: serde_json::Value) -> StatusCode {
    let answer = server.stranger().request(reqwest::Method::POST, &format!("/callbacks/{channel}/{key}")).json(&body).send().await;
    answer.expect("the server answers").status()
}

/// I11: a text that nobody answers rings after three minutes; one who goes meanwhile is not rung.
#[tokio::test]
async fn after_three_minutes_without_a_claim_the_telephone_rings() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 2).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        deliver(&app).await;
        let first = sms.requests().remove(0);
        assert_eq!(sms.requests().len(), 1, "both seniors are one text");
        let said: serde_json::Value = serde_json::from_str(&first.parameter("TemplateParam")).expect("JSON");
        assert_eq!((said["called"].as_str(), said["count"].as_str()), (Some("王师傅"), Some("2")), "counts, and no name of a senior");
        later(&app, 170);
        deliver(&app).await;
        assert_eq!(voice.requests().len(), 0);
        later(&app, 15);
        deliver(&app).await;
        assert_eq!(voice.requests().len(), 1, "one call for both");
        let spoken = voice.requests().remove(0);
        assert!(!spoken.parameter("TtsParam").contains("http") && !spoken.parameter("TtsParam").contains("link"));
        later(&app, 600);
        deliver(&app).await;
        assert_eq!((sms.requests().len(), voice.requests().len()), (1, 1), "once each");
    })
    .await;
}

/// The link in the message claims: opening it shows, only the act claims, and it ends with its alerts.
#[tokio::test]
async fn whoever_opens_the_link_sees_and_whoever_presses_goes() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 1).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        deliver(&app).await;
        let said: serde_json::Value = serde_json::from_str(&sms.requests()[0].parameter("TemplateParam")).expect("JSON");
        let path = format!("/{}", said["link"].as_str().expect("a link"));
        let key = path.strip_prefix("/c/").expect("a claim link").to_owned();
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let page = stranger.request(reqwest::Method::GET, &path).send().await.expect("a page").text().await.expect("text");
        assert!(page.contains("张奶奶") && page.contains("我去看看") && !page.contains("13800"), "{page}");
        assert_eq!(alerts(&app).await[0].0, "open", "looking claims nothing");
        let alert = alert_id(&app).await;
        let claim = |key: &str| json!({ "key": key, "alert_id": alert });
        assert_eq!(stranger.post("/api/v1/claims", claim("AAAAAAAAAAAAAAAAAAAAAA")).await.0, StatusCode::NOT_FOUND);
        let (status, answer) = stranger.post("/api/v1/claims", claim(&key)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(alerts(&app).await[0].0, "claimed");
        assert_eq!(stranger.post("/api/v1/claims", claim(&key)).await.0, StatusCode::OK, "a second tap of the same person");
        later(&app, 200);
        deliver(&app).await;
        assert_eq!(voice.requests().len(), 0, "who goes is not rung");
        look(&app, &world, 0, SignalKind::SeenInPerson, local("09:47:00")).await;
        assert_eq!(stranger.post("/api/v1/claims", claim(&key)).await.0, StatusCode::NOT_FOUND, "it ends with its alert");
        let gone = stranger.request(reqwest::Method::GET, &path).send().await.expect("a page");
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
        assert_eq!(number(&app, "select count(*) from audit where act = 'claim_by_link'").await, 2);
    })
    .await;
}

pub(super) async fn alert_id(app: &App) -> Uuid {
    app.read(|mut tx| async move {
        let id = on!(&mut tx, |conn| sqlx::query_scalar("select id from alert limit 1").fetch_one(conn).await)?;
        Ok((tx, id))
    })
    .await
    .expect("an alert")
}

/// Accepted is not received: a text that did not arrive rings at once, a telephone that nobody takes rings three times, then the next
/// person is asked (I11, I16). A report counts once, however often it comes, and needs the key.
#[tokio::test]
async fn reports_of_the_providers_move_a_message_on() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 1).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        deliver(&app).await;
        let server = Server::start(&app).await;
        let failed = json!([{ "phone_number": "13900000001", "success": false, "err_code": "MOBILE_NOT_ON_SERVICE", "biz_id": "b1" }]);
        assert_eq!(pushed(&server, "aliyun_sms", "guess", failed.clone()).await, StatusCode::NOT_FOUND);
        deliver(&app).await;
        assert_eq!(voice.requests().len(), 0);
        for _ in 0..3 {
            assert_eq!(pushed(&server, "aliyun_sms", CALLBACK_KEY, failed.clone()).await, StatusCode::OK);
        }
        deliver(&app).await;
        assert_eq!((sms.requests().len(), voice.requests().len()), (1, 1), "the next channel at once, and once");
        for call in 1..=3 {
            assert_eq!(voice.requests().len(), call, "call {call}");
            let untaken = json!([{ "call_id": format!("v{call}"), "status_code": "200003", "duration": 0 }]);
            assert_eq!(alerts(&app).await[0].2, 0, "the ladder waits while it rings");
            assert_eq!(pushed(&server, "aliyun_voice", CALLBACK_KEY, untaken).await, StatusCode::OK);
            deliver(&app).await;
            later(&app, 66);
            deliver(&app).await;
        }
        assert_eq!(voice.requests().len(), 3, "three times and no more");
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await, 1, "the next person is asked");
        later(&app, 600);
        deliver(&app).await;
        assert_eq!((sms.requests().len(), voice.requests().len()), (1, 3));
    })
    .await;
}

/// A report that overtakes the provider's answer waits for it.
#[tokio::test]
async fn a_report_that_comes_before_the_answer_is_not_lost() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 1).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        let server = Server::start(&app).await;
        let early = json!([{ "success": false, "err_code": "X", "biz_id": "b1" }]);
        assert_eq!(pushed(&server, "aliyun_sms", CALLBACK_KEY, early).await, StatusCode::OK);
        deliver(&app).await;
        deliver(&app).await;
        assert_eq!(voice.requests().len(), 1, "it is applied as soon as the answer names the number");
    })
    .await;
}

/// A refused account: one question, the next channel for everybody, operators told by another way, red, and no hot loop.
#[tokio::test]
async fn a_refused_account_stops_loudly_and_a_test_that_passes_starts_it_again() {
    on_each_engine(|app| async move {
        let refusal = Play::Answer(Answer::json(404, &json!({ "Code": "InvalidAccessKeyId.NotFound", "Message": "x", "RequestId": "r" })));
        let (sms, voice) = (provider(&[refusal], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 1).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        deliver(&app).await;
        assert_eq!((sms.requests().len(), voice.requests().len()), (1, 1), "the call follows at once");
        assert_eq!(number(&app, "select count(*) from notice where key = 'notice.account_refused'").await, 1, "the operator is told");
        assert_eq!(texts(&app, "select fault_why from channel_account where fault_at is not null").await.len(), 1);
        forget(&app).await;
        for _ in 0..5 {
            later(&app, 60);
            deliver(&app).await;
        }
        assert_eq!(sms.requests().len(), 1, "nobody asks a provider that refuses");
        let server = Server::start(&app).await;
        let operator = server.client(&app, world.site, world.administrator).await;
        let (_, system) = operator.get("/api/v1/system").await;
        let state = system["channels"].as_array().into_iter().flatten().find(|state| state["channel"] == "aliyun_sms").cloned();
        assert!(state.is_some_and(|state| !state["refused_at"].is_null()), "{system}");
        let (status, answer) = operator.post("/api/v1/system/channel-tests", json!({ "channel": "aliyun_sms", "to": "13900000009" })).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(texts(&app, "select fault_why from channel_account where fault_at is not null").await, Vec::<String>::new());
        let (status, answer) =
            operator.post("/api/v1/system/channel-tests", json!({ "channel": "tencent_sms", "to": "13900000009" })).await;
        assert_eq!(status, StatusCode::CONFLICT, "not set up here: {answer}");
    })
    .await;
}

/// A number is rung once a minute at most: what exceeds waits its turn and is joined, nothing is dropped.
#[tokio::test]
async fn a_telephone_is_not_rung_twice_within_a_minute() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = World::seed(&app, 0).await;
        silence(&app, world.primary).await;
        way(&app, &world, world.primary, 2, "aliyun_voice", "13900000001").await;
        for _ in 0..3 {
            crate::outbox::tell(&app, world.site, &[world.primary], 1).await;
            deliver(&app).await;
            later(&app, 6);
        }
        assert_eq!(voice.requests().len(), 1);
        assert_eq!(number(&app, "select count(*) from message where last_error = 'waits its turn'").await, 2);
        later(&app, 60);
        deliver(&app).await;
        later(&app, 61);
        deliver(&app).await;
        assert_eq!(voice.requests().len(), 3, "nothing is dropped");
        assert_eq!(texts(&app, "select distinct state from notice").await, ["delivered"]);
    })
    .await;
}

/// The primary enters a way by text to her own number; its path.
async fn her_own_number(app: &App, world: &World, server: &Server) -> (Client, String) {
    let member = server.client(app, world.site, world.primary).await;
    let base = format!("/api/v1/members/{}/channels", world.primary);
    let (status, made) = member.post(&base, json!({ "id": Uuid::now_v7(), "position": 5, "channel": "aliyun_sms" })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(made["address"].as_str().is_some_and(|phone| phone.len() == 11), "her own number: {made}");
    let path = format!("{base}/{}", made["id"].as_str().expect("an id"));
    (member, path)
}

/// The code that the text says, and another one.
async fn code_sent(app: &App, member: &Client, path: &str, sms: &Fake) -> (String, &'static str) {
    assert_eq!(member.post(&format!("{path}/code"), json!({ "id": Uuid::now_v7() })).await.0, StatusCode::CREATED);
    deliver(app).await;
    let request = sms.requests().remove(0);
    assert_eq!(request.parameter("TemplateCode"), "T_CODE");
    let said: serde_json::Value = serde_json::from_str(&request.parameter("TemplateParam")).expect("JSON");
    let code = said["code"].as_str().expect("a code").to_owned();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    (code, wrong)
}

/// Whoever types the code that was sent there reads what is sent there.
#[tokio::test]
async fn a_code_verifies_an_address_by_its_own_reader() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let (member, path) = her_own_number(&app, &world, &server).await;
        let (code, wrong) = code_sent(&app, &member, &path, &sms).await;
        let fresh = || json!({ "id": Uuid::now_v7() });
        assert_eq!(member.post(&format!("{path}/code"), fresh()).await.0, StatusCode::CONFLICT, "each may cost money");
        assert_eq!(member.post(&format!("{path}/verify"), json!({ "code": wrong })).await.0, StatusCode::BAD_REQUEST);
        let (status, verified) = member.post(&format!("{path}/verify"), json!({ "code": code })).await;
        assert!(status == StatusCode::OK && !verified["verified_at"].is_null(), "{verified}");
        app.clock.advance(TimeDelta::minutes(2));
        assert_eq!(member.post(&format!("{path}/code"), fresh()).await.0, StatusCode::CONFLICT, "it is verified");
    })
    .await;
}

#[tokio::test]
async fn five_wrong_codes_use_a_code_up() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let (member, path) = her_own_number(&app, &world, &server).await;
        let (code, wrong) = code_sent(&app, &member, &path, &sms).await;
        for _ in 0..5 {
            assert_eq!(member.post(&format!("{path}/verify"), json!({ "code": wrong })).await.0, StatusCode::BAD_REQUEST);
        }
        let (status, answer) = member.post(&format!("{path}/verify"), json!({ "code": code })).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "the right one comes too late: {answer}");
    })
    .await;
}
