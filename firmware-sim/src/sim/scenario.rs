//! A scenario as a TOML file: who lives where, who does what when, and what goes wrong. `scenarios/` has two of them.
//!
//! A mistake is told with its line and field; nothing runs on a guess.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::resident::Resident;
use super::room::Act;
use crate::battery::LinkQuality;
use crate::envelope::device_id;

pub const DAYS_MAX: u32 = 366;
pub const SPEED_MAX: u32 = 86_400;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// Repeats every draw: residents, faults, bounces.
    #[serde(default)]
    pub seed: u64,
    #[serde(default = "one")]
    pub days: u32,
    /// So many seconds of the scenario pass in one second of device time. Devices keep their own times (debounce, pauses).
    #[serde(default = "one")]
    pub speed: u32,
    /// How well the access point is heard: for the battery estimate.
    #[serde(default)]
    pub link: LinkQuality,
    #[serde(default)]
    pub faults: Faults,
    /// When the broker is down for all, beside what `faults.broker_down` draws.
    #[serde(default, rename = "outage")]
    pub outages: Vec<Outage>,
    #[serde(rename = "home")]
    pub homes: Vec<Home>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// From 1.
    pub day: u32,
    pub from: ClockTime,
    pub to: ClockTime,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Home {
    pub name: String,
    pub building: String,
    /// The sensor at the curtain; without a name, the next one of the credentials.
    pub device: Option<String>,
    /// A sensor of its own for the buttons.
    pub button: Option<String>,
    /// The curtain is open when the scenario begins.
    pub open: bool,
    /// Without one, only the acts below happen.
    pub resident: Option<Resident>,
    #[serde(rename = "act")]
    pub acts: Vec<PlannedAct>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedAct {
    /// From 1; without it, every day.
    pub day: Option<u32>,
    pub at: ClockTime,
    #[serde(rename = "do")]
    pub act: Act,
}

/// A time of the day, `HH:MM` or `HH:MM:SS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClockTime {
    seconds: u32,
}

impl ClockTime {
    pub const fn of(hour: u32, minute: u32) -> Self {
        Self { seconds: hour * 3600 + minute * 60 }
    }

    pub const fn of_day(self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }
}

impl std::str::FromStr for ClockTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time of the day such as 07:10 or 07:10:30");
        let mut parts = text.split(':').map(|part| {
            let two_digits = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_digit());
            two_digits.then(|| part.parse::<u32>().ok()).flatten().ok_or_else(wrong)
        });
        let mut next = |most: u32| match parts.next() {
            Some(part) => part.and_then(|part| if part <= most { Ok(Some(part)) } else { Err(wrong()) }),
            None => Ok(None),
        };
        let (hour, minute, second) = (next(23)?.ok_or_else(wrong)?, next(59)?.ok_or_else(wrong)?, next(59)?.unwrap_or(0));
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { seconds: hour * 3600 + minute * 60 + second })
    }
}

impl TryFrom<String> for ClockTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ClockTime> for String {
    fn from(time: ClockTime) -> Self {
        format!("{:02}:{:02}:{:02}", time.seconds / 3600, time.seconds / 60 % 60, time.seconds % 60)
    }
}

const fn one() -> u32 {
    1
}

impl Scenario {
    /// Reads a file's text. The error names the line, the field and what is allowed.
    pub fn read(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), String> {
        within("days", self.days, DAYS_MAX)?;
        within("speed", self.speed, SPEED_MAX)?;
        if let Some((name, value)) = self.faults.wrong() {
            let most = if name == "drift" { "0.5" } else { "1" };
            return Err(format!("faults.{name}: {value} is not from 0 to {most}"));
        }
        for (number, outage) in (1..).zip(&self.outages) {
            self.on_a_day(&format!("outage {number}: day"), outage.day)?;
            if outage.to <= outage.from {
                return Err(format!("outage {number}: to: it must be after `from`"));
            }
        }
        if self.homes.is_empty() {
            return Err("home: at least one is needed, as [[home]]".to_owned());
        }
        let mut names = std::collections::BTreeSet::new();
        for (number, home) in (1..).zip(&self.homes) {
            self.check_home(number, home)?;
            if !names.insert(&home.name) {
                return Err(format!("home {number}: name: {:?} is taken by an earlier one", home.name));
            }
        }
        Ok(())
    }

    fn check_home(&self, number: u32, home: &Home) -> Result<(), String> {
        let field = |name: &str| format!("home {number} ({}): {name}", home.name);
        if home.name.is_empty() {
            return Err(format!("home {number}: name: is missing"));
        }
        for (name, device) in [("device", &home.device), ("button", &home.button)] {
            if let Some(device) = device.as_ref().filter(|device| device_id(device).is_none()) {
                return Err(format!("{}: {device:?} cannot be a device id", field(name)));
            }
        }
        if home.device.is_some() && home.device == home.button {
            return Err(format!("{}: it is the `device` already", field("button")));
        }
        if let Some(wrong) = home.resident.as_ref().and_then(Resident::wrong) {
            return Err(format!("{}: not from 0 to 1", field(&format!("resident.{wrong}"))));
        }
        for (at, act) in (1..).zip(&home.acts) {
            if let Some(day) = act.day {
                self.on_a_day(&field(&format!("act {at}: day")), day)?;
            }
            if matches!(act.act, Act::BrokerDown | Act::BrokerUp) {
                return Err(format!("{}: the broker is down for all homes, as [[outage]]", field(&format!("act {at}: do"))));
            }
        }
        Ok(())
    }

    fn on_a_day(&self, field: &str, day: u32) -> Result<(), String> {
        within(field, day, self.days)
    }
}

fn within(field: &str, value: u32, most: u32) -> Result<(), String> {
    if (1..=most).contains(&value) { Ok(()) } else { Err(format!("{field}: {value} is not from 1 to {most}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = 'small'\n[[home]]\nname = '3-201'\n";

    #[test]
    fn what_is_not_said_is_the_ordinary() {
        let scenario = Scenario::read(SMALL).unwrap();
        assert_eq!((scenario.days, scenario.speed, scenario.faults), (1, 1, Faults::default()));
    }

    #[test]
    fn the_examples_are_read() {
        for name in ["forgetful.toml", "hard_week.toml"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name);
            let read = Scenario::read(&std::fs::read_to_string(path).unwrap());
            assert!(read.is_ok(), "{name}: {read:?}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_is_allowed() {
        let cases = [
            ("name = 'x'\nsped = 2\n[[home]]\nname = 'a'", &["line 2", "sped", "speed"][..]),
            ("name = 'x'\ndays = 'two'\n[[home]]\nname = 'a'", &["line 2", "days"]),
            ("name = 'x'\n[[home]]\nname = 'a'\n[[home.act]]\nat = '7:10'\ndo = 'open'", &["line 5", "7:10", "07:10"]),
            ("name = 'x'\n[[home]]\nname = 'a'\n[[home.act]]\nat = '07:10'\ndo = 'fly'", &["line 6", "fly", "open", "restart"]),
            ("name = 'x'\n[[home]]\nname = 'a'\n[[home.act]]\nat = '07:10'\ndo = 'broker-down'", &["home 1 (a): act 1: do", "[[outage]]"]),
            ("name = 'x'\n[[home]]\nname = 'a'\n[[home.act]]\nday = 2\nat = '07:10'\ndo = 'open'", &["act 1: day: 2", "1 to 1"]),
            ("name = 'x'\n[faults]\nloss = 1.5\n[[home]]\nname = 'a'", &["faults.loss", "0 to 1"]),
            ("name = 'x'\n[[home]]\nname = 'a'\n[home.resident]\nforgets = 'often'", &["line 5", "forgets"]),
            ("name = 'x'\n[[home]]\nname = 'a'\n[home.resident]\nforgets = 2.0", &["home 1 (a): resident.forgets", "0 to 1"]),
            ("name = 'x'\n[[home]]\nname = 'a'\n[[home]]\nname = 'a'", &["home 2", "taken"]),
            ("name = 'x'\n[[home]]\nname = 'a'\ndevice = 'a/b'", &["home 1 (a): device", "a/b"]),
            ("name = 'x'\n[[outage]]\nday = 1\nfrom = '08:00'\nto = '07:00'\n[[home]]\nname = 'a'", &["outage 1: to"]),
            ("name = 'x'", &["home"]),
        ];
        for (text, told) in cases {
            let error = Scenario::read(text).expect_err(text);
            for part in told {
                assert!(error.contains(part), "{text}\n{error}");
            }
        }
    }

    #[test]
    fn times_of_the_day_are_read_strictly() {
        assert_eq!("07:10".parse(), Ok(ClockTime::of(7, 10)));
        assert_eq!(String::from("23:59:59".parse::<ClockTime>().unwrap()), "23:59:59");
        for wrong in ["", "7:10", "24:00", "07:60", "07:10:60", "07", "07:10:00:00", "ab:cd", "+7:10"] {
            assert!(wrong.parse::<ClockTime>().is_err(), "{wrong}");
        }
    }
}
