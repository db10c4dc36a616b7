//! Homes with sensors through their days, and the oracle: who really opened, whatever the sensors could tell.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::SensorConfig;
use super::chance::Chance;
use super::fleet::Part;
use super::resident::{Morning, Resident};
use super::room::Act;
use super::scenario::{ClockTime, Home, Scenario};

const DAY: Duration = Duration::from_hours(24);

/// What the devices go through, and what is true of the people behind them.
#[derive(Clone, Debug)]
pub struct Plan {
    pub parts: Vec<Part>,
    pub oracle: Vec<Truth>,
}

/// One morning of one home: what a person in the room would have seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    pub home: String,
    pub building: String,
    pub device: String,
    /// From 1.
    pub day: u32,
    pub morning: Morning,
    /// By the homes' clock.
    pub opened_at: Option<String>,
    /// Seconds of device time since the start.
    pub opened_after_s: Option<f64>,
    /// By this machine's clock; not known of hurried time.
    pub opened_unix_ms: Option<u64>,
    pub closed_after_s: Option<f64>,
    /// Presses for help.
    pub help_after_s: Vec<f64>,
}

/// One home: a sensor at the curtain, and perhaps one for the buttons.
pub fn house(name: &str, days: u32, resident: Resident) -> Scenario {
    let home = Home { name: name.to_owned(), resident: Some(resident), ..Home::default() };
    scenario(name, days, vec![home])
}

/// Homes on several buildings. Each resident has an own hour between `from` and `to`.
pub fn compound(homes: usize, buildings: usize, days: u32, seed: u64, usual: Resident, (from, to): (ClockTime, ClockTime)) -> Scenario {
    let buildings = buildings.max(1);
    let in_order = (0..homes).map(|index| {
        let mut chance = Chance::stream(seed ^ 0x686f_6d65, index as u64);
        let minute = chance.between(from.of_day().as_secs() / 60, to.of_day().as_secs() / 60 + 1);
        let minute = u32::try_from(minute).expect("a day has 1,440 minutes");
        let resident = Resident { gets_up: ClockTime::of(minute / 60, minute % 60), ..usual };
        let (building, door) = (index % buildings + 1, index / buildings + 1);
        let name = format!("{building}-{door:03}");
        Home { name, building: building.to_string(), resident: Some(resident), ..Home::default() }
    });
    let mut scenario = scenario("compound", days, in_order.collect());
    scenario.seed = seed;
    scenario
}

fn scenario(name: &str, days: u32, homes: Vec<Home>) -> Scenario {
    let (seed, link, faults) = Default::default();
    Scenario { name: name.to_owned(), seed, days, speed: 1, link, faults, outages: Vec::new(), homes }
}

/// Gives each home its sensors and plans its days. `start_unix_ms` is when device time begins, where that means anything.
pub fn plan(scenario: &Scenario, sensors: Vec<SensorConfig>, start_unix_ms: Option<u64>) -> Result<Plan, String> {
    let mut stock = Stock::new(scenario, sensors);
    let mut plan = Plan { parts: Vec::new(), oracle: Vec::new() };
    let shared = shared_acts(scenario);
    for (index, home) in (0..).zip(&scenario.homes) {
        let curtain = stock.take(home, home.device.as_deref())?;
        let button = home.button.as_deref().map(|name| stock.take(home, Some(name))).transpose()?;
        let mut chance = Chance::stream(scenario.seed, index);
        let days = days(scenario, home, &mut chance);
        plan.oracle.extend(truths(home, curtain.device.as_str(), &days, scenario, start_unix_ms));
        let all: Vec<(Duration, Act)> = days.into_iter().flat_map(|day| day.acts).collect();
        let of_button = |act: Act| matches!(act, Act::PressOk | Act::PressSos | Act::HoldSos);
        let (pressed, moved): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, act)| button.is_some() && of_button(*act));
        for (mut config, acts) in [(Some(curtain), moved), (button, pressed)].into_iter().filter_map(|(it, acts)| Some((it?, acts))) {
            config.curtain_open = home.open;
            config.seed = chance.next();
            config.faults = scenario.faults;
            config.drift += scenario.faults.own_drift(&mut chance);
            let mut acts: Vec<_> = acts.into_iter().chain(shared.iter().copied()).collect();
            for number in 0..scenario.days {
                scenario.faults.day(DAY * number, DAY, &mut chance, &mut acts);
            }
            // The last day ends when it is over, and with a broker that answers.
            acts.push((DAY * scenario.days, Act::BrokerUp));
            let acts = acts.into_iter().map(|(at, act)| (at / scenario.speed, act)).collect();
            plan.parts.push(Part { config, acts });
        }
    }
    Ok(plan)
}

/// The sensors there are, by name and in order.
struct Stock {
    free: Vec<Option<SensorConfig>>,
    places: BTreeMap<String, usize>,
    /// Named by some home: not for those that take the next.
    spoken_for: Vec<bool>,
}

impl Stock {
    fn new(scenario: &Scenario, sensors: Vec<SensorConfig>) -> Self {
        let places: BTreeMap<String, usize> = (0..).zip(&sensors).map(|(at, sensor)| (sensor.device.to_string(), at)).collect();
        let mut spoken_for = vec![false; sensors.len()];
        for name in scenario.homes.iter().flat_map(|home| [&home.device, &home.button]).flatten() {
            if let Some(at) = places.get(name) {
                spoken_for[*at] = true;
            }
        }
        Self { free: sensors.into_iter().map(Some).collect(), places, spoken_for }
    }

    fn take(&mut self, home: &Home, name: Option<&str>) -> Result<SensorConfig, String> {
        let place = if let Some(name) = name {
            self.places.get(name).copied().ok_or_else(|| format!("home {}: device {name:?} has no credentials", home.name))?
        } else {
            let free = |at: &usize| self.free[*at].is_some() && !self.spoken_for[*at];
            (0..self.free.len()).find(free).ok_or_else(|| format!("home {}: no sensor is left; more credentials are needed", home.name))?
        };
        self.free[place].take().ok_or_else(|| format!("home {}: device {:?} stands in another home", home.name, name.unwrap_or_default()))
    }
}

struct DayOfHome {
    morning: Option<Morning>,
    /// Since the start of the scenario, ascending.
    acts: Vec<(Duration, Act)>,
}

fn days(scenario: &Scenario, home: &Home, chance: &mut Chance) -> Vec<DayOfHome> {
    let one = |number: u32| {
        let start = DAY * number;
        let (morning, acts) = match &home.resident {
            Some(resident) => {
                let (morning, acts) = resident.day(chance);
                (Some(morning), acts)
            }
            None => (None, Vec::new()),
        };
        let own = home.acts.iter().filter(|act| act.day.is_none_or(|day| day == number + 1)).map(|act| (act.at.of_day(), act.act));
        let mut acts: Vec<_> = acts.into_iter().chain(own).map(|(at, act)| (start + at, act)).collect();
        acts.sort_by_key(|(at, _)| *at);
        DayOfHome { morning, acts }
    };
    (0..scenario.days).map(one).collect()
}

fn shared_acts(scenario: &Scenario) -> Vec<(Duration, Act)> {
    let said = scenario.outages.iter().flat_map(|outage| {
        let start = DAY * (outage.day - 1);
        [(start + outage.from.of_day(), Act::BrokerDown), (start + outage.to.of_day(), Act::BrokerUp)]
    });
    said.chain(scenario.faults.outages(scenario.days, DAY, scenario.seed)).collect()
}

fn truths(home: &Home, device: &str, days: &[DayOfHome], scenario: &Scenario, start_unix_ms: Option<u64>) -> Vec<Truth> {
    let after = |at: Duration| (at / scenario.speed).as_secs_f64();
    let mut open = home.open;
    let mut told = Vec::new();
    for (number, day) in (0_u32..).zip(days) {
        let (mut opened, mut closed, mut help) = (None, None, Vec::new());
        for (at, act) in &day.acts {
            match act {
                Act::OpenCurtain if !std::mem::replace(&mut open, true) => opened = opened.or(Some(*at)),
                Act::CloseCurtain if std::mem::replace(&mut open, false) => closed = Some(*at),
                Act::PressSos | Act::HoldSos => help.push(after(*at)),
                _ => {}
            }
        }
        let morning = match (opened, day.morning) {
            (Some(_), Some(Morning::SleptIn)) => Morning::SleptIn,
            (Some(_), _) => Morning::Opened,
            (None, Some(Morning::Forgot)) => Morning::Forgot,
            (None, _) => Morning::StayedShut,
        };
        let time_of_day = |at: Duration| {
            let seconds = at.as_secs() - (DAY * number).as_secs();
            format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        };
        told.push(Truth {
            home: home.name.clone(),
            building: home.building.clone(),
            device: device.to_owned(),
            day: number + 1,
            morning,
            opened_at: opened.map(time_of_day),
            opened_after_s: opened.map(after),
            opened_unix_ms: opened.zip(start_unix_ms).map(|(at, start)| start + super::time::ms(at / scenario.speed)),
            closed_after_s: closed.map(after),
            help_after_s: help,
        });
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::device_id;

    fn sensors(count: usize) -> Vec<SensorConfig> {
        (0..count).map(|at| SensorConfig::new(device_id(&format!("d-{at}")).unwrap(), [1; 32])).collect()
    }

    fn read(text: &str) -> Scenario {
        Scenario::read(text).unwrap()
    }

    #[test]
    fn the_oracle_and_the_hands_agree_on_every_morning() {
        let usual = Resident { sleeps_in: 0.1, forgets: 0.1, stays_shut: 0.1, ..Resident::default() };
        let scenario = compound(40, 3, 5, 7, usual, (ClockTime::of(5, 30), ClockTime::of(8, 0)));
        let plan = plan(&scenario, sensors(40), Some(1_000_000)).unwrap();
        assert_eq!((plan.parts.len(), plan.oracle.len()), (40, 200));
        for truth in &plan.oracle {
            let part = plan.parts.iter().find(|part| part.config.device == truth.device.as_str()).unwrap();
            let day = DAY * (truth.day - 1)..DAY * truth.day;
            let opened = part.acts.iter().find(|(at, act)| day.contains(at) && *act == Act::OpenCurtain).map(|(at, _)| at.as_secs_f64());
            assert_eq!(opened, truth.opened_after_s, "{truth:?}");
            assert_eq!(opened.is_some(), matches!(truth.morning, Morning::Opened | Morning::SleptIn), "{truth:?}");
        }
        let of = |wanted| plan.oracle.iter().filter(|truth| truth.morning == wanted).count();
        assert!(of(Morning::StayedShut) > 0 && of(Morning::Forgot) > 0 && of(Morning::SleptIn) > 0);
        assert_eq!(scenario.homes.iter().map(|home| &home.building[..]).collect::<std::collections::BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn a_curtain_that_is_open_already_is_not_opened() {
        let text = "name='x'\n[[home]]\nname='a'\nopen=true\n[[home.act]]\nat='07:00'\ndo='open'\n";
        let truth = plan(&read(text), sensors(1), None).unwrap().oracle.remove(0);
        assert_eq!((truth.morning, truth.opened_at), (Morning::StayedShut, None));
    }

    #[test]
    fn hours_pass_as_fast_as_the_scenario_says() {
        let text = "name='x'\nspeed=60\n[[home]]\nname='a'\n[[home.act]]\nat='07:00'\ndo='open'\n";
        let plan = plan(&read(text), sensors(1), Some(5000)).unwrap();
        assert_eq!(plan.parts[0].acts[0], (Duration::from_mins(7), Act::OpenCurtain));
        let truth = &plan.oracle[0];
        assert_eq!((truth.opened_at.as_deref(), truth.opened_unix_ms), (Some("07:00:00"), Some(5000 + 420_000)));
    }

    #[test]
    fn a_device_that_is_named_is_left_to_its_home_and_the_buttons_have_their_own() {
        let text = "name='x'\n[[home]]\nname='a'\n[[home]]\nname='b'\ndevice='d-0'\nbutton='d-2'\n[[home.act]]\nat='07:00'\ndo='sos'\n";
        let plan = plan(&read(text), sensors(3), None).unwrap();
        let names: Vec<&str> = plan.parts.iter().map(|part| part.config.device.as_str()).collect();
        assert_eq!(names, ["d-1", "d-0", "d-2"]);
        let presses = |part: &Part| part.acts.iter().any(|(_, act)| *act == Act::PressSos);
        assert_eq!(plan.parts.iter().map(presses).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn a_home_without_a_sensor_is_named() {
        let missing = plan(&read("name='x'\n[[home]]\nname='a'\ndevice='d-9'\n"), sensors(1), None);
        assert!(missing.unwrap_err().contains("home a: device \"d-9\" has no credentials"));
        let too_few = plan(&read("name='x'\n[[home]]\nname='a'\n[[home]]\nname='b'\n"), sensors(1), None);
        assert!(too_few.unwrap_err().contains("home b: no sensor is left"));
    }

    #[test]
    fn the_broker_is_down_for_all_homes_at_the_same_time() {
        let text = "name='x'\n[[outage]]\nday=1\nfrom='07:00'\nto='07:20'\n[[home]]\nname='a'\n[[home]]\nname='b'\n";
        let plan = plan(&read(text), sensors(2), None).unwrap();
        for part in &plan.parts {
            assert!(part.acts.contains(&(ClockTime::of(7, 0).of_day(), Act::BrokerDown)));
        }
    }
}
