//! Sensors: entered with what the device must be given, shown once, and bound to a home while somebody watches its first message.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::HERE;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::device::{DeviceRole, Ecosystem};
use crate::http::HttpState;
use crate::http::api::seniors::{self, Search, SeniorView};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::http::page::Limit;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::ingest::discovery::is_about;
use crate::ingest::proposal::{Proposal, propose};
use crate::store::device::{self, Device};
use crate::store::register::Page as RowPage;
use crate::store::{self, Tx};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/devices", get(list)).route("/admin/devices/{id}", get(one))
}

/// Of more only the latest are shown; after those are entered come the others.
const UNASSIGNED_MAX: i64 = 50;

struct Row {
    device: Device,
    /// In whose home.
    who: Option<String>,
}

/// What speaks and is not entered.
struct Stranger {
    topic: String,
    messages: i64,
    last_at: DateTime<Utc>,
    proposal: Option<Proposal>,
    /// What its announcement adds, for the form.
    settings: String,
}

#[derive(Template)]
#[template(path = "admin/devices.html")]
struct DevicesPage {
    frame: Frame,
    rows: Vec<Row>,
    strangers: Vec<Stranger>,
    ecosystems: &'static [Ecosystem],
    roles: &'static [DeviceRole],
}

#[derive(Template)]
#[template(path = "admin/device.html")]
struct DevicePage {
    frame: Frame,
    device: Device,
    who: Option<String>,
    seniors: Vec<SeniorView>,
}

impl DevicePage {
    /// Whether the two clicks make sense of it: it moves with a curtain that somebody relies on.
    fn is_calibrated_by_hand(&self) -> bool {
        self.device.senior_id.is_some() && matches!(self.device.role, DeviceRole::CurtainContact | DeviceRole::Cover)
    }

    fn is_in(&self, senior: &SeniorView) -> bool {
        self.device.senior_id == Some(senior.id)
    }
}

async fn seniors_of(app: &App, caller: &Caller) -> Result<Vec<SeniorView>, HttpError> {
    let search = Search { words: String::new(), place: None, with_ended: false, limit: Limit::FULL, after: None };
    Ok(seniors::searched(app, caller, search).await?.items)
}

fn door(senior: &SeniorView) -> String {
    format!("{} {} {} {}", senior.building, senior.unit, senior.room, senior.called)
}

async fn list(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require_site(Capability::DevicesWrite)?;
    let (site_id, now) = (caller.site_id, app.clock.now());
    let found = app.read(move |mut tx| async move {
        let devices = device::list(&mut tx, site_id, RowPage::default(), now).await?;
        let strangers = strangers(&mut tx, site_id).await?;
        Ok((tx, (devices, strangers)))
    });
    let (devices, strangers) = found.await?;
    let doors: BTreeMap<Uuid, String> = seniors_of(&app, &caller).await?.iter().map(|senior| (senior.id, door(senior))).collect();
    let row = |listed: device::Listed| Row { who: listed.device.senior_id.and_then(|id| doors.get(&id).cloned()), device: listed.device };
    page(&DevicesPage {
        frame: Frame::of(&caller, HERE),
        rows: devices.into_iter().map(row).collect(),
        strangers,
        ecosystems: Ecosystem::ALL,
        roles: DeviceRole::ALL,
    })
}

/// Topics of no device, without those that have been entered since.
async fn strangers(tx: &mut Tx, site_id: Uuid) -> store::Result<Vec<Stranger>> {
    let gateways = device::gateways(tx).await?;
    let found = device::unassigned(tx, site_id, UNASSIGNED_MAX).await?;
    let announced = device::announced(tx, site_id).await?;
    let stranger = |row: device::Unassigned| {
        let mut proposal = propose(&row.topic, &row.sample, row.gateway_id, &gateways);
        let gateway = proposal.as_ref().and_then(|found| found.gateway_id);
        let told = announced.iter().find(|told| Some(told.gateway_id) == gateway && is_about(&told.topic, &row.topic));
        if let (Some(found), Some(told)) = (&mut proposal, told) {
            found.role = Some(told.role);
        }
        let settings = told.map_or_else(String::new, |told| told.settings.clone());
        Stranger { topic: row.topic, messages: row.messages, last_at: row.last_at, proposal, settings }
    };
    let strangers: Vec<Stranger> = found.into_iter().map(stranger).collect();
    let proposals = || strangers.iter().filter_map(|stranger| stranger.proposal.as_ref());
    let names: Vec<&str> = proposals().filter(|found| found.gateway_id.is_none()).map(|found| found.name.as_str()).collect();
    let pairs: Vec<(Uuid, &str)> = proposals().filter_map(|found| Some((found.gateway_id?, found.name.as_str()))).collect();
    let named = device::named(tx, &names).await?;
    let parts = device::parts_behind(tx, &pairs).await?;
    let is_entered = |found: &Proposal| match found.gateway_id {
        Some(gateway) => parts.iter().any(|(behind, name, part)| {
            let is_part = part.is_empty() || part.split(',').any(|part| part.trim().eq_ignore_ascii_case(&found.component));
            *behind == gateway && *name == found.name && is_part
        }),
        None => named.contains_key(&found.name),
    };
    let mut shown = BTreeSet::new();
    // A device speaks on many topics and is proposed once.
    let mut is_new = |stranger: &Stranger| {
        let Some(found) = &stranger.proposal else { return true };
        !is_entered(found) && shown.insert((found.gateway_id, found.name.clone(), found.component.clone()))
    };
    Ok(strangers.into_iter().filter(|stranger| is_new(stranger)).collect())
}

async fn one(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    caller.require_site(Capability::DevicesWrite)?;
    let site_id = caller.site_id;
    let found = app.read(move |mut tx| async move {
        let device = device::get(&mut tx, site_id, id).await?;
        Ok((tx, device))
    });
    let device = found.await?.ok_or(HttpError::NotFound)?;
    let seniors = seniors_of(&app, &caller).await?;
    let who = device.senior_id.and_then(|id| seniors.iter().find(|senior| senior.id == id)).map(door);
    page(&DevicePage { frame: Frame::of(&caller, HERE), device, who, seniors })
}
