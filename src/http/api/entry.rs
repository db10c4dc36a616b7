//! The one shape of the register's routes: made once under a client's key, changed against the version last seen.

use chrono::NaiveDate;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::domain::refusal::Refusal;
use crate::http::answer::{IdempotencyKey, Once};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::ContentHash;
use crate::store::register::{By, Page};

/// Who writes.
pub fn by(caller: &Caller, app: &App) -> By {
    By { site_id: caller.site_id, actor_id: Some(caller.member_id), now: app.clock.now() }
}

/// The key of a POST. A body without an id (nil) gets the id of its key.
pub fn once(key: IdempotencyKey, caller: &Caller, id: &mut Uuid, hash: ContentHash) -> Result<Once, HttpError> {
    let once = key.once(caller, Some(*id).filter(|id| !id.is_nil()), hash)?;
    *id = once.id;
    Ok(once)
}

/// The rows after a cursor.
pub fn page(cursor: Option<crate::http::page::Cursor<Uuid>>, limit: crate::http::page::Limit) -> Page {
    Page { after: cursor.map(|cursor| cursor.0), limit: limit.rows() }
}

/// Whether a change is an ending, which is a change of its own and, said with false, none at all.
pub fn is_ending(change: &impl Serialize, field: &str, ended: Option<bool>) -> Result<bool, Refusal> {
    match ended {
        None => Ok(false),
        Some(true) => require_alone(change, field, &[]).map(|()| true),
        Some(false) => Err(Refusal::invalid(field, "register.ended_alone")),
    }
}

/// A change that stands alone, except for these fields.
pub fn require_alone(change: &impl Serialize, field: &str, beside: &[&str]) -> Result<(), Refusal> {
    let fields = serde_json::to_value(change).expect("changes are plain data");
    let others = fields.as_object().into_iter().flatten().filter(|(name, _)| *name != field && !beside.contains(&name.as_str()));
    if others.count() == 0 { Ok(()) } else { Err(Refusal::invalid(field, "register.ended_alone")) }
}

/// Ends a row that has a history.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Ending {
    /// The first day on which it no longer counts, in the site's zone; today at the earliest.
    pub to_date: NaiveDate,
}

/// A POST in one transaction: may the caller, was it answered before, do it, keep the answer.
macro_rules! made_once {
    ($app:ident, $once:ident, $by:ident, |$tx:ident| $allowed:expr, $made:expr) => {
        $app.write(move |mut $tx| async move {
            let _ = $allowed;
            if let Some(answer) = $once.replay(&mut $tx, $by.now).await? {
                return Ok(($tx, answer));
            }
            let answer: $crate::http::answer::Answer = $made;
            $once.keep(&mut $tx, &answer).await?;
            Ok(($tx, answer))
        })
        .await
        .map_err($crate::http::error::HttpError::from)
    };
}

/// A PATCH in one transaction: may the caller, is it the version that she saw, do it. A stale one is shown the current value.
macro_rules! changed {
    ($app:ident, $if_match:ident, |$tx:ident| $old:expr, $changed:expr) => {
        $app.write(move |mut $tx| async move {
            let old = $old;
            if let Err(stale) = $if_match.check(old.version, &old) {
                return Ok(($tx, Err(stale)));
            }
            let new = $changed;
            Ok(($tx, Ok($crate::http::answer::Answer::ok(&new).version(new.version))))
        })
        .await?
    };
}

/// The same for a POST, which a client may repeat under its key: the repeat gets the first answer.
macro_rules! changed_once {
    ($app:ident, $once:ident, $by:ident, $if_match:ident, |$tx:ident| $old:expr, $changed:expr) => {
        $app.write(move |mut $tx| async move {
            let old = $old;
            if let Some(once) = &$once
                && let Some(answer) = once.replay(&mut $tx, $by.now).await?
            {
                return Ok(($tx, Ok(answer)));
            }
            if let Err(stale) = $if_match.check(old.version, &old) {
                if let Some(once) = &$once {
                    once.give_back(&mut $tx).await?;
                }
                return Ok(($tx, Err(stale)));
            }
            let new = $changed;
            let answer = $crate::http::answer::Answer::ok(&new).version(new.version);
            if let Some(once) = &$once {
                once.keep(&mut $tx, &answer).await?;
            }
            Ok(($tx, Ok(answer)))
        })
        .await?
    };
}

/// A GET in one snapshot.
macro_rules! looked_up {
    ($app:ident, |$tx:ident| $found:expr) => {
        $app.read(move |mut $tx| async move {
            let found = $found;
            Ok(($tx, found))
        })
        .await?
    };
}

/// The rows of a page that pass, read on until it is full or nothing is left.
macro_rules! full_page {
    ($page:ident, |$after:ident| $rows:expr, |$row:ident| $passes:expr) => {{
        let mut $after = $page;
        let mut kept = Vec::new();
        loop {
            let rows = $rows;
            let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < $after.limit);
            $after.after = rows.last().map(|row| row.id);
            kept.extend(rows.into_iter().filter(|$row| $passes));
            if is_last || i64::try_from(kept.len()).is_ok_and(|count| count >= $after.limit) {
                break kept;
            }
        }
    }};
}
