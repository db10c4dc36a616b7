//! Calendars: one check per date through every change of the clocks, and edits that leave decided days alone.

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::plan_day;
use chenlian::on;
use chenlian::store::plan;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use uuid::Uuid;

use super::meddle;
use crate::harness::{World, at, local, on_each_engine};
use crate::morning::{look, pass_at, planned, set, states};

async fn cutoffs(app: &App, senior: Uuid) -> Vec<(NaiveDate, DateTime<Utc>)> {
    app.read(move |mut tx| async move {
        let sql = "select local_date, cutoff_at from daily_check where senior_id = $1 order by local_date";
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).bind(senior).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("checks are read")
}

#[tokio::test]
async fn every_date_has_one_check_when_the_clocks_change() {
    on_each_engine(|app| async move {
        for (first, last, changed, expected) in [
            // A deadline inside the gap moves to its end; in the fold the first 02:30 counts.
            ("2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z", "2026-03-29", "2026-03-29T01:15:00Z"),
            ("2026-10-23T12:00:00Z", "2026-10-27T12:00:00Z", "2026-10-25", "2026-10-25T00:45:00Z"),
        ] {
            set(&app, at(first)).await;
            let world = World::seed(&app, 1).await;
            meddle(&app, "update site set timezone = 'Europe/Berlin'").await;
            meddle(&app, "update agreement set deadline = '02:30:00'").await;
            let mut now = at(first);
            while now <= at(last) {
                set(&app, now).await;
                plan_day::run_once(&app).await.expect("the day is planned");
                now += TimeDelta::hours(5);
            }
            let all = cutoffs(&app, world.seniors[0]).await;
            let dates: Vec<NaiveDate> = all.iter().map(|(date, _)| *date).collect();
            let first_date = at(first).date_naive();
            let wanted: Vec<NaiveDate> = first_date.iter_days().take(6).collect();
            assert_eq!(dates, wanted, "no date twice, none left out");
            let of_change = all.iter().find(|(date, _)| date.to_string() == changed).expect("the day of the change");
            assert_eq!(of_change.1, at(expected));
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_deadline_changes_only_days_whose_old_and_new_cutoff_lie_ahead() {
    on_each_engine(|app| async move {
        for (now, deadline, today) in [
            // Both ahead: today follows. The new one is past: today stays. The old one is past: today was judged.
            ("09:00:00", "10:00:00", "10:15:00"),
            ("09:00:00", "08:00:00", "09:45:00"),
            ("10:00:00", "11:00:00", "09:45:00"),
        ] {
            set(&app, local("06:00:00")).await;
            let world = planned(&app, 1).await;
            pass_at(&app, local(now)).await;
            let before = states(&app, world.seniors[0]).await;
            edit(&app, &world, deadline).await;
            let all = cutoffs(&app, world.seniors[0]).await;
            assert_eq!(all[0].1, local(today), "today, edited at {now} to {deadline}");
            let tomorrow = local(deadline) + TimeDelta::days(1) + TimeDelta::minutes(15);
            assert_eq!(all[1].1, tomorrow, "tomorrow, edited at {now} to {deadline}");
            assert_eq!(states(&app, world.seniors[0]).await, before);
        }
    })
    .await;
}

async fn edit(app: &App, world: &World, deadline: &str) {
    let (site, senior, now) = (world.site, world.seniors[0], app.clock.now());
    let time: NaiveTime = deadline.parse().expect("a literal time of day");
    app.write(move |mut tx| async move {
        let sql = "update agreement set deadline = $2 where senior_id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(senior).bind(time).execute(conn).await.map(|_| ()))?;
        plan::replan_senior(&mut tx, site, senior, now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("the deadline is changed");
}

#[tokio::test]
async fn a_day_that_was_seen_keeps_what_was_agreed_that_day() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        look(&app, &world, 0, SignalKind::Open, local("06:00:00")).await;
        edit(&app, &world, "10:00:00").await;
        assert_eq!(cutoffs(&app, world.seniors[0]).await[0].1, local("09:45:00"));
        assert_eq!(states(&app, world.seniors[0]).await, ["ok", "expected"]);
    })
    .await;
}
