//! Drills of the ladder: everybody whom an alert would tell hears of it once, nothing of it touches a real alert, and the report says
//! who was not reached.

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{deliver, drill};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{change_settings, waiting};
use crate::harness::{local, on_each_engine};
use crate::http::{Client, Server, read};
use crate::morning::{look, pass_at, planned, set};
use crate::outbox::receiver::Request;
use crate::outbox::{Play, Receiver, change, instance, number, silence, texts, webhook};

const KEY: &str = "notice.drill_ladder";
const TOLD: &str = "select m.called from drill_person p join member m on m.id = p.member_id order by p.level, m.phone";

async fn start(client: &Client, place: Uuid) -> Value {
    let (status, made) = client.post("/api/v1/drills", json!({"id": Uuid::now_v7(), "place_id": place})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made
}

async fn deliver(app: &App) {
    deliver::run_once(app).await.expect("the outbox passes");
}

/// (name, how far it came) of everybody of the drill.
async fn reached(client: &Client, drill: &Value) -> Vec<(String, String)> {
    let (_, report) = client.get(&format!("/api/v1/drills/{}", drill["id"].as_str().expect("an id"))).await;
    let word = |person: &Value, field: &str| person[field].as_str().expect("a word").to_owned();
    let mut all: Vec<(String, String)> =
        report["reached"].as_array().expect("people").iter().map(|person| (word(person, "name"), word(person, "reached"))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn everybody_of_the_ladder_is_told_once_that_it_is_a_drill_and_the_report_says_who_was_not_reached() {
    on_each_engine(|app| async move {
        let app = instance(&app, |config| "https://cl.example.org".clone_into(&mut config.http.public_url));
        let world = planned(&app, 3).await;
        silence(&app, world.backup).await;
        let server = Server::start(&app).await;
        let keeper = server.client(&app, world.site, world.administrator).await;
        set(&app, local("06:10:00")).await;
        let made = start(&keeper, world.compound).await;
        assert_eq!(texts(&app, TOLD).await, ["王师傅", "刘师傅", "陈楼长", "小王", "李书记"], "each once, and no street duty");
        deliver(&app).await;
        let bodies = texts(&app, "select cast(body as text) from message").await;
        assert_eq!(bodies.len(), 4, "one message each: {bodies:?}");
        let own = server.client(&app, world.site, world.primary).await;
        let path = format!("/api/v1/drills/{}/confirm", made["id"].as_str().expect("an id"));
        set(&app, local("06:17:00")).await;
        for _ in 0..2 {
            assert_eq!(own.post(&path, json!({})).await.0, StatusCode::OK, "a repeat is harmless");
        }
        let street = server.client(&app, world.site, world.street_duty).await;
        assert_eq!(street.post(&path, json!({})).await.0, StatusCode::NOT_FOUND, "she was not told");

        set(&app, local("06:39:59")).await;
        assert_eq!(drill::run_once(&app).await.expect("too early").reported, 0);
        set(&app, local("06:40:00")).await;
        assert_eq!(drill::run_once(&app).await.expect("the report").reported, 1);
        assert_eq!(drill::run_once(&app).await.expect("once").reported, 0);
        let all = reached(&keeper, &made).await;
        let mut expected = [("刘桂芳", "no_channel"), ("王建国", "confirmed"), ("陈楼长", "sent"), ("王秀兰", "sent"), ("李书记", "sent")];
        expected.sort_unstable();
        assert_eq!(all, expected.map(|(name, word)| (name.to_owned(), word.to_owned())));
        let readers = [world.social_worker, world.secretary, world.operator, world.administrator];
        let reports = texts(&app, "select arguments from notice where key = 'notice.drill_report'").await;
        assert_eq!(reports.len(), readers.len(), "the staff of the place, the operators and whoever started it");
        assert_eq!(reports[0], r#"{"building":"锦绣苑","confirmed":"1","missed":"1","told":"5"}"#);
        let (status, _) =
            read(keeper.request(Method::GET, &format!("/api/v1/exports/drills/{}", made["id"].as_str().expect("an id")))).await;
        assert_eq!(status, StatusCode::OK);
        let quiet = "select count(*) from alert union all select count(*) from alert_event";
        assert_eq!(number(&app, quiet).await, 0, "nothing of it is an alert");
    })
    .await;
}

#[tokio::test]
async fn a_drill_is_marked_in_both_languages_and_its_link_confirms_only_when_somebody_taps() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(204)]).await;
        let app = instance(&app, |config| "https://cl.example.org".clone_into(&mut config.http.public_url));
        let world = planned(&app, 1).await;
        for member in [world.primary, world.backup] {
            webhook(&app, &world, member, 0, &receiver.url).await;
        }
        change(&app, "update member set locale = 'en' where called = '刘师傅'").await;
        let server = Server::start(&app).await;
        let keeper = server.client(&app, world.site, world.administrator).await;
        let made = start(&keeper, world.building).await;
        deliver(&app).await;
        let text = |request: &Request| {
            let body: Value = serde_json::from_str(&request.body).expect("JSON");
            body["data"]["text"].as_str().expect("a text").to_owned()
        };
        let said: Vec<String> = receiver.requests().iter().map(text).collect();
        let mut said: Vec<&str> = said.iter().map(String::as_str).collect();
        said.sort_unstable();
        let [english, chinese] = said[..] else { panic!("{said:?}") };
        assert!(english.starts_with("[Drill, no need to go out] "), "{english}");
        assert!(chinese.starts_with("【演练，不用出门】王师傅，"), "{chinese}");
        let key = chinese.rsplit_once("/c/").expect("a link").1.to_owned();
        let stranger = server.stranger();
        let page = stranger.request(Method::GET, &format!("/c/{key}")).send().await.expect("a page");
        assert!(page.status().is_success() && page.text().await.expect("a page").contains("收到"));
        assert!(reached(&keeper, &made).await.contains(&("王建国".to_owned(), "sent".to_owned())), "opening says nothing yet");
        let (status, _) = stranger.post("/api/v1/claims", json!({"key": key, "alert_id": Uuid::now_v7()})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "nothing can be claimed by it");
        assert_eq!(stranger.post("/api/v1/claims/drill", json!({"key": "AAAAAAAAAAAAAAAAAAAAAA"})).await.0, StatusCode::NOT_FOUND);
        assert_eq!(stranger.post("/api/v1/claims/drill", json!({ "key": key })).await.0, StatusCode::OK);
        assert!(reached(&keeper, &made).await.contains(&("王建国".to_owned(), "confirmed".to_owned())));
    })
    .await;
}

#[tokio::test]
async fn a_real_alert_goes_first_and_shares_no_message_with_a_drill() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        set(&app, local("09:00:00")).await;
        look(&app, &world, 0, SignalKind::Closed, local("08:00:00")).await;
        let server = Server::start(&app).await;
        let keeper = server.client(&app, world.site, world.administrator).await;
        set(&app, local("09:45:00")).await;
        start(&keeper, world.building).await;
        pass_at(&app, local("09:45:00")).await;
        change(&app, "delete from notice where class = 'reminder'").await;
        deliver(&app).await;
        let order = "select n.key from message m join notice n on n.message_id = m.id and n.site_id = m.site_id
            join member r on r.id = m.recipient_id and r.called = '王师傅' order by m.call_no";
        assert_eq!(texts(&app, order).await, ["notice.alert_call", KEY]);
        let priorities = "select cast(min(m.priority) as text) || ' ' || n.class from message m join notice n on n.message_id = m.id group by n.class order by 1";
        assert_eq!(texts(&app, priorities).await, ["1 alert", "4 report"], "whatever leaves first is leased first");
    })
    .await;
}

#[tokio::test]
async fn a_stopped_drill_takes_back_what_has_not_left_and_makes_no_report() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let keeper = server.client(&app, world.site, world.administrator).await;
        let made = start(&keeper, world.building).await;
        let second = json!({"id": Uuid::now_v7(), "place_id": world.building});
        let (status, problem) = keeper.post("/api/v1/drills", second).await;
        assert_eq!((status, &problem["key"]), (StatusCode::CONFLICT, &json!("drill.running")), "one at a time");
        let stop = format!("/api/v1/drills/{}/stop", made["id"].as_str().expect("an id"));
        assert_eq!(keeper.post(&stop, json!({})).await.0, StatusCode::OK);
        assert_eq!(keeper.post(&stop, json!({})).await.0, StatusCode::CONFLICT);
        deliver(&app).await;
        assert_eq!(number(&app, "select count(*) from message").await, 0);
        set(&app, local("08:00:00")).await;
        assert_eq!(drill::run_once(&app).await.expect("a pass").reported, 0);
        start(&keeper, world.building).await;
        let nowhere = json!({"id": Uuid::now_v7(), "place_id": Uuid::now_v7()});
        assert_eq!(keeper.post("/api/v1/drills", nowhere).await.0, StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test]
async fn the_weekly_drill_begins_once_a_week_and_only_where_somebody_has_decided_it() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        set(&app, local("15:00:00")).await;
        let keeper = server.client(&app, world.site, world.administrator).await;
        assert_eq!(drill::run_once(&app).await.expect("a pass").started, 0, "nobody has decided it");
        let (_, system) = keeper.get("/api/v1/system").await;
        assert!(system["weaknesses"].as_array().expect("a list").contains(&json!("drill_undecided")), "{system}");
        change_settings(&keeper, &world, json!({"drill": {"weekly": "on", "weekday": 1, "at": "15:00", "street_duty": true}})).await;
        let (_, system) = keeper.get("/api/v1/system").await;
        assert!(!system["weaknesses"].as_array().expect("a list").contains(&json!("drill_undecided")), "{system}");
        // Two servers look at the same moment, and one of them again after a restart.
        let other = instance(&app, |_| ());
        let (one, two) = tokio::join!(drill::run_once(&app), drill::run_once(&other));
        assert_eq!(one.expect("a pass").started + two.expect("a pass").started, 1);
        assert_eq!(drill::run_once(&app).await.expect("a pass").started, 0);
        assert_eq!(texts(&app, TOLD).await.len(), 6, "with the street's duty");
        assert_eq!(waiting(&app, world.primary, KEY).await, [("pending".to_owned(), local("15:00:00"))]);
        set(&app, local("15:30:00")).await;
        assert_eq!(drill::run_once(&app).await.expect("a pass"), drill::Report { started: 0, reported: 1 });
        set(&app, local("15:00:00") + chrono::TimeDelta::days(7)).await;
        assert_eq!(drill::run_once(&app).await.expect("a pass").started, 1, "the next week");
    })
    .await;
}
