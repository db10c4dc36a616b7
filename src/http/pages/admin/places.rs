//! 街道 · 社区 · 小区 · 楼栋 as a tree, to be filled, renamed and ended.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use uuid::Uuid;

use super::HERE;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::PlaceKind;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::register::Page as RowPage;
use crate::store::register::place::{self, Place, PlaceFilter};
use crate::store::{self, Tx};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/places", get(tree)).route("/admin/places/{id}", get(one))
}

/// A place with how deep it stands.
pub struct Branch {
    pub place: Place,
    pub depth: usize,
}

#[derive(Template)]
#[template(path = "admin/places.html")]
struct PlacesPage {
    frame: Frame,
    branches: Vec<Branch>,
}

#[derive(Template)]
#[template(path = "admin/place.html")]
struct PlacePage {
    frame: Frame,
    place: Place,
    /// What may be made below it.
    below: Option<PlaceKind>,
    children: Vec<Place>,
    /// While nobody but L0, L1 and L4 is told.
    trial: Option<String>,
}

async fn tree(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::RegisterWrite)?;
    page(&PlacesPage { frame: Frame::of(&caller, HERE), branches: branches(&app, &caller).await? })
}

/// All places that are in use, each below its parent, in walking order.
pub async fn branches(app: &App, caller: &Caller) -> Result<Vec<Branch>, HttpError> {
    let site_id = caller.site_id;
    let places = app.read(move |mut tx| async move {
        let places = all(&mut tx, site_id).await?;
        Ok((tx, places))
    });
    let mut by_parent: BTreeMap<Option<Uuid>, Vec<Place>> = BTreeMap::new();
    for place in places.await?.into_iter().filter(|place| place.ended_at.is_none()) {
        by_parent.entry(place.parent_id).or_default().push(place);
    }
    for places in by_parent.values_mut() {
        places.sort_by(|a, b| (a.walk_order, &a.name).cmp(&(b.walk_order, &b.name)));
    }
    let mut branches = Vec::new();
    grow(&mut by_parent, None, 0, &mut branches);
    Ok(branches)
}

fn grow(by_parent: &mut BTreeMap<Option<Uuid>, Vec<Place>>, parent: Option<Uuid>, depth: usize, branches: &mut Vec<Branch>) {
    for place in by_parent.remove(&parent).unwrap_or_default() {
        let id = place.id;
        branches.push(Branch { place, depth });
        grow(by_parent, Some(id), depth + 1, branches);
    }
}

async fn all(tx: &mut Tx, site_id: Uuid) -> store::Result<Vec<Place>> {
    let filter = PlaceFilter { id: None, kind: None, parent_id: None, under: None };
    let (mut after, mut all) = (RowPage::default(), Vec::new());
    loop {
        let rows = place::list(tx, site_id, filter, after).await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < after.limit);
        after.after = rows.last().map(|row| row.id);
        all.extend(rows);
        if is_last {
            return Ok(all);
        }
    }
}

async fn one(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    caller.require(Capability::RegisterWrite)?;
    let asker = caller.clone();
    let found = app.read(move |mut tx| async move {
        asker.place(&mut tx, id, Capability::RegisterWrite).await?;
        let place = place::get(&mut tx, asker.site_id, id).await?;
        let filter = PlaceFilter { id: None, kind: None, parent_id: Some(id), under: None };
        let children = place::list(&mut tx, asker.site_id, filter, RowPage::default()).await?;
        Ok((tx, (place, children)))
    });
    let (place, children) = found.await?;
    let frame = Frame::of(&caller, HERE);
    let below = PlaceKind::ALL.iter().copied().find(|kind| kind.parent() == Some(place.kind));
    let trial = place.trial_until.filter(|until| *until > caller.today).map(|until| frame.day(&until));
    let children = children.into_iter().filter(|child| child.ended_at.is_none()).collect();
    page(&PlacePage { frame, place, below, children, trial })
}
