//! Quiet hours hold back reminders and reports and nothing else; what is too late afterwards is not said.

use chenlian::domain::rules::{NotifyRules, Rules};
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{deliver, plan_day, prove};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{quiet_from, waiting};
use crate::harness::{World, local, on_each_engine};
use crate::http::{Server, read};
use crate::morning::{by_member, look, pass_at, send, set};
use crate::outbox::{number, texts};

const SENT: &str = "select n.key from notice n where n.state = 'delivered' order by n.key";

#[tokio::test]
async fn a_reminder_waits_for_the_end_of_the_quiet_hours_and_an_alert_does_not() {
    on_each_engine(|app| async move {
        let world = World::seed_as(&app, 2, quiet_from("22:00", "09:10")).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        pass_at(&app, local("09:00:00")).await;
        assert_eq!(waiting(&app, world.primary, "notice.remind_round").await, [("pending".to_owned(), local("09:10:00"))]);
        deliver::run_once(&app).await.expect("nothing is due");
        assert!(texts(&app, SENT).await.is_empty());
        set(&app, local("09:10:00")).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, SENT).await, ["notice.remind_round"]);
    })
    .await;
    on_each_engine(|app| async move {
        // The whole morning is quiet.
        let world = World::seed_as(&app, 1, quiet_from("22:00", "12:00")).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        set(&app, local("08:30:00")).await;
        look(&app, &world, 0, SignalKind::Closed, local("08:00:00")).await;
        for time in ["09:00:00", "09:20:00", "09:35:00", "09:45:00"] {
            pass_at(&app, local(time)).await;
        }
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(texts(&app, SENT).await, ["notice.alert_call"], "alerts know no quiet hours");
        set(&app, local("09:50:10")).await;
        send(&app, &world, vec![by_member(world.seniors[0], SignalKind::SeenInPerson, local("09:50:00"), world.backup)]).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        let down = number(&app, "select count(*) from notice where class = 'stand_down' and state = 'delivered'").await;
        assert_eq!(down, 1, "nor does the word that one is over");
        // What the reminders asked for is over by noon.
        set(&app, local("12:00:00")).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        let reminders = texts(&app, "select distinct state from notice where class = 'reminder'").await;
        assert_eq!(reminders, ["cancelled"], "a reminder of a round that is over is not said as if it were still due");
    })
    .await;
}

#[tokio::test]
async fn words_about_today_are_not_said_tomorrow() {
    on_each_engine(|app| async move {
        let world = World::seed_as(&app, 1, quiet_from("09:00", "08:00")).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        set(&app, local("09:50:00")).await;
        prove::run_once(&app).await.expect("the proof is written");
        let tomorrow = local("08:00:00") + chrono::TimeDelta::days(1);
        assert_eq!(waiting(&app, world.operator, "notice.proof").await, [("pending".to_owned(), tomorrow)]);
        set(&app, tomorrow).await;
        deliver::run_once(&app).await.expect("the outbox passes");
        assert_eq!(waiting(&app, world.operator, "notice.proof").await, [("cancelled".to_owned(), tomorrow)]);
    })
    .await;
}

#[tokio::test]
async fn reports_of_many_people_keep_clear_of_the_half_hour_and_are_spread() {
    on_each_engine(|app| async move {
        let notify = NotifyRules { quiet_to: NotifyRules::default().quiet_from, ..NotifyRules::default() };
        let world = World::seed_as(&app, 1, Rules { notify, ..Rules::default() }).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        pass_at(&app, local("09:00:00")).await;
        let told = waiting(&app, world.primary, "notice.remind_round").await;
        let [(_, at)] = told.as_slice() else { panic!("{told:?}") };
        let seconds = (*at - local("09:00:00")).num_seconds();
        assert!((20..=120).contains(&seconds), "{seconds} seconds after the hour");
        pass_at(&app, local("09:45:00")).await;
        let alerts = number(&app, "select count(*) from notice where class = 'alert' and not_before <> created_at").await;
        assert_eq!(alerts, 0, "alerts leave at once");
    })
    .await;
}

#[tokio::test]
async fn a_member_sets_her_own_quiet_hours_and_goes_back_to_the_sites() {
    on_each_engine(|app| async move {
        let world = World::seed_as(&app, 1, quiet_from("22:00", "06:30")).await;
        let server = Server::start(&app).await;
        let own = server.client(&app, world.site, world.primary).await;
        let path = format!("/api/v1/members/{}/quiet-hours", world.primary);
        let (_, hours) = own.get(&path).await;
        assert_eq!(hours, json!({"from": null, "to": null, "site_from": "22:00:00", "site_to": "06:30:00"}));
        let put = |body| read(own.request(Method::PUT, &path).json(&body));
        for (body, field) in
            [(json!({"from": "13:00"}), "to"), (json!({"to": "13:00"}), "from"), (json!({"from": "25:00", "to": "13:00"}), "from")]
        {
            let (status, problem) = put(body).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{problem}");
        }
        let (status, hours) = put(json!({"from": "08:00", "to": "09:15"})).await;
        assert_eq!((status, &hours["to"]), (StatusCode::OK, &json!("09:15:00")), "{hours}");
        let other = server.client(&app, world.site, world.backup).await;
        let (status, _) = read(other.request(Method::PUT, &path).json(&json!({}))).await;
        assert!(status.is_client_error(), "nobody but an administrator sets those of others: {status}");

        plan_day::run_once(&app).await.expect("the day is planned");
        pass_at(&app, local("09:00:00")).await;
        assert_eq!(waiting(&app, world.primary, "notice.remind_round").await, [("pending".to_owned(), local("09:15:00"))]);
        let (status, hours) = put(json!({})).await;
        assert_eq!((status, &hours["from"]), (StatusCode::OK, &json!(null)));
        let audited = number(&app, "select count(*) from audit where object_kind = 'member' and act = 'change'").await;
        assert_eq!(audited, 2);
    })
    .await;
}
