//! What is kept of a device beside the level of its curtain. It lives in the device's row and is bounded whatever the device sends.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Deed;
use super::level::Shut;
use super::light::{Lights, Lit, Nights};
use super::schedule::Openings;
use crate::words;

words! {
    /// What sets a motor going.
    pub enum Mover {
        /// The button on the wall.
        Button = "button",
        /// A timer, a scene, a telephone: anything that is not in the room.
        Afar = "afar"
    }
}

/// A state that lasts until it is over, and since when it is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    pub on: bool,
    pub since: DateTime<Utc>,
}

/// Apart from the curtain's level: a room in which somebody moves is not an open curtain, although one sensor may report both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion: Option<Lasting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Lasting>,
    /// The rail was shaken last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shaken_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Lights::is_empty")]
    pub(super) lights: Lights,
    #[serde(skip_serializing_if = "Nights::is_empty")]
    pub(super) nights: Nights,
    /// A step of light that was told, and whether it was certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stepped: Option<(DateTime<Utc>, bool)>,
    /// What the last step opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lit: Option<Lit>,
    /// It became bright for certain, and not by a lamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) brightened_at: Option<DateTime<Utc>>,
    /// A contact opened, and has stayed open since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uncovered_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Openings::is_empty")]
    pub(super) openings: Openings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mover: Option<(Mover, DateTime<Utc>)>,
    /// What a pending opening was that is a hint at best; without it the opening suffices if it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hinted: Option<Deed>,
    /// Where a cover is while it is shut; a cover that never says how far it is open has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shut: Option<Shut>,
    /// Its gateway said that it does not know its state: what it says next is a state and no event.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_unknown: bool,
}

impl Memory {
    /// As it is stored; `None` if there is nothing to remember.
    pub fn text(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).expect("plain data"))
    }
}
