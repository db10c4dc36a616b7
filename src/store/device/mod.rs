//! Devices: the register (who may speak for whom), their credentials, and the state that the ingest keeps.
//!
//! What must stay true: a device speaks only for the senior that this table binds it to (I31); every change has an audit row in
//! its transaction; a password is never stored and a key never unsealed in the database.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Error, Result, Tx};
use crate::domain::device::{DeviceRole, DeviceStatus, Ecosystem};
use crate::domain::evidence::{DeviceState, EventKey, HeldLevel, Level, Opening, Polarity, ReplayWindow, SensorRules};
use crate::on;

mod credential;
mod ingest;
mod register;
mod silence;

pub use credential::{Credentials, SealedKey, authenticate, reissue, rotate, sealed_keys, unseal};
pub use ingest::{
    InUse, Quarantined, behind, children, due_to_settle, gateways, is_poison, lock, named, names_with_levels, native_in_use,
    native_revoked, quarantine, revoked_since, save, seniors_of,
};
pub use register::{NewDevice, bind, calibrate, claim_base_topic, create, revoke, speaks_for_one, unbind_all};
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
    pub clock_suspect: bool,
    pub recent_payloads: String,
    pub settle_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// The columns of [`Device`], for statements that read it.
macro_rules! columns {
    () => {
        "device.site_id, device.id, device.name, device.ecosystem, device.base_topic, device.senior_id, device.gateway_id, device.role,
         device.polarity_normal, device.calibrated_at, device.expected_interval_seconds, device.installed_by, device.revoked_at,
         device.status, device.last_seen_at, device.online_since, device.silent_after, device.battery_percent,
         device.battery_millivolt, device.tampered_at, device.firmware, device.level, device.level_since, device.opening_since,
         device.opening_key, device.boot_n, device.boot_id, device.bd, device.seq_high, device.seq_window, device.lost_events,
         device.clock_suspect, device.recent_payloads, device.settle_at, device.version, device.created_at"
    };
}
use columns;

/// One device, revoked ones included.
pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Device>> {
    let sql = concat!("select ", columns!(), " from device where site_id = $1 and id = $2");
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?)
}

/// A page of a site's devices in the order of their ids, after `after`.
pub async fn list(tx: &mut Tx, site_id: Uuid, after: Option<Uuid>, limit: i64) -> Result<Vec<Device>> {
    let sql = concat!("select ", columns!(), " from device where site_id = $1 and id > $2 order by id limit $3");
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(after.unwrap_or(Uuid::nil())).bind(limit).fetch_all(conn).await)?)
}

impl Device {
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
            polarity: if self.polarity_normal { Polarity::Normal } else { Polarity::Inverted },
            window,
            opening,
            recent: serde_json::from_str(&self.recent_payloads).map_err(|_| broken("recent_payloads"))?,
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

/// How long an old credential stays valid beside a new one.
pub const ROTATION_OVERLAP: TimeDelta = TimeDelta::days(7);
