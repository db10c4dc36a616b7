//! A senior who moved or is no longer looked after leaves her curtain behind: its sensor speaks for her no more, or the next
//! tenant's curtain would make her checks ok (I31). In the same transaction her devices are bound to nobody, and people are told: who
//! looks at her window, that it is a human look again; and the staff, that a sensor is to be collected.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use uuid::Uuid;

use super::By;
use crate::domain::check::Slot;
use crate::domain::day;
use crate::domain::id;
use crate::domain::notice::{Arguments, NewNotice};
use crate::domain::place::Role;
use crate::store::case;
use crate::store::{Result, Tx, device, naming, roster};

/// Takes her devices away, while she is still registered in the home that she leaves. `false`: she had none.
pub(super) async fn devices(tx: &mut Tx, by: &By, senior_id: Uuid, today: NaiveDate) -> Result<bool> {
    if device::unbind_all(tx, by.site_id, senior_id, by.actor_id, by.now).await?.is_empty() {
        return Ok(false);
    }
    let (door, roster) = (naming::door(tx, by.site_id, senior_id).await?, roster::of(tx, by.site_id, senior_id, today).await?);
    let staff = roster.holders(Role::SocialWorker);
    let staff = if staff.is_empty() { roster::operators(tx, by.site_id, today).await? } else { staff };
    tell(tx, by, senior_id, today, ("notice.sensor_collect", staff.into_iter().collect()), door).await?;
    Ok(true)
}

/// Her checks wait for a human look again: says so to everybody who walks past the new window.
pub(super) async fn human_look(tx: &mut Tx, by: &By, senior_id: Uuid, today: NaiveDate) -> Result<()> {
    let (door, roster) = (naming::door(tx, by.site_id, senior_id).await?, roster::of(tx, by.site_id, senior_id, today).await?);
    let weekday = day::weekday_bit(today);
    let walkers = Slot::ALL.iter().flat_map(|slot| roster.walkers(*slot, weekday));
    tell(tx, by, senior_id, today, ("notice.sensor_moved", walkers.chain(roster.assigned()).collect()), door).await
}

async fn tell(
    tx: &mut Tx,
    by: &By,
    senior_id: Uuid,
    today: NaiveDate,
    (key, people): (&'static str, BTreeSet<Uuid>),
    said: Arguments,
) -> Result<()> {
    let notices = people.into_iter().map(|member| {
        let id = id::daily_notice(by.site_id, member, today, &format!("{key}/{senior_id}"));
        (by.site_id, NewNotice::report(id, member, key, said.clone(), by.now))
    });
    case::send(tx, notices, by.now).await?;
    Ok(())
}
