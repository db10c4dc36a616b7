//! The dossier of a first visit goes where the next alert looks: window and key into the home, whom to phone into the
//! contacts, the consent to enter into the consents, the hearing hint beside the name. What people have written by hand, and
//! what the dossier does not speak of, stays.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::place::ConsentScope;
use crate::domain::refusal::Refusal;
use crate::domain::visit::{Dossier, DossierContact, Hearing};
use crate::store::register::consent::NewConsent;
use crate::store::register::contact::{Contact, ContactPatch, NewContact};
use crate::store::register::home::HomePatch;
use crate::store::register::senior::{Senior, SeniorPatch};
use crate::store::register::{By, consent, contact, home, senior};
use crate::store::{Error, Result, Tx};
use crate::text;

/// Writes all of it into the register, `given_at` being the moment of the visit.
pub(super) async fn enter(tx: &mut Tx, by: &By, senior: &Senior, dossier: &Dossier, given_at: DateTime<Utc>) -> Result<()> {
    enter_home(tx, by, senior.home_id, dossier).await?;
    enter_hearing(tx, by, senior, dossier.hearing).await?;
    enter_contacts(tx, by, senior.id, &dossier.contacts).await?;
    enter_consent(tx, by, senior.id, dossier.consent_to_enter, given_at).await
}

/// A refusal of the register, named as the visit record names its fields.
fn at(field: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Refused(refusal) => Refusal { field: Some(format!("dossier.{field}")), ..refusal }.into(),
        other => other,
    }
}

async fn enter_home(tx: &mut Tx, by: &By, home_id: Uuid, dossier: &Dossier) -> Result<()> {
    let home = home::get(tx, by.site_id, home_id).await?;
    let mut patch = HomePatch {
        window_hint: Some(dossier.window.clone()).filter(|window| !window.is_empty() && *window != home.window_hint),
        walk_order: Some(dossier.walk_order).filter(|order| *order != home.walk_order),
        ..HomePatch::default()
    };
    if patch.window_hint.is_none() && patch.walk_order.is_none() && dossier.key_holder.is_none() {
        return Ok(());
    }
    if let Some(holder) = &dossier.key_holder {
        patch.key_holder_member_id = Some(holder.member_id);
        patch.key_holder_name = Some(holder.name.clone());
        patch.key_holder_phone = Some(holder.phone.clone());
    }
    home::patch(tx, by, home.id, home.version, patch).await.map_err(at("key_holder")).map(|_| ())
}

/// The hint speaks the language of the site's people, like every other entry of its register.
async fn enter_hearing(tx: &mut Tx, by: &By, senior: &Senior, hearing: Hearing) -> Result<()> {
    let hint = match hearing {
        Hearing::Good => return Ok(()),
        Hearing::Hard => text::plain(text::DEFAULT_LOCALE, "visit.hearing_hard"),
        Hearing::Deaf => text::plain(text::DEFAULT_LOCALE, "visit.hearing_deaf"),
    };
    // A hint that somebody wrote knows more than a tick.
    if !senior.hearing_hint.is_empty() {
        return Ok(());
    }
    let patch = SeniorPatch { hearing_hint: Some(hint), ..SeniorPatch::default() };
    senior::patch(tx, by, senior.id, senior.version, patch).await.map_err(at("hearing")).map(|_| ())
}

/// The dossier's contacts come first, in its order; others that the register knows follow.
async fn enter_contacts(tx: &mut Tx, by: &By, senior_id: Uuid, contacts: &[DossierContact]) -> Result<()> {
    let mut known = contact::list(tx, by.site_id, senior_id).await?;
    let mut position = 0;
    for new in contacts {
        position += 1;
        match known.iter().position(|old| old.phone == new.phone && old.name == new.name) {
            Some(at) => update(tx, by, known.remove(at), position, Some(new)).await?,
            None => add(tx, by, senior_id, position, new).await?,
        }
    }
    for old in known {
        position += 1;
        update(tx, by, old, position, None).await?;
    }
    Ok(())
}

async fn add(tx: &mut Tx, by: &By, senior_id: Uuid, position: i64, new: &DossierContact) -> Result<()> {
    let new = NewContact {
        id: Uuid::now_v7(),
        position,
        name: new.name.clone(),
        relation: new.relation.clone(),
        phone: new.phone.clone(),
        minutes_away: new.minutes_away,
        agreed_automatic: false,
    };
    contact::create(tx, by, senior_id, new).await.map_err(at("contacts")).map(|_| ())
}

async fn update(tx: &mut Tx, by: &By, old: Contact, position: i64, new: Option<&DossierContact>) -> Result<()> {
    let patch = ContactPatch {
        position: Some(position).filter(|position| *position != old.position),
        relation: new.map(|new| new.relation.clone()).filter(|relation| *relation != old.relation),
        minutes_away: new.and_then(|new| new.minutes_away).filter(|minutes| Some(*minutes) != old.minutes_away).map(Some),
        ..ContactPatch::default()
    };
    if patch.position.is_none() && patch.relation.is_none() && patch.minutes_away.is_none() {
        return Ok(());
    }
    contact::patch(tx, by, old.senior_id, old.id, old.version, patch).await.map_err(at("contacts")).map(|_| ())
}

/// Her word of that day: a record that arrives late neither revives a consent that she has withdrawn since, nor withdraws one
/// that she has given since.
async fn enter_consent(tx: &mut Tx, by: &By, senior_id: Uuid, given: bool, given_at: DateTime<Utc>) -> Result<()> {
    let all = consent::list(tx, by.site_id, senior_id).await?;
    let key_entry = || all.iter().filter(|consent| consent.scope == ConsentScope::KeyEntry);
    if !given {
        for old in key_entry().filter(|consent| consent.withdrawn_at.is_none() && consent.given_at <= given_at) {
            consent::withdraw(tx, by, senior_id, old.id, old.version).await.map_err(at("consent_to_enter"))?;
        }
        return Ok(());
    }
    let in_force = key_entry().any(|consent| consent.withdrawn_at.is_none());
    let withdrawn_since = key_entry().any(|consent| consent.withdrawn_at.is_some_and(|at| at > given_at));
    if in_force || withdrawn_since {
        return Ok(());
    }
    let new = NewConsent {
        id: Uuid::now_v7(),
        scope: ConsentScope::KeyEntry,
        given_at,
        given_how: text::plain(text::DEFAULT_LOCALE, "visit.consent_how"),
        witness: None,
    };
    consent::create(tx, by, senior_id, new).await.map_err(at("consent_to_enter")).map(|_| ())
}
