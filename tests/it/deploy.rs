//! What is shipped in `deploy/` does what its comments promise, tried on the real programs.

use crate::harness::broker::Broker;

const SERVER: &str = "chenlian";
const SERVER_TOPICS: [&str; 2] = ["chk/1/+/up/#", "zigbee2mqtt/#"];

#[test]
fn a_device_speaks_only_for_itself_and_a_stranger_not_at_all() {
    let Some(broker) = Broker::start(&[SERVER, "d-1", "d-2"]) else {
        return;
    };
    broker.subscribe(SERVER, &SERVER_TOPICS);

    assert!(!broker.publish(None, "chk/1/d-1/up/evt", "anonymous"), "a stranger was let in");
    broker.publish(Some("d-1"), "chk/1/d-2/up/evt", "forged");
    broker.publish(Some("d-1"), "chk/1/d-1/dn/cfg", "forged");
    broker.publish(Some("d-1"), "zigbee2mqtt/curtain", "forged");
    broker.publish(Some("d-1"), "chk/1/d-1/up/evt", "own");

    // The first that waits is the last that was sent.
    assert_eq!(broker.waiting(SERVER, &SERVER_TOPICS, 1), ["chk/1/d-1/up/evt own"]);
}

#[test]
fn a_message_that_is_too_large_stops_neither_its_sender_nor_the_server() {
    let Some(broker) = Broker::start(&[SERVER, "zigbee2mqtt"]) else {
        return;
    };
    broker.subscribe(SERVER, &SERVER_TOPICS);

    // Each line ends as a line: of a last one that does not, mosquitto_pub may hang up before it is sent.
    let longer_than_any_list_of_devices = "x".repeat(2_200_000);
    let lines = format!("before\n{longer_than_any_list_of_devices}\nafter\n");
    let sent = broker.publish(Some("zigbee2mqtt"), "zigbee2mqtt/curtain", &lines);

    assert!(sent, "the gateway was cut off");
    assert_eq!(broker.waiting(SERVER, &SERVER_TOPICS, 2), ["zigbee2mqtt/curtain before", "zigbee2mqtt/curtain after"]);
}

/// Traps F3 and F4: with mosquitto's defaults the newest two thousand are dropped, and the rest dies with the broker.
#[test]
fn what_the_broker_acknowledged_survives_its_kill_while_the_server_is_away() {
    const MESSAGES: usize = 3000;
    let Some(mut broker) = Broker::start(&[SERVER, "d-1"]) else {
        return;
    };
    broker.subscribe(SERVER, &SERVER_TOPICS);

    let mut lines = String::new();
    for number in 1..MESSAGES {
        lines.push_str(&number.to_string());
        lines.push('\n');
    }
    lines += "the-last-sign-of-life\n";
    assert!(broker.publish(Some("d-1"), "chk/1/d-1/up/evt", &lines));
    broker.wait_until_saved("the-last-sign-of-life");
    broker.kill_and_restart();

    let waiting = broker.waiting(SERVER, &SERVER_TOPICS, MESSAGES);
    assert_eq!(waiting.len(), MESSAGES);
    assert_eq!(waiting.last().map(String::as_str), Some("chk/1/d-1/up/evt the-last-sign-of-life"));
}
