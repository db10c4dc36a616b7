//! Several senders on one database, and senders that die.

use std::collections::BTreeSet;

use chenlian::app::App;
use chenlian::domain::message::Channel;
use chenlian::domain::message::retry::OutcomeClass;
use chenlian::domain::notice::NoticeClass;
use chenlian::jobs::deliver;
use chenlian::notify::{Notifier, Outgoing};
use chenlian::store::outbox::{self, Leased, Terms};
use uuid::Uuid;

use super::{Play, Receiver, SECRET, crowd, instance, later, number, tell, tell_of, texts};
use crate::harness::{World, on_each_engine};

async fn lease(app: &App, most: i64) -> Vec<Leased> {
    let now = app.clock.now();
    let terms = Terms { instance: app.instance, lease: app.config.outbox.lease.0, per_endpoint_max: i64::MAX, messages_max: most };
    app.write(move |mut tx| async move {
        let leased = outbox::lease(&mut tx, terms, now).await?;
        Ok((tx, leased))
    })
    .await
    .expect("messages are leased")
}

/// Seals without sending: one message for each of `count` people.
async fn sealed(app: &App, count: usize, url: Option<String>) -> World {
    let world = World::seed(app, 0).await;
    let people = crowd(app, &world, count, url).await;
    tell(app, world.site, &people, 1).await;
    // No place for any message: everything is sealed, nothing starts.
    let idle = instance(app, |config| config.outbox.concurrency = 0);
    let report = deliver::run_once(&idle).await.expect("the notices are sealed");
    assert_eq!((report.sealed, report.sent), (count, 0));
    world
}

#[tokio::test]
async fn two_instances_never_lease_the_same_message() {
    on_each_engine(|app| async move {
        sealed(&app, 300, None).await;
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let other = instance(&app, |_| {});
                tokio::spawn(async move {
                    let mut mine: Vec<Uuid> = Vec::new();
                    loop {
                        let leased = lease(&other, 7).await;
                        if leased.is_empty() {
                            return mine;
                        }
                        mine.extend(leased.iter().map(|message| message.id));
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.await.expect("a worker ends"));
        }
        let distinct: BTreeSet<Uuid> = all.iter().copied().collect();
        assert_eq!((all.len(), distinct.len()), (300, 300));
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_for_a_message_of_lesser_weight() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let people = crowd(&app, &world, 3, None).await;
        let idle = instance(&app, |config| config.outbox.concurrency = 0);
        let told =
            [("notice.no_cover", NoticeClass::Report), ("notice.alert_call", NoticeClass::Alert), ("notice.help_call", NoticeClass::Alert)];
        for (member, what) in people.iter().zip(told) {
            tell_of(&app, world.site, &[*member], 1, what).await;
            deliver::run_once(&idle).await.expect("the notice is sealed");
            later(&app, 1);
        }
        let mut order = Vec::new();
        while let Some(message) = lease(&app, 1).await.pop() {
            order.push(message.recipient_id);
        }
        assert_eq!(order, [people[2], people[1], people[0]], "the last to come is the first to go");
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_dies_after_sending_is_taken_over_and_the_receiver_can_tell_the_repeat() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(200)]).await;
        sealed(&app, 1, Some(receiver.url.clone())).await;
        let dying = instance(&app, |_| {});
        let leased = lease(&dying, 10).await.remove(0);
        let outgoing = Outgoing {
            message_id: leased.id,
            channel: Channel::Webhook,
            address: receiver.url.clone(),
            secret: Some(SECRET.as_bytes().to_vec()),
            body: leased.body.clone(),
            dedupe_key: leased.dedupe_key.clone(),
            call_no: leased.call_no,
            repeated: leased.repeated,
            after_doubt: false,
            locale: "zh-CN",
            signed_at: leased.signed_at,
            at: app.clock.now(),
        };
        let outcome = Notifier::new(&dying.config).expect("a client").send(&outgoing).await;
        assert_eq!(outcome.class, OutcomeClass::Sent);

        later(&app, 59);
        assert_eq!(deliver::run_once(&app).await.expect("the lease still lives").sent, 0);
        later(&app, 1);
        assert_eq!(deliver::run_once(&app).await.expect("it is taken over").sent, 1);
        let requests = receiver.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].headers["webhook-id"], requests[1].headers["webhook-id"]);
        assert_eq!(requests[0].body, requests[1].body);
        assert_eq!(number(&app, "select count(*) from message where repeated").await, 1);
        assert_eq!(texts(&app, "select state from message").await, ["sent"]);
    })
    .await;
}

#[tokio::test]
async fn a_late_failure_of_a_lost_lease_does_not_undo_what_the_next_sender_did() {
    on_each_engine(|app| async move {
        use chenlian::domain::message::retry::{Outcome, RetryRules};
        use chenlian::store::outbox::{Attempt, Escalate, settle};
        sealed(&app, 1, None).await;
        let slow = instance(&app, |_| {});
        let leased = lease(&slow, 10).await.remove(0);
        later(&app, 60);
        assert_eq!(deliver::run_once(&app).await.expect("it is taken over").sent, 1);
        let rules = RetryRules { first: chrono::TimeDelta::seconds(5), max: chrono::TimeDelta::seconds(5), attempts_max: 1 };
        let outcome = Outcome::new(OutcomeClass::Ambiguous, "timeout");
        let attempt = Attempt { leased, outcome, rules, jitter: 0.0, instance: slow.instance, escalate: Escalate::Yes };
        let now = app.clock.now();
        app.write(move |mut tx| async move {
            settle(&mut tx, &attempt, now).await?;
            Ok((tx, ()))
        })
        .await
        .expect("the late outcome is recorded");
        assert_eq!(texts(&app, "select state from message").await, ["sent"]);
        assert_eq!(texts(&app, "select state from notice").await, ["delivered"]);
        assert_eq!(number(&app, "select count(*) from message_attempt").await, 2, "both attempts are on record");
    })
    .await;
}

#[tokio::test]
async fn the_running_server_sends_when_the_bell_rings_and_stops_in_order() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(200)]).await;
        let world = World::seed(&app, 0).await;
        let people = crowd(&app, &world, 20, Some(receiver.url.clone())).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let running = tokio::spawn(deliver::run(app.clone(), stopped));
        tell(&app, world.site, &people, 1).await;
        app.wake.deliver.notify_one();
        let all = async {
            while receiver.requests().len() < 20 || number(&app, "select count(*) from message where state = 'sent'").await < 20 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(8), all).await.expect("all are sent long before the next tick");
        stop.send(true).expect("the loop listens");
        tokio::time::timeout(std::time::Duration::from_secs(5), running).await.expect("it stops").expect("without a panic");
    })
    .await;
}
