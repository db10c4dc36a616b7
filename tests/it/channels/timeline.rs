//! What the timeline of an alert says about the messages that carried it: one sentence for each thing that is known, and no codes.

use chenlian::app::App;
use chenlian::on;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::story::{CALLBACK_KEY, by_telephone, deliver, provider, pushed, way, with};
use crate::harness::{World, on_each_engine};
use crate::http::access::roleless;
use crate::http::{Client, Server};
use crate::outbox::{cutoff, later, shut_morning, silence};

async fn alert_ids(app: &App) -> Vec<Uuid> {
    let read = app.read(|mut tx| async move {
        let ids = on!(&mut tx, |conn| sqlx::query_scalar("select id from alert order by id").fetch_all(conn).await)?;
        Ok((tx, ids))
    });
    read.await.expect("the alerts are read")
}

async fn html(client: &Client, path: &str) -> (StatusCode, String) {
    let answer = client.request(Method::GET, path).header("accept", "text/html").send().await.expect("a page");
    (answer.status(), answer.text().await.expect("text"))
}

/// The sentences of a page that are about messages, without their times.
async fn sentences(client: &Client, alert: Uuid) -> Vec<String> {
    let (status, page) = html(client, &format!("/alerts/{alert}/news")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let list = page.split("<ol class=\"timeline\">").nth(1).expect("a timeline");
    list.split("</time> ").skip(1).filter_map(|rest| rest.split("</li>").next()).map(str::to_owned).collect()
}

async fn facts(client: &Client, alert: Uuid) -> Vec<String> {
    let (_, detail) = client.get(&format!("/api/v1/alerts/{alert}")).await;
    let of_message = |entry: &Value| (entry["kind"] == "message").then(|| entry["detail"]["fact"].as_str().unwrap_or_default().to_owned());
    detail["timeline"].as_array().into_iter().flatten().filter_map(of_message).collect()
}

async fn speak_english(app: &App, member: Uuid) {
    let written = app.write(move |mut tx| async move {
        on!(&mut tx, |conn| sqlx::query("update member set locale = 'en' where id = $1").bind(member).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    });
    written.await.expect("the language is set");
}

#[tokio::test]
async fn the_timeline_says_of_each_message_what_became_of_it_and_shows_no_code() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 3).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        deliver(&app).await;
        let server = Server::start(&app).await;
        let (worker, primary) =
            (server.client(&app, world.site, world.social_worker).await, server.client(&app, world.site, world.primary).await);
        let ids = alert_ids(&app).await;
        assert_eq!(ids.len(), 3);
        let all = |sentences: &[String]| sentences.join("\n");
        for alert in &ids {
            let said = sentences(&worker, *alert).await;
            assert_eq!(said.iter().filter(|said| **said == "短信发给王师傅，还没有回执").count(), 1, "{}", all(&said));
        }

        let failed = json!([{ "success": false, "err_code": "MOBILE_NOT_ON_SERVICE", "biz_id": "b1" }]);
        for _ in 0..2 {
            assert_eq!(pushed(&server, "aliyun_sms", CALLBACK_KEY, failed.clone()).await, StatusCode::OK);
        }
        deliver(&app).await;
        let untaken = json!([{ "call_id": "v1", "status_code": "200003", "duration": 0 }]);
        assert_eq!(pushed(&server, "aliyun_voice", CALLBACK_KEY, untaken).await, StatusCode::OK);
        later(&app, 66);
        deliver(&app).await;
        for alert in &ids {
            assert_eq!(facts(&worker, *alert).await, ["dead_number", "unanswered", "ringing"], "each fact once, on each alert");
            let said = all(&sentences(&primary, *alert).await);
            for sentence in ["王师傅的号码是空号、停机了，或者写错了，改用电话", "打给王师傅，没人接", "打给王师傅，还没有回执"]
            {
                assert!(said.contains(sentence), "{sentence} is not in {said}");
            }
            for code in ["MOBILE_NOT", "200003", "accepted", "aliyun"] {
                assert!(!said.contains(code), "{code}: {said}");
            }
        }
        assert_eq!(
            pushed(&server, "aliyun_voice", CALLBACK_KEY, json!([{ "call_id": "v2", "status_code": "200000" }])).await,
            StatusCode::OK
        );
        speak_english(&app, world.social_worker).await;
        let said = sentences(&worker, ids[0]).await;
        assert!(said.contains(&"王师傅 took the call".to_owned()) && !all(&said).contains("door."), "{}", all(&said));
        let (_, log) = worker.get(&format!("/api/v1/notifications?alert_id={}", ids[0])).await;
        assert_eq!(log["items"].as_array().map(Vec::len), Some(2), "the log still knows the text that the call replaced: {log}");
        assert!(log.to_string().contains("MOBILE_NOT_ON_SERVICE"), "codes stay in the log of staff");
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_gives_up_names_the_next_one_and_a_person_without_any_is_named() {
    on_each_engine(|app| async move {
        let refusal =
            super::fake::Play::Answer(super::fake::Answer::json(200, &json!({ "Code": "isv.MOBILE_NUMBER_ILLEGAL", "RequestId": "r" })));
        let (sms, voice) = (provider(&[refusal], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 1).await;
        silence(&app, world.primary).await;
        silence(&app, world.backup).await;
        way(&app, &world, world.primary, 2, "aliyun_sms", "13900000001").await;
        way(&app, &world, world.primary, 3, "log", "").await;
        cutoff(&app).await;
        deliver(&app).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let alert = alert_ids(&app).await[0];
        let said = sentences(&worker, alert).await.join("\n");
        assert!(
            said.contains("王师傅的号码是空号、停机了，或者写错了，改用服务器记录") && said.contains("服务器记录发给王师傅，还没有回执"),
            "{said}"
        );
        // The next rung asks the backup, whom nothing reaches.
        later(&app, 1_800);
        crate::morning::pass_at(&app, app.clock.now()).await;
        deliver(&app).await;
        let said = sentences(&worker, alert).await.join("\n");
        assert!(said.contains("刘师傅没有能用的联系方式，请打电话"), "{said}");
    })
    .await;
}

/// I32: whoever does not see the alert does not see who was told of it; and screens that show it hear that there is news.
#[tokio::test]
async fn only_those_who_see_the_alert_read_its_news_and_they_hear_of_it() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 1).await;
        by_telephone(&app, &world).await;
        cutoff(&app).await;
        let server = Server::start(&app).await;
        let alert = alert_ids(&app).await[0];
        let primary = server.client(&app, world.site, world.primary).await;
        let mut stream = primary.request(Method::GET, "/api/v1/events").send().await.expect("a stream");
        deliver(&app).await;
        let mut heard = String::new();
        while !heard.contains("event: delivery") {
            let chunk = stream.chunk().await.expect("the stream goes on").expect("more");
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(heard.contains(&alert.to_string()), "{heard}");
        let other = World::seed(&app, 1).await;
        for (site, member) in [(world.site, roleless(&app, world.site).await), (other.site, other.administrator)] {
            let client = server.client(&app, site, member).await;
            assert_eq!(html(&client, &format!("/alerts/{alert}/news")).await.0, StatusCode::NOT_FOUND);
            assert_eq!(client.get(&format!("/api/v1/alerts/{alert}")).await.0, StatusCode::NOT_FOUND);
        }
        let opened = crate::outbox::number(&app, "select count(*) from audit where act = 'read_sensitive'").await;
        html(&primary, &format!("/alerts/{alert}/news")).await;
        assert_eq!(
            crate::outbox::number(&app, "select count(*) from audit where act = 'read_sensitive'").await,
            opened,
            "no door, no opening"
        );
    })
    .await;
}
