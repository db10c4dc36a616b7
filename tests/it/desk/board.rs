//! What a social worker sees on her board, and what nobody else does.

use std::sync::Mutex;

use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{deliver, watch};
use chenlian::on;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::{change, html, numbers, planned, second_building, section};
use crate::harness::{World, local, on_each_engine};
use crate::http::Server;
use crate::morning::{look, set};

#[tokio::test]
async fn the_numbers_match_what_was_seen_and_who_was_not_looked_at_stands_apart_from_who_was_seen_shut() {
    on_each_engine(|app| async move {
        let world = planned(&app, 7).await;
        set(&app, local("08:30:00")).await;
        look(&app, &world, 0, SignalKind::Open, local("08:20:00")).await;
        look(&app, &world, 1, SignalKind::Closed, local("08:20:00")).await;
        look(&app, &world, 2, SignalKind::NotVisible, local("08:20:00")).await;
        // Canaries are in no number.
        change(&app, "update senior set purpose = 'canary' where id = $1", world.seniors[6]).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;

        let (status, page) = html(&worker, "/board").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert_eq!(numbers(&page), [6, 1, 5, 0, 0]);
        let shut = section(&page, "board-shut");
        let unseen = section(&page, "board-unseen");
        let on = |part: &str, senior: usize| part.contains(&format!("张奶奶{senior}<"));
        assert_eq!((0..7).map(|senior| on(shut, senior)).collect::<Vec<_>>(), [false, true, true, false, false, false, false]);
        assert_eq!((0..7).map(|senior| on(unseen, senior)).collect::<Vec<_>>(), [false, false, false, true, true, true, false]);

        set(&app, local("09:45:00")).await;
        watch::run_once(&app).await.expect("the watch passes");
        set(&app, local("09:57:00")).await;
        let (_, page) = html(&worker, "/board").await;
        assert_eq!(numbers(&page), [6, 1, 0, 5, 0]);
        let looked = section(&page, "board-looked");
        let unlooked = section(&page, "board-unlooked");
        assert_eq!((0..6).map(|senior| on(looked, senior)).collect::<Vec<_>>(), [false, true, true, false, false, false]);
        assert_eq!((0..6).map(|senior| on(unlooked, senior)).collect::<Vec<_>>(), [false, false, false, true, true, true]);
        assert!(looked.find("张奶奶1<") < looked.find("张奶奶2<"), "seen shut goes before not visible");
        assert!(looked.contains("12分钟") && looked.contains("还没人去"), "{looked}");
        assert!(!on(section(&page, "board-shut"), 1), "what is an alert is no longer waiting");
    })
    .await;
}

#[tokio::test]
async fn who_goes_what_is_closed_without_an_outcome_and_who_was_not_told_are_on_the_board() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        set(&app, local("09:45:00")).await;
        watch::run_once(&app).await.expect("the watch passes");
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, list) = worker.get(&format!("/api/v1/alerts?senior={}", world.seniors[0])).await;
        let alert = list["items"][0]["id"].as_str().expect("an id").to_owned();
        worker.post(&format!("/api/v1/alerts/{alert}/claim"), json!({"id": Uuid::now_v7()})).await;
        // Seen by somebody: closed, and nobody has written what it was.
        look(&app, &world, 1, SignalKind::SeenInPerson, local("09:45:00")).await;
        // The backup can no longer be told.
        change(&app, "update member_channel set disabled_at = created_at where member_id = $1", world.backup).await;
        deliver::run_once(&app).await.expect("messages go out");
        let (_, page) = html(&worker, "/board").await;
        assert!(section(&page, "board-unlooked").contains("小王去了，10:00前等消息"), "{}", section(&page, "board-unlooked"));
        let unfinished = section(&page, "board-unfinished");
        assert!(unfinished.contains("张奶奶1<") && unfinished.contains("没写结果") && !unfinished.contains("张奶奶2<"), "{unfinished}");
        let untold = section(&page, "board-untold");
        assert!(untold.contains("刘师傅") && untold.contains("没有能用的联系方式"), "{untold}");
        assert!(section(&page, "board-gaps").contains("替补收不到消息"));
        let (status, page) = html(&worker, "/board/deliveries?state=sent").await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("王师傅") && page.contains("送到了"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn nobody_walks_tomorrow_where_the_pair_is_on_leave_and_nobody_stands_in() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let (site, now, away) = (world.site, app.clock.now(), [world.primary, world.backup]);
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        assert!(section(&html(&worker, "/board").await.1, "board-tomorrow").contains("明天每栋楼都有人看"));
        app.write(move |mut tx| async move {
            for member in away {
                let sql = "insert into leave_of_absence (site_id, id, member_id, from_date, return_date, version, created_at)
                    values ($1, $2, $3, $4, $5, 1, $6)";
                let day = |day| chrono::NaiveDate::from_ymd_opt(2026, 11, day);
                on!(&mut tx, |conn| sqlx::query(sql)
                    .bind(site)
                    .bind(Uuid::now_v7())
                    .bind(member)
                    .bind(day(24))
                    .bind(day(26))
                    .bind(now)
                    .execute(conn)
                    .await
                    .map(|_| ()))?;
            }
            Ok((tx, ()))
        })
        .await
        .expect("both are on leave");
        let (_, page) = html(&worker, "/board").await;
        assert!(section(&page, "board-tomorrow").contains("3号楼：2户没人看"), "{}", section(&page, "board-tomorrow"));
    })
    .await;
}

/// I16: a person whom nothing reaches is red, with what mends it, before an alert needs her; and an alert that needs her goes on at once.
#[tokio::test]
async fn a_person_whom_no_message_reaches_is_red_by_name_with_what_to_do_and_an_alert_goes_on_at_once() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let mute = async || section(&html(&worker, "/board").await.1, "board-mute").to_owned();
        assert!(mute().await.contains("都能收到消息"), "{}", mute().await);
        let red = async |sql: &'static str, why: &str, mend: &str| {
            change(&app, sql, world.primary).await;
            let part = mute().await;
            assert!(part.contains("王师傅") && part.contains("2位老人") && part.contains(why) && part.contains(mend), "{why}: {part}");
            assert!(part.contains("chip bad") && part.contains("notice bad") && !part.contains("刘师傅"), "{part}");
        };
        red("update member_channel set verified_at = null where member_id = $1", "还没确认", "发验证码").await;
        red("update member_channel set verified_at = created_at, disabled_at = created_at where member_id = $1", "停用", "换了号码").await;
        red("update member_channel set disabled_at = null, channel = 'aliyun_sms' where member_id = $1", "还没开通", "换一种").await;
        let account =
            "update channel_account set configured = $1 is not null, fault_at = (select min(created_at) from member), fault_why = 'x'
            where channel = 'aliyun_sms'";
        red(account, "消息服务出了故障", "不是本人的事").await;
        red("delete from member_channel where member_id = $1", "没有联系方式", "登记一个手机号").await;
        let (_, found) = worker.get(&format!("/api/v1/reachability?place={}", world.building)).await;
        assert_eq!(found["mute"], json!([{ "member_id": world.primary, "called": "王师傅", "why": "no_channel", "seniors": 2 }]));
        let lead = server.client(&app, world.site, world.building_lead).await;
        assert!(!section(&html(&lead, "/board").await.1, "board-mute").contains("/admin/members/"), "she cannot mend it");

        set(&app, local("09:45:00")).await;
        look(&app, &world, 0, SignalKind::Closed, local("09:40:00")).await;
        watch::run_once(&app).await.expect("the watch passes");
        deliver::run_once(&app).await.expect("messages go out");
        let (_, list) = worker.get(&format!("/api/v1/alerts?senior={}", world.seniors[0])).await;
        assert_eq!(list["items"][0]["level"], 1, "nobody waits for her: {list}");
    })
    .await;
}

/// I32: a page shows what the API shows.
#[tokio::test]
async fn a_board_shows_only_what_its_reader_answers_for() {
    on_each_engine(|app| async move {
        let world = planned(&app, 4).await;
        let elsewhere = planned(&app, 1).await;
        let second = second_building(&app, &world, &world.seniors[2..]).await;
        set(&app, local("08:30:00")).await;
        let server = Server::start(&app).await;
        for path in ["/board", "/board/now", "/board/care"] {
            assert_eq!(html(&server.stranger(), path).await.0, StatusCode::OK, "a stranger is shown the sign-in");
            for member in [world.primary, world.operator] {
                let client = server.client(&app, world.site, member).await;
                assert_eq!(html(&client, path).await.0, StatusCode::FORBIDDEN, "{path}");
            }
        }
        let lead = server.client(&app, world.site, world.building_lead).await;
        let (_, page) = html(&lead, "/board").await;
        assert_eq!(numbers(&page), [2, 0, 2, 0, 0]);
        assert!(page.contains("张奶奶1<") && !page.contains("张奶奶2<") && !page.contains("9号楼"));
        assert!(!page.contains("board-devices\"") && !page.contains("board-untold\""), "neither devices nor messages are hers to read");
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, all) = html(&worker, "/board").await;
        assert_eq!(numbers(&all), [4, 0, 4, 0, 0]);
        let (_, one) = html(&worker, &format!("/board?place={second}")).await;
        assert_eq!(numbers(&one), [2, 0, 2, 0, 0]);
        assert!(one.contains("张奶奶2<") && !one.contains("张奶奶1<"));
        for (client, place) in [(&lead, second), (&lead, world.compound), (&worker, elsewhere.building), (&worker, Uuid::now_v7())] {
            for path in ["/board", "/board/now", "/board/care"] {
                let path = format!("{path}?place={place}");
                assert_eq!(html(client, &path).await.0, StatusCode::NOT_FOUND, "above, beside, foreign, unknown: {path}");
            }
        }
        assert_eq!(html(&worker, "/board?place=").await.0, StatusCode::OK, "an empty filter shows everything");
        assert_eq!(html(&worker, "/board?plaec=1").await.0, StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test]
async fn a_part_that_is_fetched_again_is_the_part_of_the_page() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        set(&app, local("09:45:00")).await;
        watch::run_once(&app).await.expect("the watch passes");
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        for query in [String::new(), format!("?place={}", world.building)] {
            let (_, page) = html(&worker, &format!("/board{query}")).await;
            for part in ["now", "care"] {
                let (status, fragment) = html(&worker, &format!("/board/{part}{query}")).await;
                assert_eq!(status, StatusCode::OK);
                assert!(fragment.trim_start().starts_with("<div data-part") && page.contains(fragment.trim()), "{part}{query}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_board_of_ten_times_as_many_seniors_takes_no_more_statements() {
    let taken = Mutex::new(Vec::new());
    for seniors in [12, 120] {
        on_each_engine(async |app| {
            let world: World = planned(&app, seniors).await;
            set(&app, local("08:30:00")).await;
            let server = Server::start(&app).await;
            let worker = server.client(&app, world.site, world.social_worker).await;
            let mut statements = Vec::new();
            for time in ["08:30:00", "09:45:00"] {
                set(&app, local(time)).await;
                watch::run_once(&app).await.expect("the watch passes");
                let before = app.statements();
                assert_eq!(html(&worker, "/board").await.0, StatusCode::OK);
                statements.push(app.statements() - before);
            }
            taken.lock().expect("not poisoned").push((app.db.is_postgres(), statements));
        })
        .await;
    }
    let taken = taken.into_inner().expect("not poisoned");
    println!("{taken:?}");
    for engine in [false, true] {
        let of_engine: Vec<_> = taken.iter().filter(|(is_postgres, _)| *is_postgres == engine).map(|(_, statements)| statements).collect();
        assert!(of_engine.windows(2).all(|two| two[0] == two[1]), "{of_engine:?}");
    }
}
