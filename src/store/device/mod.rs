//! Devices: the register (who may speak for whom), their credentials, and the state that the ingest keeps.
//!
//! What must stay true: a device speaks only for the senior that this table binds it to (I31); every change has an audit row in
//! its transaction; a password is never stored and a key never unsealed in the database.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::register::Page;
use super::{Error, Result, Tx, bulk};
use crate::domain::device::{Care, CareFacts, Cells, DeviceRole, DeviceStatus, Ecosystem, GATEWAY_AWAY_MAX, TROUBLE_SHOWN, care};
use crate::domain::evidence::{DeviceState, EventKey, HeldLevel, Level, Memory, Opening, Place, Polarity, ReplayWindow, SensorRules};
use crate::on;

mod announcement;
mod around;
mod battery;
mod correct;
mod credential;
mod ingest;
mod quarantine;
mod register;
mod rename;
mod silence;

pub use announcement::{Announcing, Kept as Announcement, announced, keep_announced};
pub use battery::{has_low, tell_low};
pub use correct::{Correction, correct};
pub use credential::{Credentials, SealedKey, authenticate, reissue, rotate, sealed_keys, unseal};
pub use ingest::{
    InUse, accounts, behind, below, children, due_to_settle, gateways, is_poison, lock, named, native_in_use, native_revoked, parts_behind,
    revoked_since, save, seniors_of,
};
pub use quarantine::{Kept, Quarantined, Unassigned, forget_old, has_aside_to_do, keep, kept, page, tell_aside, tell_presses, unassigned};
pub use register::{NewDevice, bind, calibrate, claim_base_topic, create, revoke, sharing_their_home, unbind_all};
pub use rename::follow_names;
pub use silence::{mark_silent, next_silence};

/// One row.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Device {
    pub site_id: Uuid,
    pub id: Uuid,
    pub name: String,
    #[sqlx(try_from = "String")]
    pub ecosystem: Ecosystem,
    pub base_topic: Option<String>,
    pub senior_id: Option<Uuid>,
    pub gateway_id: Option<Uuid>,
    #[sqlx(try_from = "String")]
    pub role: DeviceRole,
    pub polarity_normal: bool,
    pub calibrated_at: Option<DateTime<Utc>>,
    pub expected_interval_seconds: i64,
    pub installed_by: Option<Uuid>,
    pub revoked_at: Option<DateTime<Utc>>,
    #[sqlx(try_from = "String")]
    pub status: DeviceStatus,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub online_since: Option<DateTime<Utc>>,
    pub silent_after: Option<DateTime<Utc>>,
    pub battery_percent: Option<i64>,
    pub battery_millivolt: Option<i64>,
    pub battery_low_reports: i64,
    pub battery_low_since: Option<DateTime<Utc>>,
    /// Names the key of the last genuine message.
    pub kid: Option<i64>,
    pub tampered_at: Option<DateTime<Utc>>,
    pub firmware: Option<String>,
    pub level: Option<String>,
    pub level_since: Option<DateTime<Utc>>,
    pub opening_since: Option<DateTime<Utc>>,
    pub opening_key: Option<String>,
    pub boot_n: Option<i64>,
    pub boot_id: Option<i64>,
    pub bd: Option<i64>,
    pub seq_high: Option<i64>,
    pub seq_window: i64,
    pub lost_events: i64,
    pub lost_at: Option<DateTime<Utc>>,
    pub clock_suspect: bool,
    pub recent_payloads: String,
    pub settle_at: Option<DateTime<Utc>>,
    pub memory: Option<String>,
    pub timezone: String,
    pub latitude: f64,
    pub longitude: f64,
    /// The part of its topic's messages that is this device; empty: all of them.
    pub component: String,
    /// What its messages do not say, as JSON for its decoder.
    pub settings: String,
    /// By which Zigbee2MQTT knows it whatever it is called.
    pub hardware_address: Option<String>,
    pub last_press: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// The columns of [`Device`], for statements that read it.
macro_rules! columns {
    () => {
        "device.site_id, device.id, device.name, device.ecosystem, device.base_topic, device.senior_id, device.gateway_id, device.role,
         device.polarity_normal, device.calibrated_at, device.expected_interval_seconds, device.installed_by, device.revoked_at,
         device.status, device.last_seen_at, device.online_since, device.silent_after, device.battery_percent,
         device.battery_millivolt, device.battery_low_reports, device.battery_low_since, device.kid, device.tampered_at, device.firmware, device.level, device.level_since, device.opening_since,
         device.opening_key, device.boot_n, device.boot_id, device.bd, device.seq_high, device.seq_window, device.lost_events, device.lost_at,
         device.clock_suspect, device.recent_payloads, device.settle_at, device.memory,
         (select site.timezone from site where site.id = device.site_id) as timezone,
         (select site.latitude from site where site.id = device.site_id) as latitude,
         (select site.longitude from site where site.id = device.site_id) as longitude, device.component, device.settings,
         device.hardware_address, device.last_press, device.version, device.created_at"
    };
}
use columns;

/// One device, revoked ones included.
pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Device>> {
    let sql = concat!("select ", columns!(), " from device where site_id = $1 and id = $2");
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?)
}

/// A device of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    pub id: Uuid,
    pub device: Device,
    pub care: Vec<Care>,
}

/// A page of a site's devices in the order of their ids.
pub async fn list(tx: &mut Tx, site_id: Uuid, page: Page, now: DateTime<Utc>) -> Result<Vec<Listed>> {
    let sql = concat!("select ", columns!(), " from device where site_id = $1 and id > $2 order by id limit $3");
    let after = page.after.unwrap_or(Uuid::nil());
    let devices: Vec<Device> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(after).bind(page.limit).fetch_all(conn).await)?;
    with_care(tx, site_id, devices, now).await
}

/// The devices in use that are bound to one senior.
pub async fn of_senior(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, now: DateTime<Utc>) -> Result<Vec<Listed>> {
    let sql = concat!("select ", columns!(), " from device where site_id = $1 and senior_id = $2 and revoked_at is null order by id");
    let devices: Vec<Device> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).fetch_all(conn).await)?;
    with_care(tx, site_id, devices, now).await
}

async fn with_care(tx: &mut Tx, site_id: Uuid, devices: Vec<Device>, now: DateTime<Utc>) -> Result<Vec<Listed>> {
    let ids: Vec<Uuid> = devices.iter().map(|device| device.id).collect();
    let quarantined = quarantined_lately(tx, site_id, &ids, now).await?;
    let listed = |device: Device| Listed { id: device.id, care: device.care(quarantined.contains(&device.id), now), device };
    Ok(devices.into_iter().map(listed).collect())
}

/// Messages put aside in this time make a device one that needs care.
const QUARANTINED_LATELY: TimeDelta = TimeDelta::days(1);

/// Which of these devices have had messages put aside lately.
async fn quarantined_lately(tx: &mut Tx, site_id: Uuid, ids: &[Uuid], now: DateTime<Utc>) -> Result<BTreeSet<Uuid>> {
    let rows = serde_json::to_string(&bulk::ids(ids)).expect("ids are plain JSON");
    let template = "select q.device_id from {rows} join quarantined_message q on q.device_id = {id:uuid}
        where q.site_id = $2 and q.received_at > $3 group by q.device_id";
    let sql = bulk::text(tx, template);
    let since = now - QUARANTINED_LATELY;
    let found: Vec<Uuid> =
        on!(tx, |conn| sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(rows).bind(site_id).bind(since).fetch_all(conn).await)?;
    Ok(found.into_iter().collect())
}

impl Device {
    /// Why somebody should look after it; an ended device needs nothing.
    fn care(&self, quarantined: bool, now: DateTime<Utc>) -> Vec<Care> {
        if self.revoked_at.is_some() {
            return Vec::new();
        }
        care(
            &CareFacts {
                status: self.status,
                battery_low: self.battery_low_since.is_some(),
                role: self.role,
                is_bound: self.senior_id.is_some(),
                quarantined,
                tampered_at: self.tampered_at,
                calibrated_at: self.calibrated_at,
                lost_lately: self.lost_at.is_some_and(|at| now - at < TROUBLE_SHOWN),
                clock_suspect: self.clock_suspect,
            },
            now,
        )
    }

    /// Which way round it is mounted, as far as anybody has found out.
    pub fn polarity(&self) -> Polarity {
        if self.polarity_normal { Polarity::Normal } else { Polarity::Inverted }
    }

    /// What the rules remember of this device.
    pub fn state(&self) -> Result<DeviceState> {
        let broken = |why: &str| Error::broken("device", self.id, why);
        let held = match (&self.level, self.level_since) {
            (Some(level), Some(since)) => {
                Some(HeldLevel { level: level.parse::<Level>().map_err(|error| broken(&error.to_string()))?, since })
            }
            _ => None,
        };
        let opening = match (&self.opening_key, self.opening_since) {
            (Some(key), Some(at)) => Some(Opening { at, key: EventKey::parse(key).ok_or_else(|| broken("opening_key"))? }),
            _ => None,
        };
        let window = match (self.boot_n, self.seq_high) {
            (Some(boot_n), Some(high)) => Some(ReplayWindow {
                boot_n: u32::try_from(boot_n).map_err(|_| broken("boot_n"))?,
                high: u32::try_from(high).map_err(|_| broken("seq_high"))?,
                // The column holds the 64 bits, not a quantity.
                seen: self.seq_window.cast_unsigned(),
            }),
            _ => None,
        };
        Ok(DeviceState {
            held,
            online_since: self.online_since,
            calibrated: self.calibrated_at.is_some(),
            polarity: self.polarity(),
            window,
            opening,
            recent: serde_json::from_str(&self.recent_payloads).map_err(|_| broken("recent_payloads"))?,
            memory: match &self.memory {
                Some(text) => serde_json::from_str(text).map_err(|_| broken("memory"))?,
                None => Memory::default(),
            },
            // A site that nobody can place is told nothing by the light of its windows.
            place: self.timezone.parse().ok().map(|zone| Place { zone, latitude: self.latitude, longitude: self.longitude }),
        })
    }

    /// Takes over what the rules want remembered. Calibration and polarity belong to the register and stay.
    pub fn remember(&mut self, state: &DeviceState, rules: &SensorRules) {
        self.level = state.held.map(|held| held.level.to_string());
        self.level_since = state.held.map(|held| held.since);
        self.online_since = state.online_since;
        self.opening_since = state.opening.map(|opening| opening.at);
        self.opening_key = state.opening.map(|opening| opening.key.text());
        self.settle_at = state.settles_at(rules);
        self.boot_n = state.window.map(|window| i64::from(window.boot_n));
        self.seq_high = state.window.map(|window| i64::from(window.high));
        self.seq_window = state.window.map_or(0, |window| window.seen.cast_signed());
        self.recent_payloads = serde_json::to_string(&state.recent).expect("a short list is plain data");
        self.memory = state.memory.text();
    }

    /// Its link is gone. Battery devices come and go and are missed by their next report; a gateway says only once that it goes, and
    /// may be starting anew.
    pub fn unreachable(&mut self, at: DateTime<Utc>) {
        self.status = DeviceStatus::Offline;
        if self.role == DeviceRole::Gateway {
            self.silent_after = Some(at + GATEWAY_AWAY_MAX);
        }
    }

    /// Its link is there. A gateway speaks by its devices: nothing is expected of it.
    pub fn reachable(&mut self) {
        self.status = DeviceStatus::Online;
        if self.role == DeviceRole::Gateway {
            self.silent_after = None;
        }
    }

    /// Its cells were read; `None` if they say only that they are not low.
    pub fn cells_read(&mut self, percent: Option<i64>, at: DateTime<Utc>) {
        let cells = Cells { low_reports: self.battery_low_reports, low_since: self.battery_low_since };
        let cells = percent.map_or_else(|| cells.fine(), |percent| cells.read(percent, at));
        self.battery_low_reports = cells.low_reports;
        self.battery_low_since = cells.low_since;
        self.battery_percent = percent.or(self.battery_percent.filter(|known| *known > 0));
    }

    /// It was heard and will be heard again within its interval.
    pub fn heard(&mut self, at: DateTime<Utc>, next_seconds: Option<u32>) {
        let next = next_seconds.map_or(self.expected_interval_seconds, i64::from);
        self.last_seen_at = self.last_seen_at.max(Some(at));
        self.silent_after = self.silent_after.max(Some(crate::domain::device::silent_after(at, next)));
        if self.status != DeviceStatus::Asleep {
            self.status = DeviceStatus::Online;
        }
    }
}

/// Names and announcements kept of one gateway.
pub const ANNOUNCED_MAX: usize = 500;

/// How long an old credential stays valid beside a new one.
pub const ROTATION_OVERLAP: TimeDelta = TimeDelta::days(7);
