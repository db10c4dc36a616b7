//! What a client may send wrongly, and that it is told where (reliability.md §6).

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Server, count, read};
use crate::harness::{World, on_each_engine};

/// A body, what it answers, and the field that it names.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let deep = format!("{{\"phone\":{}1{}}}", "[".repeat(40), "]".repeat(40)).into_bytes();
    let list = format!("{{\"phone\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes();
    vec![
        ("unknown field", br#"{"phone":"13800000000","password":"12345678","admin":true}"#.to_vec(), 400, "admin"),
        ("wrong type", br#"{"phone":13800000000,"password":"12345678"}"#.to_vec(), 400, "phone"),
        ("missing field", br#"{"phone":"13800000000"}"#.to_vec(), 400, "password"),
        ("too long", format!(r#"{{"phone":"138000","password":"{}"}}"#, "a".repeat(129)).into_bytes(), 400, "password"),
        ("not a phone", br#"{"phone":"drop table","password":"12345678"}"#.to_vec(), 400, "phone"),
        ("not a uuid", br#"{"phone":"138000","password":"12345678","site_id":"7"}"#.to_vec(), 400, "site_id"),
        ("unknown word", br#"{"phone":"138000","password":"12345678","kind":"root"}"#.to_vec(), 400, "kind"),
        ("nested too deep", deep, 400, "phone[0][0]"),
        ("nested to overflow a stack", list, 400, "phone[0][0]"),
        ("NUL", br#"{"phone":"138000","password":"1234\u00005678"}"#.to_vec(), 400, "password"),
        ("raw NUL", b"{\"phone\":\"138000\",\"password\":\"1234\x005678\"}".to_vec(), 400, "password"),
        ("NUL in a key", br#"{"pho\u0000ne":"138000"}"#.to_vec(), 400, "pho?ne"),
        ("lone surrogate", br#"{"phone":"138000","password":"\ud83d12345678"}"#.to_vec(), 400, "password"),
        ("not UTF-8", b"{\"phone\":\"\xff\xfe\"}".to_vec(), 400, ""),
        ("overlong UTF-8", b"{\"phone\":\"\xc0\x80\"}".to_vec(), 400, ""),
        ("duplicate key", br#"{"phone":"138000","phone":"139000","password":"12345678"}"#.to_vec(), 400, "phone"),
        ("two values", br#"{"phone":"138000","password":"12345678"}{}"#.to_vec(), 400, ""),
        ("infinite number", br#"{"phone":1e999}"#.to_vec(), 400, "phone"),
        ("not an object", b"[]".to_vec(), 400, ""),
        ("a list in the order of the fields", br#"[null,"138000","12345678",null,"bearer",""]"#.to_vec(), 400, ""),
        ("nothing", Vec::new(), 400, ""),
        ("byte order mark", "\u{feff}{}".as_bytes().to_vec(), 400, ""),
        ("cut off", br#"{"phone":"138"#.to_vec(), 400, "phone"),
        ("too large", format!(r#"{{"phone":"{}"}}"#, "1".repeat(70_000)).into_bytes(), 413, ""),
    ]
}

#[tokio::test]
async fn a_malformed_body_is_refused_with_its_field_and_changes_nothing() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        for (what, body, status, field) in bodies() {
            let request = stranger.request(Method::POST, "/api/v1/sessions").header("content-type", "application/json").body(body);
            let (answered, problem) = read(request).await;
            assert_eq!(answered.as_u16(), status, "{what}: {problem}");
            if status == 400 {
                let named = problem["errors"][0]["field"].as_str().unwrap_or("no field");
                let fits = if field.ends_with(']') { named.starts_with(field) } else { named == field };
                assert!(fits, "{what}: {problem}");
            }
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.starts_with("http.")), "{what}: {problem}");
        }
        assert_eq!(count(&app, "select count(*) from audit").await, 0);
    })
    .await;
}

#[tokio::test]
async fn only_json_is_read_as_json() {
    on_each_engine(|app| async move {
        let server = Server::start(&app).await;
        let request = server.stranger().request(Method::POST, "/api/v1/sessions").header("content-type", "text/plain").body("{}");
        assert_eq!(read(request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    })
    .await;
}

#[tokio::test]
async fn a_malformed_query_is_refused_with_its_parameter() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=ten", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=nonsense", "cursor"),
            ("cursor=W10", "cursor"),
            ("cursor=%00", "cursor"),
            ("cursor=%ff", "cursor"),
            ("sort=name", "sort"),
        ] {
            let (status, problem) = client.get(&format!("/api/v1/sessions?{query}")).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
            assert_eq!(problem["errors"][0]["field"], field, "{query}: {problem}");
        }
        assert_eq!(client.delete("/api/v1/sessions/not-an-id").await.0, StatusCode::NOT_FOUND);
        for (path, field) in [
            ("/api/v1/sites?name=x", "name"),
            ("/api/v1/duties?on=1999-12-31", "on"),
            ("/api/v1/leaves?on=2101-01-01", "on"),
            ("/api/v1/role-grants?on=+2026-1-1", "on"),
            ("/api/v1/rounds?date=0001-01-01", "date"),
            ("/api/v1/checks?date=9999-12-31", "date"),
            ("/api/v1/reachability?date=1999-12-31", "date"),
        ] {
            let (status, problem) = client.get(path).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{path}: {problem}");
        }
    })
    .await;
}

#[test]
fn times_dates_and_texts_are_strict() {
    use chenlian::http::value::{Day, MaybeText, Phone, Text, TimeOfDay, Timestamp};
    fn reads<T: serde::de::DeserializeOwned>(text: &str) -> bool {
        serde_json::from_value::<T>(json!(text)).is_ok()
    }
    for (text, good) in [
        ("2026-11-23T08:15:00+08:00", true),
        ("2026-11-23T00:15:00.123456Z", true),
        ("2026-11-23T08:15:00", false),
        ("2026-11-23 08:15:00Z", false),
        ("2026-11-23t08:15:00Z", false),
        ("1999-12-31T23:59:59Z", false),
        ("2101-01-01T00:00:00Z", false),
        ("2026-02-30T00:00:00Z", false),
        ("2026-11-23T23:59:60Z", false),
        ("2026-11-23T08:15Z", false),
        ("1763856900", false),
        ("", false),
    ] {
        assert_eq!(reads::<Timestamp>(text), good, "{text}");
    }
    let cut = Timestamp::parse("2026-11-23T00:15:00.123999Z").unwrap();
    assert_eq!(cut.0.timestamp_subsec_nanos(), 123_000_000);
    for (text, good) in [("2026-11-23", true), ("2026-1-2", false), ("1999-01-01", false), ("2026-02-29", false), ("+2026-1-1", false)] {
        assert_eq!(reads::<Day>(text), good, "{text}");
    }
    for (text, good) in [("09:00", true), ("09:00:30", true), ("24:00", false), ("9:00", false), ("09:00:60", false)] {
        assert_eq!(reads::<TimeOfDay>(text), good, "{text}");
    }
    for (text, good) in [(" 张奶奶 ", true), ("  ", false), ("五个字以上了", false), ("a\tb", false), ("a\nb", true)] {
        assert_eq!(reads::<Text<5>>(text), good, "{text:?}");
    }
    assert!(reads::<MaybeText<5>>("") && !reads::<MaybeText<5>>("123456"));
    assert_eq!(serde_json::from_value::<Phone>(json!("+86 138-0013-8000")).unwrap().0, "13800138000");
}

#[test]
fn the_same_content_has_the_same_hash_however_it_is_written() {
    use chenlian::http::tree::{canonical, parse};
    let bytes = |text: &str| canonical(&parse(text).unwrap());
    assert_eq!(bytes(r#"{"a":1,"b":"\u00e9"}"#), bytes("{ \"b\": \"e\u{301}\", \"a\": 1 }"));
    assert_ne!(bytes(r#"{"a":["b","c"]}"#), bytes(r#"{"a":["b,c"]}"#));
    assert_ne!(bytes(r#"{"a":1}"#), bytes(r#"{"a":"1"}"#));
}
