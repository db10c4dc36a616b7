//! The homes: what is at each window, who lives behind it, and what her sensor says of it.

use std::collections::BTreeMap;

use firmware_sim::sim::chance::Chance;
use firmware_sim::sim::resident::{Morning, Resident};
use firmware_sim::sim::room::Act;

use super::super::client::Envelope;
use super::speech::{KINDS, Kind};
use super::*;

/// Homes behind one gateway.
const SHARE: usize = 10;
pub const SENTINEL: &str = "zigbee2mqtt/sentinel";
pub const SENTINEL_TOPIC: &str = "site/0/zigbee2mqtt/sentinel";
const CONTACT: u32 = 1;
/// Mornings until somebody brings new cells.
const FLAT_MORNINGS: u64 = 3;

/// A message on its way.
#[derive(Clone)]
pub struct Said {
    pub account: usize,
    pub topic: String,
    pub payload: Vec<u8>,
    pub keep: Keep,
}

/// Whether the sender asks for it to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Never,
    /// Somebody set the gateway so. A broker hands it on like any other and shows it again to whoever subscribes; the endpoint, which
    /// is no broker, takes such a message for an old one.
    Always,
    /// It is an old one.
    Ghost,
}

pub struct Homes {
    accounts: Vec<(String, String)>,
    homes: Vec<Home>,
}

struct Home {
    senior: Uuid,
    kind: Kind,
    account: usize,
    number: usize,
    /// Of its gateway, which it is below; of a native device its own.
    topic: String,
    key: [u8; 32],
    chance: Chance,
    resident: Resident,
    is_open: bool,
    /// Minute of today's opening.
    opens_at: Option<i64>,
    has_opened: bool,
    flat_until: u64,
    is_flat: bool,
    keeps: bool,
    /// Messages lost since the last evening.
    lost: usize,
    /// Boots of the native device, and what it has sent since; it began to count its time at `since`.
    boot_n: u32,
    seq: u32,
    since: DateTime<Utc>,
    /// What it said of an earlier opening.
    recorded: Option<Said>,
    /// What a native device could not hand in yet, with the time of each.
    queued: Vec<(DateTime<Utc>, bool)>,
}

impl Homes {
    pub async fn installed(app: &App, world: &World, seed: u64) -> Self {
        let mut accounts = Vec::new();
        let mut gateways = Vec::new();
        for number in 0..world.seniors.len().div_ceil(SHARE) {
            let base_topic = Some(format!("site/{number}"));
            let gateway = install(app, world, NewDevice { base_topic, ..gateway(world, &format!("home-{number}")) }, None).await;
            accounts.push((gateway.device.name.clone(), gateway.password().to_owned()));
            gateways.push(gateway.device.id);
        }
        install(app, world, behind(world, gateways[0], SENTINEL), None).await;
        let mut homes = Vec::new();
        for (number, senior) in world.seniors.iter().enumerate() {
            let kind = KINDS[number % KINDS.len()];
            let share = number / SHARE;
            let device = install(app, world, kind.entry(world, gateways[share], number), Some(*senior)).await;
            let (account, topic, key) = if kind == Kind::Native {
                accounts.push((device.device.name.clone(), device.password().to_owned()));
                (accounts.len() - 1, format!("chk/1/{}/up/evt", device.device.name), device.key())
            } else {
                (share, format!("site/{share}"), [0; 32])
            };
            let resident = Resident { forgets: 0.03, stays_shut: 0.05, spread_minutes: 60, ..Resident::default() };
            homes.push(Home {
                senior: *senior,
                kind,
                account,
                number,
                topic,
                key,
                chance: Chance::stream(seed, number as u64),
                resident,
                is_open: false,
                opens_at: None,
                has_opened: false,
                flat_until: 0,
                is_flat: false,
                keeps: kind.is_kept() || number.is_multiple_of(4),
                lost: 0,
                boot_n: 1,
                seq: 0,
                since: app.clock.now(),
                recorded: None,
                queued: Vec::new(),
            });
        }
        Self { accounts, homes }
    }

    /// Names and passwords.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.accounts.iter().map(|(name, password)| (name.as_str(), password.as_str()))
    }

    /// What kind of morning it is for each of them.
    pub fn wake(&mut self, now: DateTime<Utc>, morning: u64, chance: &mut Chance) {
        for home in &mut self.homes {
            home.has_opened = false;
            home.opens_at = home.morning();
            if home.flat_until <= morning && chance.happens(0.003) {
                home.flat_until = morning + FLAT_MORNINGS;
            }
            // New cells: a native device begins again, and says how the curtain stands.
            if home.kind == Kind::Native && (home.flat_until == morning || chance.happens(0.03)) {
                home.begin_again(now);
            }
            home.is_flat = home.flat_until > morning;
        }
    }

    /// Before anybody is up: openings of another day, replayed by somebody or kept by the broker.
    pub fn ghosts(&mut self, now: DateTime<Utc>) -> Vec<Said> {
        let mut said = Vec::new();
        for home in &mut self.homes {
            if !home.chance.happens(0.05) {
                continue;
            }
            if let Some(recorded) = home.recorded.clone().filter(|_| home.kind.is_dated()) {
                said.push(Said { keep: Keep::Never, ..recorded });
            } else if home.kind != Kind::Native {
                let old = home.report(now, true);
                said.push(Said { keep: Keep::Ghost, ..old });
            }
        }
        said
    }

    /// What gateways' devices say every few hours, with the level as they know it; native ones that have just begun say theirs.
    pub fn reports(&mut self, now: DateTime<Utc>) -> Vec<Said> {
        let mut said = Vec::new();
        for home in &mut self.homes {
            if home.kind == Kind::Native && home.seq > 0 {
                continue;
            }
            said.extend(home.tell(now, home.is_open));
        }
        said
    }

    /// Whoever stays in bed and has a cat: the curtain is open for a moment.
    pub fn tugged(&mut self, now: DateTime<Utc>, is_open: bool) -> Vec<Said> {
        let still = self.homes.iter_mut().filter(|home| home.opens_at.is_none() && !home.is_open && home.kind != Kind::Cover);
        // Both ends of a tug come through: half of one is an opening for all that anybody can know.
        still.filter(|home| !home.is_flat && home.account.is_multiple_of(3)).map(|home| home.word(now, is_open)).collect()
    }

    /// Every seventh gateway starts and repeats everything that it remembers.
    pub fn gateways_restart(&mut self, now: DateTime<Utc>, morning: u64) -> Vec<Said> {
        let mut said = Vec::new();
        let starts = |account: usize| (account as u64 + morning).is_multiple_of(7);
        for account in (0..self.homes.len().div_ceil(SHARE)).filter(|account| starts(*account)) {
            let topic = format!("site/{account}/zigbee2mqtt/bridge/state");
            said.push(Said { account, topic, payload: br#"{"state":"online"}"#.to_vec(), keep: Keep::Never });
        }
        for home in self.homes.iter_mut().filter(|home| home.kind != Kind::Native && starts(home.account)) {
            let is_gateways = matches!(home.kind, Kind::Zigbee | Kind::Cover);
            let greeting = home.kind.greeting(home.number);
            if !is_gateways && (greeting.is_none() || home.is_flat) {
                continue;
            }
            if let Some((rest, payload)) = greeting {
                said.push(home.below(&rest, payload.as_bytes().to_vec(), Keep::Never));
            }
            // What a gateway heard last, which is not always how things are.
            let remembers = home.is_open != (is_gateways && home.lost > 0);
            let report = home.report(now - TimeDelta::minutes(15), remembers);
            said.push(Said { keep: Keep::Never, ..report });
        }
        said
    }

    pub fn opened(&mut self, now: DateTime<Utc>, minute: i64) -> Vec<Said> {
        let mut said = Vec::new();
        for home in &mut self.homes {
            said.extend(home.let_go(now));
            if home.opens_at.is_some_and(|at| at <= minute) && !home.has_opened {
                home.has_opened = true;
                home.is_open = true;
                said.extend(home.tell(now, true));
            }
        }
        said
    }

    pub fn closed(&mut self, now: DateTime<Utc>) -> Vec<Said> {
        let mut said = Vec::new();
        for home in &mut self.homes {
            home.lost = 0;
            said.extend(home.let_go(now));
            if std::mem::replace(&mut home.is_open, false) {
                said.extend(home.tell(now, false));
            }
        }
        said
    }

    pub fn compare(&self, date: NaiveDate, shown: &BTreeMap<Uuid, String>, tally: &mut Tally) {
        for home in &self.homes {
            let is_ok = shown.get(&home.senior).is_some_and(|state| state == "ok");
            tally.lost += home.lost;
            if home.has_opened && home.kind.is_proof() {
                tally.opened += 1;
                tally.heard += usize::from(is_ok);
                tally.missed += usize::from(!is_ok);
                if !is_ok && home.lost == 0 {
                    tally.unexplained.push(format!("{date} {} {:?}", home.number, home.kind));
                }
            } else {
                tally.shut += usize::from(!home.has_opened);
                if is_ok {
                    tally.wrong.push(format!("{date} {} {:?}, opened: {}", home.number, home.kind, home.has_opened));
                }
            }
        }
    }
}

impl Home {
    /// The minute at which she opens today, if she does.
    fn morning(&mut self) -> Option<i64> {
        let (morning, acts) = self.resident.day(&mut self.chance);
        let opens = acts.iter().find(|(_, act)| *act == Act::OpenCurtain).map(|(at, _)| at.as_secs() / 60);
        assert_eq!(opens.is_some(), matches!(morning, Morning::Opened | Morning::SleptIn));
        opens.map(|minute| i64::try_from(minute).expect("a day is short").clamp(OPENINGS.0, OPENINGS.1))
    }

    /// A cold start: it has forgotten what it did not hand in.
    fn begin_again(&mut self, now: DateTime<Utc>) {
        self.lost += self.queued.len();
        self.queued.clear();
        (self.boot_n, self.seq, self.since) = (self.boot_n + 1, 0, now);
    }

    /// A change as far as the air lets it through.
    fn tell(&mut self, now: DateTime<Utc>, is_open: bool) -> Option<Said> {
        if self.is_flat {
            self.lost += 1;
            return None;
        }
        if self.chance.between(0, 100) < LOST_PERCENT {
            match self.kind {
                Kind::Native => self.queued.push((now, is_open)),
                _ => self.lost += 1,
            }
            return None;
        }
        Some(self.word(now, is_open))
    }

    /// What a native device had to keep to itself.
    fn let_go(&mut self, now: DateTime<Utc>) -> Option<Said> {
        if self.queued.is_empty() || self.is_flat {
            return None;
        }
        let queued = std::mem::take(&mut self.queued);
        Some(self.envelope(now, &queued))
    }

    fn word(&mut self, now: DateTime<Utc>, is_open: bool) -> Said {
        let said = match self.kind {
            Kind::Native => self.envelope(now, &[(now, is_open)]),
            _ => self.report(now, is_open),
        };
        if is_open {
            self.recorded = Some(said.clone());
        }
        said
    }

    fn envelope(&mut self, now: DateTime<Utc>, told: &[(DateTime<Utc>, bool)]) -> Said {
        self.seq += 1;
        let up = |at: DateTime<Utc>| u64::try_from((at - self.since).num_milliseconds()).expect("after its start");
        let events: Vec<(u64, u32, i64)> = told.iter().map(|(at, is_open)| (up(*at), CONTACT, i64::from(*is_open))).collect();
        let envelope = Envelope { topic: &self.topic, key: self.key, boot_n: self.boot_n, seq: self.seq, up_ms: up(now) };
        Said { account: self.account, topic: self.topic.clone(), payload: envelope.sign(&events), keep: Keep::Never }
    }

    /// How the curtain stands, in the words of its ecosystem.
    fn report(&mut self, seen_at: DateTime<Utc>, is_open: bool) -> Said {
        self.seq += 1;
        let (rest, payload) = self.kind.word(self.number, is_open, seen_at, self.seq);
        let keep = if self.keeps { Keep::Always } else { Keep::Never };
        self.below(&rest, payload.into_bytes(), keep)
    }

    fn below(&self, rest: &str, payload: Vec<u8>, keep: Keep) -> Said {
        Said { account: self.account, topic: format!("{}/{rest}", self.topic), payload, keep }
    }
}
