//! What must be true of the rows whenever everything that was due has been decided.

use chenlian::app::App;
use chenlian::on;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::harness::World;

#[derive(Debug, sqlx::FromRow)]
struct Due {
    state: String,
    triggered: bool,
    next_action_at: Option<DateTime<Utc>>,
    /// Of the alert that the missed check opened or joined.
    alert_id: Option<Uuid>,
    is_open: Option<bool>,
    /// Why else somebody must go.
    other_triggers: Option<i64>,
    /// A person opened it again, who did not believe what had closed it.
    doubted: Option<i64>,
    /// Good signs of people that nobody took back.
    seen_by_people: i64,
}

/// Every due check is closed or alerting, never both and never neither; and the rows of the alerts agree with each other.
pub async fn everything(app: &App, world: &World) {
    let (site, now) = (world.site, app.clock.now());
    for check in due(app, site, now).await {
        let missed = ["not_observed", "not_open", "not_seen"].contains(&check.state.as_str());
        let closed = ["ok", "ok_late", "excused", "not_evaluated"].contains(&check.state.as_str());
        assert!(missed || closed || check.state == "help", "due and undecided: {check:?}");
        assert!(check.next_action_at.is_none(), "decided, and still due: {check:?}");
        assert_eq!(check.triggered, check.alert_id.is_some(), "{check:?}");
        assert!(!missed || check.triggered, "missed, and nobody is told: {check:?}");
        let only_this =
            check.alert_id.is_some() && check.is_open == Some(true) && check.other_triggers == Some(0) && check.doubted == Some(0);
        assert!(!only_this || check.state != "excused", "excused and alerting: {check:?}");
        assert!(!only_this || check.seen_by_people == 0, "seen by a person and still alerting: {check:?}");
    }
    for (sql, what) in NEVER {
        let sql = (*sql).to_owned();
        let found: i64 = app
            .read(move |mut tx| async move {
                let found = on!(&mut tx, |conn| sqlx::query_scalar(AssertSqlSafe(sql)).bind(site).bind(now).fetch_one(conn).await)?;
                Ok((tx, found))
            })
            .await
            .expect("rows are counted");
        assert_eq!(found, 0, "{what}");
    }
}

async fn due(app: &App, site: Uuid, now: DateTime<Utc>) -> Vec<Due> {
    let sql = "select c.state, c.triggered, c.next_action_at, a.id as alert_id, (a.resolved_at is null) as is_open,
            (select count(*) from alert_trigger o where o.site_id = t.site_id and o.alert_id = t.alert_id and o.id <> t.id) as other_triggers,
            (select count(*) from alert_event e where e.site_id = t.site_id and e.alert_id = t.alert_id and e.kind = 'reopened'
                and e.actor_id is not null) as doubted,
            (select count(*) from signal s where s.site_id = c.site_id and s.senior_id = c.senior_id and s.source = 'member'
                and s.standing = 'accepted' and s.kind in ('open', 'seen_in_person') and s.observed_at >= c.counts_from
                and s.observed_at < c.day_ends_at and not exists (select 1 from signal n where n.site_id = s.site_id
                    and n.replaces_id = s.id and n.standing = 'accepted')) as seen_by_people
        from daily_check c
        left join alert_trigger t on t.site_id = c.site_id and t.check_id = c.id and t.kind = 'missed'
        left join alert a on a.site_id = t.site_id and a.id = t.alert_id
        where c.site_id = $1 and c.cutoff_at <= $2";
    app.read(move |mut tx| async move {
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).bind(site).bind(now).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("checks are read")
}

/// What is counted here is never there. `$1` is the site, `$2` this moment.
const NEVER: &[(&str, &str)] = &[
    (
        "select count(*) from (select senior_id from alert where site_id = $1 and resolved_at is null and $2 is not null
            group by senior_id having count(*) > 1) twice",
        "two unresolved alerts of one senior (I2)",
    ),
    (
        "select count(*) from alert a where a.site_id = $1 and $2 is not null
            and not exists (select 1 from alert_trigger t where t.site_id = a.site_id and t.alert_id = a.id)",
        "an alert without a reason",
    ),
    (
        // Without a ladder (an outage, and nobody has touched it) the lists at noon and at six come back to it.
        "select count(*) from alert a where a.site_id = $1 and a.resolved_at is null and (a.next_action_at <= $2
            or (a.next_action_at is null and exists (select 1 from ladder_step s
                where s.site_id = a.site_id and s.alert_id = a.id and s.epoch = a.epoch and s.act <> 'confirm')))",
        "an open alert that nobody comes back to, or that would be asked again at once",
    ),
    (
        "select count(*) from alert where site_id = $1 and resolved_at is not null and next_action_at is not null and $2 is not null",
        "a closed alert that still rings",
    ),
    (
        "select count(*) from alert a where a.site_id = $1 and a.resolved_at is null and $2 is not null
            and exists (select 1 from ladder_step s where s.site_id = a.site_id and s.alert_id = a.id and s.epoch = a.epoch
                and s.act <> 'confirm')
            and not exists (select 1 from ladder_step s where s.site_id = a.site_id and s.alert_id = a.id and s.epoch = a.epoch
                and s.level >= 4 and s.state = 'pending')",
        "a ladder that ended before its alert (I14)",
    ),
    (
        "select count(*) from ladder_step where site_id = $1 and state = 'fired' and fired_at < due_at and $2 is not null",
        "a rung that fired early (I14)",
    ),
    (
        "select count(*) from (select alert_id, epoch, step, recipient_id, key from notice where site_id = $1 and class = 'alert'
            and $2 is not null group by alert_id, epoch, step, recipient_id, key having count(*) > 1) twice",
        "the same word to the same person twice (I12)",
    ),
    (
        "select count(*) from ladder_step s where s.site_id = $1 and s.state = 'fired' and s.told > 0 and $2 is not null
            and not exists (select 1 from notice n where n.site_id = s.site_id and n.alert_id = s.alert_id and n.epoch = s.epoch and n.step = s.step)",
        "a rung that told people without a notice (I10)",
    ),
    (
        "select count(*) from alert_event e where e.site_id = $1 and $2 is not null
            and not exists (select 1 from audit u where u.site_id = e.site_id and u.object_id = e.alert_id and u.act = e.kind and u.at = e.at)",
        "a change without its audit row (I33)",
    ),
];

/// A senior's checks and alerts as words, without ids. Without the history: the states, and whether somebody must go.
pub async fn seen_of(app: &App, site: Uuid, senior: Uuid, with_history: bool) -> Vec<String> {
    let checks =
        "select local_date, state, received_late, triggered from daily_check where site_id = $1 and senior_id = $2 order by local_date";
    let alerts = "select state, ladder, cause, epoch, level, resolved_at is null, (select count(*) from alert_trigger t
            where t.site_id = alert.site_id and t.alert_id = alert.id)
        from alert where site_id = $1 and senior_id = $2 order by opened_at, cause, state";
    app.read(move |mut tx| async move {
        let checks: Vec<(NaiveDate, String, bool, bool)> =
            on!(&mut tx, |conn| sqlx::query_as(checks).bind(site).bind(senior).fetch_all(conn).await)?;
        let alerts: Vec<(String, String, String, i64, i64, bool, i64)> =
            on!(&mut tx, |conn| sqlx::query_as(alerts).bind(site).bind(senior).fetch_all(conn).await)?;
        let mut seen: Vec<String> = if with_history {
            checks.iter().map(|check| format!("{check:?}")).chain(alerts.iter().map(|alert| format!("{alert:?}"))).collect()
        } else {
            checks.iter().map(|(date, state, late, _)| format!("{date} {state} {late}")).collect()
        };
        seen.push(format!("somebody must go: {}", alerts.iter().any(|alert| alert.5)));
        Ok((tx, seen))
    })
    .await
    .expect("rows are read")
}

/// How often each word was said, and what became of it.
pub async fn told(app: &App, site: Uuid) -> Vec<String> {
    let sql = "select key, state, count(*) from notice where site_id = $1 group by key, state order by key, state";
    app.read(move |mut tx| async move {
        let rows: Vec<(String, String, i64)> = on!(&mut tx, |conn| sqlx::query_as(sql).bind(site).fetch_all(conn).await)?;
        Ok((tx, rows.into_iter().map(|row| format!("{row:?}")).collect()))
    })
    .await
    .expect("notices are read")
}

/// Everything that a history leaves behind; people and places stay and belong to a site that is gone.
pub async fn wipe(app: &App) {
    const TABLES: &[&str] = &[
        "site",
        "daily_check",
        "agreement",
        "absence",
        "signal",
        "alert",
        "alert_trigger",
        "alert_event",
        "ladder_step",
        "notice",
        "message",
        "message_attempt",
        "change_feed",
        "server_life",
        "job_pass",
        "audit",
    ];
    app.write(|mut tx| async move {
        for table in TABLES {
            on!(&mut tx, |conn| sqlx::query(AssertSqlSafe(format!("delete from {table}"))).execute(conn).await.map(|_| ()))?;
        }
        Ok((tx, ()))
    })
    .await
    .expect("the street is gone");
}
