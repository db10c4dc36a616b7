//! What people saw last at the stops of a round: whoever stands under a window reads whether somebody was there before her.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::Stop;
use crate::domain::signal::SignalKind;
use crate::on;
use crate::store::{Result, Tx, bulk};

/// A person's latest look at one senior within the span of one check.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Look {
    senior_id: Uuid,
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: SignalKind,
    pub observed_at: DateTime<Utc>,
    pub observed_by: Option<Uuid>,
    /// How the one who looked is called.
    pub called: Option<String>,
}

/// The latest look by senior. What was corrected is not shown any more, and a suspect clock shows nothing.
pub async fn latest(tx: &mut Tx, site_id: Uuid, stops: &[Stop]) -> Result<BTreeMap<Uuid, Look>> {
    let sql = bulk::text(
        tx,
        "with looks as (
            select s.senior_id, s.id, s.kind, s.observed_at, s.observed_by,
                row_number() over (partition by s.senior_id order by s.observed_at desc, s.id desc) as place
            from {rows}
            join daily_check c on c.site_id = {site:uuid} and c.id = {check:uuid}
            join signal s on s.site_id = c.site_id and s.senior_id = c.senior_id and s.source <> 'device' and s.standing = 'accepted'
                and s.observed_at >= c.counts_from and s.observed_at < c.day_ends_at
            where not exists (select 1 from signal r where r.site_id = s.site_id and r.replaces_id = s.id and r.standing = 'accepted'))
         select looks.senior_id, looks.id, looks.kind, looks.observed_at, looks.observed_by,
            (select m.called from member m where m.site_id = $2 and m.id = looks.observed_by) as called
         from looks where looks.place = 1",
    );
    let mut found = BTreeMap::new();
    for chunk in stops.chunks(bulk::ROWS_MAX) {
        let rows: Vec<Value> = chunk.iter().map(|stop| json!({ "site": site_id, "check": stop.check_id })).collect();
        let rows = Value::from(rows).to_string();
        let looks: Vec<Look> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql.as_str())).bind(&rows).bind(site_id).fetch_all(conn).await)?;
        found.extend(looks.into_iter().map(|look| (look.senior_id, look)));
    }
    Ok(found)
}
