//! Sensors: entered with what the device must be given, shown once, and bound to a home while somebody watches its first message.

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
use crate::domain::device::{DeviceRole, Ecosystem};
use crate::http::HttpState;
use crate::http::api::seniors::{self, Search, SeniorView};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::http::page::Limit;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::device::{self, Device};
use crate::store::register::Page as RowPage;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/devices", get(list)).route("/admin/devices/{id}", get(one))
}

struct Row {
    device: Device,
    /// In whose home.
    who: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/devices.html")]
struct DevicesPage {
    frame: Frame,
    rows: Vec<Row>,
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
        Ok((tx, devices))
    });
    let devices = found.await?;
    let doors: BTreeMap<Uuid, String> = seniors_of(&app, &caller).await?.iter().map(|senior| (senior.id, door(senior))).collect();
    let row = |listed: device::Listed| Row { who: listed.device.senior_id.and_then(|id| doors.get(&id).cloned()), device: listed.device };
    page(&DevicesPage {
        frame: Frame::of(&caller, HERE),
        rows: devices.into_iter().map(row).collect(),
        ecosystems: Ecosystem::ALL,
        roles: DeviceRole::ALL,
    })
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
