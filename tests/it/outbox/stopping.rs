//! A stop while a message is on its way.

use std::time::{Duration, Instant};

use chenlian::app::App;
use chenlian::config::MqttMode;
use chenlian::serve;
use chenlian::store::open;

use super::{Play, Receiver, instance, number, tell, webhook};
use crate::harness::{World, on_each_engine};

const STOP_MAX: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_on_its_way_at_the_stop_is_due_again_at_once_and_not_after_its_lease() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Hang]).await;
        let app = instance(&app, |config| {
            config.http.listen = ([127, 0, 0, 1], 0).into();
            config.http.ops_listen = ([127, 0, 0, 1], 0).into();
            config.mqtt.mode = MqttMode::Off;
        });
        let world = World::seed(&app, 0).await;
        webhook(&app, &world, world.primary, 0, &receiver.url).await;
        tell(&app, world.site, &[world.primary], 1).await;
        let running = serve::start(app.clone()).await.expect("the server starts");
        let began = Instant::now();
        while receiver.requests().is_empty() {
            assert!(began.elapsed() < STOP_MAX, "the message is never sent");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let began = Instant::now();
        running.stop().await;
        assert!(began.elapsed() < STOP_MAX, "{:?}", began.elapsed());
        let db = open::connect_beside(&app.config.database.url).await.expect("the database is still there");
        let next = App::new(app.config.clone(), db, app.clock.clone(), app.seal.clone());
        let due = "select count(*) from message where state = 'ready' and repeated and leased_by is null and lease_until is null";
        assert_eq!(number(&next, due).await, 1);
        next.db.close().await;
    })
    .await;
}
