//! Over a limit: wait, ask other people meanwhile, drop nothing.

use chenlian::domain::notice::NoticeClass;
use chenlian::jobs::deliver;

use super::{Play, Receiver, crowd, cutoff, later, number, shut_morning, silence, tell, tell_of, texts, webhook};
use crate::harness::{World, on_each_engine};
use crate::morning::alerts;

/// I11, I16.
#[tokio::test]
async fn a_message_that_must_wait_a_quarter_of_an_hour_is_kept_and_other_people_are_asked_at_once() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Later(429, 900), Play::Status(200)]).await;
        let world = shut_morning(&app, 1).await;
        silence(&app, world.primary).await;
        webhook(&app, &world, world.primary, 2, &receiver.url).await;
        cutoff(&app).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, "select state from notice where level = 0").await, ["sealed"]);
        assert_eq!(alerts(&app).await[0].2, 1, "L1 was asked at once");
        later(&app, 899);
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(receiver.requests().len(), 1, "nobody knocks during the pause");
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await, 1, "told once");
        later(&app, 1);
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, "select state from notice where level = 0").await, ["delivered"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_sealed_during_a_pause_waits_too_or_takes_the_next_channel_and_nothing_is_lost() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Later(429, 900), Play::Status(200)]).await;
        let world = World::seed(&app, 0).await;
        let people = crowd(&app, &world, 2, Some(receiver.url.clone())).await;
        tell(&app, world.site, &people[..1], 1).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        later(&app, 10);
        tell_of(&app, world.site, &people[1..], 1, ("notice.proof", NoticeClass::Report)).await;
        webhook(&app, &world, world.primary, 0, &receiver.url).await;
        tell(&app, world.site, &[world.primary], 1).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(receiver.requests().len(), 1, "nobody knocks during the pause");
        assert_eq!(texts(&app, "select channel from message where state = 'sent'").await, ["log"], "who has another channel is told by it");
        later(&app, 890);
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, "select distinct state from notice").await, ["delivered"]);
    })
    .await;
}

/// I11: a pause is no attempt. Who waited through several of them still has all attempts before her.
#[tokio::test]
async fn pauses_use_up_no_attempt() {
    on_each_engine(|app| async move {
        let pause = Play::Later(429, 60);
        let receiver = Receiver::start(&[pause, pause, pause, pause, pause, Play::Status(500), Play::Status(200)]).await;
        let world = World::seed(&app, 0).await;
        let people = crowd(&app, &world, 1, Some(receiver.url.clone())).await;
        tell(&app, world.site, &people, 1).await;
        for _ in 0..8 {
            deliver::run_once(&app).await.expect("the outbox passes");
            later(&app, 61);
        }
        assert_eq!(receiver.requests().len(), 7);
        assert_eq!(texts(&app, "select state from notice").await, ["delivered"]);
    })
    .await;
}
