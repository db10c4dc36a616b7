//! Hands on the device, a clock that jumps, and what home automation is shown.

use super::*;

fn kinds(bench: &Bench) -> Vec<u8> {
    bench.sent().into_iter().flat_map(|(_, events)| events).map(|(_, kind)| kind).collect()
}

/// Lets the device say what it has to say, on a network that answers.
fn heard(bench: &mut Bench) {
    for _ in 0..20 {
        if matches!(bench.seen.last(), Some(Seen::Connect(_))) {
            bench.put(Input::Connected);
        }
        if matches!(bench.seen.last(), Some(Seen::Events { .. })) {
            bench.receipt();
        }
        if matches!(bench.rest, Rest::Awake { .. }) {
            bench.alarm();
        }
    }
}

#[test]
fn a_magnet_that_is_taken_off_is_tampering_and_no_opening() {
    let mut bench = Bench::asleep();
    bench.at(5000, Input::Contact { open: true });
    bench.at(40, Input::Tamper { triggered: true });
    heard(&mut bench);
    assert_eq!(kinds(&bench), [9]);
    assert!(bench.sensor.contact.level(), "the level is known all the same");
}

#[test]
fn a_magnet_that_is_put_back_at_an_open_curtain_is_no_opening_either() {
    let mut bench = Bench::asleep();
    bench.at(5000, Input::Tamper { triggered: true });
    bench.at(0, Input::Contact { open: true });
    bench.at(900, Input::Tamper { triggered: false });
    heard(&mut bench);
    assert_eq!(kinds(&bench), [9], "the reed moved while a hand was on the device, although it settled later");
    bench.at(60_000, Input::Contact { open: false });
    heard(&mut bench);
    bench.at(60_000, Input::Contact { open: true });
    heard(&mut bench);
    assert_eq!(kinds(&bench), [9, 1, 1], "and the next real moves are told");
}

#[test]
fn a_lid_that_chatters_is_nothing() {
    let mut bench = Bench::asleep();
    bench.at(5000, Input::Tamper { triggered: true });
    bench.at(100, Input::Tamper { triggered: false });
    bench.at(100, Input::Contact { open: true });
    heard(&mut bench);
    assert_eq!(kinds(&bench), [1]);
}

#[test]
fn a_wall_clock_that_jumps_is_told_by_how_much_and_a_small_correction_is_not() {
    let mut bench = Bench::asleep();
    let known = bench.sensor.clock.at(bench.now_ms).unwrap();
    bench.put(Input::Wall(Wall { ms: known.ms + 60_000, ..known }));
    heard(&mut bench);
    assert_eq!(kinds(&bench), [0_u8; 0]);
    let known = bench.sensor.clock.at(bench.now_ms).unwrap();
    bench.put(Input::Wall(Wall { ms: known.ms + 86_400_000, ..known }));
    heard(&mut bench);
    assert_eq!(kinds(&bench), [12, 12], "the jump, and the correction by the receipt of the message that told it");
}

#[test]
fn home_assistant_is_told_at_boot_and_at_each_heartbeat_and_the_level_when_it_changes() {
    let mut bench = Bench::new(0);
    bench.sensor.settings.home_assistant = true;
    let shown =
        |bench: &Bench, wanted: &str| bench.seen.iter().filter(|seen| matches!(seen, Seen::Json(suffix, _) if *suffix == wanted)).count();
    bench.alarm();
    heard(&mut bench);
    assert_eq!((shown(&bench, "config"), shown(&bench, "up/state")), (1, 1));
    bench.at(60_000, Input::Contact { open: true });
    heard(&mut bench);
    assert_eq!((shown(&bench, "config"), shown(&bench, "up/state")), (1, 2));
    bench.alarm();
    heard(&mut bench);
    assert_eq!((shown(&bench, "config"), shown(&bench, "up/state")), (2, 3));
}
