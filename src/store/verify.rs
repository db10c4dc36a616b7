//! What must be true of the stored rows whatever happened before: asked by `chenlian verify` after a restore, an accident
//! or a doubt. Each rule is one query that finds its offenders by id; it repairs nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::plan::{self, SitePlan};
use super::{Db, Result, Tx};
use crate::domain::day;
use crate::on;

/// An undecided check that is due for longer than this means that nobody decides (domain: alert within seconds of the cutoff).
const OVERDUE: TimeDelta = TimeDelta::seconds(60);
/// Days ahead that are looked at; only a clock that was far ahead leaves more of them planned.
const PLANNED_DAYS_MAX: usize = 7;
/// Offenders shown per rule; a thousand of them say no more.
pub const FINDINGS_PER_RULE_MAX: i64 = 200;

/// One row that breaks one rule. It holds no name, because findings are mailed around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub id: Uuid,
}

/// The rules that are not one query: local dates are computed in `domain`.
const UNPLANNED: &str = "unplanned";
const DAY_WITHOUT_CHECK: &str = "day_without_check";

/// Name and query. `$1` is the time before which a check is overdue, `$2` today's date in UTC, `$3` the most rows to return.
const RULES: &[(&str, &str)] = &[
    (
        "alerts_of_one_senior",
        "select senior_id from alert where resolved_at is null
         group by site_id, senior_id having count(*) > 1 order by senior_id limit $3",
    ),
    (
        "triggers_of_one_check",
        "select check_id from alert_trigger where check_id is not null and kind = 'missed'
         group by site_id, check_id having count(*) > 1 order by check_id limit $3",
    ),
    (
        "sealed_without_message",
        "select n.id from notice n left join message m on m.site_id = n.site_id and m.id = n.message_id
         where n.state in ('sealed', 'delivered') and m.id is null order by n.id limit $3",
    ),
    // An alert that nobody has touched since an outage has no ladder: the lists at noon and at six come back to it.
    (
        "alert_stands_still",
        "select a.id from alert a where a.resolved_at is null and a.next_action_at is null
           and exists (select 1 from ladder_step s where s.site_id = a.site_id and s.alert_id = a.id and s.epoch = a.epoch and s.act <> 'confirm' and s.act not like 'contact%')
         order by a.id limit $3",
    ),
    (
        "check_overdue",
        "select id from daily_check where state in ('expected', 'tentative', 'tentative_blind')
           and (next_action_at is null or next_action_at < $1) order by id limit $3",
    ),
    (
        "place_closure",
        "with recursive tree (site_id, ancestor_id, descendant_id, depth) as (
             select site_id, id, id, cast(0 as bigint) from place
             union all
             select t.site_id, p.parent_id, t.descendant_id, t.depth + 1 from tree t
             join place p on p.site_id = t.site_id and p.id = t.ancestor_id
             where p.parent_id is not null and t.depth < 10
         ), kept as (select site_id, ancestor_id, descendant_id, depth from place_closure)
         select distinct descendant_id from (
             select * from (select * from tree except select * from kept) as missing
             union all
             select * from (select * from kept except select * from tree) as odd
         ) as wrong order by descendant_id limit $3",
    ),
    (
        "pairings_at_once",
        "select distinct a.senior_id from pairing a
         join pairing b on b.site_id = a.site_id and b.senior_id = a.senior_id and b.kind = a.kind and b.id > a.id
         where (a.to_date is null or (a.to_date > a.from_date and a.to_date > $2 and a.to_date > b.from_date))
           and (b.to_date is null or (b.to_date > b.from_date and b.to_date > $2 and b.to_date > a.from_date))
           order by a.senior_id limit $3",
    ),
    (
        "check_without_agreement",
        "select c.id from daily_check c left join agreement a on a.site_id = c.site_id and a.id = c.agreement_id
         where a.id is null order by c.id limit $3",
    ),
    (
        "notice_without_alert",
        "select n.id from notice n left join alert a on a.site_id = n.site_id and a.id = n.alert_id
         where n.alert_id is not null and a.id is null order by n.id limit $3",
    ),
    (
        "outbox_word_unknown",
        "select id from notice where class not in ('alert', 'stand_down', 'reminder', 'report')
           or state not in ('pending', 'sealed', 'delivered', 'cancelled', 'failed')
         union all
         select id from message where channel not in ('log', 'webhook', 'aliyun_sms', 'tencent_sms', 'aliyun_voice', 'wecom_app', 'email',
             'official_account', 'web_push', 'ntfy', 'gotify', 'bark', 'server_chan', 'push_plus', 'apprise') or state not in ('ready', 'leased', 'sent', 'failed')
         order by id limit $3",
    ),
    (
        "message_without_recipient",
        "select m.id from message m left join member r on r.site_id = m.site_id and r.id = m.recipient_id
         left join contact k on k.site_id = m.site_id and k.id = m.recipient_id and m.recipient_kind = 'contact'
         where r.id is null and k.id is null order by m.id limit $3",
    ),
];

/// The names of all rules.
pub fn rules() -> BTreeSet<&'static str> {
    RULES.iter().map(|(name, _)| *name).chain([UNPLANNED, DAY_WITHOUT_CHECK]).collect()
}

/// Every row that breaks a rule at `now`.
pub async fn findings(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (rule, sql) in RULES {
        let offenders: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(*sql)
            .bind(now - OVERDUE)
            .bind(now.date_naive())
            .bind(FINDINGS_PER_RULE_MAX)
            .fetch_all(conn)
            .await)?;
        findings.extend(offenders.into_iter().map(|id| Finding { rule, id }));
    }
    for (id, site) in plan::all_sites(tx).await? {
        match site {
            Ok(site) => findings.append(&mut of_plan(tx, &site, day::local_date(site.zone, now)).await?),
            Err(_) => findings.push(Finding { rule: UNPLANNED, id }),
        }
    }
    Ok(findings)
}

/// A day that is planned and for which something is agreed has its check; today is planned.
async fn of_plan(tx: &mut Tx, site: &SitePlan, today: NaiveDate) -> Result<Vec<Finding>> {
    let Some(through) = site.planned_through.filter(|through| *through >= today) else {
        return Ok(vec![Finding { rule: UNPLANNED, id: site.id }]);
    };
    let mut lacking = BTreeSet::new();
    for date in today.iter_days().take_while(|date| *date <= through).take(PLANNED_DAYS_MAX) {
        for (agreement, _, fact) in plan::unplanned(tx, site.id, date).await? {
            // A date that the zone skips has no check.
            if fact.is_err() || fact.is_ok_and(|fact| day::plan(&fact, &site.rules.check, site.zone, date).is_some()) {
                lacking.insert(agreement);
            }
        }
    }
    Ok(lacking.into_iter().map(|id| Finding { rule: DAY_WITHOUT_CHECK, id }).collect())
}

/// What the engine itself says about its file; PostgreSQL checks its pages as it reads them.
pub async fn integrity(db: &Db) -> Result<Vec<String>> {
    let Db::Sqlite { read, .. } = db else { return Ok(Vec::new()) };
    let lines: Vec<String> = sqlx::query_scalar("pragma integrity_check").fetch_all(read).await?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// Whether something is stored that only this installation's key file opens.
pub async fn holds_sealed(db: &Db) -> Result<bool> {
    let sql = "select count(*) from (
            select id from member_channel where secret_sealed is not null
            union all select device_id from device_credential where key_sealed is not null
            union all select id from group_chat where ended_at is null
        ) as sealed";
    let sealed: i64 = match db {
        Db::Sqlite { read, .. } => sqlx::query_scalar(sql).fetch_one(read).await?,
        Db::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await?,
    };
    Ok(sealed > 0)
}

/// Nobody was ever entered: nobody can sign in.
pub async fn is_empty(tx: &mut Tx) -> Result<bool> {
    let members: i64 = on!(tx, |conn| sqlx::query_scalar("select count(*) from member").fetch_one(conn).await)?;
    Ok(members == 0)
}

#[cfg(test)]
mod tests {
    use super::RULES;
    use crate::domain::message::Channel;

    #[test]
    fn a_message_by_any_channel_is_in_order() {
        let (_, sql) = RULES.iter().find(|(name, _)| *name == "outbox_word_unknown").expect("the rule stands");
        for channel in Channel::ALL {
            assert!(sql.contains(&format!("'{channel}'")), "{channel}");
        }
    }
}
