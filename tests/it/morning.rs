//! One morning: signs come in, or they do not. Each test is what a person would see.

use chenlian::app::App;
use chenlian::domain::signal::{SignalKind, Source};
use chenlian::jobs::{escalate, plan_day, watch};
use chenlian::on;
use chenlian::store::signal::{self, NewSignal, Receipt};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::harness::{World, local, on_each_engine};

pub async fn set(app: &App, now: DateTime<Utc>) {
    app.clock.advance(now - app.clock.now());
}

/// Lets the watch and the ladder do what is due at this moment.
pub async fn pass_at(app: &App, now: DateTime<Utc>) {
    set(app, now).await;
    watch::run_once(app).await.expect("the watch passes");
    escalate::run_once(app).await.expect("the ladder passes");
}

pub fn by_member(senior: Uuid, kind: SignalKind, observed_at: DateTime<Utc>, member: Uuid) -> NewSignal {
    NewSignal {
        id: Uuid::now_v7(),
        senior_id: senior,
        kind,
        observed_at,
        observed_by: Some(member),
        entered_by: Some(member),
        device_id: None,
        source: Source::Member,
        evidence: None,
        deed: None,
        replaces: None,
        reason: None,
        note: None,
    }
}

pub async fn send(app: &App, world: &World, signals: Vec<NewSignal>) -> Vec<Receipt> {
    let (site, now) = (world.site, app.clock.now());
    app.write(move |mut tx| async move {
        let receipts = signal::append(&mut tx, site, &signals, now).await?;
        Ok((tx, receipts))
    })
    .await
    .expect("signals are stored")
}

pub async fn look(app: &App, world: &World, senior: usize, kind: SignalKind, observed_at: DateTime<Utc>) -> Uuid {
    let signal = by_member(world.seniors[senior], kind, observed_at, world.primary);
    let id = signal.id;
    let receipts = send(app, world, vec![signal]).await;
    assert!(matches!(receipts[..], [Receipt::Stored(_)]), "{receipts:?}");
    id
}

/// (state, cause, level, epoch) of all alerts, oldest first.
pub async fn alerts(app: &App) -> Vec<(String, String, i64, i64)> {
    app.read(|mut tx| async move {
        let sql = "select state, cause, level, epoch from alert order by opened_at, id";
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("alerts are read")
}

/// The states of a senior's checks, by date and slot.
pub async fn states(app: &App, senior: Uuid) -> Vec<String> {
    app.read(move |mut tx| async move {
        let sql = "select state from daily_check where senior_id = $1 order by local_date, slot desc";
        let rows = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(senior).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("checks are read")
}

/// (recipient, key, state) of all notices, in the order of their making.
pub async fn notices(app: &App) -> Vec<(Uuid, String, String)> {
    app.read(|mut tx| async move {
        let sql = "select recipient_id, key, state from notice order by created_at, key, recipient_id";
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("notices are read")
}

/// Pretends that every pending notice was sealed and sent.
pub async fn all_told(app: &App) {
    app.write(|mut tx| async move {
        let sql = "update notice set state = 'delivered' where state = 'pending'";
        on!(&mut tx, |conn| sqlx::query(sql).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("notices are marked");
}

pub async fn planned(app: &App, seniors: usize) -> World {
    let world = World::seed(app, seniors).await;
    plan_day::run_once(app).await.expect("the day is planned");
    world
}

/// Gives a member one more role in the compound.
async fn also(app: &App, world: &World, member: Uuid, role: &'static str) {
    let (world, now) = (world.clone(), app.clock.now());
    app.write(move |mut tx| async move {
        world.grant(&mut tx, member, role, world.compound, now.date_naive(), now).await;
        Ok((tx, ()))
    })
    .await
    .expect("the role is granted");
}

#[tokio::test]
async fn a_step_that_finds_nobody_falls_through_at_once_and_the_operator_hears_of_it() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        look(&app, &world, 0, SignalKind::Closed, local("06:00:00")).await;
        for time in ["09:45:00", "09:50:00", "10:05:00", "10:15:00"] {
            pass_at(&app, local(time)).await;
        }
        // No key holder, grid officer or property: L3 reaches nobody, so L4 comes at once instead of at 10:30.
        assert_eq!(alerts(&app).await[0].2, 4);
        assert!(notices(&app).await.iter().any(|(member, key, _)| key == "notice.step_found_nobody" && *member == world.operator));
    })
    .await;
}

#[tokio::test]
async fn a_senior_whose_curtain_stays_shut_is_reported_once() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        set(&app, local("08:00:00")).await;
        look(&app, &world, 0, SignalKind::Open, local("07:10:00")).await;
        look(&app, &world, 1, SignalKind::Closed, local("08:00:00")).await;
        assert_eq!(states(&app, world.seniors[1]).await[0], "tentative");
        pass_at(&app, local("09:44:59.999")).await;
        assert!(alerts(&app).await.is_empty(), "no alert before cutoff (I4)");
        for second in ["09:45:00", "09:45:10", "09:46:00"] {
            pass_at(&app, local(second)).await;
        }
        assert_eq!(alerts(&app).await, [("open".to_owned(), "not_open".to_owned(), 0, 1)]);
        assert_eq!(states(&app, world.seniors[0]).await[0], "ok");
        assert_eq!(states(&app, world.seniors[1]).await[0], "not_open");
        let told: Vec<_> = notices(&app).await.into_iter().filter(|(_, key, _)| key == "notice.alert_call").collect();
        assert_eq!(told, [(world.primary, "notice.alert_call".to_owned(), "pending".to_owned())], "the assigned party member is told once");
    })
    .await;
}

#[tokio::test]
async fn nobody_looked_is_told_to_everybody_on_duty_and_the_family_waits_for_a_look() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(alerts(&app).await[0].1, "not_observed");
        let first: Vec<Uuid> =
            notices(&app).await.into_iter().filter(|(_, key, _)| key == "notice.alert_look").map(|(member, ..)| member).collect();
        let mut expected = [world.primary, world.backup, world.building_lead];
        expected.sort_unstable();
        let mut first = first;
        first.sort_unstable();
        assert_eq!(first, expected);
        pass_at(&app, local("10:14:59")).await;
        assert!(!notices(&app).await.iter().any(|(_, key, _)| key == "notice.alert_family"), "no family before a look or 30 minutes");
        pass_at(&app, local("10:15:00")).await;
        assert!(notices(&app).await.iter().any(|(member, key, _)| key == "notice.alert_family" && *member == world.social_worker));
    })
    .await;
}

#[tokio::test]
async fn a_look_that_finds_the_curtain_shut_calls_the_assigned_member_and_no_longer_holds_the_family_back() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        set(&app, local("09:50:00")).await;
        look(&app, &world, 0, SignalKind::Closed, local("09:50:00")).await;
        assert_eq!(alerts(&app).await[0].1, "not_open");
        assert!(notices(&app).await.iter().any(|(member, key, _)| key == "notice.alert_call" && *member == world.primary));
        pass_at(&app, local("10:04:59")).await;
        assert!(!notices(&app).await.iter().any(|(_, key, _)| key == "notice.alert_family"));
        pass_at(&app, local("10:05:00")).await;
        assert!(notices(&app).await.iter().any(|(_, key, _)| key == "notice.alert_family"), "20 minutes after the alert");
    })
    .await;
}

#[tokio::test]
async fn the_ladder_goes_up_step_by_step_and_repeats_its_end_until_somebody_is_seen() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        also(&app, &world, world.building_lead, "property_staff").await;
        look(&app, &world, 0, SignalKind::Closed, local("06:00:00")).await;
        pass_at(&app, local("09:45:00")).await;
        for (time, level) in [("09:49:59", 0), ("09:50:00", 1), ("10:05:00", 2), ("10:15:00", 3), ("10:30:00", 4), ("10:45:00", 5)] {
            pass_at(&app, local(time)).await;
            assert_eq!(alerts(&app).await[0].2, level, "at {time}");
        }
        let finals = |all: &[(Uuid, String, String)]| all.iter().filter(|(_, key, _)| key == "notice.alert_final").count();
        assert_eq!(finals(&notices(&app).await), 2, "secretary and street duty");
        pass_at(&app, local("10:59:59")).await;
        assert_eq!(finals(&notices(&app).await), 2);
        pass_at(&app, local("11:00:00")).await;
        assert_eq!(finals(&notices(&app).await), 4, "again after 15 minutes");
        all_told(&app).await;
        set(&app, local("11:01:00")).await;
        look(&app, &world, 0, SignalKind::SeenInPerson, local("11:01:00")).await;
        assert_eq!(alerts(&app).await[0].0, "resolved");
        pass_at(&app, local("12:00:00")).await;
        assert_eq!(finals(&notices(&app).await), 4, "nobody is called after the end");
        let stood_down: Vec<Uuid> =
            notices(&app).await.into_iter().filter(|(_, key, _)| key == "notice.stand_down_well").map(|(member, ..)| member).collect();
        for member in [world.primary, world.backup, world.building_lead, world.social_worker, world.secretary, world.street_duty] {
            assert!(stood_down.contains(&member), "everybody who was told is told that it is over");
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_signal_twice_is_one_signal_and_other_content_under_its_id_is_a_conflict() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let signal = by_member(world.seniors[0], SignalKind::Open, local("06:00:00"), world.primary);
        let mut other = signal.clone();
        other.kind = SignalKind::Closed;
        assert!(matches!(send(&app, &world, vec![signal.clone()]).await[..], [Receipt::Stored(_)]));
        assert!(matches!(send(&app, &world, vec![signal]).await[..], [Receipt::Known(_)]));
        assert_eq!(send(&app, &world, vec![other]).await, [Receipt::Conflict]);
        assert_eq!(states(&app, world.seniors[0]).await[0], "ok", "the first one stands");
    })
    .await;
}

#[tokio::test]
async fn correcting_the_only_good_sign_after_the_cutoff_opens_the_alert_at_once() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let wrong = look(&app, &world, 0, SignalKind::Open, local("06:00:00")).await;
        pass_at(&app, local("09:45:00")).await;
        assert!(alerts(&app).await.is_empty());
        set(&app, local("10:00:00")).await;
        let mut correction = by_member(world.seniors[0], SignalKind::Closed, local("06:00:00"), world.primary);
        correction.replaces = Some(wrong);
        correction.reason = Some("看错了窗".to_owned());
        send(&app, &world, vec![correction]).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "not_open");
        assert_eq!(alerts(&app).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_late_sign_closes_the_alert_and_undoing_it_opens_the_alert_again_at_the_same_level() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        pass_at(&app, local("09:50:00")).await;
        all_told(&app).await;
        set(&app, local("09:52:00")).await;
        let sight = look(&app, &world, 0, SignalKind::Open, local("09:52:00")).await;
        assert_eq!(alerts(&app).await, [("resolved".to_owned(), "not_observed".to_owned(), 1, 1)]);
        assert_eq!(states(&app, world.seniors[0]).await[0], "ok_late");
        set(&app, local("09:53:00")).await;
        let mut undo = by_member(world.seniors[0], SignalKind::NotVisible, local("09:52:00"), world.primary);
        undo.replaces = Some(sight);
        send(&app, &world, vec![undo]).await;
        let now = alerts(&app).await;
        assert_eq!((now[0].0.as_str(), now[0].2), ("open", 1), "{now:?}");
        assert_eq!(now.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_sign_seen_in_time_but_received_late_closes_the_alert_and_the_check_says_so() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(alerts(&app).await[0].0, "open");
        set(&app, local("11:00:00")).await;
        look(&app, &world, 0, SignalKind::Open, local("08:00:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "ok");
        assert_eq!(alerts(&app).await[0].0, "resolved");
    })
    .await;
}

#[tokio::test]
async fn a_sign_from_the_future_satisfies_nothing() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        look(&app, &world, 0, SignalKind::Open, app.clock.now() + TimeDelta::minutes(3)).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "expected");
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(alerts(&app).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_call_for_help_goes_to_the_door_at_once_and_is_not_ended_by_an_open_curtain() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        look(&app, &world, 0, SignalKind::Help, local("06:00:00")).await;
        let all = notices(&app).await;
        assert!(all.iter().any(|(member, key, _)| key == "notice.help_call" && *member == world.primary));
        assert!(all.iter().any(|(member, key, _)| key == "notice.help_door" && *member == world.backup));
        set(&app, local("06:01:00")).await;
        look(&app, &world, 0, SignalKind::Open, local("06:01:00")).await;
        assert_eq!(alerts(&app).await, [("open".to_owned(), "help".to_owned(), 1, 1)]);
        pass_at(&app, local("06:03:00")).await;
        assert_eq!(alerts(&app).await[0].2, 2);
    })
    .await;
}

#[tokio::test]
async fn days_missed_while_nobody_watched_become_one_alert_and_only_today_starts_the_ladder() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        // Nothing runs until three days later at noon; then the days between are planned and judged at once.
        set(&app, local("12:00:00") + TimeDelta::days(3)).await;
        plan_day::run_once(&app).await.expect("the gap is planned");
        watch::run_once(&app).await.expect("the watch passes");
        escalate::run_once(&app).await.expect("the ladder passes");
        let states = states(&app, world.seniors[0]).await;
        assert_eq!(states, ["not_observed", "not_observed", "not_observed", "not_observed", "expected"]);
        let all = alerts(&app).await;
        assert_eq!(all.len(), 1, "{all:?}");
        let looks = notices(&app).await.into_iter().filter(|(_, key, _)| key == "notice.alert_look").count();
        assert_eq!(looks, 3, "one call to three people, not one per day");
    })
    .await;
}

#[tokio::test]
async fn reminders_count_what_is_left_and_come_once() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        look(&app, &world, 0, SignalKind::Open, local("06:00:00")).await;
        look(&app, &world, 1, SignalKind::NotVisible, local("06:00:00")).await;
        for time in ["09:00:00", "09:00:10", "09:20:00", "09:35:00"] {
            pass_at(&app, local(time)).await;
        }
        let all = notices(&app).await;
        let of = |wanted: &str| all.iter().filter(|(_, key, _)| key == wanted).map(|(member, ..)| *member).collect::<Vec<_>>();
        assert_eq!(of("notice.remind_round"), [world.primary]);
        assert_eq!(of("notice.remind_last").len(), 2, "the walker and the backup");
        assert_eq!(of("notice.remind_again"), [world.primary]);
    })
    .await;
}
