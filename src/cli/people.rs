//! People from the command line: the first administrator of an empty database and of each further site, and tokens for programs. A
//! site is made here and not over the API, because nobody who belongs to one may reach into another (I30).

use std::io::Read;

use uuid::Uuid;

use super::arguments::{NewMember, NewSite};
use super::console::{Console, Failure};
use super::{Outcome, is_attended, open};
use crate::app::App;
use crate::config::Config;
use crate::domain::phone;
use crate::domain::place::{PlaceKind, Role};
use crate::domain::refusal::Refusal;
use crate::domain::words::UnknownWord;
use crate::http::password;
use crate::store::register::{By, Page, member, place, role_grant, site};
use crate::store::{self, Tx, audit, plan, session};
use crate::text;

/// A password has at most 128 characters of at most four bytes; more is somebody's wrong file.
const PASSWORD_BYTES_MAX: u64 = 1_024;
/// How a token made here shows up in the member's list of sign-ins.
const TOKEN_LABEL: &str = "cli";

/// Makes a further site with its street, which then gets its first administrator by `member add --place`.
pub async fn add_site(config: Config, new: NewSite, console: Console) -> Outcome {
    let (app, _lock) = open(config, console).await?;
    let (now, config) = (app.clock.now(), app.config.clone());
    let made = app
        .write(move |mut tx| async move {
            let site = site::NewSite {
                id: Uuid::now_v7(),
                name: new.name.clone(),
                zone: new.timezone.unwrap_or(config.site.timezone),
                latitude: new.latitude.unwrap_or(config.site.latitude),
                longitude: new.longitude.unwrap_or(config.site.longitude),
                rules: config.rules(),
            };
            let site_id = site::create(&mut tx, None, site, now).await?.id;
            let street = street(&mut tx, &By { site_id, actor_id: None, now }, new.name).await?;
            Ok((tx, (site_id, street)))
        })
        .await;
    app.db.close().await;
    let (site_id, street) = made.map_err(|error| console.store_failure(&error))?;
    console.say(&console.render("console.site_added", &[("id", &site_id.to_string()), ("place", &street.to_string())]));
    Ok(())
}

/// The place above all others of a site.
async fn street(tx: &mut Tx, by: &By, name: String) -> store::Result<Uuid> {
    let street = place::NewPlace { id: Uuid::now_v7(), kind: PlaceKind::Street, name, parent_id: None, walk_order: 0 };
    Ok(place::create(tx, by, street).await?.id)
}

/// Adds a member with a role. On an empty database this makes the site and its street, too.
pub async fn add(config: Config, new: NewMember, console: Console) -> Outcome {
    let wrong = |key: &str| Failure::new(console.render(key, &[]));
    let phone = phone::normalise(&new.phone).ok_or_else(|| wrong("console.phone_wrong"))?;
    let role: Role = new.role.parse().map_err(|error: UnknownWord| {
        let allowed = error.allowed.join(", ");
        Failure::new(console.render("console.role_unknown", &[("role", &error.word), ("allowed", &allowed)]))
    })?;
    if is_attended() {
        console.complain(&console.render("console.type_password", &[]));
    }
    let typed = read_password().map_err(|error| Failure::new(error.to_string()))?;
    let hash = password::hash(&typed).map_err(|_| wrong("console.password_length"))?;
    let (app, _lock) = open(config, console).await?;
    let member =
        member::NewMember { id: Uuid::now_v7(), called: new.name.clone(), name: new.name, phone, locale: text::DEFAULT_LOCALE.to_owned() };
    let id = member.id;
    let written = write(&app, member, role, new.place, hash).await;
    app.db.close().await;
    written.map_err(|error| console.store_failure(&error))?;
    let role = console.render(&format!("console.role.{role}"), &[]);
    console.say(&console.render("console.member_added", &[("id", &id.to_string()), ("role", &role)]));
    Ok(())
}

async fn write(app: &App, new: member::NewMember, role: Role, place: Option<Uuid>, hash: String) -> store::Result<()> {
    let (now, config) = (app.clock.now(), app.config.clone());
    app.write(move |mut tx| async move {
        // Two first administrators at once must not make two sites.
        tx.lock_named("first site").await?;
        let (site_id, place_id) = match place {
            Some(id) => (site_of(&mut tx, id).await?, id),
            None => top_place(&mut tx, &config, now).await?,
        };
        let by = By { site_id, actor_id: None, now };
        let member_id = new.id;
        member::create(&mut tx, &by, new, Some(hash)).await?;
        let grant = role_grant::NewRoleGrant {
            id: Uuid::now_v7(),
            member_id,
            role,
            place_id: Some(place_id),
            grid_id: None,
            from_date: None,
            to_date: None,
        };
        role_grant::create(&mut tx, &by, grant).await?;
        Ok((tx, ()))
    })
    .await
}

async fn site_of(tx: &mut Tx, place_id: Uuid) -> store::Result<Uuid> {
    for site in plan::sites(tx).await? {
        if place::get(tx, site.id, place_id).await.is_ok() {
            return Ok(site.id);
        }
    }
    Err(Refusal::invalid("--place", "console.place_unknown").into())
}

/// The street of the only site; both are made if they are not there.
async fn top_place(tx: &mut Tx, config: &Config, now: chrono::DateTime<chrono::Utc>) -> store::Result<(Uuid, Uuid)> {
    let sites = plan::sites(tx).await?;
    let site_id = match sites.as_slice() {
        [] => first_site(tx, config, now).await?,
        [only] => only.id,
        _ => return Err(Refusal::invalid("--place", "console.place_needed").into()),
    };
    let streets = place::PlaceFilter { kind: Some(PlaceKind::Street), ..place::PlaceFilter::default() };
    let found = place::list(tx, site_id, streets, Page::default()).await?.into_iter().find(|street| street.ended_at.is_none());
    if let Some(street) = found {
        return Ok((site_id, street.id));
    }
    let street = street(tx, &By { site_id, actor_id: None, now }, config.site.name.clone()).await?;
    Ok((site_id, street))
}

async fn first_site(tx: &mut Tx, config: &Config, now: chrono::DateTime<chrono::Utc>) -> store::Result<Uuid> {
    let new = site::NewSite {
        id: Uuid::now_v7(),
        name: config.site.name.clone(),
        zone: config.site.timezone,
        latitude: config.site.latitude,
        longitude: config.site.longitude,
        rules: config.rules(),
    };
    Ok(site::create(tx, None, new, now).await?.id)
}

/// The first line of stdin.
fn read_password() -> std::io::Result<String> {
    let mut line = String::new();
    let limited = std::io::stdin().lock().take(PASSWORD_BYTES_MAX);
    std::io::BufRead::read_line(&mut std::io::BufReader::new(limited), &mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Makes a bearer token and prints it, the only time that it is seen: alone on stdout, the sentence about it on stderr.
pub async fn token(config: Config, phone: &str, console: Console) -> Outcome {
    let wrong = |key: &str| Failure::new(console.render(key, &[]));
    let phone = phone::normalise(phone).ok_or_else(|| wrong("console.phone_wrong"))?;
    let lasts = config.http.session;
    let (app, _lock) = open(config, console).await?;
    let (now, label) = (app.clock.now(), TOKEN_LABEL);
    let made = app
        .write(move |mut tx| async move {
            let accounts = session::accounts(&mut tx, &phone, 2).await?;
            let account = match accounts.as_slice() {
                [one] => one.clone(),
                [] => return Err(Refusal::invalid("--member", "console.member_unknown").into()),
                _ => return Err(Refusal::invalid("--member", "console.member_in_several_sites").into()),
            };
            let token = session::create_bearer(&mut tx, account.site_id, account.member_id, label, now, lasts.0).await?;
            let entry = audit::Entry {
                site_id: account.site_id,
                at: now,
                actor_id: None,
                act: "create",
                object_kind: "session",
                object_id: Some(account.member_id),
                fields: &["kind", "label", "expires_at"],
            };
            audit::write(&mut tx, &entry).await?;
            Ok((tx, token))
        })
        .await;
    app.db.close().await;
    let token = made.map_err(|error| console.store_failure(&error))?;
    console.complain(&console.render("console.token_made", &[("days", &lasts.0.num_days().to_string())]));
    console.say(token.text());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_name_that_people_use() {
        for role in Role::ALL {
            let key = format!("console.role.{role}");
            for locale in text::LOCALES {
                assert_ne!(text::plain(locale, &key), key, "{locale}");
            }
            assert!(!text::plain(text::DEFAULT_LOCALE, &key).is_ascii(), "{role}");
        }
    }
}
