//! Two mishaps of a kind in a week ask to agree another time or sign.

use chenlian::app::App;
use chenlian::domain::case::Act;
use chenlian::domain::outcome::Outcome;
use chenlian::domain::signal::SignalKind;
use chenlian::domain::visit::FindingState;
use chenlian::jobs::plan_day;
use chenlian::store::finding::{self, FindingPatch};
use chenlian::store::register::By;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{act, change, on_day, resolve, told};
use crate::done;
use crate::harness::{World, on_each_engine};
use crate::http::Server;
use crate::morning::{by_member, look, pass_at, planned, send, set};
use crate::register::audited;

/// The open and closed questions, as the social worker reads them in the list: id, item, state.
async fn questions(app: &App, world: &World) -> Vec<(Uuid, String, String)> {
    let server = Server::start(app).await;
    let worker = server.client(app, world.site, world.social_worker).await;
    let (status, list) = worker.get("/api/v1/findings?kind=agreement").await;
    assert_eq!(status, StatusCode::OK, "{list}");
    let text = |value: &Value| value.as_str().expect("a word").to_owned();
    let items = list["items"].as_array().expect("a list");
    let mut rows: Vec<_> =
        items.iter().map(|item| (text(&item["created_at"]), text(&item["id"]), text(&item["item"]), text(&item["state"]))).collect();
    rows.sort();
    rows.into_iter().map(|(_, id, item, state)| (id.parse().expect("an id"), item, state)).collect()
}

/// A morning at which nobody looked, and what whoever went there says.
async fn false_alarm(app: &App, world: &World, day: u32, outcome: Outcome) -> Uuid {
    set(app, on_day(day, "06:00:00")).await;
    plan_day::run_once(app).await.expect("the day is planned");
    pass_at(app, on_day(day, "09:45:00")).await;
    set(app, on_day(day, "10:00:00")).await;
    resolve(app, world, 0, outcome).await
}

/// A morning at which nothing could be seen.
async fn blind(app: &App, world: &World, day: u32) {
    set(app, on_day(day, "06:00:00")).await;
    plan_day::run_once(app).await.expect("the day is planned");
    look(app, world, 0, SignalKind::NotVisible, on_day(day, "06:00:00")).await;
    pass_at(app, on_day(day, "09:45:00")).await;
}

#[tokio::test]
async fn two_false_alarms_in_a_week_ask_once_to_agree_another_time_and_again_only_for_what_comes_later() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        false_alarm(&app, &world, 23, Outcome::Overslept).await;
        assert_eq!(questions(&app, &world).await, []);
        let second = false_alarm(&app, &world, 24, Outcome::CurtainBroken).await;
        let asked = questions(&app, &world).await;
        let [(question, item, state)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((item.as_str(), state.as_str()), ("false_alarm", "requested"));
        let notices = told(&app, "notice.misfit_false_alarm").await;
        let said = json!({"senior": "张奶奶0", "building": "3号楼", "unit": "2单元"});
        assert_eq!(notices, [(world.social_worker, said)]);
        assert_eq!(audited(&app, *question, "create").await, 1);

        // Shown on the senior to those who may open it, and to nobody else.
        let server = Server::start(&app).await;
        let path = format!("/api/v1/seniors/{}", world.seniors[0]);
        let (_, seen) = server.client(&app, world.site, world.social_worker).await.get(&path).await;
        assert_eq!(seen["agreement_finding_id"], json!(question), "{seen}");
        let (_, seen) = server.client(&app, world.site, world.primary).await.get(&path).await;
        assert_eq!(seen["agreement_finding_id"], Value::Null, "{seen}");

        // The same alarms say nothing new, whoever looks at them again, and a third one finds the question open.
        act(&app, &world, second, Act::Review { outcome: Some(Outcome::Overslept), return_date: None }).await;
        false_alarm(&app, &world, 25, Outcome::NotHeard).await;
        assert_eq!(questions(&app, &world).await, asked);

        set(&app, on_day(25, "15:00:00")).await;
        let (id, by) = (*question, By { site_id: world.site, actor_id: Some(world.social_worker), now: app.clock.now() });
        let rated = FindingPatch { state: Some(FindingState::Rated), note: None };
        done!(app, |tx| finding::patch(&mut tx, &by, id, 1, rated)).expect("it is agreed anew");
        false_alarm(&app, &world, 26, Outcome::ForgotCurtain).await;
        assert_eq!(questions(&app, &world).await.len(), 1, "one since then");
        false_alarm(&app, &world, 27, Outcome::ForgotCurtain).await;
        assert_eq!(questions(&app, &world).await.len(), 2, "two since then");
        assert_eq!(told(&app, "notice.misfit_false_alarm").await.len(), 2);
        let (_, seen) = server.client(&app, world.site, world.social_worker).await.get(&path).await;
        assert_ne!(seen["agreement_finding_id"], json!(question), "the closed one is no longer shown: {seen}");
    })
    .await;
}

#[tokio::test]
async fn what_was_no_fault_of_the_agreement_and_what_lies_a_week_apart_asks_nothing() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        false_alarm(&app, &world, 23, Outcome::Overslept).await;
        // As if that had been on the 19th, to the minute a week before the 26th.
        change(&app, &world, "update alert set opened_at = '2026-11-19T01:45:00+00:00' where site_id = $1 and id <> $2", Uuid::nil()).await;
        for (day, outcome) in [(24, Outcome::Unwell), (25, Outcome::NotChecked), (26, Outcome::Overslept), (27, Outcome::WantedCompany)] {
            false_alarm(&app, &world, day, outcome).await;
        }
        assert_eq!(questions(&app, &world).await, []);
        assert_eq!(told(&app, "notice.misfit_false_alarm").await, []);
        false_alarm(&app, &world, 28, Outcome::NotHeard).await;
        assert_eq!(questions(&app, &world).await.len(), 1, "the second since the 26th");
    })
    .await;
}

#[tokio::test]
async fn two_mornings_at_which_nothing_could_be_seen_ask_for_another_sign_unless_the_look_was_only_sent_late() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        blind(&app, &world, 23).await;
        // The phone had no network: the curtain was seen open in time.
        let late = by_member(world.seniors[0], SignalKind::Open, on_day(23, "09:00:00"), world.primary);
        send(&app, &world, vec![late]).await;
        blind(&app, &world, 24).await;
        assert_eq!(questions(&app, &world).await, []);
        change(&app, &world, "update role_grant set to_date = from_date where site_id = $1 and member_id = $2", world.social_worker).await;
        blind(&app, &world, 25).await;
        assert_eq!(told(&app, "notice.misfit_blind").await.into_iter().map(|(member, _)| member).collect::<Vec<_>>(), [world.secretary]);
        change(&app, &world, "update role_grant set to_date = null where site_id = $1 and member_id = $2", world.social_worker).await;
        let asked = questions(&app, &world).await;
        assert_eq!(asked.iter().map(|(_, item, _)| item.as_str()).collect::<Vec<_>>(), ["blind"]);
        blind(&app, &world, 26).await;
        assert_eq!(questions(&app, &world).await, asked);
    })
    .await;
}
