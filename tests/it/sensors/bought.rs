//! Devices that people can buy, one of each ecosystem, behind gateways: what proves that somebody is up, what only hints, and what
//! is context.

use chenlian::jobs::{plan_day, settle};
use serde_json::{Map, Value};

use super::client::{Client, Envelope};
use super::*;
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

/// A device of an ecosystem, and a message below its gateway's base topic.
struct Case {
    ecosystem: Ecosystem,
    base: &'static str,
    name: &'static str,
    component: &'static str,
    role: DeviceRole,
    settings: &'static str,
    closed: (&'static str, &'static str),
    opened: (&'static str, &'static str),
    /// What ends a movement that the opening only begins.
    arrived: (&'static str, &'static str),
    /// What the opening proves.
    class: &'static str,
}

const CONTACT: Case = Case {
    ecosystem: Ecosystem::Zigbee2Mqtt,
    base: "zigbee2mqtt",
    name: "卧室/窗帘",
    component: "",
    role: DeviceRole::CurtainContact,
    settings: "{}",
    closed: ("卧室/窗帘", r#"{"contact":true}"#),
    opened: ("卧室/窗帘", r#"{"contact":false}"#),
    arrived: ("", ""),
    class: "A",
};

const NOTICE: &str = "plus2pm/events/rpc";
const DOOR: &str = "hall/7/notification/endpoint_0/Access_Control/Door_state";

#[rustfmt::skip]
const CASES: [Case; 19] = [
    CONTACT,
    Case { settings: r#"{"output":"attribute"}"#, closed: ("卧室/窗帘/contact", "true"), opened: ("卧室/窗帘/contact", "false"), ..CONTACT },
    Case { role: DeviceRole::Cover, closed: ("卧室/窗帘", r#"{"position":0}"#), opened: ("卧室/窗帘", r#"{"position":100}"#), class: "B", ..CONTACT },
    Case { ecosystem: Ecosystem::Tasmota, base: "site/2/tasmota", name: "reed", closed: ("tele/reed/SENSOR", r#"{"Switch1":"OFF"}"#),
        opened: ("reed/stat/SWITCH1", r#"{"STATE":"ON"}"#), ..CONTACT },
    Case { ecosystem: Ecosystem::Tasmota, base: "site/3", name: "bridge", component: "0x2",
        closed: ("tele/bridge/SENSOR", r#"{"ZbReceived":{"0x2":{"Contact":0},"0x9":{"Contact":1}}}"#),
        opened: ("tele/bridge/SENSOR", r#"{"ZbReceived":{"0x2":{"Contact":1}}}"#), ..CONTACT },
    Case { ecosystem: Ecosystem::Esphome, base: "site/4", name: "wang/binary_sensor/curtain", closed: ("wang/binary_sensor/curtain/state", "OFF"),
        opened: ("wang/binary_sensor/curtain/state", "ON"), ..CONTACT },
    Case { ecosystem: Ecosystem::Shelly1, base: "site/5/shellies", name: "shellydw2-1", closed: ("shellydw2-1/sensor/state", "close"),
        opened: ("shellydw2-1/sensor/state", "open"), ..CONTACT },
    Case { ecosystem: Ecosystem::Shelly2, base: "site/6", name: "plusi4", component: "input:0", closed: ("plusi4/status/input:0", r#"{"id":0,"state":false}"#),
        opened: ("plusi4/events/rpc", r#"{"method":"NotifyStatus","params":{"input:0":{"state":true},"input:1":{"state":false}}}"#), ..CONTACT },
    Case { ecosystem: Ecosystem::Shelly2, base: "site/7", name: "gw", component: "bthomesensor:202,bthomesensor:200",
        settings: r#"{"parts":{"202":"contact"}}"#, closed: ("gw/status/bthomesensor:202", r#"{"id":202,"value":false}"#),
        opened: ("gw/events/rpc", r#"{"method":"NotifyStatus","params":{"bthomesensor:202":{"value":true}}}"#), ..CONTACT },
    Case { ecosystem: Ecosystem::Shelly2, base: "site/8", name: "plus2pm", component: "cover:0", role: DeviceRole::Cover,
        closed: ("plus2pm/status/cover:0", r#"{"id":0,"state":"closed","current_pos":0}"#),
        opened: (NOTICE, r#"{"method":"NotifyStatus","params":{"cover:0":{"source":"button","state":"opening"}}}"#),
        arrived: (NOTICE, r#"{"method":"NotifyStatus","params":{"cover:0":{"source":"limit_switch","state":"open","current_pos":100}}}"#), ..CONTACT },
    Case { ecosystem: Ecosystem::Shelly2, base: "site/9", name: "plus2pm", component: "cover:0", role: DeviceRole::Cover,
        closed: ("plus2pm/status/cover:0", r#"{"id":0,"state":"closed","current_pos":0}"#),
        opened: (NOTICE, r#"{"method":"NotifyStatus","params":{"cover:0":{"source":"MQTT","state":"open","current_pos":100}}}"#), class: "B", ..CONTACT },
    Case { ecosystem: Ecosystem::Statestream, base: "ha", name: "binary_sensor/curtain", settings: r#"{"device_class":"door"}"#,
        closed: ("binary_sensor/curtain/state", "off"), opened: ("binary_sensor/curtain/state", "on"), ..CONTACT },
    Case { ecosystem: Ecosystem::Tuya, base: "tuya", name: "door", closed: ("door/dps/state", r#"{"1":false,"2":"high"}"#),
        opened: ("door/dps/1/state", "true"), ..CONTACT },
    Case { ecosystem: Ecosystem::Theengs, base: "home", name: "gw/BTtoMQTT/AA11", closed: ("gw/BTtoMQTT/AA11", r#"{"id":"AA:11","open":false,"packet":1}"#),
        opened: ("gw/BTtoMQTT/AA11", r#"{"id":"AA:11","open":true,"packet":2}"#), class: "C", ..CONTACT },
    Case { ecosystem: Ecosystem::Theengs, base: "site/a/home", name: "gw/BTtoMQTT/AA11", settings: r#"{"encrypted":true}"#,
        closed: ("gw/BTtoMQTT/AA11", r#"{"open":false,"packet":1}"#), opened: ("gw/BTtoMQTT/AA11", r#"{"open":true,"packet":2}"#), ..CONTACT },
    Case { ecosystem: Ecosystem::Homie4, base: "homie", name: "x/door", closed: ("x/door/contact", "false"), opened: ("x/door/contact", "true"), ..CONTACT },
    Case { ecosystem: Ecosystem::Homie5, base: "site/b/homie", name: "5/x/door", closed: ("5/x/door/contact", "false"),
        opened: ("5/x/door/contact", "true"), ..CONTACT },
    Case { ecosystem: Ecosystem::Zwave, base: "zwave", name: "hall/7", closed: (DOOR, r#"{"value":23}"#), opened: (DOOR, r#"{"value":22}"#), ..CONTACT },
    Case { ecosystem: Ecosystem::Rtl433, base: "rtl_433", name: "pi/events", component: "Honeywell/42",
        closed: ("pi/events", r#"{"model":"Honeywell","id":42,"reed_open":0}"#),
        opened: ("pi/events", r#"{"model":"Honeywell","id":42,"reed_open":1}"#), class: "C", ..CONTACT },
];

fn fields(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("an object")
}

impl Case {
    fn behind(&self, world: &World, gateway: Uuid) -> NewDevice {
        NewDevice {
            ecosystem: self.ecosystem,
            role: self.role,
            component: self.component.to_owned(),
            settings: fields(self.settings),
            ..behind(world, gateway, self.name)
        }
    }

    fn shown(&self) -> String {
        format!("{} {} {}", self.ecosystem, self.base, self.name)
    }
}

/// A gateway of its own with that device, and its connection.
async fn home(app: &App, running: &Running, world: &World, number: usize, case: &Case, senior: Uuid) -> (Installed, Client) {
    let gateway = NewDevice { base_topic: Some(case.base.to_owned()), ..gateway(world, &format!("gw-{number}")) };
    let home = install(app, world, gateway, None).await;
    let device = install(app, world, case.behind(world, home.device.id), Some(senior)).await;
    let client = Client::of(running, &home).await;
    (device, client)
}

async fn say(client: &mut Client, case: &Case, (rest, payload): (&str, &str)) {
    client.tell(&format!("{}/{rest}", case.base), payload).await;
}

#[tokio::test]
async fn a_morning_of_every_ecosystem_proves_hints_or_is_context_as_its_kind_allows() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, CASES.len()).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let mut homes = Vec::new();
        for (number, case) in CASES.iter().enumerate() {
            let (_, mut client) = home(&app, &running, &world, number, case, world.seniors[number]).await;
            say(&mut client, case, case.closed).await;
            homes.push(client);
        }
        set(&app, local("07:30:00")).await;
        for (case, client) in CASES.iter().zip(&mut homes) {
            say(client, case, case.opened).await;
            if !case.arrived.0.is_empty() {
                say(client, case, case.arrived).await;
            }
        }
        set(&app, local("07:35:00")).await;
        settle::run_once(&app).await.unwrap();
        assert_eq!(quarantine(&app).await, Vec::<String>::new());
        for (number, case) in CASES.iter().enumerate() {
            let expected = [("open".to_owned(), case.class.to_owned(), "accepted".to_owned())];
            assert_eq!(signals(&app, world.seniors[number]).await, expected, "{}", case.shown());
            let state = if case.class == "A" { "ok" } else { "expected" };
            assert_eq!(check_state(&app, world.seniors[number]).await, state, "{}", case.shown());
        }
        // What repeats it is no second sign.
        for (case, client) in CASES.iter().zip(&mut homes) {
            say(client, case, case.opened).await;
        }
        for (number, case) in CASES.iter().enumerate() {
            assert_eq!(signals(&app, world.seniors[number]).await.len(), 1, "{}", case.shown());
        }
        running.stop().await;
    })
    .await;
}

/// A press of each kind of help button, and the next one.
#[rustfmt::skip]
const BUTTONS: [(Case, (&str, &str)); 9] = [
    (Case { name: "sos", opened: ("sos", r#"{"action":"emergency","battery":90}"#), ..CONTACT }, ("sos", r#"{"action":"emergency","battery":89}"#)),
    (Case { name: "knob", settings: r#"{"actions":{"hold":"sos"}}"#, opened: ("knob", r#"{"action":"hold"}"#), ..CONTACT }, ("knob", r#"{"action":"hold","linkquality":7}"#)),
    (Case { ecosystem: Ecosystem::Tasmota, base: "tasmota", name: "b", settings: r#"{"actions":{"HOLD":"sos"}}"#,
        opened: ("stat/b/RESULT", r#"{"Button1":{"Action":"HOLD"}}"#), ..CONTACT }, ("stat/b/RESULT", r#"{"Button1":{"Action":"HOLD"},"n":2}"#)),
    (Case { ecosystem: Ecosystem::Esphome, base: "esphome", name: "wang/event/sos", settings: r#"{"actions":{"long_press":"sos"}}"#,
        opened: ("wang/event/sos/state", r#"{"event_type":"long_press"}"#), ..CONTACT }, ("wang/event/sos/state", r#"{"event_type":"long_press" }"#)),
    (Case { ecosystem: Ecosystem::Shelly1, base: "shellies", name: "button1", settings: r#"{"actions":{"L":"sos"}}"#,
        opened: ("button1/input_event/0", r#"{"event":"L","event_cnt":17}"#), ..CONTACT }, ("button1/input_event/0", r#"{"event":"L","event_cnt":18}"#)),
    (Case { ecosystem: Ecosystem::Shelly2, base: "site/s2", name: "plus1", settings: r#"{"actions":{"long_push":"sos"}}"#,
        opened: ("plus1/events/rpc", r#"{"method":"NotifyEvent","params":{"events":[{"component":"input:0","event":"long_push","ts":1.1}]}}"#), ..CONTACT },
        ("plus1/events/rpc", r#"{"method":"NotifyEvent","params":{"events":[{"component":"input:0","event":"long_push","ts":2.2}]}}"#)),
    (Case { ecosystem: Ecosystem::Homie5, base: "homie", name: "5/x/sos", opened: ("5/x/sos/button", "long"), ..CONTACT }, ("", "")),
    (Case { ecosystem: Ecosystem::Theengs, base: "home", name: "gw/BTtoMQTT/BB", settings: r#"{"actions":{"4":"sos"}}"#,
        opened: ("gw/BTtoMQTT/BB", r#"{"button":4,"packet":29}"#), ..CONTACT }, ("gw/BTtoMQTT/BB", r#"{"button":4,"packet":30}"#)),
    (Case { ecosystem: Ecosystem::Tuya, base: "tuya", name: "sos", opened: ("sos/dps/state", r#"{"26":true}"#), ..CONTACT }, ("", "")),
];

/// I16. Once per press, however often it is sent.
#[tokio::test]
async fn a_bought_help_button_of_any_ecosystem_pages_once_per_press_and_never_by_what_was_kept() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, BUTTONS.len() + 1).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        for (number, (case, next)) in BUTTONS.iter().enumerate() {
            let case = &Case { role: DeviceRole::HelpButton, ..Case { ..*case } };
            let senior = world.seniors[number];
            let (_, mut client) = home(&app, &running, &world, number, case, senior).await;
            let (rest, payload) = case.opened;
            client.keep(&format!("{}/{rest}", case.base), payload).await;
            assert_eq!(alerts(&app, senior).await, 0, "kept by somebody: {}", case.shown());
            assert_eq!(quarantine(&app).await.len(), number + 1, "but shown: {}", case.shown());
            app.clock.advance(chrono::TimeDelta::minutes(1));
            if next.0.is_empty() {
                // A state that lasts: it ends before it can begin again.
                let over = if case.ecosystem == Ecosystem::Tuya { r#"{"26":false}"# } else { "none" };
                say(&mut client, case, (rest, over)).await;
            }
            // The count of a press that was kept is used up.
            let numbered = matches!(case.ecosystem, Ecosystem::Shelly1 | Ecosystem::Shelly2 | Ecosystem::Theengs);
            let press = if numbered { *next } else { case.opened };
            say(&mut client, case, press).await;
            say(&mut client, case, press).await;
            let helps = async || signals(&app, senior).await.iter().filter(|(kind, ..)| kind == "help").count();
            assert_eq!((helps().await, alerts(&app, senior).await), (1, 1), "{}", case.shown());
            app.clock.advance(chrono::TimeDelta::minutes(1));
            if numbered {
                say(&mut client, case, press).await;
                assert_eq!(helps().await, 1, "repeated when it comes back: {}", case.shown());
            } else if !next.0.is_empty() {
                say(&mut client, case, *next).await;
                assert_eq!((helps().await, alerts(&app, senior).await), (2, 1), "the next press: {}", case.shown());
            }
        }
        // A call that is repeated until it is cleared.
        let case = &Case { name: "feibit", role: DeviceRole::HelpButton, ..CONTACT };
        let senior = world.seniors[BUTTONS.len()];
        let (_, mut client) = home(&app, &running, &world, 90, case, senior).await;
        for (payload, expected) in [
            (r#"{"sos":false}"#, 0),
            (r#"{"sos":true}"#, 1),
            (r#"{"sos":true,"battery":3}"#, 1),
            (r#"{"sos":false}"#, 1),
            (r#"{"sos":true}"#, 2),
        ] {
            say(&mut client, case, ("feibit", payload)).await;
            app.clock.advance(chrono::TimeDelta::minutes(1));
            let helps = signals(&app, senior).await.iter().filter(|(kind, ..)| kind == "help").count();
            assert_eq!(helps, expected, "{payload}");
        }
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn of_several_devices_in_one_message_each_speaks_for_its_own_senior_and_a_stranger_is_shown() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 2).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let case = &CASES[4];
        let (first, mut client) = home(&app, &running, &world, 0, case, world.seniors[0]).await;
        let other = NewDevice { component: "0x9".to_owned(), ..case.behind(&world, first.device.gateway_id.expect("a gateway")) };
        install(&app, &world, other, Some(world.seniors[1])).await;
        say(&mut client, case, ("tele/bridge/SENSOR", r#"{"ZbReceived":{"0x2":{"Contact":0},"0x9":{"Contact":0}}}"#)).await;
        set(&app, local("07:30:00")).await;
        say(&mut client, case, ("tele/bridge/SENSOR", r#"{"ZbReceived":{"0x2":{"Contact":0},"0x9":{"Contact":1}}}"#)).await;
        say(&mut client, case, ("tele/bridge/SENSOR", r#"{"ZbReceived":{"0x7":{"Contact":1}}}"#)).await;
        set(&app, local("07:35:00")).await;
        settle::run_once(&app).await.unwrap();
        assert_eq!(signals(&app, world.seniors[0]).await, []);
        assert_eq!(signals(&app, world.seniors[1]).await, [("open".to_owned(), "A".to_owned(), "accepted".to_owned())]);
        assert_eq!(quarantine(&app).await, ["unknown_device"]);
        running.stop().await;
    })
    .await;
}

/// I8, I9: snapshots after a link comes back, times of yesterday, and a sensor that woke without reason.
#[tokio::test]
async fn what_a_device_says_again_after_its_link_came_back_or_dates_back_is_no_sign_of_life() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 5).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let yesterday = (local("07:30:00") - chrono::TimeDelta::days(1)).timestamp_millis();
        let old = format!(r#"{{"time":{yesterday},"value":22}}"#);
        let told: [(usize, Vec<(&str, &str)>); 5] = [
            (3, vec![("tele/reed/LWT", "Online"), CASES[3].opened]),
            (5, vec![("wang/status", "online"), CASES[5].opened]),
            (11, vec![("binary_sensor/curtain/state", "unavailable"), ("binary_sensor/curtain/state", "unavailable")]),
            (17, vec![(DOOR, &old)]),
            (6, vec![CASES[6].opened, ("shellydw2-1/sensor/act_reasons", r#"["periodic"]"#)]),
        ];
        let mut homes = Vec::new();
        for (number, (case, _)) in told.iter().enumerate() {
            let (device, mut client) = home(&app, &running, &world, number, &CASES[*case], world.seniors[number]).await;
            say(&mut client, &CASES[*case], CASES[*case].closed).await;
            homes.push((device, client));
        }
        set(&app, local("07:30:00")).await;
        for ((case, messages), (_, client)) in told.iter().zip(&mut homes) {
            for message in messages {
                say(client, &CASES[*case], *message).await;
            }
        }
        set(&app, local("07:35:00")).await;
        settle::run_once(&app).await.unwrap();
        for (number, (case, _)) in told.iter().enumerate() {
            let proofs = signals(&app, world.seniors[number]).await.into_iter().filter(|(_, class, _)| class == "A").count();
            assert_eq!((proofs, check_state(&app, world.seniors[number]).await.as_str()), (0, "expected"), "{}", CASES[*case].shown());
        }
        let status = device(&app, (world.site, homes[2].0.device.id)).await.status;
        assert_eq!(status.as_str(), "offline", "what Home Assistant cannot reach is said to be out of reach");
        running.stop().await;
    })
    .await;
}

/// I8. Home Assistant does not say that it has started: a state after none is what it found. How old a state is stands on a topic
/// of its own, and comes after it.
#[tokio::test]
async fn what_home_assistant_finds_after_its_start_or_dates_back_is_no_sign_of_life() {
    on_each_engine(async |app: App| {
        let yesterday = (local("21:00:00") - chrono::TimeDelta::days(1)).to_rfc3339();
        let now = local("07:30:00").to_rfc3339();
        let said = |word| ("binary_sensor/curtain/state", word);
        let date = "binary_sensor/curtain/last_changed";
        let mornings = [
            (vec![said("unavailable"), said("on")], 0),
            (vec![said("unknown"), said("off"), said("on")], 0),
            (vec![said("on"), (date, yesterday.as_str())], 0),
            (vec![said("on"), (date, now.as_str())], 1),
        ];
        let world = World::seed(&app, mornings.len()).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let case = CASES.iter().find(|case| case.ecosystem == Ecosystem::Statestream).expect("one of each");
        let mut homes = Vec::new();
        for (number, senior) in world.seniors.iter().enumerate() {
            let (_, mut client) = home(&app, &running, &world, number, case, *senior).await;
            say(&mut client, case, case.closed).await;
            homes.push(client);
        }
        set(&app, local("07:30:00")).await;
        for ((messages, _), client) in mornings.iter().zip(&mut homes) {
            for message in messages {
                say(client, case, *message).await;
            }
        }
        set(&app, local("07:35:00")).await;
        settle::run_once(&app).await.unwrap();
        for ((messages, expected), senior) in mornings.iter().zip(&world.seniors) {
            let proofs = signals(&app, *senior).await.into_iter().filter(|(_, class, _)| class == "A").count();
            assert_eq!(proofs, *expected, "{messages:?}");
        }
        assert_eq!(quarantine(&app).await, Vec::<String>::new());
        running.stop().await;
    })
    .await;
}

/// What our own devices keep at a broker for home automation is a level and never evidence.
#[tokio::test]
async fn the_level_that_a_native_device_keeps_for_home_automation_is_ignored() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let mut client = Client::of(&running, &sensor).await;
        let topic = "chk/1/d-1/up/evt";
        let night = Envelope { topic, key: sensor.key(), boot_n: 1, seq: 1, up_ms: 9_000 };
        client.tell(topic, night.sign(&[(9_000, 1, 0)])).await;
        set(&app, local("07:30:00")).await;
        let before = device(&app, (world.site, sensor.device.id)).await;
        client.tell("chk/1/d-1/up/state", r#"{"contact":"ON"}"#).await;
        client.keep("chk/1/d-1/up/state", r#"{"contact":"ON","sos":"ON"}"#).await;
        assert_eq!(device(&app, (world.site, sensor.device.id)).await, before, "not even its state has changed");
        assert_eq!((signals(&app, world.seniors[0]).await.len(), alerts(&app, world.seniors[0]).await), (0, 0));
        assert_eq!(quarantine(&app).await, Vec::<String>::new());
        running.stop().await;
    })
    .await;
}
