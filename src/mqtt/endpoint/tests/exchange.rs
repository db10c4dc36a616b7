//! What is promised to a client that behaves.

use rumqttc::{AsyncClient, Broker, Event, MqttOptions, PublishOptions, SubscribeReasonCode};

use super::*;

#[tokio::test]
async fn a_message_is_acknowledged_when_it_is_committed_and_not_before() {
    let mut world = world().await;
    let mut device = world.connect("d-1").await;
    device.say(event("d-1", 5)).await;
    let message = world.arrival().await;
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("chk/1/d-1/up/evt", &b"5"[..]));
    device.hears_nothing().await;
    message.ack.send(Outcome::Committed).unwrap();
    device.hears_ack(5).await;
}

#[tokio::test]
async fn acknowledgements_come_in_the_order_of_the_messages() {
    let mut world = world().await;
    let mut device = world.connect("d-1").await;
    for packet_id in 1..=3 {
        device.say(event("d-1", packet_id)).await;
    }
    let mut acks = Vec::new();
    for _ in 0..3 {
        acks.push(world.arrival().await.ack);
    }
    for ack in acks.drain(1..) {
        ack.send(Outcome::Committed).unwrap();
    }
    device.hears_nothing().await;
    acks.remove(0).send(Outcome::Committed).unwrap();
    for packet_id in 1..=3 {
        device.hears_ack(packet_id).await;
    }
}

#[tokio::test]
async fn a_message_that_could_not_be_stored_is_not_acknowledged_and_the_device_is_made_to_send_again() {
    let mut world = world().await;
    for outcome in [Some(Outcome::Failed), None] {
        let mut device = world.connect("d-1").await;
        device.say(event("d-1", 5)).await;
        let message = world.arrival().await;
        if let Some(outcome) = outcome {
            message.ack.send(outcome).unwrap();
        } else {
            drop(message);
        }
        device.is_closed().await;
    }
}

#[tokio::test]
async fn an_ordinary_client_gets_its_message_through_a_failed_commit() {
    let mut world = world().await;
    let mut options = MqttOptions::new("d-1", Broker::tcp("127.0.0.1", world.endpoint.local_addr().port()));
    options.set_credentials("d-1", PASSWORD).set_clean_session(false);
    let (client, mut events) = AsyncClient::builder(options).capacity(8).build();
    let acknowledged = tokio::spawn(async move {
        loop {
            if let Ok(Event::Incoming(Packet::PubAck(_))) = events.poll().await {
                return;
            }
        }
    });
    client.publish("chk/1/d-1/up/evt", "hello", PublishOptions::at_least_once()).await.unwrap();
    world.arrival().await.ack.send(Outcome::Failed).unwrap();
    let again = world.arrival().await;
    assert!(again.dup);
    assert!(!acknowledged.is_finished());
    again.ack.send(Outcome::Committed).unwrap();
    timeout(SOON, acknowledged).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_window_full_of_unanswered_messages_is_not_read_further() {
    let mut world = world_with(|settings| settings.in_flight_max = 2).await;
    let mut device = world.connect("d-1").await;
    for packet_id in 1..=3 {
        device.say(event("d-1", packet_id)).await;
    }
    let first = world.arrival().await;
    let _second = world.arrival().await;
    world.nothing_arrives().await;
    first.ack.send(Outcome::Committed).unwrap();
    world.arrival().await;
}

#[tokio::test]
async fn a_device_hears_its_own_downlink_and_nobody_elses() {
    let mut world = world().await;
    let mut device = world.connect("d-1").await;
    device.say(subscription(&["chk/1/d-1/dn/#", "chk/1/d-2/dn/#", "chk/1/+/dn/#", "#", "$SYS/#"])).await;
    let Some(Packet::SubAck(ack)) = device.hear().await else { panic!("no SUBACK") };
    let (granted, refused) = (SubscribeReasonCode::Success(QoS::AtLeastOnce), SubscribeReasonCode::Failure);
    assert_eq!(ack.return_codes, [granted, refused, refused, refused, refused]);
    let cfg = device.hears_message().await;
    assert!(cfg.retain && cfg.topic == "chk/1/d-1/dn/cfg", "configuration comes with the subscription");

    let receipt = |name: &str| Downlink { topic: format!("chk/1/{name}/dn/ack"), payload: Bytes::from_static(b"receipt"), retain: false };
    world.endpoint.send("d-2", &receipt("d-2"));
    world.endpoint.send("d-1", &receipt("d-1"));
    assert_eq!(device.hears_message().await.topic, "chk/1/d-1/dn/ack");

    // Another device's message, though it was accepted, reaches no client.
    let mut other = world.connect("d-2").await;
    other.say(event("d-2", 1)).await;
    world.arrival().await.ack.send(Outcome::Committed).unwrap();
    other.hears_ack(1).await;
    device.hears_nothing().await;
}

#[tokio::test]
async fn a_sleeping_device_finds_what_was_sent_meanwhile() {
    let world = world().await;
    let sleeper = || Connect { clean_session: false, ..hello("d-1") };
    let mut device = Peer::admitted(&world.endpoint, sleeper()).await;
    device.say(subscription(&["chk/1/d-1/dn/ack"])).await;
    assert!(matches!(device.hear().await, Some(Packet::SubAck(_))));
    device.say(Packet::Disconnect).await;
    device.is_closed().await;
    for n in 0..20 {
        let payload = Bytes::from(vec![n]);
        world.endpoint.send("d-1", &Downlink { topic: "chk/1/d-1/dn/ack".to_owned(), payload, retain: false });
    }
    let (mut device, ack) = Peer::answered(&world.endpoint, sleeper()).await;
    assert!(ack.session_present);
    for n in 4..20 {
        let message = device.hears_message().await;
        assert_eq!(message.payload[..], [n], "the oldest are dropped first");
        if n < 10 {
            device.say(Packet::PubAck(rumqttc::PubAck::new(message.pkid))).await;
        }
    }
    device.is_alive().await;
    drop(device);
    while world.endpoint.connections() > 0 {
        tokio::task::yield_now().await;
    }
    let mut device = Peer::admitted(&world.endpoint, sleeper()).await;
    assert_eq!(device.hears_message().await.payload[..], [10], "what was not acknowledged comes again");
    let (_, ack) = Peer::answered(&world.endpoint, hello("d-1")).await;
    assert!(!ack.session_present, "a clean session forgets");
}
