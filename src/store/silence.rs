//! Tells the others concerned of an act that silences, in its own transaction: primary, backup, and the nearest social
//! worker and branch secretary, all but the one who did it.

use chrono::NaiveDate;
use chrono_tz::Tz;
use uuid::Uuid;

use super::case;
use super::register::By;
use super::{Result, Tx, naming, plan, roster};
use crate::domain::notice::{Arguments, NewNotice};
use crate::domain::roster::Roster;
use crate::domain::silence::Silenced;
use crate::domain::{day, id};
use crate::on;

/// About one senior.
pub async fn tell(tx: &mut Tx, by: &By, senior_id: Uuid, what: Silenced) -> Result<()> {
    tell_each(tx, by, &[senior_id], what).await
}

/// About each of these seniors, to those concerned with her.
pub async fn tell_each(tx: &mut Tx, by: &By, seniors: &[Uuid], what: Silenced) -> Result<()> {
    if seniors.is_empty() {
        return Ok(());
    }
    let doors = naming::doors(tx, by.site_id, seniors).await?;
    let today = today(tx, by).await?;
    let rosters = roster::load(tx, by.site_id, seniors, today).await?;
    let told = doors.into_iter().map(|(id, door)| (rosters.get(&id).map(Roster::concerned).unwrap_or_default(), id, door));
    write(tx, by, told.collect(), what, today).await
}

/// About the times of the whole site: told to everybody who answers for seniors in it.
pub async fn tell_site(tx: &mut Tx, by: &By, what: Silenced) -> Result<()> {
    let today = today(tx, by).await?;
    let sql = "select distinct g.member_id from role_grant g join member m on m.site_id = g.site_id and m.id = g.member_id
        where g.site_id = $1 and g.role in ('social_worker', 'branch_secretary', 'administrator') and m.ended_at is null
          and g.from_date <= $2 and (g.to_date is null or g.to_date > $2)";
    let people: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(today).fetch_all(conn).await)?;
    write(tx, by, vec![(people, by.site_id, Arguments::new())], what, today).await
}

async fn today(tx: &mut Tx, by: &By) -> Result<NaiveDate> {
    let zone: Tz = plan::site(tx, by.site_id).await?.zone;
    Ok(day::local_date(zone, by.now))
}

/// One notice per person, act, object and day: an act done and undone all day is one word.
async fn write(tx: &mut Tx, by: &By, told: Vec<(Vec<Uuid>, Uuid, Arguments)>, what: Silenced, today: NaiveDate) -> Result<()> {
    // The command line enters and restores; it silences nobody.
    let Some(actor) = by.actor_id else { return Ok(()) };
    let called = naming::member(tx, by.site_id, actor).await?;
    let mut notices = Vec::new();
    for (people, about, mut details) in told {
        details.insert("actor".to_owned(), called.clone());
        notices.extend(people.into_iter().filter(|member| *member != actor).map(|member| {
            let id = id::daily_notice(by.site_id, member, today, &format!("silenced/{what}/{about}"));
            (by.site_id, NewNotice::report(id, member, what.key(), details.clone(), by.now))
        }));
    }
    case::send(tx, notices, by.now).await?;
    Ok(())
}
