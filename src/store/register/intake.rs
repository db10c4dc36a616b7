//! A whole table of seniors enters the register, through the same functions as one entered by hand, in one transaction: all or
//! nothing.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{By, agreement, consent, contact, home, pairing, senior};
use crate::domain::check::Slot;
use crate::domain::day::EVERY_DAY;
use crate::domain::import::{Building, Entry, Person};
use crate::domain::place::{PairingKind, Purpose};
use crate::domain::refusal::Refusal;
use crate::domain::signal::SensorPolicy;
use crate::on;
use crate::store::{Error, Result, Tx, audit};

/// The buildings of a site that are in use, with the name of their compound.
pub async fn buildings(tx: &mut Tx, site_id: Uuid) -> Result<Vec<Building>> {
    let sql = "select b.id, b.name, c.name from place b join place c on c.site_id = b.site_id and c.id = b.parent_id
        where b.site_id = $1 and b.kind = 'building' and b.ended_at is null order by c.name, b.walk_order, b.id";
    let rows: Vec<(Uuid, String, String)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(|(id, name, compound)| Building { id, name, compound }).collect())
}

/// The members of a site who have not left.
pub async fn people(tx: &mut Tx, site_id: Uuid) -> Result<Vec<Person>> {
    let sql = "select id, name, phone from member where site_id = $1 and ended_at is null order by id";
    let rows: Vec<(Uuid, String, String)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(|(id, name, phone)| Person { id, name, phone }).collect())
}

/// Who lives behind which door.
pub async fn doors(tx: &mut Tx, site_id: Uuid) -> Result<BTreeSet<(Uuid, String, String, String)>> {
    let sql = "select h.building_id, h.unit, h.room, s.name from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        where s.site_id = $1 and s.ended_at is null";
    let rows: Vec<(Uuid, String, String, String)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?;
    Ok(rows.into_iter().collect())
}

/// Registers everybody of a table that was read without a problem. `given_how`: how the consents were given.
pub async fn take(tx: &mut Tx, by: &By, entries: Vec<Entry>, given_how: &str) -> Result<usize> {
    let count = entries.len();
    for entry in entries {
        let row = entry.row;
        // What the register refuses after all is said with its row.
        one(tx, by, entry, given_how).await.map_err(|error| match error {
            Error::Refused(refusal) => Refusal { field: Some(format!("row[{row}]")), ..refusal }.into(),
            other => other,
        })?;
    }
    let (site_id, at, actor_id) = (by.site_id, by.now, by.actor_id);
    let entry = audit::Entry { site_id, at, actor_id, act: "import", object_kind: "senior", object_id: None, fields: &[] };
    audit::write(tx, &entry).await?;
    Ok(count)
}

async fn one(tx: &mut Tx, by: &By, entry: Entry, given_how: &str) -> Result<()> {
    let home_id = home_of(tx, by, &entry).await?;
    let new = senior::NewSenior {
        id: Uuid::now_v7(),
        home_id,
        name: entry.name,
        called: entry.called,
        phone: entry.phone,
        birth_year: entry.birth_year,
        categories: entry.categories,
        risk_band: entry.risk_band,
        hearing_hint: entry.hearing_hint,
        purpose: Purpose::Real,
    };
    let senior_id = senior::create(tx, by, new).await?.id;
    for (position, person) in (1..).zip(entry.contacts) {
        let new = contact::NewContact {
            id: Uuid::now_v7(),
            position,
            name: person.name,
            relation: person.relation,
            phone: person.phone,
            minutes_away: person.minutes_away,
            agreed_automatic: false,
        };
        contact::create(tx, by, senior_id, new).await?;
    }
    for scope in entry.consents {
        let new = consent::NewConsent { id: Uuid::now_v7(), scope, given_at: by.now, given_how: given_how.to_owned(), witness: None };
        consent::create(tx, by, senior_id, new).await?;
    }
    for (kind, member_id) in [(PairingKind::Primary, entry.primary), (PairingKind::Backup, entry.backup)] {
        let Some(member_id) = member_id else { continue };
        let new = pairing::NewPairing { id: Uuid::now_v7(), member_id, kind, from_date: None, to_date: None };
        pairing::create(tx, by, senior_id, new).await?;
    }
    let new = agreement::NewAgreement {
        id: Uuid::now_v7(),
        slot: Slot::Morning,
        weekdays: EVERY_DAY,
        expected_sign: entry.sign,
        window_opens: None,
        deadline: entry.deadline,
        grace_seconds: None,
        unobserved_delay_seconds: None,
        sensor_policy: SensorPolicy::Sufficient,
        require_change: false,
        from_date: None,
        to_date: None,
    };
    agreement::create(tx, by, senior_id, new, false).await?;
    Ok(())
}

/// A couple shares one door, and perhaps it is known already.
async fn home_of(tx: &mut Tx, by: &By, entry: &Entry) -> Result<Uuid> {
    if let Some(known) = home::at_door(tx, by.site_id, entry.building_id, &entry.unit, &entry.room).await? {
        return Ok(known);
    }
    let new = home::NewHome {
        id: Uuid::now_v7(),
        building_id: entry.building_id,
        unit: entry.unit.clone(),
        floor: entry.floor,
        room: entry.room.clone(),
        window_hint: entry.window_hint.clone(),
        // As they stand in the table, which was written by somebody who walks there.
        walk_order: i64::try_from(entry.row).unwrap_or_default(),
        key_holder_member_id: None,
        key_holder_name: None,
        key_holder_phone: None,
    };
    Ok(home::create(tx, by, new).await?.id)
}
