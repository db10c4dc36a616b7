//! Events that the server has not yet receipted: bounded, in order, honest about what it dropped.
//!
//! Must stay true:
//! - A sequence number, once used, always means the same events in the same order. The server drops a second message of
//!   the same (boot_n, seq) unread, so that anything added to a resent one would be lost without a trace.
//! - A resent message is encoded anew: same seq, same events, but the send time (and wall time, and with them the mac) of
//!   this sending. A byte-identical copy would date an event by the moment of its *first* sending: a curtain opened
//!   yesterday, delivered this morning, would look like this morning's.
//! - What is dropped is the oldest that waits, never what is in flight, and an SOS only when nothing else is left. The
//!   next message begins with the number lost (kind 15).
//! - An SOS travels alone and first: a message that for some reason is never receipted must not stand in its way.

use heapless::{Deque, Vec};

use crate::envelope::EVENTS_MAX;
use crate::event::{Event, Fact};

/// Events kept, those in flight included.
pub const QUEUE_EVENTS_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct Outbox {
    waiting: Deque<Event, QUEUE_EVENTS_MAX>,
    urgent: Flight,
    ordinary: Flight,
    last_seq: u32,
    lost: u32,
    /// When the newest of the lost events happened.
    lost_at_ms: u64,
    tally: Tally,
}

/// A message that is sent until it is receipted; empty when there is none.
#[derive(Clone, Debug, Default)]
struct Flight {
    seq: u32,
    events: Vec<Event, EVENTS_MAX>,
    sendings: u32,
}

/// What is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub seq: u32,
    pub events: &'a [Event],
    /// It was sent before under this number.
    pub resent: bool,
}

/// What became of the events of this boot; for reports, never reset. Recorded = receipted + dropped + waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub recorded: u32,
    pub receipted: u32,
    /// Pushed out of a full queue.
    pub dropped: u32,
    /// Named as lost in receipted messages, events of earlier boots included.
    pub gaps_told: u32,
}

impl Outbox {
    pub fn push(&mut self, event: Event) {
        self.tally.recorded = self.tally.recorded.saturating_add(1);
        if self.len() >= QUEUE_EVENTS_MAX {
            self.drop_oldest();
        }
        self.waiting.push_back(event).expect("the queue has as many places as the limit");
    }

    /// A gap from before this boot.
    pub const fn add_lost(&mut self, now_ms: u64, events: u32) {
        self.lost = self.lost.saturating_add(events);
        self.lost_at_ms = now_ms;
    }

    /// Events not receipted.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.urgent.events.len() + self.ordinary.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.lost == 0
    }

    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Events the server would never hear of if the device died now: those that wait, and those already lost of which it
    /// has not been told.
    pub fn owed(&self) -> u32 {
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let in_flight = self.urgent.events.iter().chain(&self.ordinary.events);
        in_flight.map(gap_or_one).fold(self.lost.saturating_add(waiting), u32::saturating_add)
    }

    pub fn holds_sos(&self) -> bool {
        !self.urgent.events.is_empty() || self.waiting.iter().any(|event| event.fact.is_sos())
    }

    /// An SOS that has not been sent yet, nor another before it: it may overtake what waits for a receipt.
    pub fn holds_unsent_sos(&self) -> bool {
        self.urgent.events.is_empty() && self.holds_sos()
    }

    /// The message to send now: the one in flight until it is receipted, then the next; an SOS before all others.
    /// Counts as one sending. `None` when all is said.
    pub fn message(&mut self) -> Option<Message<'_>> {
        if self.holds_unsent_sos() {
            self.fill_urgent();
        }
        if self.urgent.events.is_empty() && self.ordinary.events.is_empty() {
            self.fill_ordinary();
        }
        let flight = if self.urgent.events.is_empty() { &mut self.ordinary } else { &mut self.urgent };
        if flight.events.is_empty() {
            return None;
        }
        flight.sendings = flight.sendings.saturating_add(1);
        Some(Message { seq: flight.seq, events: &flight.events, resent: flight.sendings > 1 })
    }

    /// The server has it: how often it was sent. `None` when no such message is in flight: an old receipt, or another's.
    pub fn receipted(&mut self, seq: u32) -> Option<u32> {
        let in_flight = |flight: &&mut Flight| !flight.events.is_empty() && flight.seq == seq;
        let flight = [&mut self.urgent, &mut self.ordinary].into_iter().find(in_flight)?;
        for event in &flight.events {
            let gap = matches!(event.fact, Fact::Lost { .. });
            let count = if gap { &mut self.tally.gaps_told } else { &mut self.tally.receipted };
            *count = count.saturating_add(gap_or_one(event));
        }
        flight.events.clear();
        Some(core::mem::take(&mut flight.sendings))
    }

    /// A sequence number for a message that needs no receipt. `None` while it would push a message in flight out of the
    /// server's window of 64 numbers, after which that could never be accepted.
    pub fn unreceipted_seq(&mut self) -> Option<u32> {
        let in_flight = [&self.urgent, &self.ordinary];
        let too_far = in_flight.iter().any(|flight| !flight.events.is_empty() && self.last_seq - flight.seq > 32);
        if too_far { None } else { Some(self.take_seq()) }
    }

    const fn take_seq(&mut self) -> u32 {
        self.last_seq += 1;
        self.last_seq
    }

    fn fill_urgent(&mut self) {
        // A ring has no removal in the middle: it is turned once, and what is called for does not come back.
        for _ in 0..self.waiting.len() {
            let Some(event) = self.waiting.pop_front() else { break };
            if !event.fact.is_sos() || self.urgent.events.push(event).is_err() {
                self.waiting.push_back(event).expect("a place was freed");
            }
        }
        self.urgent.seq = self.take_seq();
    }

    fn fill_ordinary(&mut self) {
        let events = &mut self.ordinary.events;
        if self.lost > 0 {
            let gap = Event { t_up_ms: self.lost_at_ms, fact: Fact::Lost { events: self.lost } };
            events.push(gap).expect("the message was empty");
            self.lost = 0;
        }
        while !events.is_full() {
            let Some(event) = self.waiting.pop_front() else { break };
            events.push(event).expect("room was checked");
        }
        if !events.is_empty() {
            self.ordinary.seq = self.take_seq();
        }
    }

    fn drop_oldest(&mut self) {
        let victim = self.waiting.iter().position(|event| !event.fact.is_sos()).unwrap_or(0);
        let boot = self.remove(victim);
        // Without the boot before it, the level found at boot would read as an edge: a curtain that opened.
        let orphan = self.waiting.iter().nth(victim).map(|event| event.fact);
        if matches!(boot, Some(Fact::Boot(_))) && matches!(orphan, Some(Fact::Contact { .. })) {
            self.remove(victim);
        }
    }

    fn remove(&mut self, at: usize) -> Option<Fact> {
        let mut removed = None;
        for index in 0..self.waiting.len() {
            let event = self.waiting.pop_front()?;
            if index == at {
                removed = Some(event.fact);
                self.lost = self.lost.saturating_add(1);
                self.tally.dropped = self.tally.dropped.saturating_add(1);
                self.lost_at_ms = self.lost_at_ms.max(event.t_up_ms);
            } else {
                self.waiting.push_back(event).expect("a place was freed");
            }
        }
        removed
    }
}

const fn gap_or_one(event: &Event) -> u32 {
    if let Fact::Lost { events } = event.fact { events } else { 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{BootReason, Press};

    fn contact(at: u64) -> Event {
        Event { t_up_ms: at, fact: Fact::Contact { open: at % 2 == 1 } }
    }

    fn lost_in(events: &[Event]) -> u32 {
        events.iter().map(|event| if let Fact::Lost { events } = event.fact { events } else { 0 }).sum()
    }

    #[test]
    fn an_overflow_drops_the_oldest_and_says_how_many() {
        let mut outbox = Outbox::default();
        for at in 0..70 {
            outbox.push(contact(at));
        }
        let Message { seq, events, .. } = outbox.message().unwrap();
        assert_eq!((seq, events.len()), (1, EVENTS_MAX));
        assert_eq!(events[0], Event { t_up_ms: 5, fact: Fact::Lost { events: 6 } });
        assert_eq!(events[1], contact(6));
    }

    #[test]
    fn what_is_in_flight_never_changes_under_its_number() {
        let mut outbox = Outbox::default();
        outbox.push(contact(1));
        let first = outbox.message().map(|message| (message.seq, message.events.to_vec()));
        for at in 2..200 {
            outbox.push(contact(at));
        }
        assert_eq!(outbox.message().map(|message| (message.seq, message.events.to_vec())), first);
        assert_eq!(outbox.receipted(2), None);
        assert_eq!(outbox.receipted(1), Some(2), "it was sent twice");
        assert_eq!(outbox.receipted(1), None, "a receipt counts once");
        assert_eq!(outbox.message().unwrap().seq, 2);
    }

    #[test]
    fn an_sos_outlives_any_storm() {
        let mut outbox = Outbox::default();
        outbox.push(Event { t_up_ms: 0, fact: Fact::Sos(Press::Short) });
        for at in 1..500 {
            outbox.push(contact(at));
        }
        assert!(outbox.holds_sos());
        assert_eq!(outbox.message().unwrap().events, [Event { t_up_ms: 0, fact: Fact::Sos(Press::Short) }]);
    }

    #[test]
    fn an_sos_overtakes_a_message_that_nobody_receipts() {
        let mut outbox = Outbox::default();
        outbox.push(contact(1));
        assert_eq!(outbox.message().unwrap().seq, 1);
        outbox.push(Event { t_up_ms: 2, fact: Fact::Sos(Press::Long) });
        assert!(outbox.holds_unsent_sos());
        assert_eq!(outbox.message().unwrap().seq, 2);
        assert!(outbox.receipted(2).is_some());
        let again = outbox.message().unwrap();
        assert_eq!((again.seq, again.events, again.resent), (1, &[contact(1)][..], true));
    }

    #[test]
    fn the_level_found_at_boot_goes_with_its_boot() {
        let mut outbox = Outbox::default();
        outbox.push(Event { t_up_ms: 0, fact: Fact::Boot(BootReason::PowerOn) });
        for at in 1..=64 {
            outbox.push(contact(at));
        }
        let events = outbox.message().unwrap().events;
        assert_eq!(lost_in(events), 2);
        assert_eq!(events[1], contact(2));
    }

    #[test]
    fn telemetry_never_pushes_a_waiting_message_out_of_the_servers_window() {
        let mut outbox = Outbox::default();
        outbox.push(contact(1));
        let seq = outbox.message().unwrap().seq;
        let last = std::iter::from_fn(|| outbox.unreceipted_seq()).take(200).last().unwrap();
        assert!(last - seq < 64);
        outbox.receipted(seq);
        assert!(outbox.unreceipted_seq().is_some());
    }

    proptest! {
        /// Whatever is pushed, sent and receipted in any order: told + lost = pushed, in order, never more than the limit.
        #[test]
        fn every_event_is_told_once_or_counted_as_lost(steps in proptest::collection::vec(0_u8..4, 0..400)) {
            let (mut outbox, mut pushed, mut told) = (Outbox::default(), 0_u64, std::vec::Vec::new());
            for step in steps.into_iter().chain([2, 3].repeat(16)) {
                match step {
                    0 | 1 => { outbox.push(contact(pushed)); pushed += 1; }
                    2 => { outbox.message(); }
                    _ => {
                        if let Some((seq, events)) = outbox.message().map(|message| (message.seq, message.events.to_vec())) {
                            told.extend(events);
                            prop_assert!(outbox.receipted(seq).is_some());
                        }
                    }
                }
                prop_assert!(outbox.len() <= QUEUE_EVENTS_MAX);
            }
            prop_assert!(outbox.is_empty());
            prop_assert_eq!(outbox.owed(), 0);
            let tally = outbox.tally();
            prop_assert_eq!(tally.recorded, tally.receipted + tally.dropped);
            prop_assert_eq!(tally.dropped, tally.gaps_told);
            let contacts: std::vec::Vec<u64> = told.iter().filter(|event| !matches!(event.fact, Fact::Lost { .. })).map(|event| event.t_up_ms).collect();
            prop_assert!(contacts.is_sorted());
            prop_assert_eq!(contacts.len() as u64 + u64::from(lost_in(&told)), pushed);
        }
    }
}
