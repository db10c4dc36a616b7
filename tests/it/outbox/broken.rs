//! Rows that cannot be read, and senders that never say how it ended: each is one failed message, seen by somebody.

use chenlian::jobs::deliver;

use super::{Play, Receiver, change, crowd, cutoff, hurried, instance, later, number, shut_morning, silence, tell, texts, webhook};
use crate::harness::{World, declare_channels, on_each_engine};
use crate::morning::alerts;

/// I28, I15, I11.
#[tokio::test]
async fn a_notice_that_cannot_be_read_fails_visibly_asks_other_people_and_stops_nobody_else() {
    on_each_engine(|app| async move {
        let world = shut_morning(&app, 1).await;
        cutoff(&app).await;
        change(&app, "update notice set class = 'song' where level = 0").await;
        let healthy = World::seed(&app, 0).await;
        tell(&app, healthy.site, &[healthy.primary], 1).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, "select state from notice where class = 'song'").await, ["failed"]);
        assert_eq!(texts(&app, "select state from notice where key = 'notice.alert_call' and class = 'alert'").await, ["delivered"]);
        assert_eq!(alerts(&app).await[0].2, 1, "L1 was asked at once");
        let told = texts(&app, "select key from notice where class = 'report'").await;
        assert_eq!(told, ["notice.message_broken"]);
        let recipient = "select count(*) from notice n join role_grant g on g.member_id = n.recipient_id and g.role = 'operator'
            where n.key = 'notice.message_broken'";
        assert_eq!(number(&app, recipient).await, 1);
        assert_ne!(world.site, healthy.site);
    })
    .await;
}

/// I28, I15.
#[tokio::test]
async fn a_message_over_an_unknown_channel_fails_and_the_next_channel_is_used_while_others_are_sent() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(500), Play::Status(200)]).await;
        let world = World::seed(&app, 0).await;
        webhook(&app, &world, world.primary, 0, &receiver.url).await;
        tell(&app, world.site, &[world.primary], 1).await;
        deliver::run_once(&app).await.expect("the first attempt");
        change(&app, "update message set channel = 'pigeon'").await;
        let lucky = crowd(&app, &world, 1, None).await;
        tell(&app, world.site, &lucky, 1).await;
        later(&app, 7);
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, "select state from message where channel = 'pigeon'").await, ["failed"]);
        assert_eq!(texts(&app, "select distinct state from notice where class = 'alert'").await, ["delivered"], "the log took it over");
        assert_eq!(number(&app, "select count(*) from notice where key = 'notice.message_broken'").await, 1);
    })
    .await;
}

/// I11.
#[tokio::test]
async fn a_message_whose_senders_all_died_is_given_up_and_the_alert_asks_other_people() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(200)]).await;
        let world = shut_morning(&app, 1).await;
        silence(&app, world.primary).await;
        webhook(&app, &world, world.primary, 2, &receiver.url).await;
        cutoff(&app).await;
        let idle = instance(&app, |config| config.outbox.concurrency = 0);
        deliver::run_once(&idle).await.expect("it is sealed");
        // Two senders took it and were never heard of again.
        change(&app, "update message set state = 'leased', attempts = 2, lease_until = sealed_at").await;
        deliver::run_once(&hurried(&app)).await.expect("the outbox passes");
        assert_eq!(receiver.requests().len(), 0, "not a third time");
        assert_eq!(texts(&app, "select state from notice where level = 0").await, ["failed"]);
        assert_eq!(alerts(&app).await[0].2, 1, "L1 was asked at once");
    })
    .await;
}

/// I11: a receiver that is gone for good is somebody's work.
#[tokio::test]
async fn a_channel_that_its_receiver_has_switched_off_is_told_to_the_operator() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(410)]).await;
        let world = World::seed(&app, 0).await;
        webhook(&app, &world, world.primary, 0, &receiver.url).await;
        tell(&app, world.site, &[world.primary], 1).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        let told = texts(&app, "select arguments from notice where key = 'notice.channel_disabled'").await;
        assert!(told.len() == 1 && told[0].contains("王师傅") && !told[0].contains("status"), "{told:?}");
        assert_eq!(texts(&app, "select disabled_why from member_channel where disabled_at is not null").await, ["status 410"]);
    })
    .await;
}

/// Nobody reads the log at night.
#[tokio::test]
async fn outside_the_demo_a_line_in_the_log_is_nobody_told() {
    on_each_engine(|app| async move {
        let app = instance(&app, |config| config.outbox.log_counts = false);
        declare_channels(&app).await;
        let dead = Receiver::start(&[Play::Status(404)]).await;
        let world = shut_morning(&app, 1).await;
        webhook(&app, &world, world.primary, 0, &dead.url).await;
        cutoff(&app).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, "select state from notice where level = 0").await, ["failed"]);
        assert!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await > 0);
        assert_eq!(number(&app, "select count(*) from message where channel = 'log'").await, 0);
    })
    .await;
}

/// I15, with the loop itself: it sends to the healthy one while every hanging send is still in the air.
#[tokio::test]
async fn the_loop_sends_to_the_healthy_while_receivers_hang() {
    on_each_engine(|app| async move {
        // Nothing that hangs ends by itself within this test.
        let app = instance(&app, |config| {
            config.outbox.attempt_timeout = chenlian::domain::rules::Span::minutes(10);
            config.outbox.lease = chenlian::domain::rules::Span::minutes(20);
        });
        let (hanging, healthy) = (Receiver::start(&[Play::Hang]).await, Receiver::start(&[Play::Status(200)]).await);
        let world = World::seed(&app, 0).await;
        let stuck = crowd(&app, &world, 12, Some(hanging.url.clone())).await;
        tell(&app, world.site, &stuck, 1).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let running = tokio::spawn(deliver::run(app.clone(), stopped));
        until(|| hanging.requests().len() == app.config.outbox.concurrency).await;
        let lucky = crowd(&app, &world, 1, Some(healthy.url.clone())).await;
        tell(&app, world.site, &lucky, 1).await;
        app.wake.deliver.notify_one();
        let told = std::time::Instant::now();
        until(|| healthy.requests().len() == 1).await;
        assert!(told.elapsed() < std::time::Duration::from_secs(5), "{:?}", told.elapsed());
        running.abort();
        drop(stop);
    })
    .await;
}

async fn until(met: impl Fn() -> bool) {
    let waiting = async {
        while !met() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), waiting).await.expect("it happens");
}
