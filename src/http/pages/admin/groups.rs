//! Group chats: which are told how many households wait, and whether that works.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::HERE;
use super::places::{Branch, branches};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::message::channel::GroupChannel;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::register::group_chat::{self, GroupChat};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/groups", get(groups))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupsQuery {
    /// The group whose test has just been taken.
    #[serde(default)]
    tried: Option<Uuid>,
}

#[derive(Template)]
#[template(path = "admin/groups.html")]
struct GroupsPage {
    frame: Frame,
    groups: Vec<GroupChat>,
    branches: Vec<Branch>,
    kinds: &'static [GroupChannel],
    tried: Option<Uuid>,
}

impl GroupsPage {
    fn place(&self, group: &GroupChat) -> &str {
        self.branches.iter().find(|branch| branch.place.id == group.place_id).map_or("", |branch| &branch.place.name)
    }
}

async fn groups(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<GroupsQuery>) -> Result<Response, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let site_id = caller.site_id;
    let groups = app.read(move |mut tx| async move { group_chat::list(&mut tx, site_id).await.map(|groups| (tx, groups)) }).await?;
    let branches = branches(&app, &caller).await?;
    page(&GroupsPage { frame: Frame::of(&caller, HERE), groups, branches, kinds: GroupChannel::ALL, tried: query.tried })
}
