//! The firmware on its board: reads what the core asks for, does what the core says, and keeps what must outlive the power.
//! The simulator runs this very code.

use super::{Board, Kept, Levels, Wake};
use crate::envelope::DeviceId;
use crate::event::BootReason;
use crate::outbox::Tally;
use crate::sensor::{Boot, Identity, Input, Output, Rest, Sensor};
use crate::settings::Settings;
use crate::status::Session;

#[derive(Clone, Debug)]
pub struct Runner {
    sensor: Sensor,
    rest: Rest,
    kept: Kept,
    levels: Levels,
    /// A clock that runs backwards would date events before their cause.
    last_up_ms: u64,
}

impl Runner {
    /// A cold start. The new boot number is in flash before anything is said: a boot that failed early and counted twice would look
    /// like a replay.
    pub fn boot(device: DeviceId, settings: Settings, reason: BootReason, board: &mut impl Board) -> Self {
        let mut kept = board.kept();
        kept.boot_n = kept.boot_n.saturating_add(1);
        board.keep(kept);
        let now_ms = board.up_ms();
        let contact_open = board.levels().contact_open;
        let boot = Boot {
            boot_n: kept.boot_n,
            boot_id: board.random(),
            reason,
            contact_open,
            lost_before: kept.owed,
            births: kept.births,
            wall: board.wall(),
        };
        let sensor = Sensor::new(Identity { device, keys: board.keys() }, settings, boot, now_ms);
        let levels = Levels { contact_open, ..Levels::default() };
        let mut runner = Self { sensor, rest: Rest::Awake { until_ms: now_ms }, kept, levels, last_up_ms: now_ms };
        // A button that is held, or a lid that is off, while the device starts.
        runner.read_pins(board);
        runner
    }

    /// How to wait for the next wake, and until when.
    pub const fn rest(&self) -> Rest {
        self.rest
    }

    pub fn wake(&mut self, why: Wake, board: &mut impl Board) {
        match why {
            Wake::Time => self.step(Input::Alarm, board),
            Wake::Pins => self.read_pins(board),
            Wake::Light => {
                let lux = board.lux();
                self.step(Input::Lux(lux), board);
            }
            Wake::WallSet => match board.wall() {
                Some(wall) => self.step(Input::Wall(wall), board),
                None => self.step(Input::WallLost, board),
            },
            Wake::WallLost => self.step(Input::WallLost, board),
            Wake::Connected => {
                let (millivolts, dbm) = (board.battery_mv(), board.rssi_dbm());
                self.step(Input::Battery { millivolts }, board);
                self.step(Input::Rssi { dbm }, board);
                self.step(Input::Connected, board);
            }
            Wake::LinkLost => self.step(Input::LinkLost, board),
            Wake::Downlink { channel, payload } => self.step(Input::Downlink { channel, payload }, board),
            Wake::KeyWritten => {
                if let Some(next) = board.keys().next {
                    self.step(Input::NextKey(next), board);
                }
            }
        }
    }

    /// The voltage falls: called from the brown-out interrupt, with a few milliseconds left. The next life tells how many events
    /// went with this one.
    pub fn power_fails(&mut self, board: &mut impl Board) {
        self.kept.owed = self.sensor.owed();
        board.keep(self.kept);
    }

    pub fn owed(&self) -> u32 {
        self.sensor.owed()
    }

    pub const fn tally(&self) -> Tally {
        self.sensor.tally()
    }

    pub const fn session(&self) -> Session {
        self.sensor.session()
    }

    /// Whatever woke the processor, only what differs is news.
    fn read_pins(&mut self, board: &mut impl Board) {
        let before = core::mem::replace(&mut self.levels, board.levels());
        let now = self.levels;
        let changes = [
            (before.tamper != now.tamper, Input::Tamper { triggered: now.tamper }),
            (before.contact_open != now.contact_open, Input::Contact { open: now.contact_open }),
            (before.sos_pressed != now.sos_pressed, Input::Sos { pressed: now.sos_pressed }),
            (before.ok_pressed != now.ok_pressed, Input::Ok { pressed: now.ok_pressed }),
        ];
        let mut changed = false;
        for (_, input) in changes.into_iter().filter(|(differs, _)| *differs) {
            changed = true;
            self.step(input, board);
        }
        if !changed {
            self.step(Input::Alarm, board);
        }
    }

    fn step(&mut self, input: Input, board: &mut impl Board) {
        self.last_up_ms = board.up_ms().max(self.last_up_ms);
        let kept = &mut self.kept;
        self.rest = self.sensor.step(self.last_up_ms, input, &mut |output| perform(output, kept, board));
        // What earlier lives owed has been told: a power failure without warning must not tell it again.
        let owed = self.sensor.owed();
        if owed < self.kept.owed {
            self.kept.owed = owed;
            board.keep(self.kept);
        }
    }
}

fn perform(output: Output, kept: &mut Kept, board: &mut impl Board) {
    match output {
        Output::Connect { will, kid } => {
            // Before the will is out: a will of a number that was used before could not be told from a late one.
            kept.births = kept.births.saturating_add(1);
            board.keep(*kept);
            board.connect(will, kid);
        }
        Output::Publish(message) => board.publish(&message),
        Output::Disconnect => board.disconnect(),
        Output::Beep(on) => board.beep(on),
        Output::KeyProved { kid } => board.keep_only_key(kid),
    }
}
