use proptest::prelude::*;

use super::super::tests::fact as cached;
use super::super::{HeldLevel, Level, Place, Reading, assess};
use super::*;

const TAIYUAN: Place = Place { zone: chrono_tz::Asia::Shanghai, latitude: 37.87, longitude: 112.55 };

/// A time of 2026-11-23 in Taiyuan, where the sun rises at half past seven.
fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-23T{time}+08:00").parse().unwrap()
}

fn here() -> DeviceState {
    DeviceState { place: Some(TAIYUAN), calibrated: true, ..DeviceState::default() }
}

/// Of a device that caches nothing.
fn fact(reading: Reading, observed_at: DateTime<Utc>) -> Fact {
    Fact { cached: false, ..cached(reading, observed_at) }
}

fn lux(lux: u32, observed_at: DateTime<Utc>) -> Fact {
    fact(Reading::Light { centilux: lux * 100 }, observed_at)
}

/// The classes of the steps that were told.
fn steps(state: DeviceState, facts: &[Fact]) -> (DeviceState, Vec<Class>) {
    let mut state = state;
    let mut classes = Vec::new();
    for fact in facts {
        let (next, verdicts) = assess(state, fact, &SensorRules::default());
        state = next;
        classes.extend(verdicts.into_iter().filter_map(|verdict| match verdict {
            Verdict::Evidence { class, deed: Deed::LightChanged, .. } => Some(class),
            _ => None,
        }));
    }
    (state, classes)
}

#[test]
fn a_step_of_light_by_day_is_a_hint_and_at_night_a_lamp() {
    use Class::{B, C};
    for (name, before, after, from, seconds, expected) in [
        ("by day", 20, 600, "08:00:00", 50, vec![B]),
        ("no brighter than a lamp may be", 20, 400, "08:00:00", 50, vec![C]),
        ("exactly what is no lamp", 20, 450, "08:00:00", 50, vec![C]),
        ("four times", 150, 600, "08:00:00", 50, vec![]),
        ("too dark", 1, 19, "08:00:00", 50, vec![]),
        ("from nothing", 0, 20, "08:00:00", 50, vec![C]),
        ("a report every five minutes", 20, 600, "08:00:00", 300, vec![B]),
        ("a report every half hour may be a ramp", 20, 600, "08:00:00", 1800, vec![]),
        ("before the sun is up", 20, 600, "07:10:00", 50, vec![]),
        ("at night", 0, 600, "05:00:00", 1, vec![]),
    ] {
        let (start, end) = (at(from), at(from) + TimeDelta::seconds(seconds));
        assert_eq!(steps(here(), &[lux(before, start), lux(after, end)]).1, expected, "{name}");
        if seconds <= 60 {
            let jump = fact(Reading::LightJump { before: before * 100, after: after * 100 }, end);
            assert_eq!(steps(here(), &[jump]).1, expected, "{name}, as the device saw it");
        }
    }
    let nowhere = DeviceState { place: None, ..here() };
    assert_eq!(steps(nowhere, &[lux(20, at("08:00:00")), lux(600, at("08:00:30"))]).1, [], "nobody knows where the sun is");
}

#[test]
fn dawn_behind_a_closed_curtain_is_a_ramp_and_no_step() {
    // Not quite twice as bright every five minutes.
    let mut dawn = Vec::new();
    let mut bright = 2.0_f64;
    for minute in (0..120).step_by(5) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousand lux")]
        dawn.push(lux(bright as u32, at("07:30:00") + TimeDelta::minutes(minute)));
        bright = (bright * 1.9).min(20_000.0);
    }
    assert_eq!(steps(here(), &dawn).1, []);
}

/// I8: what a gateway repeats, a broker kept or a queue held back is no step.
#[test]
fn light_that_is_not_of_now_is_no_step() {
    let (dark, bright) = (lux(20, at("08:00:00")), lux(600, at("08:00:30")));
    for (name, late) in [
        ("kept", Fact { retained: true, ..bright }),
        ("waited", Fact { time_certain: false, ..bright }),
        ("remembered", Fact { cached: true, last_seen: Some(at("06:00:00")), ..bright }),
    ] {
        assert_eq!(steps(here(), &[dark, late]).1, [], "{name}");
    }
    let repeated = |time| Fact { cached: true, ..lux(20, at(time)) };
    let script = [repeated("03:00:00"), repeated("08:00:00"), Fact { cached: true, ..bright }];
    assert_eq!(steps(here(), &script).1, [], "a battery report repeats how dark it was in the night");
    let flicker: Vec<Fact> = (0..40).map(|n| lux(if n % 2 == 0 { 20 } else { 600 }, at("08:00:00") + TimeDelta::seconds(n * 10))).collect();
    assert_eq!(steps(here(), &flicker).1, [Class::B], "told once");
}

/// sensors.md §4: what is open by light is open until it is dim for twenty minutes.
#[test]
fn a_curtain_that_light_has_opened_is_opened_again_only_after_it_was_shut() {
    use Class::{B, C};
    let lux = |time, lux: u32| self::lux(lux, at(time));
    let opened = || vec![lux("08:00:00", 20), lux("08:00:30", 5_000)];
    let tomorrow = |fact: Fact| Fact {
        observed_at: fact.observed_at + TimeDelta::days(1),
        received_at: fact.received_at + TimeDelta::days(1),
        ..fact
    };
    for (name, then, expected) in [
        ("a cloud", vec![lux("09:00:00", 900), lux("09:19:00", 900), lux("09:19:30", 6_000)], vec![B]),
        ("shut for twenty minutes", vec![lux("09:00:00", 20), lux("09:19:30", 20), lux("09:20:00", 5_000)], vec![B, B]),
        ("not as dim as that", vec![lux("09:00:00", 2_000), lux("09:19:30", 2_000), lux("09:20:00", 10_000)], vec![B]),
        ("bright in between", vec![lux("09:00:00", 20), lux("09:15:00", 4_000), lux("09:29:00", 20), lux("09:29:30", 5_000)], vec![B]),
        ("the next day", opened().into_iter().map(tomorrow).collect(), vec![B, B]),
    ] {
        assert_eq!(steps(here(), &[opened(), then].concat()).1, expected, "{name}");
    }
    let lamp = [lux("08:00:00", 20), lux("08:00:30", 300), lux("08:10:00", 20), lux("08:10:30", 5_000)];
    assert_eq!(steps(here(), &lamp).1, [C, B], "what may have been a lamp has opened nothing for certain");
}

#[test]
fn lamps_are_learnt_over_fourteen_nights_in_a_bounded_memory() {
    let nights = |lux: u32, nights: i64| {
        let mut learnt = Nights::default();
        for night in 0..nights {
            for _ in 0..400 {
                learnt.learn(at("00:00:00").date_naive() + TimeDelta::days(night), lux * 100);
            }
        }
        learnt
    };
    assert_eq!(nights(40, 13).lamp_ceiling(), LAMP_CENTILUX, "too few nights");
    assert_eq!(nights(40, 14).lamp_ceiling(), 5_000);
    assert_eq!(nights(900, 14).lamp_ceiling(), 100_000);
    assert_eq!(nights(9_000, 14).lamp_ceiling(), u32::MAX);
    let modest = DeviceState { memory: super::super::Memory { nights: nights(40, 14), ..Default::default() }, ..here() };
    let jump = |lux: u32| fact(Reading::LightJump { before: 100, after: lux * 100 }, at("08:00:00"));
    assert_eq!(steps(modest.clone(), &[jump(80)]).1, [Class::B], "one and a half times what her lamps do");
    assert_eq!(steps(modest.clone(), &[jump(75)]).1, [Class::C]);
    assert!(modest.memory.text().unwrap().len() < 400, "fits in a row");
    let (taught, _) = steps(here(), &[lux(40, at("03:00:00")), lux(40, at("03:05:00")), lux(40, at("12:00:00"))]);
    assert_eq!(taught.memory.nights.counts.iter().sum::<u32>(), 2, "the day teaches nothing about lamps");
}

#[test]
fn a_contact_and_light_that_change_together_count_although_the_curtain_was_shut_only_briefly() {
    let shut = |state: DeviceState| DeviceState { held: Some(HeldLevel { level: Level::Closed, since: at("07:50:00") }), ..state };
    let open = fact(Reading::Contact { open: true }, at("08:00:00"));
    let jump = |time| fact(Reading::LightJump { before: 300, after: 64_000 }, at(time));
    let proof = |state, facts: &[Fact]| {
        let (state, _) = steps(state, facts);
        super::super::settle(state, at("08:10:00"), &SensorRules::default()).1.is_some()
    };
    assert!(!proof(shut(here()), &[open]), "ten minutes shut");
    assert!(proof(shut(here()), &[open, jump("08:00:01")]));
    assert!(proof(shut(here()), &[jump("07:59:59"), open]), "in whatever order");
    assert!(!proof(shut(here()), &[open, jump("08:02:01")]), "something else made the light");
    assert!(!proof(shut(here()), &[open, fact(Reading::LightJump { before: 300, after: 40_000 }, at("08:00:01"))]), "a lamp, perhaps");
    assert!(!proof(shut(DeviceState { calibrated: false, ..here() }), &[open, jump("08:00:01")]), "nobody knows which way round");
    let closed_again = fact(Reading::Contact { open: false }, at("08:00:20"));
    assert!(!proof(shut(here()), &[open, jump("08:00:01"), closed_again]), "a tug at the curtain");
    let by_gateway = |fact: Fact| Fact { cached: true, ..fact };
    assert!(!proof(shut(here()), &[by_gateway(open), by_gateway(jump("08:00:01"))]), "a gateway dates both by itself");
}

proptest! {
    /// Too little light, and light that goes, never say anything; nothing that light says suffices; the memory is bounded.
    #[test]
    fn light_alone_is_never_proof_and_the_dark_says_nothing(script in prop::collection::vec((0_i64..86_400, 0_u32..200_000), 0..200)) {
        let mut script = script;
        script.sort_unstable();
        let facts: Vec<Fact> = script.iter().map(|(second, lux)| self::lux(*lux, at("00:00:00") + TimeDelta::seconds(*second))).collect();
        let (state, classes) = steps(here(), &facts);
        prop_assert!(classes.iter().all(|class| *class != Class::A));
        prop_assert!(state.opening.is_none() && state.held.is_none());
        prop_assert!(state.memory.text().is_none_or(|text| text.len() < 1_000));
        let fading: Vec<Fact> = facts.iter().rev().zip(&facts).map(|(value, time)| Fact { reading: value.reading, ..*time }).collect();
        let mut falling = fading;
        falling.sort_by_key(|fact| fact.observed_at);
        let mut last = u32::MAX;
        for fact in &mut falling {
            if let Reading::Light { centilux } = &mut fact.reading {
                last = last.min(*centilux);
                *centilux = last;
            }
        }
        prop_assert_eq!(steps(here(), &falling).1, []);
    }
}
