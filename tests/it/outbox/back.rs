//! Back to a channel that had only asked for a pause, when no other one is left.

use chenlian::app::App;
use chenlian::jobs::deliver;

use super::{Play, Receiver, change, crowd, cutoff, hurried, later, number, shut_morning, silence, tell, texts, webhook};
use crate::harness::{World, on_each_engine};
use crate::morning::alerts;

/// What a text says that may be the second.
const MARK: &str = "补发";

async fn deliver(app: &App) {
    deliver::run_once(app).await.expect("the outbox passes");
}

/// The primary has these webhooks and nothing else, and the cutoff has passed.
async fn by(app: &App, receivers: &[&Receiver]) {
    let world = shut_morning(app, 1).await;
    silence(app, world.primary).await;
    for (position, receiver) in (2..).zip(receivers) {
        webhook(app, &world, world.primary, position, &receiver.url).await;
    }
    cutoff(app).await;
    deliver(app).await;
}

/// The same for a message without a ladder behind it, which would ask people again.
async fn told_by(app: &App, receivers: &[&Receiver]) {
    let world = World::seed(app, 0).await;
    let people = crowd(app, &world, 1, Some(receivers[0].url.clone())).await;
    for (position, receiver) in (2..).zip(&receivers[1..]) {
        webhook(app, &world, people[0], position, &receiver.url).await;
    }
    tell(app, world.site, &people, 1).await;
    deliver(app).await;
}

fn asked(receivers: &[&Receiver]) -> Vec<usize> {
    receivers.iter().map(|receiver| receiver.requests().len()).collect()
}

async fn state(app: &App) -> Vec<String> {
    texts(app, "select state from notice where level = 0 and class = 'alert'").await
}

/// I11, I12.
#[tokio::test]
async fn whoever_s_last_channel_says_no_is_told_by_the_one_whose_pause_ends_first() {
    on_each_engine(|app| async move {
        let long = Receiver::start(&[Play::Later(429, 900), Play::Status(200)]).await;
        let short = Receiver::start(&[Play::Later(429, 300), Play::Status(200)]).await;
        let wrong = Receiver::start(&[Play::Status(404)]).await;
        by(&app, &[&long, &short, &wrong]).await;
        assert_eq!((state(&app).await, asked(&[&long, &short, &wrong])), (vec!["sealed".to_owned()], vec![1, 1, 1]));
        assert_eq!(alerts(&app).await[0].2, 1, "other people are asked meanwhile");
        later(&app, 299);
        deliver(&app).await;
        assert_eq!(asked(&[&long, &short, &wrong]), [1, 1, 1], "nobody knocks during the pauses");
        later(&app, 1);
        deliver(&app).await;
        assert_eq!((state(&app).await, asked(&[&long, &short, &wrong])), (vec!["delivered".to_owned()], vec![1, 2, 1]));
        let [first, again] = &short.requests()[..] else { panic!("two requests") };
        assert_eq!(
            (&first.headers["webhook-id"], &first.body),
            (&again.headers["webhook-id"], &again.body),
            "the same message as it was sealed"
        );
        later(&app, 900);
        deliver(&app).await;
        assert_eq!(long.requests().len(), 1, "who has been told is not told again");
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await, 1, "told once");
    })
    .await;
}

/// I11.
#[tokio::test]
async fn it_fails_only_when_every_channel_has_given_its_last_word() {
    on_each_engine(|app| async move {
        let long = Receiver::start(&[Play::Later(429, 900), Play::Later(429, 60), Play::Status(404)]).await;
        let short = Receiver::start(&[Play::Later(429, 300), Play::Later(429, 1_200), Play::Status(404)]).await;
        let wrong = Receiver::start(&[Play::Status(404)]).await;
        told_by(&app, &[&long, &short, &wrong]).await;
        // After 5 minutes the short one wants 20 more, so the long one is waited for; after 15 that wants one more.
        for (wait, expected) in [(300, [1, 2, 1]), (599, [1, 2, 1]), (1, [2, 2, 1]), (60, [3, 2, 1]), (539, [3, 2, 1])] {
            later(&app, wait);
            deliver(&app).await;
            assert_eq!((state(&app).await, asked(&[&long, &short, &wrong])), (vec!["sealed".to_owned()], expected.to_vec()), "{wait}");
        }
        later(&app, 1);
        deliver(&app).await;
        assert_eq!((state(&app).await, asked(&[&long, &short, &wrong])), (vec!["failed".to_owned()], vec![3, 3, 1]));
    })
    .await;
}

/// I11: the channel that came next was switched off before anything was sealed for it.
#[tokio::test]
async fn whoever_loses_the_channel_that_came_next_is_told_by_the_one_that_paused() {
    on_each_engine(|app| async move {
        let paused = Receiver::start(&[Play::Later(429, 900), Play::Status(200)]).await;
        told_by(&app, &[&paused]).await;
        change(&app, "update message set state = 'failed' where channel = 'webhook' and state = 'ready'").await;
        change(&app, "update notice set state = 'pending', channels_tried = 3").await;
        deliver(&app).await;
        assert_eq!(state(&app).await, ["sealed"]);
        later(&app, 900);
        deliver(&app).await;
        assert_eq!((state(&app).await, asked(&[&paused])), (vec!["delivered".to_owned()], vec![2]));
    })
    .await;
}

/// I12: of the copies that she may see of one alert one at most says nothing, and one message says the same each time it may be seen.
#[tokio::test]
async fn what_another_channel_may_have_shown_in_between_is_marked_and_what_was_itself_in_doubt_stays_the_same() {
    on_each_engine(|app| async move {
        for (plays, marked) in [
            (vec![Play::Later(429, 900), Play::Status(200)], [false, true]),
            (vec![Play::Vanish, Play::Later(429, 900), Play::Status(200)], [false, false]),
        ] {
            let (paused, lost) = (Receiver::start(&plays).await, Receiver::start(&[Play::Vanish]).await);
            let app = hurried(&app);
            let world = World::seed(&app, 0).await;
            let people = crowd(&app, &world, 1, Some(paused.url.clone())).await;
            webhook(&app, &world, people[0], 2, &lost.url).await;
            tell(&app, world.site, &people, 1).await;
            for wait in [0, 7, 7, 7, 900] {
                later(&app, wait);
                deliver(&app).await;
            }
            let requests = paused.requests();
            assert_eq!((requests.len(), lost.requests().len()), (plays.len(), 2), "{plays:?}");
            let of = |body: &str| body.contains(MARK);
            assert_eq!([of(&requests[0].body), of(&requests[plays.len() - 1].body)], marked, "{plays:?}");
            assert_eq!(of(&lost.requests()[0].body), !marked[1], "{plays:?}: one of the two says that it may be the second");
            assert_eq!(texts(&app, "select distinct state from notice").await, ["delivered"]);
        }
    })
    .await;
}
