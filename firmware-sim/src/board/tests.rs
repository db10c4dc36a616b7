//! The runner on a bench board without a network: what it keeps, reads and says.

use std::vec::Vec;

use super::*;
use crate::envelope::{DeviceId, device_id, seal};
use crate::event::BootReason;
use crate::keyring::SigningKey;
use crate::sensor::Rest;
use crate::settings::Settings;

const OLD: SigningKey = SigningKey { kid: 1, key: [1; 32] };
const NEW: SigningKey = SigningKey { kid: 2, key: [2; 32] };

struct Bench {
    up_ms: u64,
    wall: Option<Wall>,
    kept: Kept,
    keys: Keys,
    levels: Levels,
    seen: Vec<Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Kept(Kept),
    Connect(u8),
    Said(&'static str, Option<u32>),
    Disconnect,
    Beep(bool),
    OnlyKey(u8),
}

impl Clock for Bench {
    fn up_ms(&mut self) -> u64 {
        self.up_ms
    }

    fn wall(&mut self) -> Option<Wall> {
        self.wall
    }
}

impl Storage for Bench {
    fn kept(&mut self) -> Kept {
        self.kept
    }

    fn keep(&mut self, kept: Kept) {
        self.kept = kept;
        self.seen.push(Seen::Kept(kept));
    }

    fn keys(&mut self) -> Keys {
        self.keys
    }

    fn keep_only_key(&mut self, kid: u8) {
        self.seen.push(Seen::OnlyKey(kid));
    }
}

impl Radio for Bench {
    fn connect(&mut self, _: &str, kid: u8) {
        self.seen.push(Seen::Connect(kid));
    }

    fn publish(&mut self, message: &Publish) {
        self.seen.push(Seen::Said(message.channel.suffix(), message.seq));
    }

    fn disconnect(&mut self) {
        self.seen.push(Seen::Disconnect);
    }

    fn rssi_dbm(&mut self) -> i8 {
        -60
    }
}

impl Pins for Bench {
    fn levels(&mut self) -> Levels {
        self.levels
    }

    fn lux(&mut self) -> u32 {
        400
    }

    fn battery_mv(&mut self) -> u16 {
        2900
    }

    fn beep(&mut self, on: bool) {
        self.seen.push(Seen::Beep(on));
    }
}

impl Entropy for Bench {
    fn random(&mut self) -> u32 {
        5
    }
}

impl Bench {
    fn new() -> Self {
        let keys = Keys { current: OLD, next: None };
        Self { up_ms: 0, wall: None, kept: Kept::default(), keys, levels: Levels::default(), seen: Vec::new() }
    }

    fn boot(&mut self) -> Runner {
        Runner::boot(device(), Settings::default(), BootReason::PowerOn, self)
    }

    /// The seq of the last message with events.
    fn last_seq(&self) -> u32 {
        let mut seqs = self.seen.iter().rev();
        seqs.find_map(|seen| if let Seen::Said("up/evt", seq) = seen { *seq } else { None }).expect("a message with events")
    }

    fn receipt(&mut self, runner: &mut Runner) {
        let text = std::format!(r#"{{"bn":{},"seq":{},"now":1788734480}}"#, self.kept.boot_n, self.last_seq());
        runner.wake(Wake::Downlink { channel: Channel::Ack, payload: text.as_bytes() }, self);
    }

    /// Waits until the device sleeps, with everything receipted.
    fn until_asleep(&mut self, runner: &mut Runner) {
        while let Rest::Awake { until_ms } = runner.rest() {
            self.up_ms = self.up_ms.max(until_ms);
            runner.wake(Wake::Time, self);
        }
    }
}

fn device() -> DeviceId {
    device_id("d-1").expect("a plain name")
}

#[test]
fn the_boot_is_counted_in_flash_before_anything_is_said_and_the_connection_before_its_will() {
    let mut board = Bench::new();
    board.kept = Kept { boot_n: 6, births: 40, owed: 0 };
    let mut runner = board.boot();
    runner.wake(Wake::Time, &mut board);
    let counted = |births| Seen::Kept(Kept { boot_n: 7, births, owed: 0 });
    assert_eq!(board.seen, [counted(40), counted(41), Seen::Connect(1)]);
    assert_eq!((runner.session().boot_n, runner.session().birth_n), (7, 41));
}

#[test]
fn what_a_life_still_owed_is_kept_when_the_voltage_falls_and_forgotten_when_it_has_been_told() {
    let mut board = Bench::new();
    let mut runner = board.boot();
    runner.power_fails(&mut board);
    assert_eq!(board.kept.owed, 2, "the boot and its level");
    let mut runner = board.boot();
    runner.wake(Wake::Connected, &mut board);
    assert_eq!(board.kept.owed, 2, "not told yet");
    board.receipt(&mut runner);
    assert_eq!((board.kept.owed, runner.owed()), (0, 0));
}

#[test]
fn a_button_that_is_held_while_the_device_starts_calls() {
    let mut board = Bench::new();
    board.levels.sos_pressed = true;
    let mut runner = board.boot();
    board.up_ms += 1500;
    runner.wake(Wake::Time, &mut board);
    assert!(board.seen.contains(&Seen::Beep(true)));
}

#[test]
fn a_wake_by_a_pin_tells_only_what_differs() {
    let mut board = Bench::new();
    let mut runner = board.boot();
    runner.wake(Wake::Connected, &mut board);
    board.receipt(&mut runner);
    board.until_asleep(&mut runner);
    let recorded = runner.tally().recorded;
    runner.wake(Wake::Pins, &mut board);
    board.levels.contact_open = true;
    runner.wake(Wake::Pins, &mut board);
    board.up_ms += 2000;
    runner.wake(Wake::Time, &mut board);
    assert_eq!(runner.tally().recorded, recorded + 1);
}

#[test]
fn a_clock_that_runs_backwards_stands_still_for_the_core() {
    let mut board = Bench::new();
    board.up_ms = 50_000;
    let mut runner = board.boot();
    board.up_ms = 10;
    runner.wake(Wake::Connected, &mut board);
    assert!(runner.rest().until_ms() >= 50_000);
}

#[test]
fn the_old_key_is_erased_when_the_server_has_shown_that_it_knows_the_new_one() {
    let mut board = Bench::new();
    let mut runner = board.boot();
    runner.wake(Wake::Connected, &mut board);
    board.receipt(&mut runner);
    board.until_asleep(&mut runner);
    board.keys.next = Some(NEW);
    runner.wake(Wake::KeyWritten, &mut board);
    assert_eq!(board.seen.last(), Some(&Seen::Connect(2)), "it tries at once");
    runner.wake(Wake::Connected, &mut board);
    let topic = Channel::Config.topic(&device());
    let by_old = seal(&topic, &OLD.key, &[0xa3, 0, 1, 1, 1, 2, 1]);
    runner.wake(Wake::Downlink { channel: Channel::Config, payload: &by_old }, &mut board);
    assert!(!board.seen.contains(&Seen::OnlyKey(2)));
    let by_new = seal(&topic, &NEW.key, &[0xa3, 0, 1, 1, 2, 2, 2]);
    runner.wake(Wake::Connected, &mut board);
    board.until_asleep(&mut runner);
    runner.wake(Wake::KeyWritten, &mut board);
    runner.wake(Wake::Connected, &mut board);
    runner.wake(Wake::Downlink { channel: Channel::Config, payload: &by_new }, &mut board);
    assert!(board.seen.contains(&Seen::OnlyKey(2)));
}
