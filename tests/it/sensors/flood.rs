//! One device has gone mad and sends without end. How long others wait beside it is measured by `cargo bench --bench ingest`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::Client;
use super::*;
use crate::harness::{World, on_each_engine};

/// More than the endpoint lets one device say at once (`mqtt.device_rate_per_minute`), so that it is held back.
const RAVED: usize = 60;
/// Of one device in an hour.
const SAMPLES_MAX: usize = 30;

/// What one of them does holds back none of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_gone_mad_is_held_back_alone_and_leaves_few_samples() {
    on_each_engine(async |app: App| {
        let (app, running) = started(&app).await;
        let world = World::seed(&app, 1).await;
        let mad = install(&app, &world, native(&world, "d-mad"), None).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let sensor = install(&app, &world, behind(&world, home.device.id, "curtain"), Some(world.seniors[0])).await;
        let raving = Client::of(&running, &mad).await;
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&acknowledged);
        let flood = tokio::spawn(async move { raving.rave("chk/1/d-mad/up/evt", &counted).await });
        until("it has used up what it may say", async || acknowledged.load(Ordering::SeqCst) >= RAVED).await;
        let mut other = Client::of(&running, &home).await;
        for battery in 50..70 {
            other.tell("zigbee2mqtt/curtain", format!(r#"{{"contact":true,"battery":{battery}}}"#)).await;
        }
        assert_eq!(device(&app, (world.site, sensor.device.id)).await.battery_percent, Some(69));
        assert!(!flood.is_finished(), "it was there all the time");
        let heard = acknowledged.load(Ordering::SeqCst);
        assert!(heard < 3 * RAVED, "it is held back: {heard} messages");
        let samples = quarantine(&app).await.len();
        assert!(0 < samples && samples <= SAMPLES_MAX, "{samples} samples");
        flood.abort();
        running.stop().await;
    })
    .await;
}
