//! The whole firmware on a bench: a hand that moves pins, a network that answers or does not, a clock that jumps.

use std::format;
use std::string::String;
use std::vec::Vec;

use minicbor::Decoder;
use proptest::prelude::*;

use super::*;
use crate::envelope::{Key, device_id, open, seal};

mod touched;

const KEY: Key = [7; 32];
const BOOT_N: u32 = 8;

/// What came out, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Connect(String),
    Events { seq: u32, events: Vec<(u64, u8)>, payload: Vec<u8>, resent: bool },
    Telemetry,
    Json(&'static str, String),
    Disconnect,
    Beep(bool),
}

struct Bench {
    sensor: Sensor,
    now_ms: u64,
    rest: Rest,
    seen: Vec<Seen>,
}

impl Bench {
    fn new(lost_before: u32) -> Self {
        let keys = Keys { current: SigningKey { kid: 1, key: KEY }, next: None };
        let identity = Identity { device: device_id("d-1").unwrap(), keys };
        let boot =
            Boot { boot_n: BOOT_N, boot_id: 5, reason: BootReason::PowerOn, contact_open: false, lost_before, births: 0, wall: None };
        let sensor = Sensor::new(identity, Settings::default(), boot, 1000);
        Self { sensor, now_ms: 1000, rest: Rest::Asleep { until_ms: 1000 }, seen: Vec::new() }
    }

    /// Booted, greeted, receipted, asleep.
    fn asleep() -> Self {
        let mut bench = Self::new(0);
        bench.alarm();
        bench.put(Input::Connected);
        bench.receipt();
        bench.until(|bench| matches!(bench.rest, Rest::Asleep { .. }));
        bench.seen.clear();
        bench
    }

    fn put(&mut self, input: Input) -> Vec<Seen> {
        let mut fresh = Vec::new();
        self.rest = self.sensor.step(self.now_ms, input, &mut |output| fresh.push(keep(&output)));
        self.seen.extend(fresh.clone());
        fresh
    }

    fn at(&mut self, after_ms: u64, input: Input) -> Vec<Seen> {
        self.now_ms += after_ms;
        self.put(input)
    }

    /// Waits as long as the firmware asked to.
    fn alarm(&mut self) -> Vec<Seen> {
        self.now_ms = self.now_ms.max(self.rest.until_ms());
        self.put(Input::Alarm)
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..100 {
            if done(self) {
                return;
            }
            self.alarm();
        }
        panic!("never happened: {:?}", self.seen);
    }

    fn sent(&self) -> Vec<(u32, Vec<(u64, u8)>)> {
        self.seen
            .iter()
            .filter_map(|seen| if let Seen::Events { seq, events, .. } = seen { Some((*seq, events.clone())) } else { None })
            .collect()
    }

    fn receipt_of(&mut self, boot_n: u32, seq: u32, now_s: u64) -> Vec<Seen> {
        let text = format!(r#"{{"bn":{boot_n},"seq":{seq},"now":{now_s}}}"#);
        self.put(Input::Downlink { channel: Channel::Ack, payload: text.as_bytes() })
    }

    fn receipt(&mut self) -> Vec<Seen> {
        let seq = self.sent().last().expect("a message was sent").0;
        self.receipt_of(BOOT_N, seq, 1_788_734_480)
    }

    fn open_curtain(&mut self) {
        self.put(Input::Contact { open: true });
        self.until(|bench| bench.seen.iter().any(|seen| matches!(seen, Seen::Connect(_))));
    }
}

fn keep(output: &Output) -> Seen {
    match output {
        Output::Connect { will, kid } => {
            assert_eq!(*kid, 1);
            Seen::Connect(String::from(*will))
        }
        Output::KeyProved { kid } => panic!("nobody handed in key {kid}"),
        Output::Disconnect => Seen::Disconnect,
        Output::Beep(on) => Seen::Beep(*on),
        Output::Publish(publish) => match publish.channel {
            Channel::Events => Seen::Events {
                seq: publish.seq.unwrap(),
                events: events_in(publish.payload),
                payload: publish.payload.to_vec(),
                resent: publish.resent,
            },
            Channel::Telemetry => Seen::Telemetry,
            channel => Seen::Json(channel.suffix(), String::from_utf8(publish.payload.to_vec()).unwrap()),
        },
    }
}

fn events_in(payload: &[u8]) -> Vec<(u64, u8)> {
    let body = open("chk/1/d-1/up/evt", &KEY, payload).unwrap();
    let mut decoder = Decoder::new(body);
    let entries = decoder.map().unwrap().unwrap();
    let mut events = Vec::new();
    for _ in 0..entries {
        if decoder.u8().unwrap() != 8 {
            decoder.skip().unwrap();
            continue;
        }
        for _ in 0..decoder.array().unwrap().unwrap() {
            decoder.array().unwrap();
            events.push((decoder.u64().unwrap(), decoder.u8().unwrap()));
            decoder.skip().unwrap();
        }
    }
    events
}

/// Key 5: the time since boot at the sending.
fn sent_up_ms(payload: &[u8]) -> u64 {
    let mut decoder = Decoder::new(open("chk/1/d-1/up/evt", &KEY, payload).unwrap());
    for _ in 0..decoder.map().unwrap().unwrap() {
        if decoder.u8().unwrap() == 5 {
            return decoder.u64().unwrap();
        }
        decoder.skip().unwrap();
    }
    panic!("no send time");
}

#[test]
fn the_first_message_after_boot_is_the_boot_and_the_level() {
    let mut bench = Bench::new(0);
    assert_eq!(bench.alarm(), [Seen::Connect(String::from(r#"{"s":"off","bn":8,"bd":1}"#))]);
    let greeting = bench.at(300, Input::Connected);
    assert!(matches!(&greeting[0], Seen::Json("up/status", text) if text.starts_with(r#"{"s":"on","bn":8,"bid":5,"bd":1"#)));
    assert_eq!(bench.sent(), [(1, Vec::from([(1000, 11), (1000, 1)]))]);
}

#[test]
fn a_life_that_ended_with_a_full_queue_is_an_honest_gap_in_the_next() {
    let mut bench = Bench::new(3);
    bench.alarm();
    bench.put(Input::Connected);
    assert_eq!(bench.sent()[0].1, [(1000, 15), (1000, 11), (1000, 1)]);
}

#[test]
fn a_wake_runs_in_the_agreed_order() {
    let mut bench = Bench::asleep();
    bench.now_ms += 60_000;
    let opened_ms = bench.now_ms;
    bench.put(Input::Lux(3));
    bench.put(Input::Contact { open: true });
    bench.at(700, Input::Lux(640));
    assert_eq!(bench.seen, [], "the light waits for the reed to settle");
    bench.until(|bench| !bench.seen.is_empty());
    bench.at(200, Input::Connected);
    bench.receipt();
    bench.until(|bench| matches!(bench.rest, Rest::Asleep { .. }));
    let order: Vec<&str> = bench
        .seen
        .iter()
        .map(|seen| match seen {
            Seen::Connect(_) => "connect",
            Seen::Events { .. } => "events",
            Seen::Telemetry => "telemetry",
            Seen::Json(suffix, text) => {
                if text.contains("sleep") {
                    "sleep"
                } else {
                    suffix
                }
            }
            Seen::Disconnect => "disconnect",
            Seen::Beep(_) => "beep",
        })
        .collect();
    assert_eq!(order, ["connect", "up/status", "events", "sleep", "disconnect"]);
    assert_eq!(bench.sent()[0].1, [(opened_ms + 700, 14), (opened_ms, 1)]);
}

#[test]
fn nothing_leaves_the_queue_before_the_servers_receipt_and_the_resent_message_is_dated_anew() {
    let mut bench = Bench::asleep();
    bench.open_curtain();
    bench.put(Input::Connected);
    bench.until(|bench| matches!(bench.rest, Rest::Asleep { .. }));
    assert_eq!(bench.sensor.owed(), 1);
    bench.seen.push(Seen::Beep(false));
    bench.until(|bench| matches!(bench.seen.last(), Some(Seen::Connect(_))));
    bench.put(Input::Connected);
    let messages: Vec<_> = bench.seen.iter().filter(|seen| matches!(seen, Seen::Events { .. })).cloned().collect();
    let [Seen::Events { seq, events, payload, resent: false }, Seen::Events { seq: again, events: same, payload: fresh, resent: true }] =
        &messages[..]
    else {
        panic!("{messages:?}");
    };
    assert_eq!((seq, events), (again, same));
    assert_eq!(sent_up_ms(fresh), bench.now_ms, "a byte-identical copy would date the event by its first sending");
    assert!(sent_up_ms(payload) < sent_up_ms(fresh));
    bench.receipt();
    assert_eq!(bench.sensor.owed(), 0);
}

#[test]
fn a_receipt_of_another_life_or_another_message_is_ignored() {
    let mut bench = Bench::asleep();
    bench.open_curtain();
    bench.put(Input::Connected);
    let seq = bench.sent()[0].0;
    let now_s = 1_788_734_480;
    bench.receipt_of(BOOT_N - 1, seq, now_s);
    bench.receipt_of(BOOT_N, seq - 1, now_s);
    bench.receipt_of(BOOT_N, seq + 1, now_s);
    assert_eq!(bench.sensor.owed(), 1);
    bench.receipt_of(BOOT_N, seq, now_s);
    assert_eq!(bench.sensor.owed(), 0);
}

#[test]
fn an_sos_wakes_at_once_and_is_sent_again_after_1_2_4_8_seconds_until_somebody_knows() {
    let mut bench = Bench::asleep();
    bench.at(5000, Input::Sos { pressed: true });
    let pressed_ms = bench.now_ms;
    let outputs = bench.at(200, Input::Sos { pressed: false });
    assert!(matches!(&outputs[..], [Seen::Beep(true), Seen::Connect(_)]), "{outputs:?}");
    let mut sent_at = Vec::new();
    for _ in 0..60 {
        if matches!(bench.seen.last(), Some(Seen::Connect(_))) {
            bench.put(Input::Connected);
        }
        if matches!(bench.seen.last(), Some(Seen::Events { .. })) {
            sent_at.push(bench.now_ms);
            bench.seen.push(Seen::Disconnect);
        }
        bench.alarm();
    }
    let pauses: Vec<u64> = sent_at.windows(2).map(|pair| pair[1] - pair[0]).take(6).collect();
    assert_eq!(pauses, [1000, 2000, 4000, 8000, 8000, 8000]);
    assert!(bench.sent().iter().all(|(_, events)| *events == [(pressed_ms, 7)]));
    assert!(!bench.seen.contains(&Seen::Beep(false)), "it beeps until the receipt");
    bench.until(|bench| matches!(bench.seen.last(), Some(Seen::Connect(_) | Seen::Events { .. })));
    bench.put(Input::Connected);
    assert!(bench.receipt().contains(&Seen::Beep(false)));
}

#[test]
fn an_sos_does_not_wait_behind_a_message_that_nobody_receipts() {
    let mut bench = Bench::asleep();
    bench.open_curtain();
    bench.put(Input::Connected);
    bench.at(100, Input::Sos { pressed: true });
    let outputs = bench.at(200, Input::Sos { pressed: false });
    assert!(matches!(&outputs[..], [Seen::Beep(true), Seen::Events { events, .. }] if events[0].1 == 7), "{outputs:?}");
    assert!(bench.receipt().contains(&Seen::Beep(false)));
    assert!(matches!(bench.seen.last(), Some(Seen::Events { events, resent: true, .. }) if events[0].1 == 1));
}

#[test]
fn an_sos_keeps_its_short_pauses_while_no_broker_can_be_reached() {
    let mut bench = Bench::asleep();
    bench.at(5000, Input::Sos { pressed: true });
    bench.at(200, Input::Sos { pressed: false });
    let mut tried_at = Vec::from([bench.now_ms]);
    while tried_at.len() < 6 {
        bench.seen.clear();
        bench.put(Input::LinkLost);
        bench.until(|bench| matches!(bench.seen.last(), Some(Seen::Connect(_))));
        tried_at.push(bench.now_ms);
    }
    let pauses: Vec<u64> = tried_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [1000, 2000, 4000, 8000, 8000]);
}

#[test]
fn a_long_press_is_told_while_the_button_is_still_held() {
    let mut bench = Bench::asleep();
    bench.at(5000, Input::Sos { pressed: true });
    assert!(matches!(bench.rest, Rest::Awake { .. }));
    assert!(bench.alarm().contains(&Seen::Beep(true)));
}

#[test]
fn a_broker_that_is_gone_is_asked_ever_more_rarely_but_news_ask_at_once() {
    let mut bench = Bench::asleep();
    bench.open_curtain();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        bench.seen.clear();
        bench.put(Input::LinkLost);
        let failed_ms = bench.now_ms;
        bench.until(|bench| matches!(bench.seen.last(), Some(Seen::Connect(_))));
        pauses.push((bench.now_ms - failed_ms) / 1000);
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
    bench.put(Input::LinkLost);
    bench.at(5000, Input::Ok { pressed: true });
    assert!(matches!(bench.at(100, Input::Ok { pressed: false })[..], [Seen::Connect(_)]));
}

#[test]
fn a_connection_that_never_answers_is_given_up() {
    let mut bench = Bench::asleep();
    bench.open_curtain();
    assert_eq!(bench.alarm(), [Seen::Disconnect]);
    assert!(matches!(bench.rest, Rest::Asleep { .. }));
}

#[test]
fn a_quiet_device_reports_its_health_by_the_promised_time() {
    let mut bench = Bench::asleep();
    let from_ms = bench.now_ms;
    bench.until(|bench| matches!(bench.seen.last(), Some(Seen::Connect(_))));
    assert!(bench.now_ms - from_ms <= Settings::default().heartbeat_ms);
    assert!(bench.put(Input::Connected).contains(&Seen::Telemetry));
}

#[test]
fn a_device_whose_messages_are_never_receipted_still_reports_its_health() {
    let mut bench = Bench::asleep();
    bench.open_curtain();
    for _ in 0..400 {
        if matches!(bench.seen.last(), Some(Seen::Connect(_))) {
            bench.put(Input::Connected);
        }
        bench.alarm();
    }
    assert!(bench.seen.contains(&Seen::Telemetry));
}

#[test]
fn settings_are_taken_once_and_an_older_copy_changes_nothing() {
    let mut bench = Bench::asleep();
    let topic = Channel::Config.topic(&device_id("d-1").unwrap());
    let newer = seal(&topic, &KEY, &[0xa4, 0, 1, 1, 1, 2, 2, 3, 0x19, 0x0e, 0x10]);
    let older = seal(&topic, &KEY, &[0xa4, 0, 1, 1, 1, 2, 1, 3, 0x18, 0x64]);
    let forged = seal(&topic, &[9; 32], &[0xa4, 0, 1, 1, 1, 2, 9, 3, 0x18, 0x64]);
    for payload in [newer, older, forged] {
        bench.put(Input::Downlink { channel: Channel::Config, payload: &payload });
    }
    assert_eq!(bench.sensor.settings().heartbeat_ms, 3_600_000);
    assert!(bench.rest.until_ms() <= bench.now_ms + 3_600_000);
}

#[test]
fn a_receipt_sets_the_clock_unless_it_may_have_waited_in_a_broker() {
    let mut bench = Bench::asleep();
    assert_eq!(bench.sensor.clock.at(bench.now_ms).unwrap().ms / 1000, 1_788_734_480);
    bench.open_curtain();
    bench.put(Input::Connected);
    bench.until(|bench| matches!(bench.rest, Rest::Asleep { .. }));
    bench.until(|bench| matches!(bench.seen.last(), Some(Seen::Connect(_))));
    bench.put(Input::Connected);
    let seq = bench.sent()[0].0;
    bench.receipt_of(BOOT_N, seq, 1_000_000_000);
    assert_eq!(bench.sensor.owed(), 0);
    assert!(bench.sensor.clock.at(bench.now_ms).unwrap().ms / 1000 >= 1_788_734_480);
}

#[test]
fn a_clock_that_was_wrong_is_said_to_have_been_wrong() {
    let mut bench = Bench::asleep();
    bench.open_curtain();
    bench.put(Input::Connected);
    let seq = bench.sent()[0].0;
    bench.receipt_of(BOOT_N, seq, 1_788_800_000);
    assert_eq!(bench.sent().last().unwrap().1[0].1, 12);
}

proptest! {
    /// Any hand and any network: at the end, once the network is kind, everything recorded has been receipted, every
    /// sequence number has meant the same events throughout, and no wait is for ever.
    #[test]
    fn whatever_happens_everything_is_receipted_in_the_end(steps in proptest::collection::vec((0_u8..11, 0_u64..20_000), 0..300)) {
        let mut bench = Bench::new(0);
        for (what, after_ms) in steps {
            bench.now_ms += after_ms.min(bench.rest.until_ms().saturating_sub(bench.now_ms));
            match what {
                0 | 1 => drop(bench.put(Input::Contact { open: what == 0 })),
                2 | 3 => drop(bench.put(Input::Sos { pressed: what == 2 })),
                4 | 5 => drop(bench.put(Input::Ok { pressed: what == 4 })),
                6 => drop(bench.put(Input::Connected)),
                7 => drop(bench.put(Input::LinkLost)),
                8 if !bench.sent().is_empty() => drop(bench.receipt()),
                9 => drop(bench.put(Input::Lux(u32::try_from(after_ms).unwrap()))),
                _ => drop(bench.alarm()),
            }
            prop_assert!(bench.rest.until_ms() <= bench.now_ms + Settings::default().heartbeat_ms);
        }
        for pin in [Input::Sos { pressed: false }, Input::Ok { pressed: false }] {
            bench.put(pin);
        }
        for _ in 0..600 {
            bench.alarm();
            if matches!(bench.rest, Rest::Awake { .. }) {
                bench.put(Input::Connected);
            }
            if !bench.sent().is_empty() {
                bench.receipt();
            }
        }
        prop_assert_eq!(bench.sensor.owed(), 0);
        prop_assert!(bench.sensor.sos_since_ms.is_none());
        let mut meanings = std::collections::BTreeMap::new();
        for (seq, events) in bench.sent() {
            prop_assert_eq!(meanings.entry(seq).or_insert_with(|| events.clone()), &events);
        }
    }
}
