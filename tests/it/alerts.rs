//! What becomes of an alert between people: who is told, who is told again, who stands at the top of the list.

use chenlian::app::App;
use chenlian::domain::access::Who;
use chenlian::domain::alert::Alert;
use chenlian::domain::case::{Act, Actor, Resolution};
use chenlian::domain::check::Cause;
use chenlian::domain::outcome::ContactProof;
use chenlian::domain::signal::{Evidence, SignalKind, Source};
use chenlian::jobs::{escalate, plan_day, watch};
use chenlian::on;
use chenlian::store::alert::{self, Filter};
use chenlian::store::outbox::{Escalate, fail_unreachable};
use chenlian::store::register::{By, member};
use chenlian::store::{Error, Result, case, verify};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::harness::{World, local, on_each_engine};
use crate::morning::{alerts, all_told, by_member, look, notices, pass_at, planned, send, set};

/// The one alert of the first senior.
async fn only(app: &App) -> Uuid {
    app.read(|mut tx| async move {
        let id = on!(&mut tx, |conn| sqlx::query_scalar("select id from alert").fetch_one(conn).await)?;
        Ok((tx, id))
    })
    .await
    .expect("there is an alert")
}

async fn try_act(app: &App, world: &World, alert: Uuid, by: Uuid, act: Act) -> Result<Alert> {
    let (site, now) = (world.site, app.clock.now());
    app.write(move |mut tx| async move {
        let alert = case::act(&mut tx, site, alert, Actor { id: by, may_silence: false, may_confirm: false }, act, now).await?;
        Ok((tx, alert))
    })
    .await
}

async fn act(app: &App, world: &World, by: Uuid, act: Act) -> Alert {
    try_act(app, world, only(app).await, by, act).await.expect("the act is possible")
}

fn met() -> Act {
    let proof = Some(ContactProof::SeenInPerson);
    Act::Resolve(Resolution { safe: true, proof, proof_by: None, proof_at: None, outcome: None, note: None, return_date: None })
}

async fn told(app: &App, key: &str, state: &str) -> Vec<Uuid> {
    let all = notices(app).await;
    let mut people: Vec<Uuid> = all.into_iter().filter(|(_, k, s)| k == key && s == state).map(|(member, ..)| member).collect();
    people.sort_unstable();
    people
}

fn sorted<const N: usize>(mut people: [Uuid; N]) -> [Uuid; N] {
    people.sort_unstable();
    people
}

async fn no_channel(app: &App, member: Option<Uuid>) {
    app.write(move |mut tx| async move {
        let sql = "delete from member_channel where $1 is null or member_id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(member).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the channels are gone");
}

/// What the delivery does with notices to people whom nothing reaches.
async fn fail_words(app: &App) -> usize {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        let failed = fail_unreachable(&mut tx, Escalate::Yes, now).await?;
        Ok((tx, failed))
    })
    .await
    .expect("the words fail")
}

async fn findings(app: &App) -> Vec<&'static str> {
    let now = app.clock.now();
    let found = app.read(move |mut tx| async move { verify::findings(&mut tx, now).await.map(|found| (tx, found)) }).await;
    found.expect("the database is asked").into_iter().map(|finding| finding.rule).collect()
}

#[tokio::test]
async fn whom_a_claim_kept_from_being_told_is_told_when_the_claim_runs_out() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        act(&app, &world, world.primary, Act::Claim).await;
        assert_eq!(told(&app, "notice.alert_look", "cancelled").await.len(), 3, "a claim before sealing takes the word back");
        set(&app, local("09:59:59")).await;
        pass_at(&app, local("09:59:59")).await;
        assert!(told(&app, "notice.alert_look", "pending").await.is_empty());
        pass_at(&app, local("10:00:00")).await;
        // Without a sign of the primary, who is reminded instead.
        assert_eq!(told(&app, "notice.alert_look", "pending").await, sorted([world.backup, world.building_lead]));
        assert_eq!(told(&app, "notice.claim_ran_out", "pending").await, [world.primary]);
    })
    .await;
}

#[tokio::test]
async fn a_claim_does_not_take_back_the_family_that_a_closed_door_has_called() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        act(&app, &world, world.backup, Act::NoAnswerAtDoor).await;
        act(&app, &world, world.backup, Act::Claim).await;
        assert_eq!(told(&app, "notice.alert_family", "pending").await, sorted([world.primary, world.social_worker]));
        // Nobody holds a key here: the operator's word is no part of the rung either.
        assert_eq!(told(&app, "notice.step_found_nobody", "pending").await, [world.operator]);
        assert_eq!(told(&app, "notice.alert_look", "cancelled").await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn everybody_who_was_stood_down_hears_that_it_is_open_again() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        for time in ["09:45:00", "09:50:00"] {
            pass_at(&app, local(time)).await;
        }
        all_told(&app).await;
        act(&app, &world, world.primary, met()).await;
        assert_eq!(told(&app, "notice.stand_down_well", "pending").await, sorted([world.backup, world.building_lead]));
        all_told(&app).await;
        set(&app, local("09:55:00")).await;
        act(&app, &world, world.social_worker, Act::Reopen { reason: "走错了门".to_owned() }).await;
        assert_eq!(told(&app, "notice.open_again", "pending").await, sorted([world.primary, world.backup, world.building_lead]));
        assert_eq!(told(&app, "notice.alert_call", "pending").await, [world.primary]);
        assert_eq!(alerts(&app).await, [("open".to_owned(), "not_observed".to_owned(), 1, 1)]);
    })
    .await;
}

#[tokio::test]
async fn good_news_that_still_waits_is_not_sent_after_the_alert_was_opened_again() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        all_told(&app).await;
        act(&app, &world, world.primary, met()).await;
        assert!(!told(&app, "notice.stand_down_well", "pending").await.is_empty());
        act(&app, &world, world.social_worker, Act::Reopen { reason: "走错了门".to_owned() }).await;
        assert!(told(&app, "notice.stand_down_well", "pending").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn good_news_of_a_round_comes_within_ten_minutes_in_one_message_and_at_once_to_whoever_is_going() {
    on_each_engine(|app| async move {
        let world = planned(&app, 4).await;
        pass_at(&app, local("09:45:00")).await;
        all_told(&app).await;
        let rows = list(&app, &world, None, 50).await;
        let third = rows.iter().find(|(senior, _)| *senior == world.seniors[2]).expect("it is on the list").1.2;
        try_act(&app, &world, third, world.building_lead, Act::Claim).await.expect("she goes");
        let mut seen = Vec::new();
        for (senior, minute) in [(0, "09:46:00"), (1, "09:49:00"), (2, "09:50:30"), (3, "09:50:50")] {
            set(&app, local(minute)).await;
            look(&app, &world, senior, SignalKind::Open, local(minute)).await;
            let of = |member| news(&app, member);
            seen.push((of(world.backup).await, of(world.building_lead).await));
        }
        let at = |times: &[&str]| times.iter().map(|time| local(time)).collect::<Vec<_>>();
        assert_eq!(seen[0], (at(&["09:56:00"]), at(&["09:56:00"])), "more may follow");
        assert_eq!(seen[1], (at(&["09:56:00"; 2]), at(&["09:56:00"; 2])), "the first word keeps its time");
        assert_eq!(seen[2], (at(&["09:56:00"; 3]), at(&["09:50:30", "09:56:00", "09:56:00"])), "she was on her way");
        assert_eq!(seen[3].0, at(&["09:50:50"; 4]), "the round is done: nothing more to wait for");
    })
    .await;
}

/// From when on each pending good news to a member may be sent.
async fn news(app: &App, member: Uuid) -> Vec<DateTime<Utc>> {
    app.read(move |mut tx| async move {
        let sql =
            "select not_before from notice where recipient_id = $1 and class = 'stand_down' and state = 'pending' order by not_before";
        let times = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(member).fetch_all(conn).await)?;
        Ok((tx, times))
    })
    .await
    .expect("notices are read")
}

#[tokio::test]
async fn nobody_is_sent_whom_no_message_reaches_and_the_refusal_names_those_who_can_be() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        no_channel(&app, Some(world.backup)).await;
        let alert = only(&app).await;
        let refused = try_act(&app, &world, alert, world.social_worker, Act::Assign { to: world.backup }).await;
        let Err(Error::Refused(refusal)) = refused else { panic!("{refused:?}") };
        assert_eq!((refusal.key, refusal.field.as_deref()), ("problem.member_unreachable", Some("member_id")));
        assert_eq!(refusal.arguments["member"], "刘师傅");
        assert!(refusal.arguments["members"].contains("王师傅") && !refusal.arguments["members"].contains("刘师傅"), "{refusal:?}");
        act(&app, &world, world.social_worker, Act::Assign { to: world.building_lead }).await;
    })
    .await;
}

#[tokio::test]
async fn a_word_that_does_not_reach_whoever_was_sent_ends_the_claim_and_tells_the_sender() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        all_told(&app).await;
        act(&app, &world, world.social_worker, Act::Assign { to: world.backup }).await;
        no_channel(&app, Some(world.backup)).await;
        assert_eq!(fail_words(&app).await, 1);
        assert_eq!(alerts(&app).await[0].0, "open");
        assert_eq!(told(&app, "notice.assigned_unreachable", "pending").await, [world.social_worker]);
    })
    .await;
}

#[tokio::test]
async fn a_street_without_any_channel_is_called_at_its_pace_and_not_without_end() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        no_channel(&app, None).await;
        look(&app, &world, 0, SignalKind::Closed, local("06:00:00")).await;
        pass_at(&app, local("09:45:00")).await;
        for _ in 0..20 {
            fail_words(&app).await;
            escalate::run_once(&app).await.expect("the ladder passes");
        }
        let finals = told(&app, "notice.alert_final", "failed").await;
        assert_eq!(finals, sorted([world.secretary, world.street_duty]), "the whole ladder at once, then a pause");
        assert_eq!(told(&app, "notice.step_unheard", "failed").await, [world.operator], "I16: the end of the ladder fails, too");
        assert_eq!(fail_words(&app).await, 0);
        pass_at(&app, local("09:59:59")).await;
        assert!(told(&app, "notice.alert_final", "pending").await.is_empty());
        pass_at(&app, local("10:00:00")).await;
        assert_eq!(told(&app, "notice.alert_final", "pending").await.len(), 2, "I14");
    })
    .await;
}

#[tokio::test]
async fn a_member_who_leaves_gives_back_what_she_had_claimed() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        look(&app, &world, 0, SignalKind::Closed, local("06:00:00")).await;
        pass_at(&app, local("09:45:00")).await;
        act(&app, &world, world.primary, Act::OnSite).await;
        pass_at(&app, local("09:55:00")).await;
        let (leaver, by) = (world.primary, By { site_id: world.site, actor_id: None, now: app.clock.now() });
        app.write(move |mut tx| async move {
            member::end(&mut tx, &by, leaver, 1).await?;
            Ok((tx, ()))
        })
        .await
        .expect("the member is ended");
        assert_eq!(alerts(&app).await, [("open".to_owned(), "not_open".to_owned(), 1, 1)], "the door is asked at once");
    })
    .await;
}

#[tokio::test]
async fn a_day_that_an_outage_missed_stays_on_the_list_and_a_claim_starts_its_ladder() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        // The service comes back on Tuesday before anything of that day is due.
        set(&app, local("07:00:00") + TimeDelta::days(1)).await;
        plan_day::run_once(&app).await.expect("the gap is planned");
        watch::run_once(&app).await.expect("the watch passes");
        assert_eq!(notices(&app).await.iter().filter(|(_, key, _)| key.starts_with("notice.alert")).count(), 0);
        assert!(!findings(&app).await.contains(&"alert_stands_still"));
        act(&app, &world, world.social_worker, Act::Claim).await;
        pass_at(&app, local("07:15:00") + TimeDelta::days(1)).await;
        assert_eq!(told(&app, "notice.alert_look", "pending").await.len(), 3, "the claim ran out, so somebody else is called");
        assert!(!findings(&app).await.contains(&"alert_stands_still"));
    })
    .await;
}

#[tokio::test]
async fn the_list_shows_the_most_urgent_first_and_its_pages_miss_nobody() {
    on_each_engine(|app| async move {
        let world = planned(&app, 5).await;
        for senior in [1, 2, 3] {
            look(&app, &world, senior, SignalKind::Closed, local("06:00:00")).await;
        }
        pass_at(&app, local("09:45:00")).await;
        set(&app, local("09:46:00")).await;
        look(&app, &world, 4, SignalKind::Help, local("09:46:00")).await;
        let mut sensor = by_member(world.seniors[2], SignalKind::Open, local("09:46:00"), world.primary);
        (sensor.source, sensor.evidence, sensor.observed_by, sensor.entered_by) = (Source::Device, Some(Evidence::A), None, None);
        send(&app, &world, vec![sensor]).await;
        let emergency = Act::Emergency { service: "120".to_owned() };
        let of = list(&app, &world, None, 50).await;
        let third = of.iter().find(|(senior, _)| *senior == world.seniors[3]).expect("it is on the list").1.2;
        try_act(&app, &world, third, world.primary, emergency).await.expect("120 is called");
        // 120 called, pressed for help, seen shut, nobody looked, shown late by a sensor.
        let expected = [3, 4, 1, 0, 2].map(|n: usize| world.seniors[n]);
        let seniors = |rows: &[(Uuid, Place)]| rows.iter().map(|(senior, _)| *senior).collect::<Vec<_>>();
        assert_eq!(seniors(&list(&app, &world, None, 50).await), expected);
        assert_eq!(seniors(&list(&app, &world, Some(Cause::NotObserved), 50).await), [world.seniors[0]]);
        let mut paged = Vec::new();
        let mut after = None;
        loop {
            let page = page(&app, &world, None, after, 2).await;
            let Some((_, last)) = page.last() else { break };
            after = Some(*last);
            paged.extend(page);
        }
        assert_eq!(seniors(&paged), expected);
    })
    .await;
}

type Place = (i64, DateTime<Utc>, Uuid);

async fn list(app: &App, world: &World, cause: Option<Cause>, limit: i64) -> Vec<(Uuid, Place)> {
    page(app, world, cause, None, limit).await
}

async fn page(app: &App, world: &World, cause: Option<Cause>, after: Option<Place>, limit: i64) -> Vec<(Uuid, Place)> {
    let who = Who { site_id: world.site, member_id: world.administrator, today: app.clock.now().date_naive() };
    let filter =
        Filter { open_only: true, place: None, senior: None, cause, state: None, opened_from: None, opened_before: None, after, limit };
    let rows = app.read(move |mut tx| async move { alert::list(&mut tx, &who, &filter).await.map(|rows| (tx, rows)) }).await;
    rows.expect("the list is read").into_iter().map(|row| (row.senior_id, (row.rank, row.opened_at, row.id))).collect()
}
