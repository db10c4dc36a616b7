//! Each rule of `verify` finds the violation that is planted for it, and nothing else.

use std::collections::BTreeSet;

use chenlian::app::App;
use chenlian::jobs::plan_day;
use chenlian::on;
use chenlian::store::verify;
use chrono::TimeDelta;

use crate::harness::{World, local, on_each_engine};
use crate::morning::pass_at;

/// What goes wrong, by rule.
const PLANTED: &[(&str, &[&str])] = &[
    (
        "alerts_of_one_senior",
        &["drop index alert_unresolved", "update alert set senior_id = (select senior_id from alert order by senior_id limit 1)"],
    ),
    ("triggers_of_one_check", &["update alert_trigger set check_id = (select check_id from alert_trigger order by check_id limit 1)"]),
    ("sealed_without_message", &["update notice set state = 'sealed', message_id = null"]),
    ("sealed_without_message", &["update notice set state = 'delivered', message_id = recipient_id"]),
    ("alert_stands_still", &["update alert set next_action_at = null"]),
    ("check_overdue", &["update daily_check set state = 'tentative', next_action_at = null"]),
    ("place_closure", &["delete from place_closure where depth = 3"]),
    ("place_closure", &["update place_closure set depth = 9 where depth = 2"]),
    ("place_closure", &["update place set parent_id = null where kind = 'building'"]),
    ("pairings_at_once", &["update pairing set kind = 'primary'"]),
    ("check_without_agreement", &["delete from agreement"]),
    ("notice_without_alert", &["update notice set alert_id = recipient_id"]),
    ("outbox_word_unknown", &["update notice set class = 'song'"]),
    (
        "message_without_recipient",
        &["insert into message (site_id, id, recipient_id, channel, endpoint, priority, body, locale, dedupe_key, call_no, state, attempts, next_at,
               repeated, sealed_at)
           select site_id, id, id, 'log', '', 1, content_hash, 'zh-CN', 'x', 1, 'sent', 1, created_at, false, created_at
           from agreement order by id limit 1"],
    ),
    ("unplanned", &["update site set planned_through = null"]),
];

async fn found(app: &App) -> BTreeSet<&'static str> {
    let now = app.clock.now();
    let findings = app.read(move |mut tx| async move { verify::findings(&mut tx, now).await.map(|found| (tx, found)) }).await;
    findings.expect("the rules can be asked").into_iter().map(|finding| finding.rule).collect()
}

/// Two seniors whose sign is missing: checks, alerts, rungs and notices of all kinds.
async fn two_alerts(app: &App) {
    World::seed(app, 2).await;
    plan_day::run_once(app).await.expect("the days are planned");
    pass_at(app, local("09:45:00")).await;
}

#[tokio::test]
async fn every_planted_violation_is_found_by_its_rule_and_by_no_other() {
    for (rule, statements) in PLANTED {
        on_each_engine(|app| async move {
            two_alerts(&app).await;
            assert_eq!(found(&app).await, BTreeSet::new(), "an ordinary morning breaks no rule");
            app.write(move |mut tx| async move {
                for statement in *statements {
                    on!(&mut tx, |conn| sqlx::query(*statement).execute(conn).await.map(|_| ()))?;
                }
                Ok((tx, ()))
            })
            .await
            .expect("the violation is planted");
            assert_eq!(found(&app).await, BTreeSet::from([*rule]));
        })
        .await;
    }
}

#[test]
fn no_rule_is_without_a_planted_violation() {
    let planted: BTreeSet<&str> = PLANTED.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(planted, verify::rules());
}

#[tokio::test]
async fn a_server_that_stood_still_for_two_days_shows() {
    on_each_engine(|app| async move {
        two_alerts(&app).await;
        app.clock.advance(TimeDelta::days(2));
        assert_eq!(found(&app).await, BTreeSet::from(["check_overdue", "unplanned"]));
    })
    .await;
}

#[tokio::test]
async fn a_pairing_that_followed_another_is_no_second_one() {
    on_each_engine(|app| async move {
        two_alerts(&app).await;
        app.write(|mut tx| async move {
            let change = "update pairing set kind = 'primary', to_date = '2026-12-01' where kind = 'primary'";
            on!(&mut tx, |conn| sqlx::query(change).execute(conn).await.map(|_| ()))?;
            let follow = "update pairing set kind = 'primary', from_date = '2026-12-01' where kind = 'backup'";
            on!(&mut tx, |conn| sqlx::query(follow).execute(conn).await.map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .expect("the pairings follow each other");
        assert_eq!(found(&app).await, BTreeSet::new());
    })
    .await;
}
