//! The room around the sensor: a curtain, the light behind it, hands and fingers. Acts become pin levels over time, with
//! the bounces that contacts have.

use std::collections::VecDeque;

use serde::Deserialize;

use super::chance::Chance;
use crate::board::Levels;

/// Light reaches the sensor a little after the magnet has left.
const LIGHT_DELAY_MS: u64 = 700;
const TAP_MS: u64 = 300;
const HOLD_MS: u64 = 2500;

/// What a hand, a wall or the network does. On the command line and in scenarios by the names of [`ACTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Act {
    OpenCurtain,
    CloseCurtain,
    /// A short press of the help button.
    PressSos,
    /// Held for two and a half seconds.
    HoldSos,
    PressOk,
    /// The lid is opened and shut again.
    Tamper,
    /// The magnet falls or is taken off: the reed reads as an opened curtain, and the second reed knows better.
    RemoveMagnet,
    ReturnMagnet,
    /// The reed chatters for a second and falls back: a draught.
    Bounce,
    /// Power fails and returns: a new boot.
    Restart,
    /// The cells are nearly empty.
    LowBattery,
    /// The end of this device.
    FlatBattery,
    /// The board's wall clock is suddenly wrong, by minutes to days.
    ClockJump,
    /// Nothing answers any more, until it does.
    BrokerDown,
    BrokerUp,
    /// A technician hands in the next key.
    NewKey,
}

pub const ACTS: [(&str, Act); 16] = [
    ("open", Act::OpenCurtain),
    ("close", Act::CloseCurtain),
    ("sos", Act::PressSos),
    ("sos-long", Act::HoldSos),
    ("ok", Act::PressOk),
    ("tamper", Act::Tamper),
    ("magnet-off", Act::RemoveMagnet),
    ("magnet-on", Act::ReturnMagnet),
    ("bounce", Act::Bounce),
    ("restart", Act::Restart),
    ("low-battery", Act::LowBattery),
    ("flat-battery", Act::FlatBattery),
    ("clock-jump", Act::ClockJump),
    ("broker-down", Act::BrokerDown),
    ("broker-up", Act::BrokerUp),
    ("new-key", Act::NewKey),
];

impl TryFrom<String> for Act {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let found = ACTS.into_iter().find(|(known, _)| *known == name).map(|(_, act)| act);
        found.ok_or_else(|| format!("{name:?} is no act; there are {}", ACTS.map(|(known, _)| known).join(", ")))
    }
}

/// What a wake finds changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Pin,
    Light,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pin {
    Contact(bool),
    Sos(bool),
    Ok(bool),
    Tamper(bool),
    Lux(u32),
}

#[derive(Clone, Debug)]
pub struct Room {
    pub curtain_open: bool,
    pub battery_mv: u16,
    /// What the pins read now, bounces and all.
    pub levels: Levels,
    pub lux: u32,
    magnet_gone: bool,
    daylight: bool,
    /// What the pins will do, in order of time.
    coming: VecDeque<(u64, Pin)>,
}

impl Room {
    pub const fn new(curtain_open: bool, daylight: bool) -> Self {
        let levels = Levels { contact_open: curtain_open, sos_pressed: false, ok_pressed: false, tamper: false };
        Self { curtain_open, battery_mv: 2950, levels, lux: 0, magnet_gone: false, daylight, coming: VecDeque::new() }
    }

    pub fn next_at(&self) -> Option<u64> {
        self.coming.front().map(|(at, _)| *at)
    }

    /// The next thing that has happened by now.
    pub fn take(&mut self, now_ms: u64) -> Option<Moved> {
        let (_, pin) = self.coming.pop_front_if(|(at, _)| *at <= now_ms)?;
        match pin {
            Pin::Contact(open) => self.levels.contact_open = open,
            Pin::Sos(pressed) => self.levels.sos_pressed = pressed,
            Pin::Ok(pressed) => self.levels.ok_pressed = pressed,
            Pin::Tamper(on) => self.levels.tamper = on,
            Pin::Lux(lux) => {
                self.lux = lux;
                return Some(Moved::Light);
            }
        }
        Some(Moved::Pin)
    }

    pub fn act(&mut self, now_ms: u64, act: Act, chance: &mut Chance) {
        match act {
            Act::OpenCurtain => self.draw(now_ms, true, chance),
            Act::CloseCurtain => self.draw(now_ms, false, chance),
            Act::PressSos => self.press(now_ms, TAP_MS, Pin::Sos),
            Act::HoldSos => self.press(now_ms, HOLD_MS, Pin::Sos),
            Act::PressOk => self.press(now_ms, TAP_MS, Pin::Ok),
            Act::Tamper => self.press(now_ms, HOLD_MS, Pin::Tamper),
            Act::RemoveMagnet => self.magnet(now_ms, true),
            Act::ReturnMagnet => self.magnet(now_ms, false),
            Act::Bounce => {
                let rest = self.reed();
                for step in 0..20 {
                    self.plan(now_ms + step * 50, Pin::Contact(if step % 2 == 0 { !rest } else { rest }));
                }
            }
            Act::LowBattery => self.battery_mv = 2120,
            Act::Restart => {
                self.coming.clear();
                self.levels = Levels { contact_open: self.reed(), sos_pressed: false, ok_pressed: false, tamper: self.magnet_gone };
            }
            Act::FlatBattery => self.battery_mv = 1900,
            Act::ClockJump | Act::BrokerDown | Act::BrokerUp | Act::NewKey => {}
        }
    }

    fn draw(&mut self, now_ms: u64, open: bool, chance: &mut Chance) {
        self.plan(now_ms, Pin::Lux(self.light(chance)));
        let moves = self.curtain_open != open;
        self.curtain_open = open;
        if moves && !self.magnet_gone {
            let mut at = now_ms;
            for bounce in 0..chance.between(0, 4) * 2 {
                self.plan(at, Pin::Contact((bounce % 2 == 0) == open));
                at += chance.between(1, 40);
            }
            self.plan(at, Pin::Contact(open));
        }
        self.plan(now_ms + LIGHT_DELAY_MS, Pin::Lux(self.light(chance)));
    }

    /// What the reed reads once it has stopped bouncing.
    const fn reed(&self) -> bool {
        self.curtain_open || self.magnet_gone
    }

    fn magnet(&mut self, now_ms: u64, gone: bool) {
        self.magnet_gone = gone;
        self.plan(now_ms, Pin::Tamper(gone));
        self.plan(now_ms, Pin::Contact(self.reed()));
    }

    fn press(&mut self, now_ms: u64, held_ms: u64, pin: fn(bool) -> Pin) {
        self.plan(now_ms, pin(true));
        self.plan(now_ms + held_ms, pin(false));
    }

    /// Lux in the room: a closed curtain by day 2–12, an open one 300–1,200, at night next to nothing.
    const fn light(&self, chance: &mut Chance) -> u32 {
        let (low, high) = match (self.daylight, self.curtain_open) {
            (true, true) => (300, 1200),
            (true, false) => (2, 12),
            (false, _) => (0, 2),
        };
        #[expect(clippy::cast_possible_truncation, reason = "the range ends at 1,200")]
        let lux = chance.between(low, high) as u32;
        lux
    }

    fn plan(&mut self, at_ms: u64, pin: Pin) {
        let place = self.coming.partition_point(|(at, _)| *at <= at_ms);
        self.coming.insert(place, (at_ms, pin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(daylight: bool, acts: &[Act]) -> Vec<Pin> {
        let (mut room, mut chance) = (Room::new(false, daylight), Chance::new(1));
        for act in acts {
            room.act(0, *act, &mut chance);
        }
        room.coming.into_iter().map(|(_, pin)| pin).collect()
    }

    #[test]
    fn opening_by_day_lets_the_light_in_and_by_night_not() {
        let lux = |pins: Vec<Pin>| -> Vec<u32> {
            pins.iter().filter_map(|pin| if let Pin::Lux(lux) = pin { Some(*lux) } else { None }).collect()
        };
        let day = lux(pins(true, &[Act::OpenCurtain]));
        assert!(day[0] < 12 && day[1] >= 300, "{day:?}");
        let night = lux(pins(false, &[Act::OpenCurtain]));
        assert!(night.iter().all(|lux| *lux < 2), "{night:?}");
    }

    #[test]
    fn opening_an_open_curtain_moves_no_magnet() {
        let moves = |acts: &[Act]| pins(true, acts).iter().filter(|pin| matches!(pin, Pin::Contact(_))).count();
        assert_eq!(moves(&[Act::OpenCurtain, Act::OpenCurtain]), moves(&[Act::OpenCurtain]));
    }

    #[test]
    fn a_curtain_without_its_magnet_moves_no_reed_until_the_magnet_is_back() {
        let gone = pins(true, &[Act::RemoveMagnet]);
        assert_eq!(gone, [Pin::Tamper(true), Pin::Contact(true)]);
        let moved = pins(true, &[Act::RemoveMagnet, Act::OpenCurtain, Act::CloseCurtain, Act::ReturnMagnet]);
        let reed: Vec<Pin> = moved.into_iter().filter(|pin| matches!(pin, Pin::Contact(_))).collect();
        assert_eq!(reed, [Pin::Contact(true), Pin::Contact(false)]);
    }

    #[test]
    fn a_draught_ends_where_it_began() {
        assert_eq!(pins(true, &[Act::Bounce]).last(), Some(&Pin::Contact(false)));
    }
}
