//! Absences that excuse nothing: the one that is only proposed, and the one whose end nobody has made sure of.

use chenlian::app::App;
use chenlian::domain::access::Who;
use chenlian::domain::refusal::RefusalKind;
use chenlian::domain::visit::VisitKind;
use chenlian::jobs::{plan_day, returns};
use chenlian::on;
use chenlian::store::register::absence::{self, Absence, NewAbsence};
use chenlian::store::register::leave::{self, NewLeave};
use chenlian::store::register::{By, Page, pairing};
use chenlian::store::visit::{self, Due, DueFilter, NewVisit, Rights};
use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::done;
use crate::harness::{World, at, on_each_engine};
use crate::http::{Client, Server, read};
use crate::morning::{alerts, notices, pass_at, planned, set, states};
use crate::register::{audited, body, day, refused};
use crate::wording::letter;

/// Local Shanghai time on Tuesday, 24 November 2026: the first day back.
fn tuesday(time: &str) -> DateTime<Utc> {
    at(&format!("2026-11-24T{time}+08:00"))
}

fn monday(time: &str) -> DateTime<Utc> {
    crate::harness::local(time)
}

fn by(app: &App, world: &World, member: Uuid) -> By {
    By { site_id: world.site, actor_id: Some(member), now: app.clock.now() }
}

fn away(from: &str, back: &str) -> NewAbsence {
    body(json!({"id": Uuid::now_v7(), "kind": "with_family", "from_date": from, "return_date": back, "reported_by": "女儿张红"}))
}

async fn proposed(app: &App, world: &World, member: Uuid, new: NewAbsence) -> Absence {
    let (by, senior) = (by(app, world, member), world.seniors[0]);
    done!(app, |tx| absence::propose(&mut tx, &by, senior, new)).expect("it may be proposed")
}

async fn confirmed(app: &App, world: &World, from: &str, back: &str) -> Absence {
    let made = proposed(app, world, world.primary, away(from, back)).await;
    let (by, senior) = (by(app, world, world.primary), world.seniors[0]);
    done!(app, |tx| absence::confirm(&mut tx, &by, senior, made.id, made.version, true)).expect("it may be confirmed")
}

/// Who was told this, in the order of their making.
async fn told(app: &App, key: &str) -> Vec<Uuid> {
    notices(app).await.into_iter().filter(|(_, known, state)| known == key && state != "cancelled").map(|(member, ..)| member).collect()
}

fn sorted<const N: usize>(mut people: [Uuid; N]) -> [Uuid; N] {
    people.sort_unstable();
    people
}

async fn asked_at(app: &App, now: DateTime<Utc>) -> usize {
    set(app, now).await;
    returns::run_once(app).await.expect("the pass")
}

#[tokio::test]
async fn on_the_eve_of_a_return_the_primary_is_asked_once_whether_it_is_so() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let absence = confirmed(&app, &world, "2026-11-23", "2026-11-24").await;
        assert_eq!(asked_at(&app, monday("15:59:59")).await, 0, "too early");
        set(&app, monday("16:00:00")).await;
        let (one, other) = tokio::join!(returns::run_once(&app), returns::run_once(&app));
        assert_eq!(one.expect("a pass") + other.expect("another instance"), 1);
        assert_eq!(asked_at(&app, monday("18:00:00")).await, 0);
        assert_eq!(told(&app, "notice.return_tomorrow").await, [world.primary]);
        assert_eq!(audited(&app, absence.id, "ask_return").await, 1);
        let text = letter(&app, world.primary, "report").await;
        assert!(text.contains("3号楼2单元张奶奶0登记的是明天回来，是这样吗？请问问女儿张红"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn after_downtime_the_question_still_comes_before_the_first_morning_and_not_later() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        confirmed(&app, &world, "2026-11-23", "2026-11-24").await;
        let second = planned(&app, 1).await;
        assert_eq!(asked_at(&app, tuesday("05:00:00")).await, 1);
        assert_eq!(told(&app, "notice.return_today").await, [world.primary]);
        set(&app, monday("09:00:00")).await;
        confirmed(&app, &second, "2026-11-23", "2026-11-24").await;
        assert_eq!(asked_at(&app, tuesday("06:30:00")).await, 0, "the round says it now");
    })
    .await;
}

#[tokio::test]
async fn without_the_primary_her_substitute_is_asked_and_without_anybody_paired_the_social_worker() {
    on_each_engine(|app| async move {
        let (with_substitute, without) = (planned(&app, 1).await, planned(&app, 1).await);
        for world in [&with_substitute, &without] {
            confirmed(&app, world, "2026-11-23", "2026-11-24").await;
        }
        let (by_hand, lead) = (by(&app, &with_substitute, with_substitute.administrator), with_substitute.building_lead);
        let leave: NewLeave = body(
            json!({"member_id": with_substitute.primary, "from_date": "2026-11-23", "return_date": "2026-11-26", "substitute_id": lead}),
        );
        done!(app, |tx| leave::create(&mut tx, &by_hand, NewLeave { id: Uuid::now_v7(), ..leave })).unwrap();
        let by_hand = by(&app, &without, without.administrator);
        crate::outbox::change(&app, "update pairing set from_date = '2020-01-01'").await;
        let (site, who) = (without.site, without.seniors[0]);
        let filter = pairing::PairingFilter { senior_id: Some(who), ..pairing::PairingFilter::default() };
        for pair in done!(app, |tx| pairing::list(&mut tx, site, filter, Page::default())).unwrap() {
            done!(app, |tx| pairing::end(&mut tx, &by_hand, who, pair.id, pair.version, Some(day("2026-11-23")))).unwrap();
        }
        assert_eq!(asked_at(&app, monday("16:00:00")).await, 2);
        let mut asked = told(&app, "notice.return_tomorrow").await;
        asked.sort_unstable();
        assert_eq!(asked, sorted([lead, without.social_worker]));
    })
    .await;
}

#[tokio::test]
async fn a_longer_absence_is_entered_behind_the_first_and_asked_about_on_its_own_eve() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let first = confirmed(&app, &world, "2026-11-23", "2026-11-24").await;
        assert_eq!(asked_at(&app, monday("16:00:00")).await, 1);
        confirmed(&app, &world, "2026-11-24", "2026-11-26").await;
        let (by, who) = (by(&app, &world, world.primary), world.seniors[0]);
        let no = refused(done!(app, |tx| absence::confirm_return(&mut tx, &by, who, first.id, first.version)));
        assert_eq!((no.kind, no.key), (RefusalKind::Conflict, "register.absence_goes_on"), "nobody looks, so nobody may think so");
        pass_at(&app, tuesday("09:45:00")).await;
        assert_eq!(states(&app, who).await[..2], ["excused", "excused"]);
        assert!(told(&app, "notice.remind_return").await.is_empty() && alerts(&app).await.is_empty());
        assert_eq!(asked_at(&app, tuesday("16:00:00")).await, 0, "two more days");
        assert_eq!(asked_at(&app, at("2026-11-25T16:00:00+08:00")).await, 1);
        assert_eq!(told(&app, "notice.return_tomorrow").await, [world.primary, world.primary]);
    })
    .await;
}

async fn confirm_return(client: &Client, world: &World, absence: &Absence, version: i64) -> (StatusCode, Value) {
    let path = format!("/api/v1/seniors/{}/absences/{}/confirm-return", world.seniors[0], absence.id);
    read(
        client
            .request(Method::POST, &path)
            .header("if-match", format!("\"{version}\""))
            // The same key for every try: one that came with an old version was no first.
            .header("idempotency-key", &path),
    )
    .await
}

#[tokio::test]
async fn those_paired_with_her_and_staff_say_that_she_comes_back_and_the_first_morning_is_an_ordinary_one() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let absence = confirmed(&app, &world, "2026-11-23", "2026-11-24").await;
        let later = proposed(&app, &world, world.backup, away("2026-12-01", "2026-12-05")).await;
        let lead = server.client(&app, world.site, world.building_lead).await;
        let backup = server.client(&app, world.site, world.backup).await;
        assert_eq!(confirm_return(&lead, &world, &absence, 2).await.0, StatusCode::FORBIDDEN);
        assert_eq!(confirm_return(&backup, &world, &absence, 1).await.0, StatusCode::PRECONDITION_FAILED);
        let (status, problem) = confirm_return(&backup, &world, &later, 1).await;
        assert_eq!((status, &problem["key"]), (StatusCode::CONFLICT, &json!("register.absence_unconfirmed")));
        let (status, done) = confirm_return(&backup, &world, &absence, 2).await;
        assert_eq!((status, &done["return_confirmed_by"], &done["version"]), (StatusCode::OK, &json!(world.backup), &json!(3)), "{done}");
        assert_eq!(confirm_return(&backup, &world, &absence, 2).await, (status, done), "the same request again");
        assert_eq!(audited(&app, absence.id, "confirm_return").await, 1);
        assert_eq!(asked_at(&app, monday("16:00:00")).await, 0, "nothing is left to ask");

        plan_day::run_once(&app).await.expect("the day is planned");
        pass_at(&app, tuesday("09:00:00")).await;
        assert_eq!(told(&app, "notice.remind_round").await, [world.primary]);
        pass_at(&app, tuesday("09:45:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await[1], "not_observed", "an ordinary check");
        let text = letter(&app, world.primary, "alert").await + &letter(&app, world.primary, "reminder").await;
        assert!(!text.contains("女儿") && !text.contains("没有人确认"), "{text}");
        for member in [world.primary, world.social_worker, world.secretary] {
            let client = server.client(&app, world.site, member).await;
            let refused = confirm_return(&client, &world, &later, 1).await;
            assert_eq!(refused.1["key"], "register.absence_unconfirmed", "they may");
        }
    })
    .await;
}

#[tokio::test]
async fn a_return_is_not_confirmed_before_its_eve() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let absence = confirmed(&app, &world, "2026-11-23", "2026-11-25").await;
        let (by, who) = (by(&app, &world, world.primary), world.seniors[0]);
        let no = refused(done!(app, |tx| absence::confirm_return(&mut tx, &by, who, absence.id, absence.version)));
        assert_eq!((no.key, no.arguments["date"].as_str()), ("register.return_too_early", "2026-11-25"));
        let tomorrow = By { now: tuesday("00:00:00"), ..by };
        done!(app, |tx| absence::confirm_return(&mut tx, &tomorrow, who, absence.id, absence.version)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_return_that_nobody_confirmed_begins_with_a_call_to_the_reporter_and_is_a_real_check() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        confirmed(&app, &world, "2026-11-23", "2026-11-24").await;
        let walker = world.building_lead;
        let by_hand = by(&app, &world, world.administrator);
        let duty = json!({"id": Uuid::now_v7(), "member_id": walker, "slot": "morning", "weekdays": 127, "building_ids": [world.building]});
        done!(app, |tx| chenlian::store::register::duty::create(&mut tx, &by_hand, body(duty))).unwrap();
        assert_eq!(asked_at(&app, monday("16:00:00")).await, 1);
        for time in ["08:59:59", "09:00:00", "09:00:10", "09:20:00"] {
            pass_at(&app, tuesday(time)).await;
        }
        let mut reminded = told(&app, "notice.remind_return").await;
        reminded.sort_unstable();
        assert_eq!(reminded, sorted([world.primary, walker, world.backup]), "the round and who was asked, each once");
        let text = letter(&app, walker, "reminder").await;
        let (count, call) =
            (text.find("还有1户没看").expect("the round"), text.find("请先给女儿张红打个电话，窗照常看").expect("the call"));
        assert!(text.starts_with("王师傅早上好") && count < call, "{text}");
        assert!(letter(&app, world.primary, "reminder").await.contains("按登记该回来了，还没有人确认。请先给女儿张红打个电话"));

        pass_at(&app, tuesday("09:45:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await[..2], ["excused", "not_observed"]);
        assert_eq!(alerts(&app).await, [("open".to_owned(), "not_observed".to_owned(), 0, 1)]);
        let text = letter(&app, world.primary, "alert").await;
        assert!(text.contains("张奶奶0（刚到回来的日子，没有人确认，请先给女儿张红打电话）"), "{text}");
        let client = server.client(&app, world.site, world.social_worker).await;
        let detail = detail(&client).await;
        assert_eq!(detail["unconfirmed_return"]["reported_by"], "女儿张红", "{detail}");
        assert_eq!(detail["proposed_absence"], Value::Null);
    })
    .await;
}

async fn detail(client: &Client) -> Value {
    let (_, list) = client.get("/api/v1/alerts?open=true").await;
    let id = list["items"][0]["id"].as_str().expect("an open alert").to_owned();
    client.get(&format!("/api/v1/alerts/{id}")).await.1
}

// I28
#[tokio::test]
async fn an_absence_that_cannot_be_read_keeps_no_word_from_her_neighbours() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let broken = NewAbsence { reported_by: "女儿".to_owned(), ..away("2026-11-23", "2026-11-25") };
        let (by, senior) = (by(&app, &world, world.primary), world.seniors[1]);
        done!(app, |tx| absence::propose(&mut tx, &by, senior, broken)).unwrap();
        proposed(&app, &world, world.primary, away("2026-11-23", "2026-11-25")).await;
        crate::outbox::change(&app, "update absence set kind = 'nowhere' where reported_by = '女儿'").await;
        pass_at(&app, monday("09:00:00")).await;
        assert_eq!(told(&app, "notice.remind_round").await, [world.primary]);
        assert_eq!(told(&app, "notice.remind_proposed").await, [world.primary]);
        assert_eq!(told(&app, "notice.record_broken").await, [world.operator]);
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        assert_eq!(client.get("/api/v1/rounds").await.0, StatusCode::OK);
    })
    .await;
}

// I9
#[tokio::test]
async fn a_proposed_absence_is_said_at_each_step_of_the_morning_and_excuses_nothing() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let server = Server::start(&app).await;
        let absence = proposed(&app, &world, world.backup, away("2026-11-23", "2026-11-25")).await;
        let mut asked = told(&app, "notice.absence_proposed").await;
        asked.sort_unstable();
        assert_eq!(asked, sorted([world.primary, world.social_worker, world.secretary]), "those who may confirm, but not who proposed");

        let walker = server.client(&app, world.site, world.primary).await;
        let (_, round) = walker.get("/api/v1/rounds").await;
        let shown =
            json!({"id": absence.id, "kind": "with_family", "from": "2026-11-23", "return_date": "2026-11-25", "reported_by": "女儿张红"});
        let stop = |number: usize| round["stops"].as_array().unwrap().iter().find(|stop| stop["senior_id"] == json!(world.seniors[number]));
        assert_eq!(stop(0).unwrap()["proposed_absence"], shown, "{round}");
        assert_eq!(stop(1).unwrap()["proposed_absence"], Value::Null);

        for (time, times) in [("09:00:00", 1), ("09:00:05", 1), ("09:20:00", 2)] {
            pass_at(&app, monday(time)).await;
            let told = told(&app, "notice.remind_proposed").await;
            assert_eq!(told.iter().filter(|member| **member == world.primary).count(), times, "at {time}");
        }
        let text = letter(&app, world.primary, "reminder").await;
        assert!(
            text.contains("有人（女儿张红）说3号楼2单元张奶奶0不在家，还没有人确认，窗照常看。结对党员、支部或社工确认了才算数"),
            "{text}"
        );
        assert!(!text.contains("张奶奶1"), "nothing is said of her neighbour: {text}");

        pass_at(&app, monday("09:45:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "not_observed");
        assert_eq!(alerts(&app).await.len(), 2);
        let text = letter(&app, world.primary, "alert").await;
        assert!(text.contains("张奶奶0（女儿张红说不在家，还没有人确认）") && !text.contains("张奶奶1（"), "{text}");
        let client = server.client(&app, world.site, world.social_worker).await;
        let (_, list) = client.get(&format!("/api/v1/alerts?senior={}", world.seniors[0])).await;
        let detail = client.get(&format!("/api/v1/alerts/{}", list["items"][0]["id"].as_str().unwrap())).await.1;
        assert_eq!((&detail["proposed_absence"], &detail["unconfirmed_return"]), (&shown, &Value::Null), "{detail}");
    })
    .await;
}

#[tokio::test]
async fn who_proposes_and_confirms_in_one_go_disturbs_nobody_with_a_question() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        confirmed(&app, &world, "2026-11-23", "2026-11-25").await;
        let all = notices(&app).await;
        assert!(all.iter().any(|(_, key, state)| key == "notice.absence_proposed" && state == "cancelled"), "{all:?}");
        assert!(told(&app, "notice.absence_proposed").await.is_empty());
        let mut heard = told(&app, "notice.silenced_absence").await;
        heard.sort_unstable();
        assert_eq!(heard, sorted([world.backup, world.social_worker, world.secretary]), "they hear that it is so");

        let second = planned(&app, 1).await;
        proposed(&app, &second, second.primary, away("2026-11-23", "2026-11-25")).await;
        let waiting = async || {
            let now = app.clock.now();
            app.read(move |mut tx| async move {
                let sql = "select count(*) from notice where key = 'notice.absence_proposed' and state = 'pending' and not_before > $1";
                let rows: i64 = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(now).fetch_one(conn).await)?;
                Ok((tx, rows))
            })
            .await
            .unwrap()
        };
        assert_eq!(waiting().await, 2, "the social worker and the secretary hear of it if she does not confirm it");
        set(&app, monday("06:10:00")).await;
        assert_eq!(waiting().await, 0);
    })
    .await;
}

async fn due(app: &App, world: &World, today: &str) -> Vec<Due> {
    let who = Who { site_id: world.site, member_id: world.administrator, today: day(today) };
    let filter = DueFilter { until: day(today), band: None, place: None, after: None, limit: 10 };
    done!(app, |tx| visit::due(&mut tx, &who, &filter)).unwrap()
}

async fn visited(app: &App, world: &World, kind: &str, result: &str, started_at: &str) {
    let by = by(app, world, world.primary);
    let met = (result == "met").then_some("senior");
    let new: NewVisit = body(json!({
        "id": Uuid::now_v7(), "senior_id": world.seniors[0], "kind": kind, "method": "door", "started_at": started_at,
        "result": result, "contact_with": met, "next_due": "2027-01-15"
    }));
    done!(app, |tx| visit::create(&mut tx, &by, new, Rights::default())).expect("a record");
}

#[tokio::test]
async fn who_came_back_is_due_for_a_return_visit_until_somebody_has_met_her() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        set(&app, monday("06:30:00")).await;
        visited(&app, &world, "first_visit", "met", "2026-11-23T06:10:00+08:00").await;
        confirmed(&app, &world, "2026-11-23", "2026-11-24").await;
        let kinds = |due: &[Due]| due.iter().map(|due| (due.senior_id, due.kind)).collect::<Vec<_>>();
        let neighbour = (world.seniors[1], VisitKind::FirstVisit);
        assert_eq!(kinds(&due(&app, &world, "2026-11-23").await), [neighbour], "she is not back yet");
        let back = due(&app, &world, "2026-11-24").await;
        assert_eq!(kinds(&back), [neighbour, (world.seniors[0], VisitKind::ReturnVisit)], "nobody was ever at the neighbour's");
        assert_eq!((back[1].returned_on, back[1].next_due), (Some(day("2026-11-24")), Some(day("2027-01-15"))));
        let who = Who { site_id: world.site, member_id: world.administrator, today: day("2026-11-24") };
        let rest =
            DueFilter { until: day("2026-11-24"), band: None, place: Some(world.compound), after: Some(back[0].sort_key()), limit: 10 };
        assert_eq!(done!(app, |tx| visit::due(&mut tx, &who, &rest)).unwrap(), back[1..], "the next page");

        set(&app, tuesday("12:00:00")).await;
        visited(&app, &world, "care_visit", "not_met", "2026-11-24T10:00:00+08:00").await;
        assert_eq!(due(&app, &world, "2026-11-24").await.len(), 2, "nobody opened");
        confirmed(&app, &world, "2026-11-24", "2026-11-26").await;
        assert_eq!(kinds(&due(&app, &world, "2026-11-25").await), [neighbour], "she stayed longer");
        assert_eq!(due(&app, &world, "2026-11-26").await[1].returned_on, Some(day("2026-11-26")));
        set(&app, at("2026-11-26T12:00:00+08:00")).await;
        visited(&app, &world, "goodwill_visit", "met", "2026-11-26T00:00:00+08:00").await;
        assert_eq!(kinds(&due(&app, &world, "2026-11-26").await), [neighbour]);
    })
    .await;
}
