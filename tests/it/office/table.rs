//! The register from a table and back: every bad cell is named, all or nothing, and no typed text becomes a formula.

use chrono::NaiveDate;
use encoding_rs::GB18030;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, on_each_engine};
use crate::http::{Client, Server, count};

const HEAD: &str = "楼栋,单元,楼层,房号,窗户位置,姓名,称呼,电话,出生年份,特殊群体,分级,联系人,结对党员,替补,约定时间,同意事项\n";
const GOOD: &str = "3号楼,2单元,4层,402,左二窗,李桂兰,李奶奶,0351-7000000,1938,五保、独居,红,女儿 李梅 13900000000 20分钟,王建国,刘桂芳,9点半,每天看窗\n\
    3号楼,2单元,,402,,李建业,李爷爷,,,,,,王建国,刘桂芳,,\n";

async fn send(client: &Client, path: &str, file: Vec<u8>) -> (StatusCode, Value) {
    let request = client.request(Method::POST, path).header("content-type", "application/octet-stream");
    let request = request.header("idempotency-key", Uuid::now_v7().to_string()).header("accept-language", "zh-CN");
    let response = request.body(file).send().await.expect("an answer");
    (response.status(), response.json().await.unwrap_or(Value::Null))
}

async fn seniors(app: &chenlian::app::App) -> i64 {
    count(app, "select count(*) from senior").await
}

#[tokio::test]
async fn a_table_that_was_checked_is_taken_whole_with_homes_pairs_contacts_and_agreements() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let file = GB18030.encode(&format!("{HEAD}{GOOD}")).0.into_owned();
        let (status, report) = send(&worker, "/api/v1/imports", file.clone()).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        assert_eq!((&report["seniors"], &report["problems"]), (&json!(2), &json!([])));
        assert_eq!(seniors(&app).await, 0, "a dry run keeps nothing");
        let commit = format!("/api/v1/imports/commit?hash={}", report["hash"].as_str().expect("a hash"));
        let (status, taken) = send(&worker, &commit, file.clone()).await;
        assert_eq!((status, &taken["seniors"]), (StatusCode::CREATED, &json!(2)), "{taken}");
        assert_eq!(seniors(&app).await, 2);
        for (what, rows, sql) in [
            ("a couple has one door", 1, "select count(*) from home"),
            ("the old word is understood", 1, "select count(*) from senior where categories like '%tekun%' and risk_band = 'red'"),
            ("primary and backup of each", 4, "select count(*) from pairing"),
            ("a contact with its minutes", 1, "select count(*) from contact where phone = '13900000000' and minutes_away = 20"),
            ("an agreement each", 2, "select count(*) from agreement where expected_sign = 'open'"),
            ("one of them with a time of its own", 1, "select count(*) from agreement where deadline is not null"),
            ("a consent", 1, "select count(*) from consent where scope = 'daily_check'"),
            ("on record", 1, "select count(*) from audit where act = 'import'"),
        ] {
            assert_eq!(count(&app, sql).await, rows, "{what}");
        }
        let (status, _) = send(&worker, &commit, file).await;
        assert_eq!((status, seniors(&app).await), (StatusCode::CONFLICT, 2), "the same people once more are no new people");
    })
    .await;
}

#[tokio::test]
async fn one_bad_cell_keeps_the_whole_table_out_and_is_named_with_row_and_column() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let bad = "9号楼,2单元,,403,,赵奶奶,赵奶奶,12,38,穷,,,赵六,,,\n";
        let file = format!("{HEAD}{GOOD}{bad}").into_bytes();
        let (status, report) = send(&worker, "/api/v1/imports", file.clone()).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        let named: Vec<_> =
            report["problems"].as_array().expect("problems").iter().map(|one| (one["row"].clone(), one["column"].clone())).collect();
        let expected = ["楼栋", "电话", "出生年份", "特殊群体", "结对党员"].map(|column| (json!(4), json!(column)));
        assert_eq!(named, expected, "{report}");
        assert!(report["problems"][3]["detail"].as_str().is_some_and(|text| text.contains("特困")), "it says what may be written");
        let commit = format!("/api/v1/imports/commit?hash={}", report["hash"].as_str().expect("a hash"));
        assert_eq!(send(&worker, &commit, file).await.0, StatusCode::CONFLICT);
        let (status, problem) = send(&worker, &commit, format!("{HEAD}{GOOD}").into_bytes()).await;
        assert_eq!((status, &problem["key"]), (StatusCode::CONFLICT, &json!("import.other_content")), "another file under this hash");
        assert_eq!(seniors(&app).await, 0);
        assert_eq!(count(&app, "select count(*) from home").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_table_of_another_scope_an_old_format_and_a_foreign_type_are_refused() {
    on_each_engine(|app| async move {
        let (world, other) = (World::seed(&app, 0).await, World::seed(&app, 0).await);
        let server = Server::start(&app).await;
        let volunteer = server.client(&app, world.site, world.primary).await;
        let file = format!("{HEAD}{GOOD}").into_bytes();
        assert_eq!(send(&volunteer, "/api/v1/imports", file.clone()).await.0, StatusCode::FORBIDDEN);
        let worker = server.client(&app, other.site, other.social_worker).await;
        let (status, problem) = send(&worker, "/api/v1/imports", vec![0xd0, 0xcf, 0x11, 0xe0, 1]).await;
        assert_eq!((status, &problem["key"]), (StatusCode::BAD_REQUEST, &json!("import.old_format")));
        let as_text = worker.request(Method::POST, "/api/v1/imports").header("content-type", "text/plain").body(file);
        assert_eq!(crate::http::read(as_text).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(send(&worker, "/api/v1/imports", vec![b'a'; 6 * 1024 * 1024]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    })
    .await;
}

#[tokio::test]
async fn the_empty_table_that_is_offered_is_one_that_is_understood() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let template = worker.request(Method::GET, "/api/v1/imports/template").send().await.expect("an answer");
        assert_eq!(template.status(), StatusCode::OK);
        assert!(template.headers()["content-disposition"].to_str().is_ok_and(|text| text.contains(".xlsx")));
        let (status, report) = send(&worker, "/api/v1/imports", template.bytes().await.expect("a file").to_vec()).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        assert_eq!((&report["seniors"], &report["problems"]), (&json!(1), &json!([])), "its example fits a street like this one");
    })
    .await;
}

#[tokio::test]
async fn a_list_to_take_away_holds_no_formula_and_says_who_took_it() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        for (name, phone) in
            [("=HYPERLINK(\"http://x\")", "13911110001"), ("+1", "13911110002"), ("-1", "13911110003"), ("@A1", "13911110004")]
        {
            let body = json!({"id": Uuid::now_v7(), "name": name, "called": name, "phone": phone});
            assert_eq!(administrator.post("/api/v1/members", body).await.0, StatusCode::CREATED);
        }
        let response = administrator.request(Method::GET, "/api/v1/exports/members").send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let lines = chenlian::sheet::read(&response.bytes().await.expect("a file")).expect("a table");
        assert!(lines[0].cells[0].contains("管理员"), "{:?}", lines[0]);
        let cells: Vec<&String> = lines.iter().flat_map(|line| &line.cells).collect();
        for escaped in ["'=HYPERLINK(\"http://x\")", "'+1", "'-1", "'@A1"] {
            assert!(cells.iter().any(|cell| *cell == escaped), "{escaped}: {cells:?}");
        }
        assert!(cells.iter().any(|cell| **cell == world.primary.to_string()), "ids stay the same");
        let worker = server.client(&app, world.site, world.social_worker).await;
        for list in ["seniors", "agreements", "visits", "alerts"] {
            let response = worker.request(Method::GET, &format!("/api/v1/exports/{list}")).send().await.expect("an answer");
            assert_eq!(response.status(), StatusCode::OK, "{list}");
            chenlian::sheet::read(&response.bytes().await.expect("a file")).expect("a table");
        }
        assert_eq!(worker.get("/api/v1/exports/members").await.0, StatusCode::FORBIDDEN);
        let from = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a literal date");
        assert_eq!(worker.get(&format!("/api/v1/exports/visits?from={from}")).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(count(&app, "select count(*) from audit where act like 'export_%'").await, 5);
    })
    .await;
}
