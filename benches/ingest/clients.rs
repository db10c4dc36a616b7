//! Gateways as the endpoint sees them: each with a window of messages that wait for their acknowledgement.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Broker, Event, MqttOptions, Packet, PublishOptions};

#[derive(Clone)]
pub struct Account {
    pub name: String,
    pub password: String,
    /// The topics that it publishes on, in turn.
    pub topics: Vec<String>,
}

/// How one client sends.
#[derive(Clone, Copy)]
pub struct Load {
    pub messages: usize,
    /// Messages on their way at once.
    pub window: usize,
    /// Between two messages; zero: as fast as they are acknowledged.
    pub pause: Duration,
}

/// Sends, and returns for every message how long its acknowledgement took. Acknowledgements of one connection come in order.
pub async fn send(address: SocketAddr, account: Account, load: Load) -> Vec<Duration> {
    let mut options = MqttOptions::new(&account.name, Broker::tcp(address.ip().to_string(), address.port()));
    options.set_credentials(&account.name, account.password.clone());
    options.set_max_packet_size(1 << 17, 1 << 17);
    let (client, mut events) = AsyncClient::builder(options).capacity(load.window).build();
    let (mut waiting, mut took, mut sent) = (VecDeque::new(), Vec::with_capacity(load.messages), 0);
    let mut next_at = tokio::time::Instant::now();
    let mut connected = false;
    while took.len() < load.messages {
        tokio::select! {
            event = events.poll() => match event.expect("the connection stays") {
                Event::Incoming(Packet::ConnAck(_)) => connected = true,
                Event::Incoming(Packet::PubAck(_)) => took.push(waiting.pop_front().map(|at: Instant| at.elapsed()).expect("one was sent")),
                _ => {}
            },
            () = tokio::time::sleep_until(next_at), if connected && sent < load.messages && waiting.len() < load.window => {
                let topic = account.topics[sent % account.topics.len()].clone();
                waiting.push_back(Instant::now());
                client.try_publish(topic, report(sent), PublishOptions::at_least_once()).expect("the window has room");
                sent += 1;
                next_at += load.pause;
            }
        }
    }
    took
}

/// What a contact behind Zigbee2MQTT says every hour.
fn report(number: usize) -> String {
    format!(
        r#"{{"battery":{},"contact":true,"device_temperature":21,"last_seen":"2026-11-23T06:00:00+08:00","linkquality":{},"power_outage_count":3,"trigger_count":2,"voltage":2995}}"#,
        70 + number % 20,
        40 + number % 200
    )
}
