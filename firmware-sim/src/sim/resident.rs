//! Somebody who lives behind the curtain: gets up, sleeps in, forgets, or does not get up at all.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::room::Act;
use super::scenario::ClockTime;

/// Who sleeps in opens so much later, at most.
const SLEEPS_IN_MINUTES: (u64, u64) = (60, 240);

/// Each probability is per morning; what is left over is an ordinary morning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resident {
    /// The usual time; each morning is earlier or later by up to `spread_minutes`.
    pub gets_up: ClockTime,
    pub spread_minutes: u32,
    /// The curtain is closed at about this time.
    pub goes_to_bed: ClockTime,
    pub sleeps_in: f64,
    /// Is up and well, and the curtain stays shut.
    pub forgets: f64,
    /// Does not get up: the morning that the whole system is for.
    pub stays_shut: f64,
    /// Presses "I am fine" after getting up, whatever the curtain does.
    pub presses_ok: f64,
    /// Calls for help some time of the day.
    pub calls_for_help: f64,
}

impl Default for Resident {
    fn default() -> Self {
        Self {
            gets_up: ClockTime::of(7, 0),
            spread_minutes: 30,
            goes_to_bed: ClockTime::of(21, 30),
            sleeps_in: 0.0,
            forgets: 0.0,
            stays_shut: 0.0,
            presses_ok: 0.0,
            calls_for_help: 0.0,
        }
    }
}

/// What kind of morning it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Morning {
    Opened,
    SleptIn,
    Forgot,
    StayedShut,
}

impl Resident {
    /// The first value that is no probability, or mornings that add up to more than one.
    pub fn wrong(&self) -> Option<&'static str> {
        let named = [
            ("sleeps_in", self.sleeps_in),
            ("forgets", self.forgets),
            ("stays_shut", self.stays_shut),
            ("presses_ok", self.presses_ok),
            ("calls_for_help", self.calls_for_help),
        ];
        let wrong = named.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)).map(|(name, _)| name);
        wrong.or((self.sleeps_in + self.forgets + self.stays_shut > 1.0).then_some("sleeps_in + forgets + stays_shut"))
    }

    /// One day's acts by the time of day, and what kind of morning it was.
    pub fn day(&self, chance: &mut Chance) -> (Morning, Vec<(Duration, Act)>) {
        let morning = self.morning(chance);
        let up = self.about(self.gets_up, chance);
        let mut acts = Vec::new();
        let opens = match morning {
            Morning::Opened => Some(up),
            Morning::SleptIn => Some(up + Duration::from_mins(chance.between(SLEEPS_IN_MINUTES.0, SLEEPS_IN_MINUTES.1))),
            Morning::Forgot | Morning::StayedShut => None,
        };
        if let Some(opens) = opens {
            acts.push((opens, Act::OpenCurtain));
            acts.push((self.about(self.goes_to_bed, chance).max(opens + Duration::from_hours(1)), Act::CloseCurtain));
        }
        if chance.happens(self.presses_ok) && morning != Morning::StayedShut {
            acts.push((up + Duration::from_mins(chance.between(5, 60)), Act::PressOk));
        }
        if chance.happens(self.calls_for_help) {
            let act = if chance.happens(0.5) { Act::PressSos } else { Act::HoldSos };
            acts.push((Duration::from_mins(chance.between(0, 24 * 60)), act));
        }
        (morning, acts)
    }

    fn morning(&self, chance: &mut Chance) -> Morning {
        // One draw decides, so that raising one share takes mornings from the ordinary ones only.
        let drawn = f64::from(u32::try_from(chance.between(0, 1_000_000)).expect("below a million")) / 1e6;
        let kinds = [(self.stays_shut, Morning::StayedShut), (self.forgets, Morning::Forgot), (self.sleeps_in, Morning::SleptIn)];
        let mut up_to = 0.0;
        for (share, morning) in kinds {
            up_to += share;
            if drawn < up_to {
                return morning;
            }
        }
        Morning::Opened
    }

    fn about(&self, time: ClockTime, chance: &mut Chance) -> Duration {
        let spread = u64::from(self.spread_minutes) * 60;
        let moved = Duration::from_secs(chance.between(0, 2 * spread + 1));
        (time.of_day() + moved).saturating_sub(Duration::from_secs(spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mornings(resident: Resident) -> Vec<(Morning, Vec<(Duration, Act)>)> {
        let mut chance = Chance::new(11);
        (0..2000).map(|_| resident.day(&mut chance)).collect()
    }

    #[test]
    fn only_who_gets_up_and_remembers_opens() {
        let resident = Resident { sleeps_in: 0.2, forgets: 0.1, stays_shut: 0.1, presses_ok: 0.5, ..Resident::default() };
        let days = mornings(resident);
        for (morning, acts) in &days {
            let opens = acts.iter().any(|(_, act)| *act == Act::OpenCurtain);
            assert_eq!(opens, matches!(morning, Morning::Opened | Morning::SleptIn), "{morning:?} {acts:?}");
            let silent = *morning == Morning::StayedShut;
            assert!(!silent || acts.is_empty(), "who does not get up presses nothing: {acts:?}");
        }
        let share = |wanted| days.iter().filter(|(morning, _)| *morning == wanted).count();
        assert!((320..480).contains(&share(Morning::SleptIn)), "{}", share(Morning::SleptIn));
        assert!((140..260).contains(&share(Morning::StayedShut)), "{}", share(Morning::StayedShut));
    }

    #[test]
    fn an_ordinary_morning_is_within_its_spread_and_closes_after_it_opened() {
        for (_, acts) in mornings(Resident { sleeps_in: 0.5, goes_to_bed: ClockTime::of(9, 0), ..Resident::default() }) {
            let [(opened, Act::OpenCurtain), (closed, Act::CloseCurtain)] = acts[..] else { panic!("{acts:?}") };
            assert!(opened >= Duration::from_mins(6 * 60 + 30) && opened < closed);
        }
    }

    #[test]
    fn shares_that_cannot_be_are_named() {
        assert_eq!(Resident { forgets: 1.5, ..Resident::default() }.wrong(), Some("forgets"));
        assert_eq!(Resident { forgets: 0.6, sleeps_in: 0.6, ..Resident::default() }.wrong(), Some("sleeps_in + forgets + stays_shut"));
        assert_eq!(Resident::default().wrong(), None);
    }
}
