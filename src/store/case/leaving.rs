//! What decides when reminders and reports leave, of all their readers in one question; `domain::notice::leaving` decides.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveTime;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::domain::notice::NewNotice;
use crate::domain::notice::leaving::{Habits, Quiet, leaves_at, may_wait};
use crate::domain::rules::Rules;
use crate::on;
use crate::store::{Result, Tx, bulk};

#[derive(FromRow)]
struct Reader {
    site_id: Uuid,
    id: Uuid,
    quiet_from: Option<NaiveTime>,
    quiet_to: Option<NaiveTime>,
    timezone: String,
    settings: String,
}

/// Gives every notice the moment at which it leaves.
pub(super) async fn set(tx: &mut Tx, notices: &mut [(Uuid, NewNotice)]) -> Result<()> {
    let mut readers: Vec<(Uuid, Uuid)> =
        notices.iter().filter(|(_, notice)| may_wait(notice)).map(|(site, notice)| (*site, notice.recipient_id)).collect();
    if readers.is_empty() {
        return Ok(());
    }
    readers.sort_unstable();
    readers.dedup();
    let habits = habits(tx, &readers).await?;
    for (site, notice) in notices.iter_mut() {
        if let Some(habits) = habits.get(&(*site, notice.recipient_id)) {
            notice.not_before = leaves_at(*site, notice, habits);
        }
    }
    Ok(())
}

/// Without whoever lives at a site that cannot be read: she is told at once (I28).
async fn habits(tx: &mut Tx, readers: &[(Uuid, Uuid)]) -> Result<HashMap<(Uuid, Uuid), Habits>> {
    let rows = Value::from(readers.iter().map(|(site, id)| json!({ "site": site, "id": id })).collect::<Vec<_>>()).to_string();
    let sql = bulk::text(
        tx,
        "select m.site_id, m.id, m.quiet_from, m.quiet_to, s.timezone, s.settings
         from {rows} join member m on m.site_id = {site:uuid} and m.id = {id:uuid} join site s on s.id = m.site_id",
    );
    let found: Vec<Reader> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    let mut sites: BTreeMap<Uuid, Option<Habits>> = BTreeMap::new();
    let mut habits = HashMap::with_capacity(found.len());
    for reader in found {
        let of_site = *sites.entry(reader.site_id).or_insert_with(|| of_site(&reader.timezone, &reader.settings));
        let Some(of_site) = of_site else { continue };
        let own = reader.quiet_from.zip(reader.quiet_to).map(|(from, to)| Quiet { from, to });
        habits.insert((reader.site_id, reader.id), Habits { quiet: own.unwrap_or(of_site.quiet), ..of_site });
    }
    Ok(habits)
}

fn of_site(timezone: &str, settings: &str) -> Option<Habits> {
    let rules = Rules::from_stored(settings).ok()?.notify;
    let quiet = Quiet { from: rules.quiet_from, to: rules.quiet_to };
    Some(Habits { zone: timezone.parse().ok()?, quiet, jitter: rules.jitter_seconds })
}
