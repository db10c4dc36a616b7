//! Receivers that break.

use std::time::{Duration, Instant};

use chenlian::jobs::deliver::{self, Report};

use super::{Play, Receiver, crowd, cutoff, hurried, instance, later, number, shut_morning, silence, tell, texts, webhook};
use crate::harness::{World, on_each_engine};
use crate::morning::alerts;

#[tokio::test]
async fn an_answer_that_is_lost_leads_to_the_same_message_under_the_same_key() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Vanish, Play::Status(500), Play::Status(200)]).await;
        let world = World::seed(&app, 0).await;
        webhook(&app, &world, world.primary, 0, &receiver.url).await;
        tell(&app, world.site, &[world.primary], 1).await;
        for wait in [0, 7, 13] {
            later(&app, wait);
            deliver::run_once(&app).await.expect("the outbox passes");
        }
        let requests = receiver.requests();
        assert_eq!(requests.len(), 3);
        for again in &requests[1..] {
            assert_eq!(again.headers["webhook-id"], requests[0].headers["webhook-id"]);
            assert_eq!(again.body, requests[0].body);
            assert_ne!(again.headers["webhook-signature"], requests[0].headers["webhook-signature"], "each attempt has its own time");
        }
        let attempts = "select outcome from message_attempt order by at";
        assert_eq!(texts(&app, attempts).await, ["ambiguous", "ambiguous", "sent"]);
        assert_eq!(texts(&app, "select state from notice").await, ["delivered"]);
    })
    .await;
}

#[tokio::test]
async fn each_fault_is_answered_in_its_own_way() {
    on_each_engine(|app| async move {
        let retried = Report { sealed: 1, retried: 1, ..Report::default() };
        let moved = Report { sealed: 2, moved: 1, sent: 1, ..Report::default() };
        // The operator hears that somebody's address is gone.
        let gone = Report { sealed: 3, moved: 1, sent: 2, ..Report::default() };
        let sent = Report { sealed: 1, sent: 1, ..Report::default() };
        for (play, expected) in [
            (Play::Status(500), &retried),
            (Play::Later(503, 60), &moved),
            (Play::Later(429, 86_400), &moved),
            (Play::Hang, &retried),
            (Play::Redirect, &moved),
            (Play::Status(400), &moved),
            (Play::Status(410), &gone),
            (Play::Huge, &sent),
        ] {
            let receiver = Receiver::start(&[play]).await;
            let world = World::seed(&app, 0).await;
            webhook(&app, &world, world.primary, 0, &receiver.url).await;
            tell(&app, world.site, &[world.primary], 1).await;
            let report = deliver::run_once(&hurried(&app)).await.expect("the outbox passes");
            assert_eq!(&report, expected, "{play:?}");
        }
        let gone = "select count(*) from member_channel where disabled_at is not null and disabled_why = 'status 410'";
        assert_eq!(number(&app, gone).await, 1, "only the receiver that said so is switched off");
        assert_eq!(number(&app, "select count(*) from audit where object_kind = 'member_channel'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_pause_gets_it_from_everybody() {
    on_each_engine(|app| async move {
        let app = instance(&app, |config| config.outbox.concurrency = 1);
        let receiver = Receiver::start(&[Play::Later(503, 60), Play::Status(200)]).await;
        let world = World::seed(&app, 0).await;
        let people = crowd(&app, &world, 3, Some(receiver.url.clone())).await;
        tell(&app, world.site, &people, 1).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        later(&app, 59);
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(receiver.requests().len(), 1, "nobody knocks during the pause");
        later(&app, 1);
        let report = deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(report.sent, 3, "{report:?}");
    })
    .await;
}

#[tokio::test]
async fn a_dead_channel_hands_over_to_the_next_and_then_the_alert_asks_other_people_at_once() {
    on_each_engine(|app| async move {
        let dead = Receiver::start(&[Play::Status(500)]).await;
        let wrong = Receiver::start(&[Play::Status(404)]).await;
        let world = shut_morning(&app, 1).await;
        silence(&app, world.primary).await;
        webhook(&app, &world, world.primary, 2, &dead.url).await;
        webhook(&app, &world, world.primary, 3, &wrong.url).await;
        cutoff(&app).await;
        let app = hurried(&app);
        let first = deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!((first.retried, first.moved, first.failed), (1, 0, 0), "{first:?}");
        later(&app, 7);
        let second = deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!((second.moved, second.failed, second.sent), (1, 1, 2), "{second:?}");
        assert_eq!((dead.requests().len(), wrong.requests().len()), (2, 1));
        assert_eq!(texts(&app, "select state from notice where level = 0").await, ["failed"]);
        assert_eq!(alerts(&app).await[0].2, 1, "seven seconds after the cutoff L1 was asked, and not five minutes");
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn receivers_that_hang_keep_nobody_else_waiting() {
    on_each_engine(|app| async move {
        let app = instance(&app, |config| config.outbox.attempt_timeout = chenlian::domain::rules::Span::seconds(2));
        let (hanging, healthy) = (Receiver::start(&[Play::Hang]).await, Receiver::start(&[Play::Status(200)]).await);
        let world = World::seed(&app, 0).await;
        let stuck = crowd(&app, &world, 12, Some(hanging.url.clone())).await;
        let lucky = crowd(&app, &world, 1, Some(healthy.url.clone())).await;
        tell(&app, world.site, &stuck, 1).await;
        tell(&app, world.site, &lucky, 1).await;
        let started = Instant::now();
        let report = deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!((report.sent, report.retried), (1, 12), "{report:?}");
        let waited = healthy.requests()[0].at - started;
        assert!(waited < Duration::from_millis(1_900), "sent before the first hanging one gave up: {waited:?}");
        let together = hanging.requests().iter().filter(|request| request.at - started < Duration::from_millis(1_900)).count();
        assert_eq!(together, app.config.outbox.concurrency, "one endpoint holds its own places only");
    })
    .await;
}
