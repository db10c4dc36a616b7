//! What people get when nothing breaks, and what a claim, a resolution or a missing channel changes.

use base64::Engine;
use chenlian::domain::case::{Act, Actor};
use chenlian::domain::notice::NoticeClass;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::deliver;
use chenlian::notify::webhook;
use chenlian::on;
use chenlian::store::case;
use uuid::Uuid;

use super::{Play, Receiver, SECRET, crowd, cutoff, later, number, shut_morning, silence, tell, tell_of, texts};
use crate::harness::{World, local, on_each_engine};
use crate::morning::{alerts, look};

#[tokio::test]
async fn one_message_tells_a_person_about_all_her_seniors_of_this_morning() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(204)]).await;
        let world = shut_morning(&app, 3).await;
        super::webhook(&app, &world, world.primary, 0, &receiver.url).await;
        cutoff(&app).await;
        let report = deliver::run_once(&app).await.expect("messages go out");
        assert_eq!((report.sealed, report.sent), (1, 1), "{report:?}");

        let requests = receiver.requests();
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        let body: serde_json::Value = serde_json::from_str(&request.body).expect("a JSON body");
        assert_eq!(body["type"], "notice.alert_call");
        assert_eq!(body["data"]["recipient"], world.primary.to_string());
        assert_eq!(body["data"]["alerts"].as_array().map(Vec::len), Some(3));
        let text = body["data"]["text"].as_str().expect("a text");
        assert!(text.starts_with("王师傅，3号楼有3位老人早上还没报平安：2单元张奶奶") && text.ends_with("请先打电话，再敲门。"), "{text}");
        assert!(!text.contains("40"), "no room: {text}");

        let header = |name: &str| request.headers[name].clone();
        let key = base64::engine::general_purpose::STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
        let stamp: i64 = header("webhook-timestamp").parse().expect("seconds");
        assert_eq!(header("webhook-signature"), webhook::sign(&key, &header("webhook-id"), stamp, request.body.as_bytes()));
        assert!(!header("webhook-id").contains('.'));

        assert_eq!(texts(&app, "select distinct state from notice").await, ["delivered"]);
        assert_eq!(texts(&app, "select state from message").await, ["sent"]);
        let again = deliver::run_once(&app).await.expect("nothing is left");
        assert_eq!(again, deliver::Report::default());
    })
    .await;
}

#[tokio::test]
async fn a_claim_before_sealing_cancels_what_nobody_needs_to_hear_any_more() {
    on_each_engine(|app| async move {
        let world = shut_morning(&app, 1).await;
        cutoff(&app).await;
        claim(&app, &world).await;
        let report = deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(report, deliver::Report::default());
        assert_eq!(texts(&app, "select state from notice").await, ["cancelled"]);
    })
    .await;
}

#[tokio::test]
async fn a_claim_after_sealing_recalls_nothing_but_spares_the_next_channel() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(500), Play::Status(404)]).await;
        let world = shut_morning(&app, 1).await;
        super::webhook(&app, &world, world.primary, 0, &receiver.url).await;
        cutoff(&app).await;
        assert_eq!(deliver::run_once(&app).await.expect("an attempt").retried, 1);
        claim(&app, &world).await;
        later(&app, 10);
        let report = deliver::run_once(&app).await.expect("the sealed message is tried again");
        assert_eq!((report.moved, report.sent), (1, 0), "{report:?}");
        assert_eq!(receiver.requests().len(), 2);
        assert_eq!(texts(&app, "select state from notice").await, ["cancelled"]);
    })
    .await;
}

#[tokio::test]
async fn good_news_never_overtakes_the_alert_that_it_takes_back() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(500), Play::Status(200)]).await;
        let world = shut_morning(&app, 1).await;
        super::webhook(&app, &world, world.primary, 0, &receiver.url).await;
        cutoff(&app).await;
        assert_eq!(deliver::run_once(&app).await.expect("an attempt").retried, 1);
        look(&app, &world, 0, SignalKind::SeenInPerson, local("09:45:00")).await;
        assert_eq!(deliver::run_once(&app).await.expect("the stand-down waits").sealed, 0);
        later(&app, 10);
        assert_eq!(deliver::run_once(&app).await.expect("both go").sent, 2);
        let kinds: Vec<String> = receiver
            .requests()
            .iter()
            .map(|request| serde_json::from_str::<serde_json::Value>(&request.body).expect("JSON")["data"]["class"].to_string())
            .collect();
        assert_eq!(kinds, ["\"alert\"", "\"alert\"", "\"stand_down\""]);
    })
    .await;
}

#[tokio::test]
async fn a_drill_says_so_before_everything_else() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(200)]).await;
        let world = shut_morning(&app, 1).await;
        super::webhook(&app, &world, world.primary, 0, &receiver.url).await;
        cutoff(&app).await;
        app.write(|mut tx| async move {
            on!(&mut tx, |conn| sqlx::query("update alert set drill = true").execute(conn).await.map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .expect("a drill");
        deliver::run_once(&app).await.expect("the message goes out");
        assert!(receiver.requests()[0].body.contains("\"text\":\"【演练，不用出门】王师傅，"), "{:?}", receiver.requests());
    })
    .await;
}

async fn claim(app: &chenlian::app::App, world: &World) {
    let (site, by, now) = (world.site, world.backup, app.clock.now());
    app.write(move |mut tx| async move {
        let alert: Uuid = on!(&mut tx, |conn| sqlx::query_scalar("select id from alert").fetch_one(conn).await)?;
        case::act(&mut tx, site, alert, Actor { id: by, may_silence: false, may_confirm: false }, Act::Claim, now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("the backup goes");
}

#[tokio::test]
async fn the_word_that_all_is_well_comes_over_the_channel_that_carried_the_alert() {
    on_each_engine(|app| async move {
        // Broken at the alert, healthy again later.
        let receiver = Receiver::start(&[Play::Status(404), Play::Status(200)]).await;
        let world = shut_morning(&app, 1).await;
        super::webhook(&app, &world, world.primary, 0, &receiver.url).await;
        cutoff(&app).await;
        let report = deliver::run_once(&app).await.expect("messages go out");
        assert_eq!((report.moved, report.sent), (1, 1), "{report:?}");

        later(&app, 120);
        look(&app, &world, 0, SignalKind::SeenInPerson, local("09:46:00")).await;
        let report = deliver::run_once(&app).await.expect("the stand-down goes out");
        assert_eq!((report.sealed, report.sent), (1, 1), "{report:?}");
        assert_eq!(texts(&app, "select channel from message order by call_no").await, ["webhook", "log", "log"]);
        let bodies = app
            .read(|mut tx| async move {
                let sql = "select body from message order by call_no desc limit 1";
                let body: Vec<u8> = on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
                Ok((tx, body))
            })
            .await
            .expect("a body");
        assert_eq!(String::from_utf8(bodies).expect("text"), "张奶奶0联系上了，人平安。您不用再去了，辛苦了。");
    })
    .await;
}

#[tokio::test]
async fn a_person_without_any_channel_is_an_alarm_and_the_next_people_are_asked_at_once() {
    on_each_engine(|app| async move {
        let world = shut_morning(&app, 1).await;
        silence(&app, world.primary).await;
        cutoff(&app).await;
        let report = deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(report.unreachable, 1, "{report:?}");
        // Backup and building lead were asked in the same minute, long before L1 is due.
        assert_eq!(report.sent, 2, "{report:?}");
        assert_eq!(alerts(&app).await[0].2, 1, "level");
        assert_eq!(texts(&app, "select state from notice where level = 0").await, ["failed"]);
        assert_eq!(number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn the_second_message_to_a_person_waits_a_moment_for_more_and_a_call_for_help_does_not() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        tell(&app, world.site, &[world.primary], 1).await;
        assert_eq!(deliver::run_once(&app).await.expect("the first goes at once").sent, 1);
        tell(&app, world.site, &[world.primary], 1).await;
        assert_eq!(deliver::run_once(&app).await.expect("the second waits").sent, 0);
        tell_of(&app, world.site, &[world.primary], 1, ("notice.help_call", NoticeClass::Alert)).await;
        assert_eq!(deliver::run_once(&app).await.expect("help goes at once").sent, 1);
        later(&app, 5);
        assert_eq!(deliver::run_once(&app).await.expect("then the rest").sent, 1);
    })
    .await;
}

#[tokio::test]
async fn two_thousand_notices_become_fifty_messages_in_one_pass() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let people = crowd(&app, &world, 50, None).await;
        tell(&app, world.site, &people, 40).await;
        let started = std::time::Instant::now();
        let report = deliver::run_once(&app).await.expect("all go out");
        println!("2000 notices sealed and 50 messages sent in {:?} (postgres: {})", started.elapsed(), app.db.is_postgres());
        assert_eq!((report.sealed, report.sent), (50, 50), "{report:?}");
        assert_eq!(number(&app, "select count(*) from notice where state = 'delivered'").await, 2_000);
        assert_eq!(number(&app, "select count(distinct call_no) from message").await, 50);
    })
    .await;
}
