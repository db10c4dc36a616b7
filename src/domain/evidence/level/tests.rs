use proptest::prelude::*;

use super::super::tests::{at, closed_since, fact, play, seconds};
use super::super::{Mover, Reading, assess, settle};
use super::*;

/// Positions of a cover, each so many seconds after six o'clock.
fn positions(script: &[(i64, u8)]) -> Vec<Fact> {
    script.iter().map(|(second, percent)| position(*percent, at(0) + seconds(*second))).collect()
}

fn position(percent: u8, at: DateTime<Utc>) -> Fact {
    fact(Reading::Cover { percent, moving: false }, at)
}

fn word(level: Level, second: i64) -> Fact {
    fact(Reading::CoverWord { level }, at(0) + seconds(second))
}

fn pressed(second: i64) -> Fact {
    fact(Reading::Moved { by: Mover::Button }, at(0) + seconds(second))
}

/// Shut at this position since the evening.
fn shut_at(percent: u8) -> DeviceState {
    let calibrated = DeviceState { calibrated: true, ..DeviceState::default() };
    assess(calibrated, &position(percent, at(-600)), &SensorRules::default()).0
}

/// The same as a cover that counts from the other end.
fn the_other_way_round((state, facts): (DeviceState, Vec<Fact>)) -> (DeviceState, Vec<Fact>) {
    let turned = |fact: Fact| match fact.reading {
        Reading::Cover { percent, moving } => Fact { reading: Reading::Cover { percent: 100 - percent, moving }, ..fact },
        _ => fact,
    };
    (DeviceState { polarity: state.polarity.reversed(), ..state }, facts.into_iter().map(turned).collect())
}

/// The classes of the openings that counted.
fn counted(state: DeviceState, facts: &[Fact]) -> Vec<Class> {
    let class = |verdict| if let Verdict::Evidence { class, .. } = verdict { Some(class) } else { None };
    play(state, facts).1.into_iter().filter_map(class).collect()
}

#[test]
fn a_position_is_shut_partial_or_open_from_either_end() {
    for (percent, polarity, expected) in [
        (5, Polarity::Normal, Level::Closed),
        (6, Polarity::Normal, Level::Partial),
        (79, Polarity::Normal, Level::Partial),
        (80, Polarity::Normal, Level::Open),
        (100, Polarity::Inverted, Level::Closed),
        (0, Polarity::Inverted, Level::Open),
    ] {
        assert_eq!(Sight::of_cover(percent, polarity).level, expected, "{percent} {polarity:?}");
    }
}

/// sensors.md §4.
#[test]
fn a_cover_that_stops_half_way_was_opened_if_it_went_thirty_points() {
    use Class::B;
    for (name, shut, script, expected) in [
        ("to the end", 0, vec![(0, 100)], vec![B]),
        ("thirty points", 0, vec![(0, 30)], vec![B]),
        ("twenty-nine", 0, vec![(0, 29)], vec![]),
        ("thirty from where it was shut", 5, vec![(0, 35)], vec![B]),
        ("from five to thirty-four", 5, vec![(0, 34)], vec![]),
        ("two steps are one opening", 0, vec![(0, 20), (60, 40)], vec![B]),
        ("two steps that both go far", 0, vec![(0, 40), (60, 75)], vec![B]),
        ("all the way in steps", 0, vec![(0, 12), (5, 37), (10, 63), (15, 98)], vec![B]),
        ("a step now and a step tomorrow", 0, vec![(0, 20), (86_400, 100)], vec![]),
        ("ajar since yesterday", 20, vec![(0, 100)], vec![]),
        ("from half-way to the end", 50, vec![(0, 100)], vec![]),
        ("there and back at once", 0, vec![(0, 40), (1, 0)], vec![]),
        ("back to a gap at once", 0, vec![(0, 40), (1, 20)], vec![]),
        ("back to a gap a minute later", 0, vec![(0, 40), (60, 20)], vec![B]),
        ("shut and opened again", 0, vec![(0, 40), (60, 0), (120, 40)], vec![B, B]),
        ("shutting", 100, vec![(0, 60), (10, 0)], vec![]),
    ] {
        let facts = positions(&script);
        assert_eq!(counted(shut_at(shut), &facts), expected, "{name}");
        let (state, facts) = the_other_way_round((shut_at(shut), facts));
        assert_eq!(counted(state, &facts), expected, "{name}, the other way round");
    }
}

/// What is guarded of an opening to the end is guarded of one half-way.
#[test]
fn a_half_opening_suffices_only_where_a_whole_one_would() {
    use Class::{A, B, C};
    let by_hand = |percent| vec![pressed(-20), position(percent, at(0))];
    let from_afar = |percent| vec![fact(Reading::Moved { by: Mover::Afar }, at(0) - seconds(20)), position(percent, at(0))];
    let raw = |state| DeviceState { calibrated: false, ..state };
    let lately = || play(shut_at(100), &[position(0, at(-29))]).0;
    for percent in [40, 100] {
        let brief = [by_hand(percent), positions(&[(59, 0)])].concat();
        let waited = by_hand(percent).into_iter().map(|fact| Fact { time_certain: false, last_seen: Some(fact.received_at), ..fact });
        let moving = vec![pressed(-20), fact(Reading::Cover { percent, moving: true }, at(0))];
        for (name, state, facts, expected) in [
            ("the button on the wall", shut_at(0), by_hand(percent), vec![A]),
            ("a telephone", shut_at(0), from_afar(percent), vec![C]),
            ("nobody has calibrated it", raw(shut_at(0)), by_hand(percent), vec![B]),
            ("shut too briefly", lately(), by_hand(percent), vec![B]),
            ("not a minute open", shut_at(0), brief, vec![]),
            ("it waited somewhere", shut_at(0), waited.collect(), vec![B]),
            ("on its way", shut_at(0), moving, vec![]),
        ] {
            assert_eq!(counted(state, &facts), expected, "{name}, {percent} %");
        }
    }
    let stops_and_goes = [by_hand(40), positions(&[(20, 60), (40, 100)])].concat();
    assert_eq!(counted(shut_at(0), &stops_and_goes), [A], "further open it stays open");
    let goes_back = [by_hand(40), positions(&[(20, 10)])].concat();
    assert_eq!(counted(shut_at(0), &goes_back), [], "a gap is not what was opened");
}

/// sensors.md §2: covers of Tuya say the old position with the new state, and the new position a moment later.
#[test]
fn a_first_message_that_the_second_takes_back_is_no_hint() {
    let at_once = |script: &[(i64, u8)]| {
        let facts = script.iter().map(|(millis, percent)| position(*percent, at(0) + TimeDelta::milliseconds(*millis)));
        facts.collect::<Vec<Fact>>()
    };
    assert_eq!(counted(shut_at(0), &at_once(&[(0, 0), (80, 100)])), [Class::B], "opening: the old position says nothing");
    assert_eq!(counted(shut_at(100), &at_once(&[(0, 100), (80, 0)])), [], "shutting");
    assert_eq!(counted(shut_at(0), &at_once(&[(0, 100), (80, 0)])), [], "shutting, and its opening was never heard");
    let state = assess(shut_at(0), &position(100, at(0)), &SensorRules::default()).0;
    assert_eq!(settle(state.clone(), at(0) + TimeDelta::milliseconds(1_999), &SensorRules::default()).1, None);
    assert!(settle(state, at(0) + seconds(2), &SensorRules::default()).1.is_some(), "a hint waits two seconds and no minute");
}

#[test]
fn open_in_the_sense_of_not_shut_says_nothing_beside_a_position() {
    let said = |second, level| word(level, second);
    let esphome = [position(3, at(0)), said(0, Level::Partial)];
    assert_eq!(counted(shut_at(0), &esphome), [], "three per cent are shut, whatever it calls them");
    let esphome = [position(100, at(0)), said(0, Level::Partial), position(100, at(1)), said(60, Level::Partial)];
    let (state, _) = play(shut_at(0), &esphome);
    assert_eq!(counted(shut_at(0), &esphome), [Class::B]);
    assert_eq!(state.held.map(|held| (held.level, held.since)), Some((Level::Open, at(0))), "it is open as it was");
    let home_assistant = [said(0, Level::Partial), position(60, at(0)), said(60, Level::Closed), position(0, at(1))];
    assert_eq!(counted(shut_at(0), &home_assistant), [Class::B]);
    let pressed = [pressed(-20), position(100, at(0)), said(0, Level::Partial)];
    assert_eq!(counted(shut_at(0), &pressed), [Class::A], "and takes nothing back");
    assert_eq!(counted(closed_since(at(-600)), &[said(0, Level::Partial)]), [Class::B], "alone it is all there is");
}

/// Home Assistant: the date of a state comes after it.
#[test]
fn a_state_that_turns_out_to_be_old_was_no_opening_of_now() {
    let open = fact(Reading::Contact { open: true }, at(0));
    let dated = |millis, age| {
        let received_at = at(0) + TimeDelta::milliseconds(millis);
        Fact { last_seen: Some(received_at - age), ..fact(Reading::Dated, received_at) }
    };
    for (name, date, expected) in [
        ("of yesterday", dated(40, TimeDelta::hours(22)), vec![]),
        ("eleven minutes old", dated(2_000, TimeDelta::minutes(11)), vec![]),
        ("of now", dated(40, TimeDelta::zero()), vec![Class::A]),
        ("the date of something else", dated(2_001, TimeDelta::hours(22)), vec![Class::A]),
        ("kept by a broker", Fact { retained: true, ..dated(40, TimeDelta::hours(22)) }, vec![Class::A]),
    ] {
        assert_eq!(counted(closed_since(at(-600)), &[open, date]), expected, "{name}");
        let cover = [position(100, at(0)), date];
        assert_eq!(counted(shut_at(0), &cover).len(), expected.len(), "a cover, {name}");
    }
    let (state, _) = play(closed_since(at(-600)), &[open, dated(40, TimeDelta::hours(22))]);
    assert_eq!(state.held.map(|held| held.level), Some(Level::Open), "the level is known all the same");
}

proptest! {
    /// However a cover is moved: each time it was shut it is opened once at most, it proves nothing without a hand, and turned round
    /// it is the same.
    #[test]
    fn a_cover_is_opened_once_for_each_time_it_was_shut(
        script in prop::collection::vec((0_i64..7_200, 0_u8..=100), 0..60),
        presses in prop::collection::vec(0_i64..7_200, 0..4),
    ) {
        let mut facts = positions(&script);
        facts.extend(presses.iter().map(|second| pressed(*second)));
        facts.sort_by_key(|fact| fact.observed_at);
        let classes = counted(shut_at(0), &facts);
        let shut = 1 + script.iter().filter(|(_, percent)| *percent <= COVER_CLOSED_PERCENT_MAX).count();
        prop_assert!(classes.len() <= shut);
        prop_assert!(!presses.is_empty() || classes.iter().all(|class| *class == Class::B));
        prop_assert!(script.iter().any(|(_, percent)| *percent >= COVER_DRAWN_PERCENT_MIN) || classes.is_empty());
        let (state, turned) = the_other_way_round((shut_at(0), facts));
        prop_assert_eq!(counted(state, &turned), classes);
    }
}
