//! Recorded messages against a small acceptor.

#[expect(dead_code, reason = "these tests need a part of it")]
mod acceptor;

use std::time::Duration;

use firmware_sim::sim::link::Broker;
use firmware_sim::sim::player::{Player, play, read};
use tokio_util::sync::CancellationToken;

use acceptor::{Rules, acceptor, acceptor_with};

const RECORDING: &str = r#"{"topic":"zigbee2mqtt/窗帘","payload":"{\"contact\":false}","retain":true,"recv_time":"2026-09-06T22:41:00Z","meaning":"contact_open"}
{"topic":"a/b","payload_b64":"AAEC","recv_time":"2026-09-06T22:40:08.275Z"}
{"topic":"a/b","payload":"belongs to the one before"}

{"topic":"a/+","payload":"x","recv_time":"2026-09-06T22:40:30Z"}
"#;

fn player(broker: Broker, prefix: &str) -> Player {
    Player { broker, client_id: "player".to_owned(), user: None, prefix: prefix.to_owned(), hurry: true, gap_max: Duration::from_secs(1) }
}

#[tokio::test]
async fn messages_arrive_in_order_of_time_under_the_prefix() {
    let (broker, book) = acceptor().await;
    let report = play(&player(broker, "site/7/"), read(RECORDING).unwrap(), CancellationToken::new()).await;
    assert_eq!((report.messages, report.sent, report.acknowledged, report.not_sent), (4, 3, 3, 0));
    assert_eq!(report.left_out.iter().map(|left| left.line).collect::<Vec<_>>(), [5]);
    let known = book.lock().unwrap()["player"].clone();
    let heard: Vec<(&str, &[u8])> = known.heard.iter().map(|(topic, payload)| (&topic[..], &payload[..])).collect();
    assert_eq!(
        heard,
        [
            ("site/7/a/b", &[0, 1, 2][..]),
            ("site/7/a/b", b"belongs to the one before"),
            ("site/7/zigbee2mqtt/窗帘", br#"{"contact":false}"#)
        ]
    );
    assert_eq!(known.retained.keys().collect::<Vec<_>>(), ["site/7/zigbee2mqtt/窗帘"], "retained as it was published");
}

#[tokio::test]
async fn the_pauses_of_the_recording_are_kept_and_long_ones_cut() {
    let (broker, _) = acceptor().await;
    let rows = read(RECORDING).unwrap();
    assert_eq!(rows.iter().map(|row| row.after.as_millis()).collect::<Vec<_>>(), [0, 0, 21_725, 51_725]);
    let real = Player { hurry: false, gap_max: Duration::from_millis(20), ..player(broker, "") };
    let report = play(&real, rows, CancellationToken::new()).await;
    assert_eq!(report.acknowledged, 3);
}

#[tokio::test]
async fn a_message_over_which_the_broker_hangs_up_is_named_and_the_rest_goes_on() {
    let (broker, book) = acceptor_with(Rules { hangs_up_at: Some("bad"), ..Rules::default() }).await;
    let lines: Vec<String> =
        (0..40).map(|at| format!(r#"{{"topic":"{}","payload":"{at}"}}"#, if at == 7 { "bad" } else { "good" })).collect();
    let report = play(&player(broker, ""), read(&lines.join("\n")).unwrap(), CancellationToken::new()).await;
    assert_eq!((report.acknowledged, report.not_sent, report.error), (39, 0, None));
    assert_eq!(report.left_out.iter().map(|left| left.line).collect::<Vec<_>>(), [8]);
    let heard: std::collections::BTreeSet<Vec<u8>> =
        book.lock().unwrap()["player"].heard.iter().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(heard.len(), 39);
}

#[tokio::test]
async fn a_broker_that_stays_away_ends_it_with_what_was_not_sent() {
    let nowhere = Broker { host: "127.0.0.1".to_owned(), port: 1 };
    let report = play(&player(nowhere, ""), read(RECORDING).unwrap(), CancellationToken::new()).await;
    assert_eq!((report.sent, report.not_sent), (0, 3));
    assert!(report.error.is_some());
}

#[test]
fn a_row_that_cannot_be_read_is_named_by_its_line() {
    let cases = [
        ("{\"payload\":\"x\"}", "line 1: missing field `topic`"),
        ("\n{\"topic\":\"a\"}", "line 2: neither payload nor payload_b64"),
        ("{\"topic\":\"a\",\"payload_b64\":\"?\"}", "line 1: payload_b64"),
        ("{\"topic\":\"a\",\"payload\":\"x\",\"recv_time\":\"yesterday\"}", "line 1:"),
        ("not json", "line 1:"),
    ];
    for (text, told) in cases {
        let error = read(text).expect_err(text);
        assert!(error.contains(told), "{text}: {error}");
    }
}
