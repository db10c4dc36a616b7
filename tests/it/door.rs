//! The pages for whoever goes: her alerts, what she may do at the door, the record of a visit, a senior's page and the search.

use chenlian::app::App;
use chenlian::on;
use chrono::NaiveDate;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, local, on_each_engine};
use crate::http::access::roleless;
use crate::http::{Client, Server};
use crate::morning::{all_told, pass_at, planned};

/// A page as a browser gets it.
async fn page(client: &Client, path: &str) -> (StatusCode, String) {
    let request = client.request(Method::GET, path).header("accept", "text/html");
    let response = request.send().await.expect("the server answers");
    (response.status(), response.text().await.expect("the page is complete"))
}

/// The acts that a page offers as buttons.
fn acts(html: &str) -> Vec<&str> {
    html.split("data-act=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

async fn the_alert(client: &Client) -> Uuid {
    let (_, list) = client.get("/api/v1/alerts").await;
    list["items"][0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an alert is open")
}

/// One alert, told to everybody of its rungs so far.
async fn alarmed(app: &App) -> World {
    let world = planned(app, 1).await;
    pass_at(app, local("09:45:00")).await;
    pass_at(app, local("09:50:00")).await;
    all_told(app).await;
    world
}

#[tokio::test]
async fn the_page_of_an_alert_shows_the_acts_that_fit_and_hides_the_others() {
    on_each_engine(|app| async move {
        let world = alarmed(&app).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let backup = server.client(&app, world.site, world.backup).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let alert = the_alert(&primary).await;
        let path = format!("/alerts/{alert}");
        let (status, html) = page(&primary, &path).await;
        assert_eq!((status, acts(&html)), (StatusCode::OK, vec!["claim", "on_site", "met", "reached", "escalate"]));
        for seen in ["张桂英0", "左二窗", "401", "href=\"tel:0351000000\"", "href=\"tel:120\"", "data-service=\"110\""] {
            assert!(html.contains(seen), "{seen} is not in the page");
        }
        let claim = format!("/api/v1/alerts/{alert}/claim");
        assert_eq!(primary.post(&claim, json!({"id": Uuid::now_v7()})).await.0, StatusCode::OK);
        let (_, html) = page(&primary, &path).await;
        assert_eq!(acts(&html), ["on_site", "met", "reached", "no_answer", "escalate", "extend", "release"]);
        assert!(html.contains("10:05前等您消息"), "she is told until when");
        let (_, html) = page(&backup, &path).await;
        assert_eq!(acts(&html), ["met", "reached", "no_answer", "escalate"], "two people at once: the second may go along");
        assert!(html.contains("王师傅已经去了，您可以一起去"));
        let (status, refused) = backup.post(&claim, json!({"id": Uuid::now_v7()})).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(refused["detail"].as_str().is_some_and(|text| text.contains("王师傅已经去了")), "{refused}");
        let (_, html) = page(&worker, &path).await;
        assert!(acts(&html).contains(&"assign") && !acts(&html).contains(&"review"));
        let done = json!({"id": Uuid::now_v7(), "safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"});
        assert_eq!(primary.post(&format!("/api/v1/alerts/{alert}/resolve"), done).await.0, StatusCode::OK);
        let (_, html) = page(&worker, &path).await;
        assert_eq!(acts(&html), ["review", "reopen"]);
        let (_, html) = page(&primary, &path).await;
        assert!(acts(&html).is_empty() && !html.contains("tel:120"), "it is over");
        let (_, html) = page(&primary, &format!("/alerts?done={alert}")).await;
        assert!(html.contains(&format!("/visits/new?alert={alert}")) && html.contains("现在没有要上门的老人"));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    on_each_engine(|app| async move {
        let world = alarmed(&app).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let backup = server.client(&app, world.site, world.backup).await;
        let alert = the_alert(&primary).await;
        let base = format!("/api/v1/alerts/{alert}");
        assert_eq!(primary.post(&format!("{base}/claim"), json!({"id": Uuid::now_v7()})).await.0, StatusCode::OK);
        for client in [&backup, &primary] {
            let (_, seen) = client.get(&base).await;
            let may: Vec<&str> = seen["may"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (word, path) in
                [("extend", "extend"), ("release", "release"), ("on_site", "on-site"), ("assign", "assign"), ("review", "review")]
            {
                let body = match word {
                    "assign" => json!({"id": Uuid::now_v7(), "member_id": world.backup}),
                    _ => json!({"id": Uuid::now_v7()}),
                };
                if !may.contains(&word) {
                    let (status, answer) = client.post(&format!("{base}/{path}"), body).await;
                    assert!(matches!(status, StatusCode::CONFLICT | StatusCode::FORBIDDEN), "{word}: {status} {answer}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_nothing_to_do_with_her_finds_no_page_of_hers() {
    on_each_engine(|app| async move {
        let world = alarmed(&app).await;
        let other = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let alert = the_alert(&primary).await;
        let nobody = roleless(&app, world.site).await;
        let strangers = [
            server.client(&app, world.site, nobody).await,
            server.client(&app, world.site, world.operator).await,
            server.client(&app, other.site, other.administrator).await,
        ];
        let senior = world.seniors[0];
        for client in &strangers {
            for path in [
                format!("/alerts/{alert}"),
                format!("/seniors/{senior}"),
                format!("/visits/new?senior={senior}"),
                format!("/visits/new?alert={alert}"),
            ] {
                let (status, html) = page(client, &path).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
                assert!(!html.contains("张"), "{path} says a name");
            }
            assert!(!page(client, "/alerts").await.1.contains(&alert.to_string()));
        }
        let elsewhere = format!("/visits/new?senior={}&alert={alert}", Uuid::now_v7());
        assert_eq!(page(&primary, &elsewhere).await.0, StatusCode::NOT_FOUND, "the alert is of another senior");
        assert_eq!(page(&primary, "/visits/due").await.0, StatusCode::FORBIDDEN);
    })
    .await;
}

#[tokio::test]
async fn a_search_finds_her_by_name_initials_room_and_phone_and_masks_her_for_staff() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 60).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let primary = server.client(&app, world.site, world.primary).await;
        for (words, found) in
            [("znn7", 1), ("zgy12", 1), ("zhangnai", 50), ("408", 1), ("3号楼2单元401", 1), ("0351", 50), ("035", 0), ("lnn", 0)]
        {
            let (status, list) = worker.get(&format!("/api/v1/seniors?q={words}")).await;
            assert_eq!(status, StatusCode::OK, "{list}");
            assert_eq!(list["items"].as_array().map(Vec::len), Some(found), "{words}");
        }
        let (_, html) = page(&worker, "/seniors?q=znn7").await;
        assert!(html.contains("张奶奶7") && html.contains("张**") && !html.contains("张桂英7"), "staff see the first character");
        let (_, html) = page(&primary, "/seniors?q=znn7").await;
        assert!(html.contains("张桂英7"), "one's own seniors are not masked");
        let (_, html) = page(&worker, "/seniors").await;
        let next = html.split("/seniors?q=&#38;cursor=").nth(1).and_then(|rest| rest.split('"').next()).expect("there are more");
        let (_, html) = page(&worker, &format!("/seniors?q=&cursor={next}")).await;
        assert!(html.contains("张奶奶59") && !html.contains("张奶奶49 "), "the second page goes on in walking order");
        let (_, html) = page(&worker, "/seniors?q=zzz").await;
        assert!(html.contains("没有找到"));
        let (_, html) = page(&worker, &format!("/seniors?q=&place={}", Uuid::now_v7())).await;
        assert!(!html.contains("张奶奶"));
    })
    .await;
}

#[tokio::test]
async fn the_year_shows_each_morning_on_its_day() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let (site, senior) = (world.site, world.seniors[0]);
        app.write(move |mut tx| async move {
            let sql =
                "insert into daily_check (site_id, id, senior_id, agreement_id, local_date, slot, state, expected_sign, sensor_policy,
                    counts_from, window_opens_at, deadline_at, cutoff_at, day_ends_at, unobserved_delay_seconds, received_late, triggered)
                select site_id, $3, senior_id, agreement_id, $4, slot, $5, expected_sign, sensor_policy, counts_from, window_opens_at,
                    deadline_at, cutoff_at, day_ends_at, 0, received_late, triggered
                from daily_check where site_id = $1 and senior_id = $2 and slot = 'morning' and state = 'expected' limit 1";
            for (day, state) in [("2026-11-20", "ok"), ("2026-08-09", "not_open"), ("2025-11-24", "excused"), ("2025-11-23", "ok")] {
                let date: NaiveDate = day.parse().expect("a literal date");
                on!(&mut tx, |conn| sqlx::query(sql)
                    .bind(site)
                    .bind(senior)
                    .bind(Uuid::now_v7())
                    .bind(date)
                    .bind(state)
                    .execute(conn)
                    .await
                    .map(|_| ()))?;
            }
            Ok((tx, ()))
        })
        .await
        .expect("mornings are written");
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (status, html) = page(&worker, &format!("/seniors/{senior}")).await;
        assert_eq!(status, StatusCode::OK);
        for (day, state) in [("2026-11-20", "ok"), ("2026-08-09", "not_open"), ("2025-11-24", "excused"), ("2026-11-23", "expected")] {
            assert!(html.contains(&format!("data-day=\"{day}\" data-state=\"{state}\"")), "{day}");
        }
        assert!(!html.contains("2025-11-23"), "the year begins a day later");
        assert!(html.contains("8月9日"), "the words name the day as well");
        assert!(!html.contains(" style="), "no inline style");
        let (_, year) = worker.get(&format!("/api/v1/seniors/{senior}/year")).await;
        assert_eq!(year["items"][0], json!({"date": "2025-11-24", "state": "excused"}));
    })
    .await;
}

#[tokio::test]
async fn the_form_of_a_visit_knows_what_is_known() {
    on_each_engine(|app| async move {
        let world = alarmed(&app).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let alert = the_alert(&primary).await;
        let senior = world.seniors[0];
        let (status, html) = page(&worker, &format!("/visits/new?senior={senior}")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(html.contains("value=\"first_visit\" checked"), "nobody was there yet");
        assert!(!html.contains("alert_followup") && html.contains("value=\"左二窗\""));
        assert_eq!(primary.post(&format!("/api/v1/alerts/{alert}/claim"), json!({"id": Uuid::now_v7()})).await.0, StatusCode::OK);
        let (_, html) = page(&primary, &format!("/visits/new?alert={alert}")).await;
        for seen in
            ["name=\"kind\" value=\"alert_followup\"", "id=\"resolve-now\" checked", &format!("value=\"{alert}\""), "王师傅", "刘师傅"]
        {
            assert!(html.contains(seen), "{seen}");
        }
        let (_, html) = page(&worker, "/visits/due").await;
        assert!(html.contains(&format!("/visits/new?senior={senior}&amp;kind=first_visit")), "{html}");
    })
    .await;
}
