//! Groups are told counts by building, as a state: many alerts at once are one post, a lost post is made good by the next.

use chenlian::app::App;
use chenlian::domain::rules::Span;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::group_post;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::fake::{Answer, Break, Fake, Play};
use crate::harness::{World, local, on_each_engine};
use crate::http::Server;
use crate::morning::look;
use crate::outbox::{cutoff, instance, later, number, shut_morning, texts};

/// As strict as the platform: the key, the content type, the shape; and no more than twenty a minute.
async fn robot(plays: &[Play]) -> Fake {
    Fake::start(plays, |request, accepted| {
        let body = request.json();
        let text = body["text"]["content"].as_str().unwrap_or_default().to_owned();
        let fits = request.method == "POST"
            && request.path == "/cgi-bin/webhook/send"
            && request.header("content-type") == "application/json"
            && body["msgtype"] == "text"
            && !text.is_empty()
            && text.len() <= 2_048;
        if request.query != "key=693a91f6-7aoc" {
            return Answer::json(200, &json!({ "errcode": 93000, "errmsg": "invalid webhook url" }));
        }
        if !fits || accepted.len() >= 20 {
            return Answer::json(200, &json!({ "errcode": if fits { 45009 } else { 40035 }, "errmsg": "x" }));
        }
        accepted.push(text);
        Answer::json(200, &json!({ "errcode": 0, "errmsg": "ok" }))
    })
    .await
}

fn with(app: &App, robot: &Fake) -> App {
    instance(app, |config| {
        config.channels.wecom_bot.base_url.clone_from(&robot.url);
        config.outbox.attempt_timeout = Span::seconds(1);
    })
}

/// A group of the building, made by the API, as an administrator pastes it.
async fn group(app: &App, world: &World, server: &Server, key: &str) -> Uuid {
    let administrator = server.client(app, world.site, world.administrator).await;
    let id = Uuid::now_v7();
    let new = json!({ "id": id, "place_id": world.building, "name": "3号楼群", "channel": "wecom_bot",
        "key": format!("https://bot.example/cgi-bin/webhook/send?key={key}") });
    let (status, made) = administrator.post("/api/v1/groups", new).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(!made.to_string().contains(key), "a key never comes out: {made}");
    id
}

async fn pass(app: &App) {
    group_post::run_once(app).await.expect("the groups are looked at");
}

/// I15, and "30 alerts to one group in a second: no throttle hit".
#[tokio::test]
async fn thirty_alerts_of_one_moment_are_one_post_of_counts_and_no_name() {
    on_each_engine(|app| async move {
        let fake = robot(&[]).await;
        let app = with(&app, &fake);
        let world = shut_morning(&app, 30).await;
        let server = Server::start(&app).await;
        group(&app, &world, &server, "693a91f6-7aoc").await;
        pass(&app).await;
        assert_eq!(fake.accepted(), Vec::<String>::new(), "nobody waits yet, which is no news");
        cutoff(&app).await;
        for _ in 0..12 {
            pass(&app).await;
            later(&app, 1);
        }
        let posts = fake.accepted();
        assert_eq!(posts.len(), 1, "{posts:?}");
        assert!(posts[0].contains("30户待上门") && !posts[0].contains("奶奶") && !posts[0].contains("爷爷"), "{posts:?}");
        assert_eq!(
            number(&app, "select count(*) from notice where class = 'alert' and state = 'delivered'").await,
            0,
            "nobody counts as told"
        );
        look(&app, &world, 0, SignalKind::SeenInPerson, local("09:46:00")).await;
        for _ in 0..70 {
            pass(&app).await;
            later(&app, 1);
        }
        assert_eq!(fake.accepted().len(), 2, "the next change waits for its minute");
        assert!(fake.accepted()[1].contains("29户待上门"), "{:?}", fake.accepted());
        assert_eq!(fake.requests().len(), 2, "no throttle was hit");
    })
    .await;
}

#[tokio::test]
async fn a_post_whose_answer_is_lost_says_that_it_may_be_the_second() {
    on_each_engine(|app| async move {
        let fake = robot(&[Play::Before(Break::Status(503)), Play::After(Break::Reset)]).await;
        let app = with(&app, &fake);
        let world = shut_morning(&app, 1).await;
        let server = Server::start(&app).await;
        group(&app, &world, &server, "693a91f6-7aoc").await;
        cutoff(&app).await;
        for _ in 0..60 {
            pass(&app).await;
            later(&app, 2);
        }
        let posts = fake.accepted();
        assert_eq!(posts.len(), 2, "{posts:?}");
        assert!(!posts[0].contains("补发") && posts[1].starts_with("（补发）"), "{posts:?}");
        assert_eq!(texts(&app, "select posted from group_chat").await.len(), 1);
        assert_eq!(number(&app, "select count(*) from group_chat where last_error is null and attempts = 0").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_robot_that_was_removed_is_switched_off_once_and_the_operators_hear_of_it() {
    on_each_engine(|app| async move {
        let fake = robot(&[]).await;
        let app = with(&app, &fake);
        let world = shut_morning(&app, 1).await;
        let server = Server::start(&app).await;
        let id = group(&app, &world, &server, "wrong-key").await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let (status, said) = administrator.post(&format!("/api/v1/groups/{id}/test"), json!({})).await;
        assert!(status == StatusCode::CONFLICT && said.to_string().contains("93000"), "the platform's answer comes back: {said}");
        cutoff(&app).await;
        for _ in 0..30 {
            pass(&app).await;
            later(&app, 10);
        }
        assert_eq!(fake.requests().len(), 2, "the test and one post, no loop");
        let why = texts(&app, "select disabled_why from group_chat").await;
        assert!(why[0].starts_with("errcode 93000"), "{why:?}");
        assert_eq!(number(&app, "select count(*) from notice where key = 'notice.group_refused'").await, 1);
        let page = administrator.request(reqwest::Method::GET, "/admin/groups").send().await.expect("a page").text().await.expect("text");
        assert!(page.contains("errcode 93000"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_robot_that_hangs_is_asked_again_and_delays_nobody() {
    on_each_engine(|app| async move {
        let fake = robot(&[Play::Before(Break::Hang)]).await;
        let app = with(&app, &fake);
        let world = shut_morning(&app, 1).await;
        let server = Server::start(&app).await;
        group(&app, &world, &server, "693a91f6-7aoc").await;
        group(&app, &world, &server, "693a91f6-7aoc").await;
        cutoff(&app).await;
        pass(&app).await;
        later(&app, 11);
        pass(&app).await;
        assert_eq!(fake.accepted().len(), 1, "the other group was told meanwhile");
        later(&app, 60);
        pass(&app).await;
        assert_eq!(fake.accepted().len(), 2);
    })
    .await;
}
