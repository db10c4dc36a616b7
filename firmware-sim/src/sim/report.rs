//! What a run came to, as numbers that add up.

use serde::Serialize;

use crate::outbox::Tally;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub connections: u64,
    pub restarts: u64,
    /// Devices whose battery ended.
    pub died: u64,
    /// Events recorded = receipted + dropped + lost at a restart or death + still waiting.
    pub events_recorded: u64,
    pub events_receipted: u64,
    /// Pushed out of a full queue; the server is told how many.
    pub events_dropped: u64,
    /// Named as lost (kind 15) in messages that were receipted, those of earlier lives included.
    pub events_told_as_lost: u64,
    pub events_lost_at_restart: u64,
    pub events_waiting: u64,
    /// Messages with events that the core sent, lost ones included.
    pub sent: u64,
    /// Of these, sent before under the same number.
    pub resent: u64,
    /// PUBACKs for messages with events: the broker has them.
    pub acknowledged: u64,
    /// Receipts that arrived: the server has them.
    pub receipts: u64,
    pub lost_on_purpose: u64,
    pub receipts_lost_on_purpose: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub replayed: u64,
    pub cut: u64,
    pub clock_jumps: u64,
    /// Times at which the broker went away, counted at each device.
    pub outages: u64,
    pub keys_exchanged: u64,
    pub telemetry: u64,
}

impl Report {
    pub(crate) fn add_life(&mut self, tally: Tally) -> u64 {
        let [recorded, receipted, dropped] = [tally.recorded, tally.receipted, tally.dropped].map(u64::from);
        self.events_recorded += recorded;
        self.events_receipted += receipted;
        self.events_dropped += dropped;
        self.events_told_as_lost += u64::from(tally.gaps_told);
        recorded - receipted - dropped
    }

    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.restarts += other.restarts;
        self.died += other.died;
        self.events_recorded += other.events_recorded;
        self.events_receipted += other.events_receipted;
        self.events_dropped += other.events_dropped;
        self.events_told_as_lost += other.events_told_as_lost;
        self.events_lost_at_restart += other.events_lost_at_restart;
        self.events_waiting += other.events_waiting;
        self.sent += other.sent;
        self.resent += other.resent;
        self.acknowledged += other.acknowledged;
        self.receipts += other.receipts;
        self.lost_on_purpose += other.lost_on_purpose;
        self.receipts_lost_on_purpose += other.receipts_lost_on_purpose;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.replayed += other.replayed;
        self.cut += other.cut;
        self.clock_jumps += other.clock_jumps;
        self.outages += other.outages;
        self.keys_exchanged += other.keys_exchanged;
        self.telemetry += other.telemetry;
    }
}
