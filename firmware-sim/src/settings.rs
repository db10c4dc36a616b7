//! The thresholds a device runs with; `dn/cfg` may change some of them.

use crate::downlink::Config;

/// A retry pause is doubled no further than this.
pub const RETRY_MAX_MS: u64 = 15 * 60 * 1000;
/// How long an unanswered SOS is sent again at short intervals before the ordinary ones apply.
pub const SOS_URGENT_MS: u64 = 10 * 60 * 1000;
/// Pauses between two sendings of an SOS; the last one repeats.
pub const SOS_BACKOFF_MS: [u64; 4] = [1000, 2000, 4000, 8000];
/// A press this long is a long one; it is reported while the button is still held.
pub const LONG_PRESS_MS: u64 = 1500;
/// Shorter contacts of a button are mechanical noise.
pub const BUTTON_DEBOUNCE_MS: u64 = 30;
/// The case switch chatters while the lid is being closed.
pub const TAMPER_DEBOUNCE_MS: u64 = 200;
/// Two light samples further apart than this show the dawn, not a hand.
pub const LUX_WINDOW_MS: u64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long the reed must stay quiet before its level is believed.
    pub contact_debounce_ms: u64,
    /// The light must grow at least so many times to be a step.
    pub lux_ratio: u32,
    /// And reach at least this many lux.
    pub lux_floor: u32,
    /// The longest silence of a healthy device.
    pub heartbeat_ms: u64,
    /// How long a connected device waits for the server's receipt.
    pub ack_wait_ms: u64,
    /// How long it stays to read its retained settings once everything is receipted.
    pub config_wait_ms: u64,
    pub connect_wait_ms: u64,
    /// Pause before the second try; doubled up to [`RETRY_MAX_MS`].
    pub retry_first_ms: u64,
    /// Whether the device introduces itself to Home Assistant and shows its level there. Of use behind a broker that Home Assistant
    /// hears too, and radio time for nothing elsewhere.
    pub home_assistant: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            contact_debounce_ms: 2000,
            lux_ratio: 5,
            lux_floor: 20,
            heartbeat_ms: 6 * 3600 * 1000,
            ack_wait_ms: 2000,
            config_wait_ms: 300,
            connect_wait_ms: 10_000,
            retry_first_ms: 10_000,
            home_assistant: false,
        }
    }
}

impl Settings {
    /// A value outside its limits is brought to the nearest one: a typing error on the server must not make a device
    /// unreachable for good (no heartbeat, no debounce that ever ends).
    pub fn apply(&mut self, config: &Config) {
        if let Some(seconds) = config.heartbeat_s {
            self.heartbeat_ms = u64::from(seconds.clamp(60, 24 * 3600)) * 1000;
        }
        if let Some(ms) = config.contact_debounce_ms {
            self.contact_debounce_ms = u64::from(ms.clamp(20, 10_000));
        }
        if let Some(ratio) = config.lux_ratio {
            self.lux_ratio = ratio.clamp(2, 100);
        }
        if let Some(lux) = config.lux_floor {
            self.lux_floor = lux.clamp(1, 10_000);
        }
    }
}
