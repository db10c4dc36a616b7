use proptest::prelude::*;

use super::*;

const RULES: fn() -> SensorRules = SensorRules::default;

pub(super) fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_788_734_400 + minutes * 60, 0).unwrap()
}

pub(super) fn seconds(n: i64) -> TimeDelta {
    TimeDelta::seconds(n)
}

pub(super) fn fact(reading: Reading, observed_at: DateTime<Utc>) -> Fact {
    Fact {
        reading,
        key: EventKey::Edge { at_ms: observed_at.timestamp_millis() },
        observed_at,
        received_at: observed_at,
        time_certain: true,
        retained: false,
        cached: true,
        last_seen: None,
    }
}

fn contact(open: bool, observed_at: DateTime<Utc>) -> Fact {
    fact(Reading::Contact { open }, observed_at)
}

pub(super) fn closed_since(since: DateTime<Utc>) -> DeviceState {
    DeviceState { held: Some(HeldLevel { level: Level::Closed, since }), calibrated: true, ..DeviceState::default() }
}

/// Plays facts in order and lets the clock settle what is left one hour later.
pub(super) fn play(state: DeviceState, facts: &[Fact]) -> (DeviceState, Vec<Verdict>) {
    let mut all = Vec::new();
    let mut state = state;
    let mut last = at(0);
    for fact in facts {
        let (next, verdicts) = assess(state, fact, &RULES());
        all.extend(verdicts);
        state = next;
        last = fact.received_at;
    }
    let (state, settled) = settle(state, last + TimeDelta::hours(1), &RULES());
    all.extend(settled);
    (state, all)
}

fn sufficient(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|v| matches!(v, Verdict::Evidence { class: Class::A, .. })).count()
}

#[test]
fn a_curtain_that_opens_after_a_night_and_stays_open_is_proof() {
    let (state, verdicts) = play(closed_since(at(-600)), &[contact(true, at(0))]);
    let opened = Verdict::Evidence {
        class: Class::A,
        deed: Deed::Opened,
        observed_at: at(0),
        key: EventKey::Edge { at_ms: at(0).timestamp_millis() },
    };
    assert_eq!(verdicts, [Verdict::Settling { until: at(1) }, opened]);
    assert_eq!(state.opening, None, "it is told once");
    assert_eq!(play(state, &[contact(true, at(30)), contact(true, at(90))]).1, [Verdict::Unchanged; 2]);
}

#[test]
fn an_opening_is_not_proof_a_moment_before_it_has_lasted() {
    let (state, _) = assess(closed_since(at(-600)), &contact(true, at(0)), &RULES());
    assert_eq!(state.settles_at(&RULES()), Some(at(1)));
    let (state, early) = settle(state, at(1) - TimeDelta::milliseconds(1), &RULES());
    assert_eq!(early, None);
    assert!(settle(state, at(1), &RULES()).1.is_some());
}

#[test]
fn a_tug_at_the_curtain_proves_nothing() {
    let facts = [contact(true, at(0)), contact(false, at(0) + seconds(20))];
    let (_, verdicts) = play(closed_since(at(-600)), &facts);
    assert!(verdicts.contains(&Verdict::Disturbed));
    assert_eq!(sufficient(&verdicts), 0);
}

#[test]
fn an_opening_that_lasted_counts_even_if_the_closing_is_the_next_thing_heard() {
    let facts = [contact(true, at(0)), contact(false, at(5))];
    let (_, verdicts) = play(closed_since(at(-600)), &facts);
    assert_eq!(sufficient(&verdicts), 1);
}

#[test]
fn what_is_not_a_fresh_lasting_opening_is_never_proof() {
    let retained = Fact { retained: true, ..contact(true, at(0)) };
    let waited = Fact { time_certain: false, ..contact(true, at(0)) };
    let cached = Fact { last_seen: Some(at(-60)), ..contact(true, at(0)) };
    let late = Fact { cached: false, ..contact(true, at(0)) };
    let future = Fact { observed_at: at(11), ..contact(true, at(0)) };
    let cases = [
        ("retained", closed_since(at(-600)), retained, Verdict::Baseline(Silent::Retained)),
        ("drained from a broker's queue", closed_since(at(-600)), waited, Verdict::Baseline(Silent::WaitedSomewhere)),
        ("last seen an hour ago", closed_since(at(-600)), cached, Verdict::Baseline(Silent::CachedState)),
        ("eleven minutes ahead", closed_since(at(-600)), future, Verdict::Rejected(Rejection::ClockSuspect)),
        ("older than what is stored", closed_since(at(10)), late, Verdict::Rejected(Rejection::OutOfOrder)),
        ("unknown before", DeviceState::default(), contact(true, at(0)), Verdict::Baseline(Silent::FirstLevel)),
    ];
    for (name, state, fact, expected) in cases {
        let (_, verdicts) = play(state, &[fact]);
        assert_eq!(verdicts, [expected], "{name}");
    }
}

#[test]
fn a_message_that_waited_or_was_kept_never_says_since_when_the_curtain_is_closed() {
    let opened = || play(closed_since(at(-600)), &[contact(true, at(0))]).0;
    let waited = |open, minute| Fact { time_certain: false, ..contact(open, at(minute)) };
    let kept = |open, minute| Fact { retained: true, ..contact(open, at(minute)) };
    let seen_lately = |open, minute| Fact { last_seen: Some(at(minute) - seconds(90)), ..waited(open, minute) };
    for (name, older) in [("waited", waited(false, 1)), ("kept", kept(false, 1)), ("waited, seen lately", seen_lately(false, 1))] {
        let (state, verdicts) = play(opened(), &[older, waited(false, 2), contact(true, at(40)), contact(true, at(80))]);
        assert_eq!(sufficient(&verdicts), 0, "{name}: a battery report repeats what is open all the time");
        assert_eq!(state.held.map(|held| held.level), Some(Level::Open), "{name}");
    }
    let (state, verdicts) = play(closed_since(at(-600)), &[seen_lately(true, 0)]);
    assert!(matches!(verdicts[..], [Verdict::Evidence { class: Class::B, .. }]), "a hint all the same: {verdicts:?}");
    assert_eq!(state.held, None);
    assert_eq!(play(DeviceState::default(), &[kept(false, 0)]).0.held.map(|held| held.level), Some(Level::Closed), "a first level");
    let same = play(closed_since(at(-600)), &[waited(false, 0), kept(false, 1), contact(true, at(2))]).1;
    assert_eq!(sufficient(&same), 1, "what says the same takes nothing away");
}

#[test]
fn a_gateway_that_has_just_started_repeats_old_levels() {
    let online = fact(Reading::Online, at(0));
    let (state, verdicts) = play(closed_since(at(-600)), &[online, contact(true, at(0) + seconds(14))]);
    assert_eq!(verdicts, [Verdict::Health, Verdict::Baseline(Silent::GatewayStarted)]);
    assert_eq!(state.held.map(|held| held.level), Some(Level::Open), "the level is known all the same");
    let (_, verdicts) = play(closed_since(at(-600)), &[online, contact(true, at(0) + seconds(15))]);
    assert_eq!(sufficient(&verdicts), 1);
}

#[test]
fn an_opening_only_shows_when_it_was_closed_too_briefly_or_nobody_calibrated() {
    let shows = |state| {
        let (_, verdicts) = play(state, &[contact(true, at(0))]);
        assert!(matches!(verdicts[..], [Verdict::Evidence { class: Class::B, .. }]), "{verdicts:?}");
    };
    shows(closed_since(at(-30) + seconds(1)));
    shows(DeviceState { calibrated: false, ..closed_since(at(-600)) });
    assert_eq!(sufficient(&play(closed_since(at(-30)), &[contact(true, at(0))]).1), 1, "thirty minutes are enough");
}

#[test]
fn a_magnet_at_the_other_end_turns_the_meaning_round() {
    let inverted = DeviceState { polarity: Polarity::Inverted, ..closed_since(at(-600)) };
    assert_eq!(play(inverted.clone(), &[contact(true, at(0))]).1, [Verdict::Unchanged]);
    assert_eq!(sufficient(&play(inverted, &[contact(false, at(0))]).1), 1);
}

#[test]
fn buttons_speak_at_once_and_a_kept_press_is_silent() {
    let key = EventKey::Numbered { boot_n: 7, seq: 41, index: 1 };
    let press = |reading| Fact { key, cached: false, ..fact(reading, at(0)) };
    let help = Verdict::Help { press: key, observed_at: at(0), possibly_old: false };
    assert_eq!(play(DeviceState::default(), &[press(Reading::HelpButton)]).1, [help]);
    assert_eq!(sufficient(&play(DeviceState::default(), &[press(Reading::OkButton)]).1), 1);
    let old = Fact { time_certain: false, ..press(Reading::HelpButton) };
    assert!(matches!(play(DeviceState::default(), &[old]).1[..], [Verdict::Help { possibly_old: true, .. }]));
    for reading in [Reading::HelpButton, Reading::OkButton] {
        let kept = Fact { retained: true, ..press(reading) };
        assert_eq!(play(DeviceState::default(), &[kept]).1, [Verdict::Rejected(Rejection::Retained)]);
    }
}

#[test]
fn numbers_are_new_once_and_an_old_boot_is_a_replay() {
    let mut window = None;
    let script = [
        ((7, 41), Seen::NewBoot),
        ((7, 41), Seen::Before),
        ((7, 43), Seen::New),
        ((7, 42), Seen::New),
        ((7, 42), Seen::Before),
        ((7, 200), Seen::New),
        ((7, 137), Seen::New),
        ((7, 136), Seen::Before),
        ((8, 1), Seen::NewBoot),
        ((7, 201), Seen::OldBoot),
        ((8, 1), Seen::Before),
    ];
    for ((boot_n, seq), expected) in script {
        assert_eq!(ReplayWindow::admit(&mut window, boot_n, seq), expected, "{boot_n}.{seq}");
    }
}

#[test]
fn copies_from_another_instance_are_dropped_and_own_repeats_are_meant() {
    let mut recent = RecentPayloads::default();
    let mut told = |hash, instance, second| recent.is_copy(hash, instance, at(0) + seconds(second), RULES().copy_window);
    assert!(!told(3, (1, true), 0) && !told(3, (2, false), 0), "what waited for one instance is news to another");
    assert!(told(3, (1, true), 1), "and not the other way round");
    let mut copy = |hash, instance, second| told(hash, (instance, false), second);
    assert!(!copy(1, 1, 0));
    assert!(!copy(2, 1, 1));
    assert!(!copy(1, 1, 2), "opened, closed, opened again");
    assert!(copy(1, 2, 3) && copy(2, 2, 3) && copy(1, 2, 3));
    assert!(!copy(1, 2, 4), "a fourth message only the second instance saw yet");
    assert!(!copy(2, 1, 20), "long ago");
}

#[test]
fn the_wall_clock_of_a_device_is_a_hint() {
    let wall = |minutes, uncertainty| Some(Wall { at: at(minutes), uncertainty: seconds(uncertainty) });
    let check = |wall, waited, expected: (i64, bool, bool), name| {
        let sent = sent_at(at(0), wall, waited, &RULES());
        assert_eq!((sent.at, sent.certain, sent.clock_bad), (at(expected.0), expected.1, expected.2), "{name}");
    };
    check(None, false, (0, true, false), "no clock, live: the age alone dates it");
    check(wall(-1, 2), false, (0, true, false), "clock agrees");
    check(wall(-180, 2), false, (0, true, true), "clock three hours slow on a live message");
    check(wall(-180, 2), true, (-180, true, false), "waited three hours in a broker");
    check(wall(60 * 24 * 365 * 70, 1), false, (0, true, true), "2099");
    check(wall(60 * 24 * 365 * 70, 1), true, (0, false, true), "2099 and waited");
    check(None, true, (0, false, false), "waited and no clock");
    check(wall(-180, 86_400), true, (0, false, true), "clock that does not know itself");
}

proptest! {
    #[test]
    fn keys_read_back_as_written(boot_n: u32, seq: u32, index: u8, at_ms: i64, noise in ".{0,24}") {
        for key in [EventKey::Numbered { boot_n, seq, index }, EventKey::Edge { at_ms }, EventKey::Beside { at_ms, nth: index }] {
            prop_assert_eq!(EventKey::parse(&key.text()), Some(key));
        }
        let _ = EventKey::parse(&noise);
    }

    /// Whatever a contact does within an hour, it proves at most one rising: the night's closed level is needed for each.
    #[test]
    fn any_play_with_the_curtain_within_half_an_hour_is_at_most_one_proof(script in prop::collection::vec((any::<bool>(), 0_i64..29 * 60), 0..40)) {
        let mut script = script;
        script.sort_by_key(|(_, second)| *second);
        let facts: Vec<Fact> = script.into_iter().map(|(open, second)| contact(open, at(0) + seconds(second))).collect();
        prop_assert!(sufficient(&play(closed_since(at(-600)), &facts).1) <= 1);
    }

    #[test]
    fn a_number_is_admitted_once_however_messages_are_shuffled(seqs in prop::collection::vec(0_u32..100, 1..200)) {
        let mut window = None;
        let mut admitted = std::collections::BTreeSet::new();
        for seq in seqs {
            if matches!(ReplayWindow::admit(&mut window, 1, seq), Seen::New | Seen::NewBoot) {
                prop_assert!(admitted.insert(seq));
            }
        }
    }
}

fn call(on: bool, observed_at: DateTime<Utc>) -> Fact {
    fact(Reading::HelpState { on }, observed_at)
}

#[test]
fn a_call_for_help_that_is_repeated_is_told_once_and_one_that_is_remembered_never() {
    let told = |possibly_old, minutes| {
        let at = at(minutes);
        Verdict::Help { press: EventKey::Edge { at_ms: at.timestamp_millis() }, observed_at: at, possibly_old }
    };
    let (state, verdicts) = assess(DeviceState::default(), &call(true, at(0)), &RULES());
    assert_eq!(verdicts, [told(false, 0)], "without history a call is still a call");
    let (state, verdicts) = assess(state, &call(true, at(1)), &RULES());
    assert_eq!(verdicts, [Verdict::Unchanged]);
    let (state, verdicts) = assess(state, &call(false, at(2)), &RULES());
    assert_eq!(verdicts, [Verdict::Moved]);
    assert_eq!(assess(state.clone(), &call(true, at(3)), &RULES()).1, [told(false, 3)], "the next press");
    let remembered = Fact { last_seen: Some(at(-300)), ..call(true, at(3)) };
    assert_eq!(assess(state.clone(), &remembered, &RULES()).1, [Verdict::Baseline(Silent::CachedState)]);
    let kept = Fact { retained: true, ..call(true, at(3)) };
    assert_eq!(assess(state.clone(), &kept, &RULES()).1, [Verdict::Baseline(Silent::Retained)]);
    let started = DeviceState { online_since: Some(at(3)), ..state };
    assert_eq!(assess(started.clone(), &call(true, at(3)), &RULES()).1, [told(true, 3)], "pressed while the gateway was down");
    assert_eq!(assess(started, &remembered, &RULES()).1, [Verdict::Baseline(Silent::GatewayStarted)]);
}

#[test]
fn movement_is_a_hint_after_a_quiet_and_nothing_before_something_is_known() {
    let motion = |seen, minutes| fact(Reading::Motion { seen }, at(minutes));
    let (state, verdicts) = assess(DeviceState::default(), &motion(false, 0), &RULES());
    assert_eq!(verdicts, [Verdict::Baseline(Silent::FirstLevel)]);
    assert_eq!(assess(state.clone(), &motion(true, 19), &RULES()).1, [Verdict::Moved]);
    let (_, verdicts) = assess(state, &motion(true, 20), &RULES());
    assert!(matches!(verdicts[..], [Verdict::Evidence { class: Class::B, deed: Deed::Stirred, .. }]), "{verdicts:?}");
}

#[test]
fn a_curtain_pulled_by_hand_suffices_and_a_kept_one_does_not() {
    let pulled = fact(Reading::PulledOpen, at(0));
    let (_, verdicts) = assess(DeviceState::default(), &pulled, &RULES());
    assert!(matches!(verdicts[..], [Verdict::Evidence { class: Class::A, deed: Deed::Opened, .. }]), "{verdicts:?}");
    let (_, verdicts) = assess(DeviceState::default(), &Fact { retained: true, ..pulled }, &RULES());
    assert_eq!(verdicts, [Verdict::Rejected(Rejection::Retained)]);
}

/// One sensor may report both: a room in which nobody moves is not a closed curtain.
#[test]
fn movement_and_calls_for_help_never_move_the_curtain() {
    let (state, _) = play(DeviceState { calibrated: true, ..DeviceState::default() }, &[contact(true, at(0))]);
    let others = [
        fact(Reading::Motion { seen: true }, at(1)),
        fact(Reading::Motion { seen: false }, at(2)),
        call(true, at(3)),
        call(false, at(4)),
        fact(Reading::Shaken, at(5)),
    ];
    let (state, _) = play(state, &others);
    assert_eq!(state.held.map(|held| held.level), Some(Level::Open));
    assert_eq!(play(state, &[contact(true, at(60))]).1, [Verdict::Unchanged], "it is open as it was");
}

#[test]
fn a_shaken_rail_is_one_hint_however_long_it_shakes() {
    let shaken = |minutes| fact(Reading::Shaken, at(minutes));
    let classes = |facts: &[Fact]| -> Vec<Class> {
        let hint = |verdict: Verdict| if let Verdict::Evidence { class, deed: Deed::Shaken, .. } = verdict { Some(class) } else { None };
        play(DeviceState::default(), facts).1.into_iter().filter_map(hint).collect()
    };
    assert_eq!(classes(&[shaken(0), shaken(1), shaken(9), shaken(18)]), [Class::B], "shaking goes on");
    assert_eq!(classes(&[shaken(0), shaken(10)]), [Class::B; 2]);
    for late in [Fact { retained: true, ..shaken(0) }, Fact { time_certain: false, ..shaken(0) }] {
        assert_eq!(classes(&[late]), []);
    }
}
