//! One broken record takes nobody else's morning, and one site knows nothing of another.

use chenlian::domain::case::{Act, Actor};
use chenlian::domain::refusal::Refusal;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::plan_day;
use chenlian::on;
use chenlian::store::signal::Receipt;
use chenlian::store::{Error, case};
use uuid::Uuid;

use super::{count, literal, meddle};
use crate::harness::{World, local, on_each_engine};
use crate::morning::{alerts, by_member, look, notices, pass_at, planned, send, set, states};

#[tokio::test]
async fn one_senior_whose_record_is_broken_is_told_to_the_operator_and_the_others_are_alerted() {
    on_each_engine(|app| async move {
        for (broken, in_the_end) in [
            ("update daily_check set expected_sign = '???' where senior_id = {}", "unmonitored"),
            // What follows from the signals is found again as soon as it is looked for.
            ("update daily_check set state = '???' where senior_id = {}", "not_observed"),
            ("update senior set purpose = '???' where id = {}", "unmonitored"),
            ("update signal set kind = '???' where senior_id = {}", "unmonitored"),
            ("update senior set home_id = id where id = {}", "unmonitored"),
        ] {
            set(&app, local("06:00:00")).await;
            let world = planned(&app, 3).await;
            let sick = world.seniors[1];
            look(&app, &world, 1, SignalKind::NoAnswer, local("06:00:00")).await;
            meddle(&app, &broken.replace("{}", &literal(&app, sick))).await;
            for time in ["09:45:00", "09:45:10", "09:50:00"] {
                pass_at(&app, local(time)).await;
            }
            for well in [0, 2] {
                assert_eq!(states(&app, world.seniors[well]).await[0], "not_observed", "{broken}");
            }
            assert_eq!(states(&app, sick).await[0], in_the_end, "{broken}");
            let told = notices(&app).await;
            let to_operator = told.iter().filter(|(to, key, _)| *to == world.operator && key == "notice.record_broken").count();
            assert_eq!(to_operator, 1, "{broken}");
            let looks = told.iter().filter(|(to, key, _)| *to == world.primary && key == "notice.alert_look").count();
            assert_eq!(looks, if in_the_end == "unmonitored" { 2 } else { 3 }, "{broken}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_broken_record_does_not_refuse_the_signals_of_others_nor_her_own_call_for_help() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        meddle(&app, &format!("update daily_check set expected_sign = '???' where senior_id = {}", literal(&app, world.seniors[0]))).await;
        let signals = vec![
            by_member(world.seniors[0], SignalKind::Help, local("06:00:00"), world.primary),
            by_member(world.seniors[1], SignalKind::Open, local("06:00:00"), world.primary),
        ];
        let receipts = send(&app, &world, signals).await;
        assert!(matches!(receipts[..], [Receipt::Stored(_), Receipt::Stored(_)]), "{receipts:?}");
        assert_eq!(states(&app, world.seniors[1]).await[0], "ok");
        assert_eq!(alerts(&app).await, [("open".to_owned(), "help".to_owned(), 1, 1)], "help gets through");
        pass_at(&app, local("06:03:00")).await;
        assert_eq!(alerts(&app).await[0].2, 2, "and its ladder goes on");
        assert!(notices(&app).await.iter().any(|(to, key, _)| *to == world.operator && key == "notice.record_broken"));
    })
    .await;
}

#[tokio::test]
async fn a_broken_row_about_a_helper_or_an_agreement_keeps_no_alert_from_opening() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        let sick = literal(&app, world.seniors[0]);
        meddle(&app, &format!("update agreement set slot = '???' where senior_id = {sick}")).await;
        let foreign = World::seed(&app, 1).await;
        meddle(&app, &format!("update site set timezone = 'Nowhere/City' where id = {}", literal(&app, foreign.site))).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        assert_eq!((states(&app, world.seniors[0]).await.len(), states(&app, world.seniors[1]).await.len()), (0, 2));
        assert!(notices(&app).await.iter().any(|(to, key, _)| *to == world.operator && key == "notice.record_broken"));
        meddle(&app, "update role_grant set role = '???' where role = 'building_lead'").await;
        meddle(&app, "update pairing set kind = '???' where kind = 'backup'").await;
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(alerts(&app).await.len(), 1);
        assert!(notices(&app).await.iter().any(|(to, key, _)| *to == world.primary && key == "notice.alert_look"));
    })
    .await;
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result.expect_err("this is refused") {
        Error::Refused(refusal) => refusal,
        other => panic!("a refusal was expected: {other}"),
    }
}

#[tokio::test]
async fn ids_of_another_site_answer_like_ids_that_nobody_has() {
    on_each_engine(|app| async move {
        let (ours, theirs) = (planned(&app, 1).await, planned(&app, 1).await);
        let their_signal = look(&app, &theirs, 0, SignalKind::Closed, local("06:00:00")).await;
        pass_at(&app, local("09:45:00")).await;
        let site = theirs.site;
        let their_alert: Uuid = app
            .read(move |mut tx| async move {
                let sql = "select id from alert where site_id = $1";
                let id = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(site).fetch_one(conn).await)?;
                Ok((tx, id))
            })
            .await
            .expect("their alert is there");
        let before = count(&app, "select count(*) from signal").await;
        let by = |senior| by_member(senior, SignalKind::Open, local("08:00:00"), ours.primary);
        let of_senior = send(&app, &ours, vec![by(theirs.seniors[0]), by(Uuid::now_v7())]).await;
        assert!(matches!(of_senior[0], Receipt::Refused(_)));
        assert_eq!(of_senior[0], of_senior[1]);
        let correcting = |replaces| {
            let mut signal = by(ours.seniors[0]);
            signal.replaces = Some(replaces);
            signal
        };
        let of_signal = send(&app, &ours, vec![correcting(their_signal), correcting(Uuid::now_v7())]).await;
        assert!(matches!(of_signal[0], Receipt::Refused(_)));
        assert_eq!(of_signal[0], of_signal[1]);
        assert_eq!(count(&app, "select count(*) from signal").await, before, "nothing was stored");

        let (site, now) = (ours.site, app.clock.now());
        let actor = Actor { id: ours.social_worker, may_silence: true, may_confirm: true };
        let mut answers = Vec::new();
        for id in [their_alert, Uuid::now_v7()] {
            let acted = app
                .write(move |mut tx| async move {
                    let alert = case::act(&mut tx, site, id, actor, Act::Claim, now).await?;
                    Ok((tx, alert))
                })
                .await;
            answers.push(refused(acted));
        }
        for senior in [theirs.seniors[0], Uuid::now_v7()] {
            let raised = app
                .write(move |mut tx| async move {
                    let alert = case::raise(&mut tx, site, senior, actor, Uuid::now_v7(), None, now).await?;
                    Ok((tx, alert))
                })
                .await;
            answers.push(refused(raised));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(count(&app, "select count(*) from alert where claimed_by is not null").await, 0);
    })
    .await;
}
