//! The register of sensors: who may speak for whom. Credentials are shown once, when they are made.

use axum::extract::State;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry;
use crate::app::App;
use crate::config::MqttMode;
use crate::domain::access::Capability;
use crate::domain::device::{Care, DeviceRole, DeviceStatus, Ecosystem};
use crate::domain::evidence::Level;
use crate::domain::refusal::Refusal;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::http::value::Text;
use crate::http::{HttpState, qr};
use crate::store::device::{self, Credentials};

/// A device without an interval of its own is expected at least this often.
const EXPECTED_SECONDS_DEFAULT: i64 = 25 * 3600;
const EXPECTED_SECONDS_MAX: i64 = 7 * 24 * 3600;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change))
        .routes(routes!(calibrate))
        .routes(routes!(rotate))
        .routes(routes!(revoke))
}

#[derive(Serialize, ToSchema)]
pub struct Device {
    pub id: Uuid,
    /// MQTT user name and topic part of native devices, friendly name of others.
    pub name: String,
    pub ecosystem: Ecosystem,
    pub role: DeviceRole,
    pub senior_id: Option<Uuid>,
    pub gateway_id: Option<Uuid>,
    pub base_topic: Option<String>,
    /// The part of its topic's messages that is this device; empty: all of them.
    pub component: String,
    /// What its messages do not say.
    #[schema(value_type = Object)]
    pub settings: Value,
    /// By which Zigbee2MQTT knows it whatever it is called.
    pub hardware_address: Option<String>,
    pub calibrated_at: Option<DateTime<Utc>>,
    pub status: DeviceStatus,
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Silence beyond this is a maintenance item, never a statement about a person.
    pub silent_after: Option<DateTime<Utc>>,
    pub battery_percent: Option<i64>,
    /// Two readings in a row were low, and no new cells are in yet.
    pub battery_low: bool,
    pub tampered_at: Option<DateTime<Utc>>,
    pub firmware: Option<String>,
    pub level: Option<String>,
    pub lost_events: i64,
    pub clock_suspect: bool,
    pub expected_interval_seconds: i64,
    pub revoked_at: Option<DateTime<Utc>>,
    pub version: i64,
}

/// What the device must be given; shown once.
#[derive(Serialize, ToSchema)]
struct Issued {
    kid: u32,
    mqtt_user: String,
    mqtt_password: String,
    /// 32 bytes, hexadecimal; signs the messages of native devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    /// All of it as a picture: the address of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Created {
    #[serde(flatten)]
    device: Device,
    /// Devices behind a gateway have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Issued>,
}

#[derive(Serialize, ToSchema)]
pub struct Listed {
    #[serde(flatten)]
    pub device: Device,
    /// Why somebody should look after it; empty: nothing is known to be wrong.
    pub care: Vec<Care>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// true: only devices that need care; false: only those that do not.
    #[serde(default)]
    needs_care: Option<bool>,
    /// Only devices that need care for this reason.
    #[serde(default)]
    care: Option<Care>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Devices of the site, in the order of their ids, each with what is wrong with it.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", params(ListQuery), responses((status = 200, body = Page<Listed>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::DevicesRead)?;
    let (page, now) = (entry::page(query.cursor, query.limit), app.clock.now());
    let asked = move |care: &[Care]| {
        query.needs_care.is_none_or(|needs| needs != care.is_empty()) && query.care.is_none_or(|reason| care.contains(&reason))
    };
    let devices =
        looked_up!(app, |tx| full_page!(page, |after| device::list(&mut tx, caller.site_id, after, now).await?, |row| asked(&row.care)));
    Ok(Answer::ok(&Page::cut(devices, query.limit, |row| row.id).map(shown)))
}

fn shown(row: device::Listed) -> Listed {
    Listed { device: Device::from(row.device), care: row.care }
}

/// Those bound to one senior, for her page.
pub async fn of_senior(app: &App, caller: &Caller, senior_id: Uuid) -> Result<Vec<Listed>, HttpError> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let devices = looked_up!(app, |tx| {
        caller.senior(&mut tx, senior_id, Capability::DevicesRead).await?;
        device::of_senior(&mut tx, caller.site_id, senior_id, now).await?
    });
    Ok(devices.into_iter().map(shown).collect())
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewDevice {
    id: Option<Uuid>,
    name: Text<64>,
    ecosystem: Ecosystem,
    role: DeviceRole,
    #[serde(default)]
    gateway_id: Option<Uuid>,
    /// For gateways: the topic below which they publish, usually `zigbee2mqtt`.
    #[serde(default)]
    base_topic: Option<Text<64>>,
    /// Seconds; how often the device must be heard.
    #[serde(default = "expected")]
    #[garde(range(min = 60, max = EXPECTED_SECONDS_MAX))]
    expected_interval_seconds: i64,
    /// Behind a gateway: the part of the topic's messages that is this device, such as `cover:0`; of all of them if it is absent.
    #[serde(default)]
    component: Option<Text<64>>,
    /// Behind a gateway: what its messages do not say. `open_position`, `max`, `on`, `device_class`, `actions`, `parts`, `group`,
    /// `sleeps`, `encrypted`, `output`, `zone`.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

fn expected() -> i64 {
    EXPECTED_SECONDS_DEFAULT
}

/// Enter a device. A repeat gets the same device without the credentials, which are shown once.
#[utoipa::path(post, path = "/api/v1/devices", tag = "devices", request_body = NewDevice,
    responses((status = 201, body = Created), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(body, hash): StrictJson<NewDevice>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::DevicesWrite)?;
    let once = key.once(&caller, body.id, hash)?;
    let (now, seal) = (app.clock.now(), app.seal.clone());
    let shared_broker = app.config.mqtt.mode == MqttMode::External;
    let answer = app
        .write(move |mut tx| async move {
            if let Some(answer) = once.replay(&mut tx, now).await? {
                return Ok((tx, answer));
            }
            let new = device::NewDevice {
                site_id: caller.site_id,
                id: once.id,
                name: body.name.0,
                ecosystem: body.ecosystem,
                role: body.role,
                gateway_id: body.gateway_id,
                base_topic: body.base_topic.map(|topic| topic.0),
                expected_interval_seconds: body.expected_interval_seconds,
                component: body.component.map(|part| part.0).unwrap_or_default(),
                settings: body.settings,
            };
            if let Some(base_topic) = new.base_topic.as_deref().filter(|_| shared_broker) {
                device::claim_base_topic(&mut tx, base_topic).await?;
            }
            let (made, credentials) = device::create(&mut tx, &new, Some(caller.member_id), &seal, now).await?;
            let (name, version) = (made.name.clone(), made.version);
            let shown = |credentials| Created { device: Device::from(made.clone()), credentials };
            // What is kept for a repeat holds no secret.
            once.keep(&mut tx, &Answer::created(&shown(None)).version(version)).await?;
            let credentials = credentials.map(|credentials| Issued::of(&name, &credentials));
            Ok((tx, Answer::created(&shown(credentials)).version(version)))
        })
        .await?;
    Ok(answer)
}

/// One device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = Uuid, Path)),
    responses((status = 200, body = Device), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::DevicesRead)?;
    let found = app.read(move |mut tx| async move { device::get(&mut tx, caller.site_id, id).await.map(|found| (tx, found)) }).await?;
    let found = found.ok_or_else(Refusal::not_found)?;
    let version = found.version;
    Ok(Answer::ok(&Device::from(found)).version(version))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct DeviceChange {
    /// The one senior whom the device speaks for; null unbinds it; absent leaves it as it is.
    #[serde(default, deserialize_with = "crate::store::register::nullable")]
    #[schema(value_type = Option<Uuid>)]
    #[expect(clippy::option_option, reason = "absent and null are two wishes")]
    senior_id: Option<Option<Uuid>>,
    /// Behind a gateway: by which name its gateway knows it. Others keep the name to which their password was issued.
    #[serde(default)]
    name: Option<Text<64>>,
    /// What it is for; the people around the senior whom it speaks for are told.
    #[serde(default)]
    role: Option<DeviceRole>,
    /// Seconds; how often the device must be heard.
    #[serde(default)]
    #[garde(inner(range(min = 60, max = EXPECTED_SECONDS_MAX)))]
    expected_interval_seconds: Option<i64>,
    /// Behind a gateway: the part of the topic's messages that is this device; empty: all of them.
    #[serde(default)]
    #[garde(length(chars, max = 64))]
    component: Option<String>,
    /// Behind a gateway: what its messages do not say, whole.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
}

/// Bind a device to a senior, or unbind it; or correct what was entered. Level and calibration of the old home are forgotten; what is
/// read differently or in another role needs a new calibration, too. Whoever speaks for a senior can make her check fulfilled: it needs the right to silence and a recent
/// sign-in. A help button needs somebody who hears it at any hour.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = DeviceChange, responses((status = 200, body = Device), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<DeviceChange>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::Silence)?;
    caller.require_recent()?;
    let now = app.clock.now();
    let (site, member) = (caller.site_id, caller.member_id);
    let current = app.read(move |mut tx| async move { device::get(&mut tx, site, id).await.map(|found| (tx, found)) }).await?;
    let current = current.ok_or_else(Refusal::not_found)?;
    let bound_before = current.senior_id;
    if_match.check(current.version, &Device::from(current))?;
    let correction = device::Correction {
        name: body.name.map(|name| name.0),
        role: body.role,
        expected_interval_seconds: body.expected_interval_seconds,
        component: body.component,
        settings: body.settings,
    };
    if body.senior_id.is_none() && correction.is_empty() {
        return Err(HttpError::field("senior_id", "problem.device_nothing_changed", ""));
    }
    let bound = app
        .write(move |mut tx| async move {
            let mut version = if_match.0;
            if let Some(Some(senior)) = body.senior_id {
                caller.senior(&mut tx, senior, Capability::DevicesWrite).await?;
                // Seniors before devices, as everywhere, and all at once.
                tx.lock_seniors(&bound_before.into_iter().chain([senior]).collect::<Vec<_>>()).await?;
            }
            let mut changed = None;
            if !correction.is_empty() {
                let device = device::correct(&mut tx, (site, id), &correction, version, member, now).await?;
                version = device.version;
                changed = Some(device);
            }
            if let Some(senior_id) = body.senior_id {
                changed = Some(device::bind(&mut tx, (site, id), senior_id, version, member, now).await?);
            }
            let changed = changed.ok_or_else(Refusal::not_found)?;
            Ok((tx, changed))
        })
        .await?;
    let version = bound.version;
    Ok(Answer::ok(&Device::from(bound)).version(version))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Calibration {
    /// Names this request, so that a repeat gets the same answer.
    #[serde(default)]
    id: Option<Uuid>,
    /// The `level` that was shown while the curtain was fully closed.
    while_closed: Level,
    /// The `level` that was shown while it was fully open.
    while_open: Level,
}

/// The two clicks: somebody closed and opened the curtain and saw which reading is which. The other way round every shut curtain
/// would be an open one: it needs the right to silence and a recent sign-in.
#[utoipa::path(post, path = "/api/v1/devices/{id}/calibrate", tag = "devices", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = Calibration, responses((status = 200, body = Device), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem)))]
async fn calibrate(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    key: IdempotencyKey,
    StrictJson(body, hash): StrictJson<Calibration>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::Silence)?;
    caller.require_recent()?;
    let now = app.clock.now();
    let once = key.maybe(&caller, body.id, hash);
    let answer = app
        .write(move |mut tx| async move {
            if let Some(once) = &once
                && let Some(answer) = once.replay(&mut tx, now).await?
            {
                return Ok((tx, answer));
            }
            let shown = (body.while_closed, body.while_open);
            let done = device::calibrate(&mut tx, (caller.site_id, id), shown, if_match.0, Some(caller.member_id), now).await?;
            let version = done.version;
            let answer = Answer::ok(&Device::from(done)).version(version);
            if let Some(once) = &once {
                once.keep(&mut tx, &answer).await?;
            }
            Ok((tx, answer))
        })
        .await?;
    Ok(answer)
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct DeviceAct {
    /// Names this request, so that a repeat does nothing twice.
    #[serde(default)]
    id: Option<Uuid>,
}

/// New credentials; the old ones stay valid for a while, so that the device can be reached to change them. Secrets are not kept, so
/// a repeat under the same key gets fresh ones in place of those that nobody received; the old ones stay as they were.
#[utoipa::path(post, path = "/api/v1/devices/{id}/rotate", tag = "devices", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = DeviceAct, responses((status = 200, body = Issued), (status = 404, body = Problem), (status = 412, body = Problem)))]
async fn rotate(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    key: IdempotencyKey,
    StrictJson(body, hash): StrictJson<DeviceAct>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::DevicesWrite)?;
    let (now, seal) = (app.clock.now(), app.seal.clone());
    let once = key.maybe(&caller, body.id, hash);
    let issued = app
        .write(move |mut tx| async move {
            let (site, by) = (caller.site_id, caller.member_id);
            let repeated = match &once {
                Some(once) => once.replay(&mut tx, now).await?,
                None => None,
            };
            let credentials = if repeated.is_some() {
                device::reissue(&mut tx, (site, id), if_match.0, by, &seal, now).await?
            } else {
                device::rotate(&mut tx, (site, id), if_match.0, by, &seal, now).await?
            };
            if let Some(once) = once.filter(|_| repeated.is_none()) {
                // That it was done, without a secret.
                once.keep(&mut tx, &Answer::no_content()).await?;
            }
            let found = device::get(&mut tx, site, id).await?.ok_or_else(Refusal::not_found)?;
            Ok((tx, Issued::of(&found.name, &credentials)))
        })
        .await?;
    Ok(Answer::ok(&issued))
}

/// End a device for good; its live sessions close within five seconds. Silences, so it needs a recent sign-in.
#[utoipa::path(post, path = "/api/v1/devices/{id}/revoke", tag = "devices", params(("id" = Uuid, Path)), request_body = DeviceAct,
    responses((status = 204), (status = 404, body = Problem)))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    key: IdempotencyKey,
    StrictJson(body, hash): StrictJson<DeviceAct>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::Silence)?;
    caller.require_recent()?;
    let now = app.clock.now();
    let once = key.maybe(&caller, body.id, hash);
    app.write(move |mut tx| async move {
        if let Some(once) = &once
            && once.replay(&mut tx, now).await?.is_some()
        {
            return Ok((tx, ()));
        }
        device::revoke(&mut tx, (caller.site_id, id), caller.member_id, now).await?;
        if let Some(once) = &once {
            once.keep(&mut tx, &Answer::no_content()).await?;
        }
        Ok((tx, ()))
    })
    .await?;
    Ok(Answer::no_content())
}

impl Issued {
    fn of(name: &str, credentials: &Credentials) -> Self {
        let key_hex = credentials.key.map(|key| crate::store::bulk::hex(&key));
        let (mqtt_user, mqtt_password) = (name.to_owned(), credentials.password.clone());
        let all = serde_json::json!({"user": mqtt_user, "password": mqtt_password, "kid": credentials.kid, "key": key_hex});
        Self { kid: credentials.kid, qr: qr::address(&all.to_string()), mqtt_user, mqtt_password, key_hex }
    }
}

impl From<device::Device> for Device {
    fn from(row: device::Device) -> Self {
        Self {
            id: row.id,
            name: row.name,
            ecosystem: row.ecosystem,
            role: row.role,
            senior_id: row.senior_id,
            gateway_id: row.gateway_id,
            base_topic: row.base_topic,
            component: row.component,
            settings: serde_json::from_str(&row.settings).unwrap_or_default(),
            hardware_address: row.hardware_address,
            calibrated_at: row.calibrated_at,
            status: row.status,
            last_seen_at: row.last_seen_at,
            silent_after: row.silent_after,
            battery_percent: row.battery_percent,
            battery_low: row.battery_low_since.is_some(),
            tampered_at: row.tampered_at,
            firmware: row.firmware,
            level: row.level,
            lost_events: row.lost_events,
            clock_suspect: row.clock_suspect,
            expected_interval_seconds: row.expected_interval_seconds,
            revoked_at: row.revoked_at,
            version: row.version,
        }
    }
}
