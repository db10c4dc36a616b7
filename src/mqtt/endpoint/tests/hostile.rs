//! Strangers, broken clients and floods: each is stopped, and nobody else notices.

use proptest::prelude::*;

use super::*;
use crate::mqtt::ports::Fault;

#[tokio::test]
async fn broken_packets_close_their_connection_and_no_other() {
    let world = world().await;
    let mut witness = world.connect("d-9").await;
    let exactly_once = {
        let mut publish = Publish::new("chk/1/d-1/up/evt", QoS::ExactlyOnce, "x");
        publish.pkid = 1;
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes).unwrap();
        bytes.to_vec()
    };
    let cases: [(&str, Vec<u8>); 9] = [
        ("a type that does not exist", vec![0x00, 0x00]),
        ("a packet of 256 MiB", vec![0x30, 0xff, 0xff, 0xff, 0x7f]),
        ("a length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("a topic longer than its packet", vec![0x30, 0x03, 0x00, 0x09, b'a']),
        ("a topic that is not UTF-8", vec![0x30, 0x04, 0x00, 0x02, 0xc3, 0x28]),
        ("packet id zero", vec![0x32, 0x05, 0x00, 0x01, b'a', 0x00, 0x00]),
        ("a second CONNECT", vec![0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 9, 0, 0]),
        ("a server's packet", vec![0xd0, 0x00]),
        ("quality of service 2", exactly_once),
    ];
    for (name, bytes) in cases {
        let mut peer = world.connect("d-1").await;
        peer.say_raw(&bytes).await;
        assert_eq!(peer.hear().await, None, "{name}");
    }
    witness.is_alive().await;
}

#[tokio::test]
async fn half_a_packet_waits_for_its_other_half() {
    let mut world = world().await;
    let mut peer = world.connect("d-1").await;
    let mut bytes = BytesMut::new();
    event("d-1", 3).write(&mut bytes, usize::MAX).unwrap();
    for byte in bytes {
        peer.say_raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(&world.arrival().await.payload[..], b"3");
}

#[tokio::test]
async fn a_stranger_who_does_not_say_who_it_is_is_shown_out() {
    let world = world_with(|settings| settings.connect_timeout = Duration::from_millis(50)).await;
    for bytes in [&[][..], &[0x10, 0x20, 0x00, 0x04, b'M'], &[0x10, 0xff, 0xff, 0x7f]] {
        let mut stranger = Peer::stranger(&world.endpoint).await;
        stranger.say_raw(bytes).await;
        stranger.is_closed().await;
    }
}

#[tokio::test]
async fn refusals_say_why_in_the_clients_own_version() {
    let world = world().await;
    let code = |connect| async { Peer::answered(&world.endpoint, connect).await.1.code };
    let mut wrong = Connect::new("d-1");
    wrong.set_credentials("d-1", "wrong");
    assert_eq!(code(wrong).await, ConnectReturnCode::BadUserNamePassword);
    assert_eq!(code(Connect::new("nobody")).await, ConnectReturnCode::BadUserNamePassword);
    let foreign_will = Connect { last_will: with_will("d-2").last_will, ..hello("d-1") };
    assert_eq!(code(foreign_will).await, ConnectReturnCode::NotAuthorized);

    let protocol = |name: &[u8], level| {
        let mut body = vec![0, u8::try_from(name.len()).unwrap()];
        body.extend(name);
        // Clean session, keep-alive 9, in version 5 no properties, client id "a".
        body.extend(if level == 5 { vec![level, 2, 0, 9, 0, 0, 1, b'a'] } else { vec![level, 2, 0, 9, 0, 1, b'a'] });
        [vec![0x10, u8::try_from(body.len()).unwrap()], body].concat()
    };
    for (bytes, answer) in [
        (protocol(b"MQTT", 5), &[0x20, 0x03, 0x00, 0x84, 0x00][..]),
        (protocol(b"MQTT", 3), &[0x20, 0x02, 0x00, 0x01]),
        (protocol(b"MQIsdp", 3), &[0x20, 0x02, 0x00, 0x01]),
        // No name and a session to be kept.
        (vec![0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 0, 0, 9, 0, 0], &[0x20, 0x02, 0x00, 0x02]),
    ] {
        let mut peer = Peer::stranger(&world.endpoint).await;
        peer.say_raw(&bytes).await;
        let mut heard = Vec::new();
        timeout(SOON, peer.stream.read_to_end(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, answer, "{bytes:02x?}");
    }
}

#[tokio::test]
async fn messages_too_large_or_on_foreign_topics_are_kept_as_a_sample_and_acknowledged() {
    let mut world = world().await;
    let publish = |topic: &str, size: usize, packet_id| {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, vec![7; size]);
        publish.pkid = packet_id;
        Packet::Publish(publish)
    };
    let mut device = world.connect("d-1").await;
    let mut gateway = world.connect("gateway").await;
    for (from_gateway, topic, size, fault) in [
        (false, "chk/1/d-1/up/evt", 1024, None),
        (false, "chk/1/d-1/up/evt", 1025, Some(Fault::TooLarge)),
        (false, "chk/1/d-2/up/evt", 10, Some(Fault::TopicNotAllowed)),
        (false, "chk/1/d-1/dn/cfg", 10, Some(Fault::TopicNotAllowed)),
        (false, "$SYS/broker", 10, Some(Fault::TopicNotAllowed)),
        (true, "zigbee2mqtt/a", 64 * 1024, None),
        (true, "zigbee2mqtt/a", 64 * 1024 + 1, Some(Fault::TooLarge)),
    ] {
        let peer = if from_gateway { &mut gateway } else { &mut device };
        peer.say(publish(topic, size, 1)).await;
        let message = world.arrival().await;
        assert_eq!((message.fault, message.size_bytes), (fault, size), "{topic} {size}");
        assert_eq!(message.payload.len(), if fault.is_some() { size.min(1024) } else { size });
        message.ack.send(Outcome::Committed).unwrap();
        peer.hears_ack(1).await;
    }
    device.is_alive().await;
}

/// F2. Zigbee2MQTT repeats an unacknowledged message after each reconnect.
#[tokio::test]
async fn a_message_of_megabytes_passes_by_and_the_next_one_is_heard() {
    let mut world = world().await;
    let mut gateway = world.connect("gateway").await;
    let mut publish = Publish::new("zigbee2mqtt/bridge/devices", QoS::AtLeastOnce, vec![7; 3 * 1024 * 1024]);
    (publish.pkid, publish.retain) = (1, true);
    let mut bytes = BytesMut::new();
    publish.write(&mut bytes).unwrap();
    event("gateway", 2).write(&mut bytes, usize::MAX).unwrap();
    let (beginning, rest) = bytes.split_at(100_000);
    gateway.say_raw(beginning).await;
    world.nothing_arrives().await;
    gateway.say_raw(rest).await;
    let large = world.arrival().await;
    assert_eq!((large.fault, large.topic.as_str()), (Some(Fault::TooLarge), "zigbee2mqtt/bridge/devices"));
    assert_eq!((large.size_bytes, large.payload.len(), large.retain), (3 * 1024 * 1024, 1024, true));
    let next = world.arrival().await;
    assert_eq!(&next.payload[..], b"2");
    next.ack.send(Outcome::Committed).unwrap();
    gateway.hears_nothing().await;
    large.ack.send(Outcome::Committed).unwrap();
    gateway.hears_ack(1).await;
    gateway.hears_ack(2).await;
}

#[tokio::test]
async fn megabytes_cost_their_sender_as_many_messages_as_they_are_worth() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await;
    let mut endpoint = world;
    let mut publish = Publish::new("zigbee2mqtt/a", QoS::AtMostOnce, vec![7; 4 * 1024 * 1024]);
    publish.pkid = 0;
    gateway.say(Packet::Publish(publish)).await;
    gateway.say(event("gateway", 0)).await;
    let _ = endpoint.arrival().await.ack.send(Outcome::Committed);
    endpoint.nothing_arrives().await;
    endpoint.connect("d-1").await.is_alive().await;
}

#[tokio::test]
async fn a_message_beyond_every_bound_closes_its_connection() {
    let world = world_with(|settings| settings.passing_bytes_max = 1024 * 1024).await;
    let mut gateway = world.connect("gateway").await;
    gateway.say(event("gateway", 0)).await;
    let mut publish = Publish::new("zigbee2mqtt/a", QoS::AtLeastOnce, vec![7; 1024 * 1024]);
    publish.pkid = 1;
    gateway.say(Packet::Publish(publish)).await;
    gateway.is_closed().await;
    world.connect("d-1").await.is_alive().await;
}

#[tokio::test]
async fn a_flood_from_one_device_is_slowed_and_stops_no_other() {
    let mut world = world().await;
    let mut flooder = world.connect("d-1").await;
    let mut other = world.connect("d-2").await;
    for _ in 0..500 {
        flooder.say(event("d-1", 0)).await;
    }
    other.say(event("d-2", 1)).await;
    let mut flood = 0;
    let mut heard = false;
    while let Ok(Some(message)) = timeout(Duration::from_millis(300), world.inbound.recv()).await {
        let _ = message.ack.send(Outcome::Committed);
        if message.topic == "chk/1/d-2/up/evt" {
            heard = true;
        } else {
            flood += 1;
        }
    }
    assert!(heard);
    assert!((60..70).contains(&flood), "{flood} of 500 got through at once");
    other.hears_ack(1).await;
    let mut again = world.connect("d-1").await;
    again.say(event("d-1", 1)).await;
    again.say(event("d-1", 2)).await;
    world.arrival().await;
    world.nothing_arrives().await;
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_places_come_free_again() {
    let world = world_with(|settings| settings.connections_max = 2).await;
    let _first = world.connect("d-1").await;
    let mut second = world.connect("d-2").await;
    Peer::stranger(&world.endpoint).await.is_closed().await;
    second.say(Packet::Disconnect).await;
    second.is_closed().await;
    while world.endpoint.connections() > 1 {
        tokio::task::yield_now().await;
    }
    // The place is given back just after the session.
    tokio::time::sleep(A_WHILE).await;
    world.connect("d-3").await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_after_the_handshake_never_stop_the_endpoint(noise in prop::collection::vec(any::<u8>(), 1..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world().await;
            let mut stranger = Peer::stranger(&world.endpoint).await;
            stranger.say_raw(&noise).await;
            let mut noisy = world.connect("d-1").await;
            noisy.say_raw(&noise).await;
            let mut other = world.connect("d-2").await;
            other.is_alive().await;
        });
    }
}
