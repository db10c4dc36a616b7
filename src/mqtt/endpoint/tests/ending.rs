//! How connections end, and what is said afterwards.

use super::*;

async fn hears_will(world: &mut World, name: &str) {
    let will = world.arrival().await;
    assert!(will.will && will.retain);
    assert_eq!((will.topic.as_str(), &will.payload[..]), (format!("chk/1/{name}/up/status").as_str(), &b"off"[..]));
}

#[tokio::test]
async fn an_end_without_a_word_raises_the_will_and_a_goodbye_does_not() {
    let mut world = world().await;
    drop(Peer::admitted(&world.endpoint, with_will("d-1")).await);
    hears_will(&mut world, "d-1").await;
    let mut broken = Peer::admitted(&world.endpoint, with_will("d-2")).await;
    broken.say_raw(&[0x00, 0x00]).await;
    hears_will(&mut world, "d-2").await;
    let mut polite = Peer::admitted(&world.endpoint, with_will("d-3")).await;
    polite.say(Packet::Disconnect).await;
    polite.is_closed().await;
    world.nothing_arrives().await;
}

#[tokio::test]
async fn silence_for_one_and_a_half_keep_alives_ends_the_connection() {
    let mut world = world().await;
    let started = tokio::time::Instant::now();
    let mut device = Peer::admitted(&world.endpoint, Connect { keep_alive: 1, ..with_will("d-1") }).await;
    device.is_closed().await;
    assert!(started.elapsed() >= Duration::from_millis(1500), "{:?}", started.elapsed());
    hears_will(&mut world, "d-1").await;
}

#[tokio::test]
async fn the_same_client_takes_its_session_over_and_a_namesake_cannot() {
    let mut world = world().await;
    let mut old = Peer::admitted(&world.endpoint, with_will("d-1")).await;
    let namesake = Connect { client_id: "d-1".to_owned(), ..hello("d-2") };
    let mut namesake = Peer::admitted(&world.endpoint, namesake).await;
    old.is_alive().await;
    let mut new = world.connect("d-1").await;
    old.is_closed().await;
    hears_will(&mut world, "d-1").await;
    new.is_alive().await;
    namesake.is_alive().await;
}

#[tokio::test]
async fn a_revoked_device_is_thrown_out_at_once_and_silenced() {
    let mut world = world().await;
    let mut device = Peer::admitted(&world.endpoint, with_will("d-1")).await;
    let mut other = world.connect("d-2").await;
    world.endpoint.kick(device_id("d-1"));
    device.is_closed().await;
    world.nothing_arrives().await;
    other.is_alive().await;
    let mut late = Peer::admitted(&world.endpoint, with_will("d-3")).await;
    late.say(event("d-3", 1)).await;
    world.arrival().await.ack.send(Outcome::Revoked).unwrap();
    late.is_closed().await;
    world.nothing_arrives().await;
}

#[tokio::test]
async fn stopping_acknowledges_what_is_being_committed() {
    let mut world = world().await;
    let mut device = Peer::admitted(&world.endpoint, with_will("d-1")).await;
    device.say(event("d-1", 7)).await;
    let message = world.arrival().await;
    let endpoint = world.endpoint.clone();
    let stopped = tokio::spawn(async move { endpoint.stop().await });
    device.hears_nothing().await;
    message.ack.send(Outcome::Committed).unwrap();
    device.hears_ack(7).await;
    device.is_closed().await;
    timeout(SOON, stopped).await.unwrap().unwrap();
    world.nothing_arrives().await;
    assert!(TcpStream::connect(world.endpoint.local_addr()).await.is_err());
}

#[tokio::test]
async fn one_principal_cannot_pile_up_sessions() {
    let world = world().await;
    let mut peers = Vec::new();
    for n in 0..10 {
        let connect = Connect { client_id: format!("c{n}"), ..hello("d-1") };
        peers.push(Peer::admitted(&world.endpoint, connect).await);
    }
    peers[0].is_closed().await;
    peers[1].is_closed().await;
    peers[2].is_alive().await;
    assert_eq!(world.endpoint.connections(), 8);
}
