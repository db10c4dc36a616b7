//! The invariants of the store, each named after what a person would see, on both engines.

mod crowd;
mod many;
mod network;
mod plan;
mod storage;
mod time;
mod vitals;
mod walls;

use chenlian::app::App;
use chenlian::domain::signal::{Evidence, SignalKind, Source};
use chenlian::jobs::{escalate, plan_day, watch};
use chenlian::on;
use chenlian::seal::SealKey;
use chenlian::store::case;
use chenlian::store::signal::Receipt;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::harness::{World, local, on_each_engine};
use crate::morning::{alerts, all_told, by_member, look, notices, pass_at, planned, send, set, states};

/// One statement outside every rule: what a careless hand or a failing disk might do.
pub async fn meddle(app: &App, sql: &str) {
    let sql = sql.to_owned();
    app.write(move |mut tx| async move {
        on!(&mut tx, |conn| sqlx::query(AssertSqlSafe(sql)).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the statement runs");
}

pub async fn count(app: &App, sql: &'static str) -> i64 {
    app.read(move |mut tx| async move {
        let count = on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
        Ok((tx, count))
    })
    .await
    .expect("rows are counted")
}

/// A literal for an id that both engines understand.
pub fn literal(app: &App, id: Uuid) -> String {
    if app.db.is_postgres() { format!("'{id}'") } else { format!("x'{}'", id.simple()) }
}

/// Another server on the same database, with its own clock.
pub fn another(app: &App) -> App {
    let clock = chenlian::clock::Clock::manual(app.clock.now());
    App::new(app.config.clone(), app.db.clone(), clock, SealKey::from_bytes([42; 32]))
}

fn keys(all: &[(Uuid, String, String)], key: &str) -> usize {
    all.iter().filter(|(_, known, _)| known == key).count()
}

#[tokio::test]
async fn after_forty_days_without_a_server_the_last_week_is_on_the_list_and_today_is_alerted() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        set(&app, local("10:00:00") + TimeDelta::days(40)).await;
        plan_day::run_once(&app).await.expect("the gap is planned");
        assert_eq!(watch::run_once(&app).await.expect("the watch passes").seniors, 3);
        assert_eq!(watch::run_once(&app).await.expect("the watch passes").seniors, 0, "nothing stays due, however old it is");
        let all = states(&app, world.seniors[0]).await;
        let of = |state: &str| all.iter().filter(|known| *known == state).count();
        assert_eq!((of("not_evaluated"), of("not_observed"), of("expected")), (34, 7, 1), "{all:?}");
        assert_eq!(alerts(&app).await.len(), 3, "one alert for each senior, not one a day");
        let told = notices(&app).await;
        assert_eq!(keys(&told, "notice.alert_look"), 9, "only today calls people");
        assert_eq!(told.iter().filter(|(to, key, _)| key == "notice.not_evaluated" && *to == world.operator).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn no_second_alert_or_trigger_fits_into_the_database() {
    on_each_engine(|app| async move {
        planned(&app, 1).await;
        for time in ["09:45:00", "09:45:00", "09:45:01", "09:50:00"] {
            pass_at(&app, local(time)).await;
        }
        assert_eq!(count(&app, "select count(*) from alert").await, 1);
        assert_eq!(count(&app, "select count(*) from alert_trigger").await, 1);
        let zero = literal(&app, Uuid::nil());
        for sql in [
            format!("update alert set resolved_at = null; insert into alert select site_id, {zero}, senior_id, state, ladder, cause, epoch, level, trial, drill, opened_at, epoch_at, claimed_by, claim_until, assigned_by, emergency_at, looked_at, sensor_noted_at, resolved_at, resolved_by, resolved_by_signal, contact_proof, proof_by, proof_at, safe, outcome, outcome_note, reviewed_at, reviewed_by, outage_from, outage_to, next_action_at, version from alert")
                .split("; ").nth(1).expect("two statements").to_owned(),
            "insert into alert_trigger select * from alert_trigger".to_owned(),
        ] {
            let result = app
                .write(move |mut tx| async move {
                    on!(&mut tx, |conn| sqlx::query(AssertSqlSafe(sql)).execute(conn).await.map(|_| ()))?;
                    Ok((tx, ()))
                })
                .await;
            assert!(format!("{:?}", result.expect_err("the key refuses it")).to_lowercase().contains("unique"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_late_sign_of_a_person_ends_the_alert_and_keeps_its_history_and_a_late_sensor_is_a_note() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        all_told(&app).await;
        set(&app, local("09:50:00")).await;
        let mut sensor = by_member(world.seniors[0], SignalKind::Open, local("09:50:00"), world.primary);
        (sensor.source, sensor.evidence, sensor.observed_by, sensor.entered_by) = (Source::Device, Some(Evidence::A), None, None);
        send(&app, &world, vec![sensor]).await;
        assert_eq!(alerts(&app).await[0].0, "open");
        assert_eq!(states(&app, world.seniors[0]).await[0], "not_observed");
        all_told(&app).await;
        set(&app, local("09:52:00")).await;
        look(&app, &world, 0, SignalKind::SpokeWithPerson, local("09:52:00")).await;
        assert_eq!(alerts(&app).await[0].0, "resolved");
        let sql = "select count(*) from alert_event where kind in ('opened', 'step_fired', 'sensor_note', 'resolved')";
        assert!(count(&app, sql).await >= 4, "what happened stays told");
        assert_eq!(count(&app, "select count(*) from alert_trigger where cause = 'not_observed'").await, 1);
        let told = notices(&app).await;
        let mut stood_down: Vec<Uuid> = told.iter().filter(|(_, key, _)| key == "notice.stand_down_well").map(|(to, ..)| *to).collect();
        stood_down.sort_unstable();
        let mut expected = [world.primary, world.backup, world.building_lead];
        expected.sort_unstable();
        assert_eq!(stood_down, expected, "everybody who was told, once");
    })
    .await;
}

#[tokio::test]
async fn the_same_looks_in_another_order_or_twice_say_the_same() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        set(&app, local("11:00:00")).await;
        let signals = |senior: usize| {
            let by = |kind, time| by_member(world.seniors[senior], kind, local(time), world.primary);
            let (shut, open) = (by(SignalKind::Closed, "08:00:00"), by(SignalKind::Open, "07:00:00"));
            let mut correction = by(SignalKind::NotVisible, "08:30:00");
            correction.replaces = Some(open.id);
            (shut, open, correction)
        };
        let (shut, open, correction) = signals(0);
        send(&app, &world, vec![open.clone(), correction.clone(), shut.clone(), open, correction, shut]).await;
        let (shut, open, correction) = signals(1);
        for one in [shut.clone(), open.clone(), open, correction.clone(), shut, correction] {
            send(&app, &world, vec![one]).await;
        }
        assert_eq!(count(&app, "select count(*) from signal").await, 6);
        for senior in &world.seniors {
            assert_eq!(states(&app, *senior).await[0], "not_seen");
        }
        assert_eq!(alerts(&app).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_sighting_that_was_yesterday_after_all_leaves_today_unseen() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let wrong = look(&app, &world, 0, SignalKind::Open, local("06:00:00")).await;
        let mut moved = by_member(world.seniors[0], SignalKind::Open, local("06:00:00") - TimeDelta::days(1), world.primary);
        moved.replaces = Some(wrong);
        assert!(matches!(send(&app, &world, vec![moved]).await[..], [Receipt::Stored(_)]));
        assert_eq!(states(&app, world.seniors[0]).await[0], "expected");
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "not_observed");
        assert_eq!(alerts(&app).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_absence_confirmed_before_the_cutoff_calls_nobody_and_after_it_closes_nothing() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        for (senior, time) in [(0, "09:44:59.999"), (1, "09:45:00")] {
            set(&app, local(time)).await;
            if senior == 1 {
                watch::run_once(&app).await.expect("the watch passes");
            }
            confirm_absence(&app, &world, world.seniors[senior]).await;
        }
        pass_at(&app, local("10:00:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await, ["excused", "excused"]);
        assert_eq!(states(&app, world.seniors[1]).await, ["not_observed", "excused"]);
        assert_eq!(alerts(&app).await, [("open".to_owned(), "not_observed".to_owned(), 1, 1)]);
    })
    .await;
}

async fn confirm_absence(app: &App, world: &World, senior: Uuid) {
    let (site, now) = (world.site, app.clock.now());
    app.write(move |mut tx| async move {
        let sql = "insert into absence (site_id, id, senior_id, kind, from_date, return_date, reported_by, confirmed_at, content_hash, version, created_at)
            values ($1, $2, $3, 'hospital', $4, $5, 'alert', $6, $7, 1, $6)";
        let from = local("12:00:00").date_naive();
        on!(&mut tx, |conn| sqlx::query(sql)
            .bind(site)
            .bind(Uuid::now_v7())
            .bind(senior)
            .bind(from)
            .bind(from + TimeDelta::days(3))
            .bind(now)
            .bind(vec![0_u8])
            .execute(conn)
            .await
            .map(|_| ()))?;
        case::reassess(&mut tx, site, &[senior], now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("the absence is confirmed");
}

#[tokio::test]
async fn an_alert_its_notices_and_its_audit_rows_are_there_together_or_not_at_all() {
    on_each_engine(|app| async move {
        planned(&app, 3).await;
        set(&app, local("09:45:00")).await;
        for table in ["notice", "audit", "ladder_step", "change_feed"] {
            meddle(&app, &format!("alter table {table} rename to {table}_away")).await;
            assert!(watch::run_once(&app).await.is_err(), "without {table}");
            meddle(&app, &format!("alter table {table}_away rename to {table}")).await;
            assert_eq!(count(&app, "select count(*) from alert").await, 0, "without {table}");
            assert_eq!(count(&app, "select count(*) from daily_check where state <> 'expected'").await, 0, "without {table}");
        }
        watch::run_once(&app).await.expect("the watch passes once the table is back");
        assert_eq!(count(&app, "select count(*) from alert").await, 3);
        assert_eq!(count(&app, "select count(*) from notice where class = 'alert'").await, 9);
        assert_eq!(count(&app, "select count(*) from audit where object_kind = 'alert' and act = 'opened'").await, 3);
    })
    .await;
}

#[tokio::test]
async fn two_servers_at_the_ladder_call_everybody_once_and_in_order() {
    on_each_engine(|app| async move {
        planned(&app, 20).await;
        let other = another(&app);
        for minute in 0..=76 {
            set(&app, local("09:45:00") + TimeDelta::minutes(minute)).await;
            set(&other, app.clock.now() + TimeDelta::seconds(2)).await;
            if [0, 5, 10, 20, 30, 45, 60, 75, 76].contains(&minute) {
                let (one, two, three, four) =
                    tokio::join!(watch::run_once(&app), watch::run_once(&other), escalate::run_once(&app), escalate::run_once(&other));
                for pass in [one, two, three, four] {
                    pass.expect("both servers pass");
                }
            }
        }
        assert_eq!(count(&app, "select count(*) from alert").await, 20);
        assert_eq!(count(&app, "select count(*) from ladder_step where state = 'fired' and fired_at < due_at").await, 0, "none early");
        let twice = "select count(*) from (select alert_id, epoch, step, recipient_id, key from notice where class = 'alert'
            group by alert_id, epoch, step, recipient_id, key having count(*) > 1) as doubled";
        assert_eq!(count(&app, twice).await, 0);
        let fired = "select count(*) from alert_event where kind in ('step_fired', 'step_found_nobody')";
        // Seven rungs and one repetition of L4 and L5, of each alert.
        assert_eq!(count(&app, fired).await, 20 * 9);
        let out_of_order =
            "select count(*) from ladder_step a join ladder_step b on b.alert_id = a.alert_id and b.epoch = a.epoch and b.step > a.step
            where a.fired_at > b.fired_at and a.act <> 'again'";
        assert_eq!(count(&app, out_of_order).await, 0);
    })
    .await;
}

#[tokio::test]
async fn one_id_is_one_signal_and_the_first_content_stands_also_within_one_request() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let first = by_member(world.seniors[0], SignalKind::Open, local("05:59:00"), world.primary);
        let other = chenlian::store::signal::NewSignal { note: Some("左边那扇".to_owned()), ..first.clone() };
        let receipts = send(&app, &world, vec![first.clone(), first.clone(), other.clone()]).await;
        assert!(matches!(receipts[..], [Receipt::Stored(_), Receipt::Known(_), Receipt::Conflict]), "{receipts:?}");
        let again = send(&app, &world, vec![first, other]).await;
        assert!(matches!(again[..], [Receipt::Known(_), Receipt::Conflict]), "{again:?}");
        assert_eq!(count(&app, "select count(*) from signal where note is null").await, 1);
        assert_eq!(count(&app, "select count(*) from signal").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_sign_a_nanosecond_before_the_cutoff_is_in_time_and_stays_so_when_it_is_read_again() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        set(&app, local("09:45:00")).await;
        let observed: DateTime<Utc> = local("09:45:00") - TimeDelta::nanoseconds(1);
        look(&app, &world, 0, SignalKind::Open, observed).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "ok");
        look(&app, &world, 0, SignalKind::NoAnswer, local("09:40:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "ok");
        pass_at(&app, local("09:46:00")).await;
        assert!(alerts(&app).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_look_in_the_second_of_the_reminder_does_not_make_the_round_count_one() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        set(&app, local("09:00:00")).await;
        look(&app, &world, 0, SignalKind::Closed, local("09:00:00")).await;
        pass_at(&app, local("09:00:02")).await;
        let arguments: Vec<String> = app
            .read(|mut tx| async move {
                let sql = "select arguments from notice where key = 'notice.remind_round'";
                let rows = on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_all(conn).await)?;
                Ok((tx, rows))
            })
            .await
            .expect("notices are read");
        assert_eq!(arguments.len(), 1);
        assert!(arguments[0].contains(r#""count":"3""#), "{arguments:?}");
    })
    .await;
}
