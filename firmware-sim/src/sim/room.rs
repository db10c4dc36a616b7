//! The room around the sensor: a curtain, the light behind it, hands and fingers. Acts become pin levels over time, with
//! the bounces that contacts have.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::chance::Chance;

/// Light reaches the sensor a little after the magnet has left.
const LIGHT_DELAY_MS: u64 = 700;
const TAP_MS: u64 = 300;
const HOLD_MS: u64 = 2500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    OpenCurtain,
    CloseCurtain,
    /// A short press of the help button.
    PressSos,
    /// Held for two and a half seconds.
    HoldSos,
    PressOk,
    Tamper,
    /// The reed chatters for a second and falls back: a draught.
    Bounce,
    /// Power fails and returns: a new boot.
    Restart,
    /// The cells are nearly empty.
    LowBattery,
    /// The end of this device.
    FlatBattery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
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
    daylight: bool,
    /// What the pins will do, in order of time.
    coming: VecDeque<(u64, Pin)>,
}

impl Room {
    pub const fn new(curtain_open: bool, daylight: bool) -> Self {
        Self { curtain_open, battery_mv: 2950, daylight, coming: VecDeque::new() }
    }

    pub fn next_at(&self) -> Option<u64> {
        self.coming.front().map(|(at, _)| *at)
    }

    pub fn take(&mut self, now_ms: u64) -> Option<Pin> {
        self.coming.pop_front_if(|(at, _)| *at <= now_ms).map(|(_, pin)| pin)
    }

    pub fn act(&mut self, now_ms: u64, act: Act, chance: &mut Chance) {
        match act {
            Act::OpenCurtain => self.draw(now_ms, true, chance),
            Act::CloseCurtain => self.draw(now_ms, false, chance),
            Act::PressSos => self.press(now_ms, TAP_MS, Pin::Sos),
            Act::HoldSos => self.press(now_ms, HOLD_MS, Pin::Sos),
            Act::PressOk => self.press(now_ms, TAP_MS, Pin::Ok),
            Act::Tamper => self.press(now_ms, HOLD_MS, Pin::Tamper),
            Act::Bounce => {
                for step in 0..20 {
                    self.plan(now_ms + step * 50, Pin::Contact(if step % 2 == 0 { !self.curtain_open } else { self.curtain_open }));
                }
            }
            Act::LowBattery => self.battery_mv = 2120,
            Act::Restart => self.coming.clear(),
            Act::FlatBattery => self.battery_mv = 1900,
        }
    }

    fn draw(&mut self, now_ms: u64, open: bool, chance: &mut Chance) {
        self.plan(now_ms, Pin::Lux(self.light(chance)));
        let moves = self.curtain_open != open;
        self.curtain_open = open;
        if moves {
            let mut at = now_ms;
            for bounce in 0..chance.between(0, 4) * 2 {
                self.plan(at, Pin::Contact((bounce % 2 == 0) == open));
                at += chance.between(1, 40);
            }
            self.plan(at, Pin::Contact(open));
        }
        self.plan(now_ms + LIGHT_DELAY_MS, Pin::Lux(self.light(chance)));
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
        std::iter::from_fn(|| room.take(u64::MAX)).collect()
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
    fn a_draught_ends_where_it_began() {
        assert_eq!(pins(true, &[Act::Bounce]).last(), Some(&Pin::Contact(false)));
    }
}
