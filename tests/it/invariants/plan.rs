//! Nobody is left out of a day: not by an edit in the same second, not by a row that cannot be read.

use std::time::Duration;

use chenlian::app::App;
use chenlian::domain::health::Ailment;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{heartbeat, plan_day, watch};
use chenlian::on;
use chenlian::store::{plan, verify};
use chrono::TimeDelta;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{another, count, literal, meddle};
use crate::harness::{World, local, on_each_engine};
use crate::morning::{alerts, look, notices, pass_at, planned, set, states};

async fn findings(app: &App) -> Vec<(&'static str, Uuid)> {
    let now = app.clock.now();
    let found = app.read(move |mut tx| async move { verify::findings(&mut tx, now).await.map(|found| (tx, found)) }).await;
    found.expect("the rules can be asked").into_iter().map(|finding| (finding.rule, finding.id)).collect()
}

/// An evening is agreed with the senior from today, as the API does it; the lock of the senior is of no matter here.
async fn agree_on_evening(app: &App, world: &World, senior: usize) {
    let (world, senior, now) = (world.clone(), world.seniors[senior], app.clock.now());
    app.write(move |mut tx| async move {
        world.agreement(&mut tx, senior, "evening", "closed", local("00:00:00").date_naive(), now).await;
        plan::replan_senior(&mut tx, world.site, senior, now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("the evening is agreed");
}

// I1, I5, I23
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_agreed_in_the_second_in_which_the_day_is_planned_gets_its_checks() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        let (site, now) = (world.site, app.clock.now());
        let (planned, is_planned) = oneshot::channel();
        let (agreed, is_agreed) = oneshot::channel::<()>();
        let planning = tokio::spawn({
            let app = app.clone();
            async move {
                app.write(move |mut tx| async move {
                    plan::plan_site(&mut tx, site, now).await?;
                    let _ = planned.send(());
                    // The edit must wait for this commit. If it does not, it gets all the time that it needs to go wrong.
                    let _ = tokio::time::timeout(Duration::from_millis(500), is_agreed).await;
                    Ok((tx, ()))
                })
                .await
            }
        });
        is_planned.await.expect("the day is planned, and not committed yet");
        agree_on_evening(&another(&app), &world, 0).await;
        let _ = agreed.send(());
        planning.await.expect("the planning ends").expect("the planning commits");
        assert_eq!(states(&app, world.seniors[0]).await.len(), 4, "two mornings and two evenings");
        assert_eq!(states(&app, world.seniors[1]).await.len(), 2);
        assert_eq!(findings(&app).await, []);
    })
    .await;
}

// I1
#[tokio::test]
async fn a_check_that_went_missing_is_made_again_at_the_next_pass() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        meddle(&app, &format!("delete from daily_check where senior_id = {}", literal(&app, world.seniors[1]))).await;
        let found = findings(&app).await;
        assert!(matches!(found[..], [("day_without_check", _)]), "{found:?}");
        assert_eq!(plan_day::run_once(&app).await.expect("the plan passes").made, 2, "today and tomorrow");
        assert_eq!(plan_day::run_once(&app).await.expect("the plan passes").made, 0);
        assert_eq!(findings(&app).await, []);
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(alerts(&app).await.len(), 2);
    })
    .await;
}

// I28
#[tokio::test]
async fn an_agreement_that_cannot_be_read_leaves_everybody_else_planned_and_the_operator_told_once_a_day() {
    on_each_engine(|app| async move {
        let mut damages = vec!["grace_seconds = 9223372036854775807", "unobserved_delay_seconds = -1", "sensor_policy = 'hope'"];
        if !app.db.is_postgres() {
            damages.extend(["deadline = '9h'", "window_opens = 'early'", "to_date = 'some day'"]);
        }
        for damage in damages {
            set(&app, local("06:00:00")).await;
            let world = World::seed(&app, 3).await;
            let sick = literal(&app, world.seniors[1]);
            meddle(&app, &format!("update agreement set {damage} where senior_id = {sick}")).await;
            for _ in 0..3 {
                assert_eq!(plan_day::run_once(&app).await.expect("the plan passes").failed, 0, "{damage}");
            }
            let planned = [0, 1, 2].map(|senior| states(&app, world.seniors[senior]));
            let [first, second, third] = planned;
            assert_eq!((first.await.len(), second.await.len(), third.await.len()), (2, 0, 2), "{damage}");
            let told = |app: App| async move {
                let all = notices(&app).await;
                all.iter().filter(|(to, key, _)| *to == world.operator && key == "notice.record_broken").count()
            };
            assert_eq!(told(app.clone()).await, 1, "{damage}");
            app.clock.advance(TimeDelta::days(1));
            plan_day::run_once(&app).await.expect("the plan passes");
            assert_eq!(told(app.clone()).await, 2, "{damage}");
            meddle(&app, "delete from agreement").await;
        }
    })
    .await;
}

// I36
#[tokio::test]
async fn a_setting_of_another_version_stops_no_morning() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        meddle(&app, r#"update site set settings = '{"check": {"grace": "20m", "quiet_hours": "8h"}, "sms": {"sign": "x"}}'"#).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        pass_at(&app, local("09:49:59")).await;
        assert_eq!(states(&app, world.seniors[0]).await, ["expected", "expected"]);
        pass_at(&app, local("09:50:00")).await;
        assert_eq!(alerts(&app).await.len(), 1);
    })
    .await;
}

// I26, I28
#[tokio::test]
async fn a_site_that_cannot_be_read_takes_nobody_out_stops_the_heartbeat_and_goes_on_when_it_is_mended() {
    on_each_engine(|app| async move {
        let (sick, well) = (planned(&app, 2).await, planned(&app, 1).await);
        let site = literal(&app, sick.site);
        for damage in ["timezone = 'Asia/Taiyuan'", r#"settings = '{"check": {"grace": "soon"}}'"#] {
            meddle(&app, &format!("update site set {damage} where id = {site}")).await;
            for time in ["09:00:00", "09:45:00", "09:45:10"] {
                set(&app, local(time)).await;
                let report = watch::run_once(&app).await.expect("the watch passes");
                assert_eq!(report.unmonitored, 0, "{damage}");
                assert!(report.next.is_none_or(|next| next > app.clock.now()), "it does not spin");
                assert_eq!(plan_day::run_once(&app).await.expect("the plan passes").failed, 1, "{damage}");
            }
            assert_eq!(states(&app, sick.seniors[0]).await, ["expected", "expected"], "{damage}");
            assert_eq!(states(&app, well.seniors[0]).await[0], "not_observed", "the other site's morning goes on");
            assert!(heartbeat::look(&app).await.expect("a look").contains(&Ailment::Unplanned), "{damage}");
            let told = notices(&app).await.iter().filter(|(to, key, _)| *to == sick.operator && key == "notice.site_broken").count();
            assert_eq!(told, 1, "{damage}");
        }
        meddle(&app, &format!("update site set timezone = 'Asia/Shanghai', settings = '{{}}' where id = {site}")).await;
        pass_at(&app, local("09:46:00")).await;
        assert_eq!(states(&app, sick.seniors[0]).await[0], "not_observed");
        assert_eq!(alerts(&app).await.len(), 3);
        assert!(!heartbeat::look(&app).await.expect("a look").contains(&Ailment::Unplanned));
    })
    .await;
}

// I28
#[tokio::test]
async fn a_record_that_is_mended_is_watched_again_and_one_that_is_not_is_no_silence_after_its_cutoff() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        let sick = literal(&app, world.seniors[1]);
        let damage = |sign: &str| format!("update daily_check set expected_sign = '{sign}' where senior_id = {sick}");
        let told = async || {
            let all = notices(&app).await;
            ["notice.record_broken", "notice.record_unjudged"]
                .map(|key| all.iter().filter(|(to, known, _)| *to == world.operator && known == key).count())
        };
        meddle(&app, &damage("???")).await;
        pass_at(&app, local("09:00:00")).await;
        assert_eq!(states(&app, world.seniors[1]).await[0], "unmonitored");
        pass_at(&app, local("09:05:00")).await;
        assert_eq!(told().await, [1, 0]);

        meddle(&app, &damage("open")).await;
        pass_at(&app, local("09:10:00")).await;
        assert_eq!(states(&app, world.seniors[1]).await[0], "expected", "mended, and watched again");

        meddle(&app, &damage("???")).await;
        for time in ["09:20:00", "09:43:00", "09:45:00", "09:46:00"] {
            pass_at(&app, local(time)).await;
        }
        assert_eq!(states(&app, world.seniors[1]).await[0], "unmonitored");
        assert_eq!(alerts(&app).await.len(), 1, "the other one is looked for");
        assert_eq!(told().await, [1, 1], "at the cutoff a person hears that somebody must go");

        meddle(&app, &damage("open")).await;
        pass_at(&app, local("09:50:00")).await;
        assert_eq!(states(&app, world.seniors[1]).await[0], "not_observed");
        assert_eq!(alerts(&app).await.len(), 2, "late, but somebody goes");
    })
    .await;
}

// I28
#[tokio::test]
async fn a_broken_check_holds_up_no_rung_of_the_same_persons_call_for_help() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        set(&app, local("08:58:00")).await;
        look(&app, &world, 0, SignalKind::Help, local("08:58:00")).await;
        meddle(&app, "update daily_check set state = 'expected', expected_sign = '???', next_action_at = deadline_at").await;
        meddle(&app, "update alert set next_action_at = epoch_at").await;
        pass_at(&app, local("09:30:00")).await;
        assert_eq!(states(&app, world.seniors[0]).await[0], "unmonitored");
        assert_eq!(alerts(&app).await[0].2, 5, "every rung that was due has fired in the same pass");
    })
    .await;
}

#[tokio::test]
async fn a_round_of_more_than_a_chunk_or_with_a_broken_record_in_it_is_counted_whole() {
    on_each_engine(|app| async move {
        for (seniors, broken, expected) in [(1_010, None, "1010"), (7, Some(3), "6")] {
            set(&app, local("06:00:00")).await;
            let world = planned(&app, seniors).await;
            if let Some(broken) = broken {
                let sick = literal(&app, world.seniors[broken]);
                meddle(&app, &format!("update daily_check set expected_sign = '???' where senior_id = {sick}")).await;
                set(&app, local("08:00:00")).await;
                meddle(&app, &format!("update daily_check set next_action_at = counts_from where senior_id = {sick}")).await;
                watch::run_once(&app).await.expect("the broken record is met");
            }
            set(&app, local("09:00:00")).await;
            watch::run_once(&app).await.expect("the watch passes");
            let site = world.site;
            let counts: Vec<String> = app
                .read(move |mut tx| async move {
                    let sql = "select arguments from notice where site_id = $1 and key = 'notice.remind_round'";
                    let rows = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(site).fetch_all(conn).await)?;
                    Ok((tx, rows))
                })
                .await
                .expect("notices are read");
            assert_eq!(counts.len(), 1, "one word to one person");
            assert!(counts[0].contains(&format!(r#""count":"{expected}""#)), "{counts:?}");
        }
        assert!(count(&app, "select count(*) from notice where class = 'reminder'").await >= 2);
    })
    .await;
}
