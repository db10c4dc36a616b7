//! The radio side of a wake: when to connect, what to say next, how long to wait, when to sleep.

use super::{Output, Publish, Rest, Sensor};
use crate::clock::WallClock;
use crate::discovery;
use crate::downlink::Ack;
use crate::envelope::{Channel, Header, Wall, seal_events};
use crate::event::{Event, Fact};
use crate::keyring::SigningKey;
use crate::outbox::Message;
use crate::settings::{RETRY_MAX_MS, SOS_BACKOFF_MS, SOS_URGENT_MS};
use crate::status::{self, Level, Session};

/// So many sendings of an SOS without a receipt, and the connection itself is suspected: a router that forgot it drops
/// everything without a word.
const SILENT_SENDINGS_MAX: u32 = 2;
/// Enough to reach the longest pause from the shortest; more would only overflow.
const DOUBLINGS_MAX: u32 = 16;
/// What one receipt's `now`, cut to whole seconds, adds to the uncertainty of the round trip.
const RECEIPT_UNCERTAINTY_S: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Down,
    Connecting { since_ms: u64 },
    Up(Talk),
}

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Talk {
    /// The message in flight as this connection sent it last.
    sent: Option<Sent>,
    /// Sendings on this connection without a receipt.
    silent: u32,
    /// All is receipted; the retained settings are waited for until then.
    linger_until_ms: Option<u64>,
    config_seen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    seq: u32,
    at_ms: u64,
    until_ms: u64,
}

impl Sensor {
    pub(super) fn connected(&mut self, now_ms: u64, emit: &mut dyn FnMut(Output)) {
        if !matches!(self.link, Link::Connecting { .. }) {
            return;
        }
        self.link = Link::Up(Talk { sent: None, silent: 0, linger_until_ms: None, config_seen: false });
        let birth = status::birth(self.session, self.next_s(now_ms));
        emit(retained(Channel::Status, birth.as_bytes()));
    }

    pub(super) fn link_lost(&mut self, now_ms: u64) {
        if self.link != Link::Down {
            self.link = Link::Down;
            self.pause(now_ms);
        }
    }

    pub(super) const fn config_seen(&mut self) {
        if let Link::Up(talk) = &mut self.link {
            talk.config_seen = true;
        }
    }

    pub(super) fn receipt(&mut self, now_ms: u64, ack: Ack, emit: &mut dyn FnMut(Output)) {
        let Some(sendings) = self.outbox.receipted(ack.seq) else { return };
        self.attempts = 0;
        self.retry_at_ms = now_ms;
        if self.sos_since_ms.is_some() && !self.outbox.holds_sos() {
            self.sos_since_ms = None;
            self.state_due = true;
            emit(Output::Beep(false));
        }
        let Link::Up(talk) = &mut self.link else { return };
        talk.silent = 0;
        let sent = talk.sent.take_if(|sent| sent.seq == ack.seq);
        // Only a message that was sent once has a receipt that must be younger than the sending: another's may have
        // waited in a broker for hours, and its `now` with it.
        if let (Some(sent), Some(now_s), true) = (sent, ack.now_s, sendings == 1) {
            let trip_s = u32::try_from(now_ms.saturating_sub(sent.at_ms).div_ceil(1000)).unwrap_or(u32::MAX);
            let wall = Wall { ms: now_s.saturating_mul(1000), uncertainty_s: trip_s.saturating_add(RECEIPT_UNCERTAINTY_S) };
            self.take_wall(now_ms, wall);
        }
        // For the same reason only the receipt of a message that this connection signed, and no other, proves its key.
        if sent.is_some() && sendings == 1 {
            self.key_proved(self.keys.used().kid, emit);
        }
    }

    /// Does what is due on the radio.
    pub(super) fn drive(&mut self, now_ms: u64, emit: &mut dyn FnMut(Output)) {
        match self.link {
            Link::Down if self.wants_link() && now_ms >= self.retry_at_ms => {
                self.session.birth_n = self.session.birth_n.saturating_add(1);
                self.link = Link::Connecting { since_ms: now_ms };
                self.keys.choose();
                emit(Output::Connect { will: &status::will(self.session), kid: self.keys.used().kid });
            }
            Link::Connecting { since_ms } if now_ms >= since_ms.saturating_add(self.settings.connect_wait_ms) => {
                self.link = Link::Down;
                self.pause(now_ms);
                emit(Output::Disconnect);
            }
            Link::Up(talk) => self.talk(now_ms, talk, emit),
            Link::Down | Link::Connecting { .. } => {}
        }
    }

    fn talk(&mut self, now_ms: u64, talk: Talk, emit: &mut dyn FnMut(Output)) {
        if let Some(sent) = talk.sent.filter(|_| !self.outbox.holds_unsent_sos()) {
            if now_ms < sent.until_ms {
                return;
            }
            if !self.sos_is_urgent(now_ms) || talk.silent >= SILENT_SENDINGS_MAX {
                self.give_up(now_ms, emit);
                return;
            }
        }
        if self.send_events(now_ms, talk, emit) {
            return;
        }
        if self.settings.home_assistant {
            self.show_level(emit);
        }
        if self.telemetry_due {
            self.send_telemetry(now_ms, emit);
        }
        let until_ms = talk.linger_until_ms.unwrap_or_else(|| now_ms.saturating_add(self.settings.config_wait_ms));
        if talk.config_seen || now_ms >= until_ms {
            self.sleep(now_ms, emit);
        } else {
            self.link = Link::Up(Talk { linger_until_ms: Some(until_ms), ..talk });
        }
    }

    /// What home automation is told; nobody takes it for evidence.
    fn show_level(&mut self, emit: &mut dyn FnMut(Output)) {
        if core::mem::take(&mut self.announcement_due) {
            let text = discovery::announcement(&self.device);
            emit(retained(Channel::Discovery, text.as_bytes()));
        }
        if core::mem::take(&mut self.state_due) {
            let text = status::state(self.level());
            emit(retained(Channel::State, text.as_bytes()));
        }
    }

    /// Sends the message in flight, or the next. `false` when all is receipted.
    fn send_events(&mut self, now_ms: u64, talk: Talk, emit: &mut dyn FnMut(Output)) -> bool {
        let silent = if self.outbox.holds_unsent_sos() { 0 } else { talk.silent };
        let Some(Message { seq, events, resent }) = self.outbox.message() else { return false };
        let key = self.keys.used();
        let header = header(key, &self.session, &self.clock, seq, now_ms);
        let topic = Channel::Events.topic(&self.device);
        let payload = seal_events(&topic, &key.key, &header, events);
        let wait_ms = if self.sos_is_urgent(now_ms) { self.next_sos_pause_ms() } else { self.settings.ack_wait_ms };
        let sent = Some(Sent { seq, at_ms: now_ms, until_ms: now_ms.saturating_add(wait_ms) });
        self.link = Link::Up(Talk { sent, silent: silent + 1, linger_until_ms: None, ..talk });
        emit(Output::Publish(Publish { channel: Channel::Events, qos: 1, retain: false, payload: &payload, seq: Some(seq), resent }));
        true
    }

    fn send_telemetry(&mut self, now_ms: u64, emit: &mut dyn FnMut(Output)) {
        let Some(seq) = self.outbox.unreceipted_seq() else { return };
        self.telemetry_due = false;
        let queued = u8::try_from(self.outbox.len()).unwrap_or(u8::MAX);
        let heartbeat = Event { t_up_ms: now_ms, fact: Fact::Heartbeat { rssi_dbm: self.rssi_dbm, queued } };
        let battery = self.battery_mv.map(|millivolts| Event { t_up_ms: now_ms, fact: Fact::Battery { millivolts } });
        let events: heapless::Vec<Event, 2> = battery.into_iter().chain([heartbeat]).collect();
        let key = self.keys.used();
        let header = header(key, &self.session, &self.clock, seq, now_ms);
        let topic = Channel::Telemetry.topic(&self.device);
        let payload = seal_events(&topic, &key.key, &header, &events);
        emit(Output::Publish(Publish {
            channel: Channel::Telemetry,
            qos: 0,
            retain: false,
            payload: &payload,
            seq: Some(seq),
            resent: false,
        }));
    }

    /// No receipt came: the events stay, the radio does not.
    fn give_up(&mut self, now_ms: u64, emit: &mut dyn FnMut(Output)) {
        if self.telemetry_due {
            self.send_telemetry(now_ms, emit);
        }
        self.sleep(now_ms, emit);
        if self.sos_is_urgent(now_ms) {
            self.keys.failed();
            self.retry_at_ms = now_ms;
        } else {
            self.pause(now_ms);
        }
    }

    fn sleep(&mut self, now_ms: u64, emit: &mut dyn FnMut(Output)) {
        self.link = Link::Down;
        self.keys.ended();
        let text = status::sleep(self.session, self.next_s(now_ms));
        emit(retained(Channel::Status, text.as_bytes()));
        emit(Output::Disconnect);
    }

    /// The pause grows with each try that brought no receipt, whether it failed at the broker or behind it.
    fn pause(&mut self, now_ms: u64) {
        self.keys.failed();
        let pause_ms = if self.sos_is_urgent(now_ms) {
            self.next_sos_pause_ms()
        } else {
            let doublings = self.attempts.min(DOUBLINGS_MAX);
            self.attempts = self.attempts.saturating_add(1);
            (self.settings.retry_first_ms << doublings).min(RETRY_MAX_MS)
        };
        self.retry_at_ms = now_ms.saturating_add(pause_ms);
    }

    pub(super) fn rest(&self, now_ms: u64) -> Rest {
        let pins = [
            self.contact.due_ms(self.settings.contact_debounce_ms),
            self.tamper.due_ms(crate::settings::TAMPER_DEBOUNCE_MS),
            self.sos.due_ms(),
            self.ok.due_ms(),
        ];
        let pin = pins.into_iter().flatten().min();
        let radio = match self.link {
            Link::Down => None,
            Link::Connecting { since_ms } => Some(since_ms.saturating_add(self.settings.connect_wait_ms)),
            Link::Up(talk) => talk.sent.map(|sent| sent.until_ms).or(talk.linger_until_ms).or(Some(now_ms)),
        };
        if let Some(until_ms) = pin.into_iter().chain(radio).min() {
            return Rest::Awake { until_ms: until_ms.min(self.heartbeat_at_ms) };
        }
        let retry = self.wants_link().then_some(self.retry_at_ms);
        Rest::Asleep { until_ms: retry.into_iter().chain([self.heartbeat_at_ms]).min().unwrap_or(self.heartbeat_at_ms) }
    }

    /// A reed that is settling is waited for, so that the curtain and its light travel in one message; an SOS waits for
    /// nothing.
    fn wants_link(&self) -> bool {
        let settling = self.contact.due_ms(self.settings.contact_debounce_ms).is_some();
        let work = !self.outbox.is_empty() || self.telemetry_due || self.keys.wants_next();
        work && (!settling || self.outbox.holds_sos())
    }

    fn next_sos_pause_ms(&mut self) -> u64 {
        let last = SOS_BACKOFF_MS.len() - 1;
        let at = usize::try_from(self.attempts).map_or(last, |at| at.min(last));
        self.attempts = self.attempts.saturating_add(1);
        SOS_BACKOFF_MS[at]
    }

    fn sos_is_urgent(&self, now_ms: u64) -> bool {
        self.sos_since_ms.is_some_and(|since| now_ms < since.saturating_add(SOS_URGENT_MS))
    }

    fn next_s(&self, now_ms: u64) -> u64 {
        self.heartbeat_at_ms.saturating_sub(now_ms).div_ceil(1000)
    }

    fn level(&self) -> Level {
        Level {
            contact_open: self.contact.level(),
            lux: self.lux,
            battery_percent: self.battery_mv.map(status::battery_percent),
            sos: self.sos_since_ms.is_some(),
            boot_n: self.session.boot_n,
        }
    }
}

fn header(key: &SigningKey, session: &Session, clock: &WallClock, seq: u32, now_ms: u64) -> Header {
    Header { kid: key.kid, boot_n: session.boot_n, boot_id: session.boot_id, seq, up_ms: now_ms, wall: clock.at(now_ms) }
}

const fn retained(channel: Channel, payload: &[u8]) -> Output<'_> {
    Output::Publish(Publish { channel, qos: 1, retain: true, payload, seq: None, resent: false })
}
