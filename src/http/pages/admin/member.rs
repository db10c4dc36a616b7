//! Members: who there is, what each may do, how she is reached, how she comes in, and the end of it.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use uuid::Uuid;

use super::HERE;
use super::places::{Branch, branches};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::Role;
use crate::http::HttpState;
use crate::http::api::members::sign_ins;
use crate::http::api::sessions::Session;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::http::pages::channels::Ways;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::delivery_log::{self, LastMessage};
use crate::store::register::Page as RowPage;
use crate::store::register::member::{self, Member, MemberFilter};
use crate::store::register::role_grant::{self, RoleGrant, RoleGrantFilter};
use crate::store::second_factor;
use crate::store::{self, Tx};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/members", get(list)).route("/admin/members/{id}", get(one)).route("/members/{id}/invite", get(invite))
}

struct Row {
    member: Member,
    roles: Vec<Role>,
}

#[derive(Template)]
#[template(path = "admin/members.html")]
struct MembersPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// A role with the name of the place where it holds.
struct Held {
    grant: RoleGrant,
    place: String,
}

#[derive(Template)]
#[template(path = "admin/member.html")]
struct MemberPage {
    frame: Frame,
    member: Member,
    held: Vec<Held>,
    ways: Ways,
    last_messages: HashMap<Uuid, LastMessage>,
    sessions: Vec<Session>,
    has_factor: bool,
    branches: Vec<Branch>,
    roles: &'static [Role],
    is_self: bool,
    /// Whether the reader may say for the member that messages arrive.
    may_confirm: bool,
    /// The address of this page.
    here: String,
}

#[derive(Template)]
#[template(path = "admin/invite.html")]
struct InvitePage {
    frame: Frame,
    member: Member,
}

async fn list(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let (site_id, today) = (caller.site_id, caller.today);
    let found = app.read(move |mut tx| async move {
        let members = everybody(&mut tx, site_id).await?;
        let grants =
            grants(&mut tx, site_id, RoleGrantFilter { id: None, member_id: None, role: None, place_id: None, on: Some(today) }).await?;
        Ok((tx, (members, grants)))
    });
    let (members, grants) = found.await?;
    let mut roles: BTreeMap<Uuid, Vec<Role>> = BTreeMap::new();
    for grant in grants {
        let of_her = roles.entry(grant.member_id).or_default();
        if !of_her.contains(&grant.role) {
            of_her.push(grant.role);
        }
    }
    let rows = members.into_iter().map(|member| Row { roles: roles.remove(&member.id).unwrap_or_default(), member });
    page(&MembersPage { frame: Frame::of(&caller, HERE), rows: rows.collect() })
}

async fn everybody(tx: &mut Tx, site_id: Uuid) -> store::Result<Vec<Member>> {
    let (mut after, mut all) = (RowPage::default(), Vec::new());
    loop {
        let rows = member::list(tx, site_id, MemberFilter::default(), after).await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < after.limit);
        after.after = rows.last().map(|row| row.id);
        all.extend(rows);
        if is_last {
            return Ok(all);
        }
    }
}

async fn grants(tx: &mut Tx, site_id: Uuid, filter: RoleGrantFilter) -> store::Result<Vec<RoleGrant>> {
    let (mut after, mut all) = (RowPage::default(), Vec::new());
    loop {
        let rows = role_grant::list(tx, site_id, filter, after).await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < after.limit);
        after.after = rows.last().map(|row| row.id);
        all.extend(rows);
        if is_last {
            return Ok(all);
        }
    }
}

async fn one(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let (site_id, today) = (caller.site_id, caller.today);
    let found = app.read(move |mut tx| async move {
        let member = member::get(&mut tx, site_id, id).await?;
        let filter = RoleGrantFilter { id: None, member_id: Some(id), role: None, place_id: None, on: Some(today) };
        let held = grants(&mut tx, site_id, filter).await?;
        let last_messages = delivery_log::last_messages(&mut tx, site_id, id).await?;
        let has_factor = second_factor::since(&mut tx, site_id, id).await?.is_some();
        let ways = Ways::of(&mut tx, site_id, id).await?;
        Ok((tx, (member, held, (last_messages, ways), has_factor)))
    });
    let (member, grants, (last_messages, ways), has_factor) = found.await?;
    let branches = branches(&app, &caller).await?;
    let frame = Frame::of(&caller, HERE);
    let name_of = |id: Option<Uuid>| branches.iter().find(|branch| Some(branch.place.id) == id).map(|branch| branch.place.name.clone());
    let place = |grant: &RoleGrant| name_of(grant.place_id).unwrap_or_else(|| frame.say("office.whole_site").to_string());
    page(&MemberPage {
        held: grants.into_iter().map(|grant| Held { place: place(&grant), grant }).collect(),
        sessions: sign_ins::of(&app, &caller, id).await?.items,
        is_self: id == caller.member_id,
        roles: Role::ALL,
        frame,
        member,
        ways,
        last_messages,
        has_factor,
        branches,
        may_confirm: true,
        here: format!("/admin/members/{id}"),
    })
}

async fn invite(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let site_id = caller.site_id;
    let found = app.read(move |mut tx| async move {
        let member = member::get(&mut tx, site_id, id).await?;
        Ok((tx, member))
    });
    page(&InvitePage { frame: Frame::of(&caller, HERE), member: found.await? })
}
