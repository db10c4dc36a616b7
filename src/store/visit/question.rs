//! A record that leaves a question open (she moved, lies in hospital, has died; a dossier waits) reaches a human at once: until
//! somebody decides, tomorrow's check stays as it was agreed.

use uuid::Uuid;

use crate::domain::id;
use crate::domain::notice::NewNotice;
use crate::domain::visit::{DOSSIER, Finding, FindingKind};
use crate::store::case;
use crate::store::register::senior::Senior;
use crate::store::register::{By, site};
use crate::store::{Result, Tx, naming, roster};

/// Tells the social worker, or whoever stands in: the branch secretary, else the operators.
pub(super) async fn ask(tx: &mut Tx, by: &By, senior: &Senior, opened: &[(Uuid, Finding)]) -> Result<()> {
    let questions: Vec<_> = opened.iter().filter(|(_, found)| found.kind == FindingKind::Circumstance).collect();
    if questions.is_empty() {
        return Ok(());
    }
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let people = roster::of(tx, by.site_id, senior.id, today).await?;
    let operators = roster::operators(tx, by.site_id, today).await?;
    // No word of what happened: a message says where to look, not what a record holds.
    let said = naming::door(tx, by.site_id, senior.id).await?;
    let recipients = people.deciders(&operators);
    let notice = |finding: Uuid, key, member| {
        let id = id::daily_notice(by.site_id, member, today, &format!("question/{finding}"));
        (by.site_id, NewNotice::report(id, member, key, said.clone(), by.now))
    };
    let mut notices = Vec::new();
    for (finding, found) in questions {
        let key = if found.item == DOSSIER { "notice.dossier_waits" } else { "notice.circumstance" };
        notices.extend(recipients.iter().map(|recipient| notice(*finding, key, *recipient)));
    }
    case::send(tx, notices, by.now).await?;
    Ok(())
}
