//! Groups are told counts by building, as a state: many alerts at once are one post, a lost post is made good by the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chenlian::app::App;
use chenlian::domain::message::channel::GroupChannel;
use chenlian::domain::rules::Span;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{self, deliver, group_post};
use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bots;
use super::fake::{Answer, Break, Fake, Play};
use super::providers::until;
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
    group_of(app, world, server, json!({ "channel": "wecom_bot", "key": format!("https://bot.example/cgi-bin/webhook/send?key={key}") }))
        .await
}

async fn group_of(app: &App, world: &World, server: &Server, mut new: Value) -> Uuid {
    let administrator = server.client(app, world.site, world.administrator).await;
    let (id, key) = (Uuid::now_v7(), new["key"].as_str().expect("a key").rsplit('=').next().expect("a key").to_owned());
    (new["id"], new["place_id"], new["name"]) = (json!(id), json!(world.building), json!("3号楼群"));
    let (status, made) = administrator.post("/api/v1/groups", new).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(!made.to_string().contains(&key), "a key never comes out: {made}");
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

/// I12: a post that the platform has and that nobody wrote down may be a second one.
#[tokio::test]
async fn a_post_whose_sender_was_killed_after_the_platform_said_yes_is_repeated_and_says_so() {
    on_each_engine(|app| async move {
        let fake = robot(&[Play::After(Break::Hang)]).await;
        let app = instance(&with(&app, &fake), |config| config.outbox.attempt_timeout = Span::minutes(10));
        let world = shut_morning(&app, 1).await;
        let server = Server::start(&app).await;
        group(&app, &world, &server, "693a91f6-7aoc").await;
        cutoff(&app).await;
        pass(&app).await;
        later(&app, 11);
        let dying = app.clone();
        let killed = tokio::spawn(async move { group_post::run_once(&dying).await });
        until(|| fake.accepted().len() == 1).await;
        killed.abort();
        assert!(killed.await.is_err_and(|error| error.is_cancelled()));
        later(&app, 59);
        pass(&app).await;
        assert_eq!(fake.accepted().len(), 1, "its lease still lives");
        later(&app, 1);
        pass(&app).await;
        let posts = fake.accepted();
        assert!(posts.len() == 2 && posts[1] == format!("（补发）{}", posts[0]), "{posts:?}");
    })
    .await;
}

/// I15, with the loop itself: while one post hangs, what falls due later is posted.
#[tokio::test]
async fn a_post_that_hangs_keeps_no_later_one_waiting() {
    on_each_engine(|app| async move {
        let fake = robot(&[Play::Before(Break::Hang)]).await;
        let app = instance(&with(&app, &fake), |config| config.outbox.attempt_timeout = Span::minutes(10));
        let world = shut_morning(&app, 1).await;
        let server = Server::start(&app).await;
        group(&app, &world, &server, "693a91f6-7aoc").await;
        cutoff(&app).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let looping = tokio::spawn(jobs::repeat("group_post", app.clone(), |app| &app.wake.groups, stopped, group_post::pass));
        let rings = async |met: &dyn Fn() -> bool| {
            until(|| {
                app.wake.groups.notify_one();
                met()
            })
            .await;
        };
        while number(&app, "select count(*) from group_chat where changed_at is not null").await == 0 {
            app.wake.groups.notify_one();
            tokio::task::yield_now().await;
        }
        later(&app, 11);
        rings(&|| fake.requests().len() == 1).await;
        assert_eq!(fake.accepted().len(), 0, "it hangs");
        group(&app, &world, &server, "693a91f6-7aoc").await;
        while number(&app, "select count(*) from group_chat where changed_at is not null").await < 2 {
            app.wake.groups.notify_one();
            tokio::task::yield_now().await;
        }
        later(&app, 11);
        rings(&|| fake.accepted().len() == 1).await;
        // The robot has taken it a moment before the row says so.
        let hanging = "select count(*) from group_chat where lease_until is not null and posted_at is null";
        let settled = async {
            while number(&app, hanging).await != 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), settled).await.expect("one is posted, one still hangs");
        stop.send(true).expect("the loop listens");
        looping.await.expect("it stops");
    })
    .await;
}

/// A clock that is two hours off is an alarm by another way and no loop, and no robot's fault.
#[tokio::test]
async fn a_clock_that_is_two_hours_off_is_told_to_the_operators_once_and_the_robots_go_on_when_it_is_right() {
    on_each_engine(|app| async move {
        let off = Arc::new(AtomicI64::new(2));
        let at = |off: &Arc<AtomicI64>| {
            let (off, clock) = (Arc::clone(off), app.clock.clone());
            move || Some(clock.now() - TimeDelta::hours(off.load(Ordering::SeqCst)))
        };
        let dingtalk = bots::platform_at(GroupChannel::DingtalkBot, &[], at(&off)).await;
        let feishu = bots::platform_at(GroupChannel::FeishuBot, &[], at(&off)).await;
        let app = instance(&app, |config| {
            config.channels.dingtalk_bot.base_url.clone_from(&dingtalk.url);
            config.channels.feishu_bot.base_url.clone_from(&feishu.url);
        });
        let world = shut_morning(&app, 1).await;
        let server = Server::start(&app).await;
        for channel in ["dingtalk_bot", "feishu_bot"] {
            group_of(&app, &world, &server, json!({ "channel": channel, "key": bots::KEY, "sign": bots::SIGN })).await;
        }
        cutoff(&app).await;
        for _ in 0..120 {
            pass(&app).await;
            deliver::run_once(&app).await.expect("the outbox passes");
            later(&app, 30);
        }
        for fake in [&dingtalk, &feishu] {
            assert!((1..=7).contains(&fake.requests().len()), "{} requests in an hour", fake.requests().len());
            assert_eq!(fake.accepted(), Vec::<String>::new());
        }
        let told = "select count(*) from notice where key = 'notice.group_clock' and state = 'delivered'";
        assert_eq!(number(&app, told).await, 2, "the operator hears of each platform once");
        assert_eq!(texts(&app, "select last_error from group_chat where last_error like '%clock refused'").await.len(), 2);
        off.store(0, Ordering::SeqCst);
        for _ in 0..20 {
            pass(&app).await;
            later(&app, 31);
        }
        assert_eq!((dingtalk.accepted().len(), feishu.accepted().len()), (1, 1), "they were never switched off");
    })
    .await;
}
