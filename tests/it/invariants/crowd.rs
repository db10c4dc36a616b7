//! A crowd at the door keeps neither the watch nor the sensors from their places (I1).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chenlian::app::{App, Lane};
use chenlian::clock::Clock;
use chenlian::config::MqttMode;
use chenlian::domain::rules::Span;
use chenlian::serve;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::harness::{World, on_each_engine};
use crate::http::{bearer, plain_client};

const CONNECTIONS: usize = 400;
const CROWD_LASTS: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_connections_that_write_keep_neither_watch_nor_sensors_waiting() {
    on_each_engine(|app| async move {
        let mut config = app.config.clone();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.http.ops_listen = ([127, 0, 0, 1], 0).into();
        config.mqtt.mode = MqttMode::Off;
        config.watch.tick = Span::seconds(1);
        let app = App::new(config, app.db.clone(), Clock::System, app.seal.clone());
        let world = World::seed(&app, 20).await;
        let running = serve::start(app.clone()).await.expect("the server starts");
        let mut tokens = Vec::new();
        for member in [world.primary, world.backup, world.building_lead, world.social_worker] {
            tokens.push(bearer(&app, world.site, member).await);
        }
        let url = format!("http://{}/api/v1/signals", running.http_addr);
        let (client, answers) = (plain_client(), Arc::new(AtomicUsize::new(0)));
        let mut crowd = JoinSet::new();
        for number in 0..CONNECTIONS {
            let (client, url, token, answers, app) =
                (client.clone(), url.clone(), tokens[number % tokens.len()].clone(), Arc::clone(&answers), app.clone());
            let senior = world.seniors[number % world.seniors.len()];
            crowd.spawn(async move {
                loop {
                    let look = json!({ "id": Uuid::now_v7(), "senior_id": senior, "kind": "open", "observed_at": app.clock.now() });
                    if client.post(&url).bearer_auth(&token).json(&look).send().await.is_ok() {
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let (mut passes, mut batches, mut refused, mut longest_apart, mut longest_batch) = (0, 0, 0, Duration::ZERO, Duration::ZERO);
        let (began, mut passed_at, mut passed) = (Instant::now(), app.watch_passed_at(), Instant::now());
        while began.elapsed() < CROWD_LASTS {
            let batch = Instant::now();
            // What is refused was not acknowledged: the device sends it again.
            while app.on(Lane::Sensors).write(|tx| async move { Ok((tx, ())) }).await.is_err() {
                refused += 1;
            }
            longest_batch = longest_batch.max(batch.elapsed());
            batches += 1;
            if app.watch_passed_at() > passed_at {
                (passes, passed_at, passed) = (passes + 1, app.watch_passed_at(), Instant::now());
            }
            longest_apart = longest_apart.max(passed.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        crowd.shutdown().await;
        println!(
            "{} answers, {passes} passes, {longest_apart:?} apart at most, a batch in {longest_batch:?}",
            answers.load(Ordering::SeqCst)
        );
        assert!(answers.load(Ordering::SeqCst) > 0, "the crowd is served as well");
        // How fast is a matter of the machine and printed; without places of their own neither came through at all.
        assert!(passes > 0, "the watch passes while the crowd is there");
        assert!(batches > 0, "sensors are heard while the crowd is there");
        assert_eq!(refused, 0, "whoever has a place in the lane has a connection");
        running.stop().await;
    })
    .await;
}
