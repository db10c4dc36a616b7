use proptest::prelude::*;

use super::super::{EventKey, HeldLevel, Level, Reading, assess, settle};
use super::*;

const TAIYUAN: Place = Place { zone: chrono_tz::Asia::Shanghai, latitude: 37.87, longitude: 112.55 };

fn morning(day: u32, time: &str) -> DateTime<Utc> {
    format!("2026-11-{day:02}T{time}+08:00").parse().unwrap()
}

fn fact(reading: Reading, at: DateTime<Utc>) -> Fact {
    Fact {
        reading,
        key: EventKey::Edge { at_ms: at.timestamp_millis() },
        observed_at: at,
        received_at: at,
        time_certain: true,
        retained: false,
        cached: true,
        last_seen: None,
    }
}

fn cover(percent: u8, at: DateTime<Utc>) -> Fact {
    fact(Reading::Cover { percent, moving: false }, at)
}

fn motor() -> DeviceState {
    DeviceState { place: Some(TAIYUAN), calibrated: true, ..DeviceState::default() }
}

/// Shut in the night before and opened at these moments; what each opening was.
fn openings(state: DeviceState, by: Option<Mover>, at: &[DateTime<Utc>]) -> (DeviceState, Vec<(Class, Deed)>) {
    let mut state = state;
    let mut told = Vec::new();
    for at in at {
        state.held = Some(HeldLevel { level: Level::Closed, since: *at - TimeDelta::hours(9) });
        let set_going = by.map(|by| fact(Reading::Moved { by }, *at - TimeDelta::seconds(20)));
        for fact in set_going.into_iter().chain([cover(100, *at)]) {
            let (next, verdicts) = assess(state, &fact, &SensorRules::default());
            let (next, settled) = settle(next, fact.observed_at + TimeDelta::minutes(1), &SensorRules::default());
            state = next;
            told.extend(verdicts.into_iter().chain(settled).filter_map(|verdict| match verdict {
                Verdict::Evidence { class, deed, .. } => Some((class, deed)),
                _ => None,
            }));
        }
    }
    (state, told)
}

#[test]
fn a_motor_that_opens_at_the_same_time_for_four_days_is_a_timer() {
    use Class::{A, B, C};
    use Deed::{ButtonOpened, MotorOpened, OpenedFromAfar, OpenedOnTime};
    let at = |times: [&str; 5]| (9..14).zip(times).map(|(day, time)| morning(day, time)).collect::<Vec<_>>();
    let timer = at(["07:00:00", "07:00:02", "06:59:58", "07:00:00", "07:00:01"]);
    let by_hand = at(["06:50:00", "07:05:00", "07:21:00", "06:58:00", "07:10:00"]);
    let unknown = (B, MotorOpened);
    let on_time = (C, OpenedOnTime);
    for (name, by, times, expected) in [
        ("a timer", None, &timer, vec![unknown, unknown, unknown, on_time, on_time]),
        ("somebody", None, &by_hand, vec![unknown; 5]),
        ("the button on the wall", Some(Mover::Button), &by_hand, vec![(A, ButtonOpened); 5]),
        ("a timer behind it", Some(Mover::Button), &timer, vec![(A, ButtonOpened), (A, ButtonOpened), (A, ButtonOpened), on_time, on_time]),
        ("a telephone", Some(Mover::Afar), &by_hand, vec![(C, OpenedFromAfar); 5]),
    ] {
        assert_eq!(openings(motor(), by, times).1, expected, "{name}");
    }
    let (known, _) = openings(motor(), None, &timer);
    assert_eq!(openings(known.clone(), None, &[morning(14, "07:30:00")]).1, [unknown], "off its time somebody did it");
    let weekend = [morning(14, "09:12:00"), morning(15, "07:00:00")];
    assert_eq!(openings(known.clone(), None, &weekend).1, [unknown, unknown], "until it is seen again");
    let both = [morning(14, "06:40:00"), morning(14, "07:00:03"), morning(15, "06:20:00"), morning(15, "07:00:00")];
    assert_eq!(openings(known, None, &both).1, [unknown, on_time, unknown, on_time], "beside a person the timer is still seen");
}

#[test]
fn who_moved_it_is_asked_of_this_movement_only_and_not_of_a_repeated_state() {
    let shut = || DeviceState { held: Some(HeldLevel { level: Level::Closed, since: morning(9, "00:00:00") }), ..motor() };
    let worth = |facts: &[Fact]| {
        let last = facts.last().unwrap().observed_at;
        let state = facts.iter().fold(shut(), |state, fact| assess(state, fact, &SensorRules::default()).0);
        match settle(state, last + TimeDelta::minutes(1), &SensorRules::default()).1 {
            Some(Verdict::Evidence { class, .. }) => Some(class),
            _ => None,
        }
    };
    let pressed = fact(Reading::Moved { by: Mover::Button }, morning(9, "07:00:00"));
    let later = [pressed, cover(100, morning(9, "07:05:01"))];
    assert_eq!(worth(&later), Some(Class::B), "the press was of another movement");
    let kept = [Fact { retained: true, ..pressed }, cover(100, morning(9, "07:00:20"))];
    assert_eq!(worth(&kept), Some(Class::B));
    assert_eq!(worth(&[pressed, cover(100, morning(9, "07:00:20"))]), Some(Class::A));
    assert_eq!(around_midnight(DAY_SECONDS - 30), -30);
}

proptest! {
    /// Whatever a motor does by itself is never proof, and what is remembered of it is bounded.
    #[test]
    fn a_motor_without_a_hand_is_never_proof(minutes in prop::collection::vec(0_i64..40_000, 0..60), afar: bool) {
        let mut minutes = minutes;
        minutes.sort_unstable();
        let at: Vec<DateTime<Utc>> = minutes.into_iter().map(|minute| morning(1, "00:00:00") + TimeDelta::minutes(minute)).collect();
        let (state, told) = openings(motor(), afar.then_some(Mover::Afar), &at);
        prop_assert!(told.iter().all(|(class, _)| *class != Class::A));
        prop_assert!(state.memory.openings.0.len() <= OPENINGS_MAX);
    }
}
