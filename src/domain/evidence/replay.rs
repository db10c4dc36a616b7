//! Which messages were seen before. A numbered message is new once; a message without number is new unless another instance has
//! just handed in its copy. Both memories are small and bounded, because they live in the device's row.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How many numbers below the highest are remembered; older ones count as seen.
const WINDOW_BITS: u32 = 64;
/// How many payloads are remembered per device; a chatty one sends a few in the window.
const RECENT_PAYLOADS_MAX: usize = 8;

/// Highest number seen in the highest boot, and which of the 64 below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayWindow {
    pub boot_n: u32,
    pub high: u32,
    /// Bit n stands for `high - n`.
    pub seen: u64,
}

/// What a number says about its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    New,
    /// The first message after a power loss: the level stored before it is out of date.
    NewBoot,
    /// Handed in before, or too far back to tell.
    Before,
    /// From a boot that is over: a replay.
    OldBoot,
}

impl ReplayWindow {
    /// Marks the number as seen and says whether it was new. Callers keep the window only if their transaction commits.
    pub fn admit(window: &mut Option<Self>, boot_n: u32, seq: u32) -> Seen {
        let fresh = Self { boot_n, high: seq, seen: 1 };
        let Some(current) = window else {
            *window = Some(fresh);
            return Seen::NewBoot;
        };
        if boot_n < current.boot_n {
            return Seen::OldBoot;
        }
        if boot_n > current.boot_n {
            *current = fresh;
            return Seen::NewBoot;
        }
        if seq > current.high {
            let shift = seq - current.high;
            current.seen = current.seen.checked_shl(shift).unwrap_or(0) | 1;
            current.high = seq;
            return Seen::New;
        }
        let back = current.high - seq;
        if back >= WINDOW_BITS || current.seen & (1 << back) != 0 {
            return Seen::Before;
        }
        current.seen |= 1 << back;
        Seen::New
    }
}

/// Payloads handed in lately and by which instances. An instance's own messages are never copies of each other: a curtain that
/// opens, closes and opens within seconds sends the same payload twice and means it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecentPayloads(pub Vec<RecentPayload>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentPayload {
    pub hash: u64,
    pub at: DateTime<Utc>,
    /// Which instances have handed it in.
    pub instances: Vec<u32>,
}

impl RecentPayloads {
    /// True if another instance handed in this very message within the window. What `waited` is no news, so that it is not
    /// remembered either: it must not make a copy of the same message that another instance hears live.
    pub fn is_copy(&mut self, hash: u64, (instance, waited): (u32, bool), now: DateTime<Utc>, window: TimeDelta) -> bool {
        self.0.retain(|seen| (now - seen.at).abs() <= window);
        if let Some(seen) = self.0.iter_mut().find(|seen| seen.hash == hash && !seen.instances.contains(&instance)) {
            seen.instances.push(instance);
            return true;
        }
        if waited {
            return false;
        }
        if self.0.len() == RECENT_PAYLOADS_MAX {
            self.0.remove(0);
        }
        self.0.push(RecentPayload { hash, at: now, instances: vec![instance] });
        false
    }
}
