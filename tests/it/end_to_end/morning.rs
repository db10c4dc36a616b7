//! One whole morning of the built program, in under a minute by short real deadlines; and the same morning once more with
//! a kill -9 in the middle, which must end alike (I1, I2, I5, I10, I12, I14, I17).
//!
//! 张奶奶's curtain is seen by a volunteer, 李爷爷's by a native sensor, 赵奶奶's by one behind Zigbee2MQTT. 王爷爷's stays shut,
//! at 刘奶奶's nobody looks, and 陈爷爷 is at his daughter's.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::street::{Caller, Office, Street, id};
use crate::cli::binary::{Installation, Server};
use crate::harness::{fresh_schema, needs};
use crate::outbox::{Play, Receiver};

/// From the agreements to the deadline: the curtains open within it.
const DEADLINE_AHEAD: TimeDelta = TimeDelta::seconds(12);

/// What a person could tell afterwards, without times and ids.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    checks: BTreeSet<(&'static str, String)>,
    /// Whose, how it ended and why it began.
    alerts: BTreeSet<(&'static str, String, String)>,
    /// The rungs of 王爷爷's ladder, in order of their firing, each once.
    rungs: Vec<(i64, String)>,
    /// Who was told what about 王爷爷.
    told: BTreeSet<(&'static str, String)>,
}

#[tokio::test]
async fn a_morning_ends_the_same_whether_or_not_the_server_is_killed_in_its_middle() {
    let Some(tools) = Tools::find() else { return };
    let (quiet, killed) = tokio::join!(morning(Installation::new(), &tools, false), morning(Installation::new(), &tools, true));
    assert_eq!(killed, quiet);
    assert_eq!(quiet, expected());
}

#[tokio::test]
async fn the_same_morning_on_postgresql_survives_the_kill_as_well() {
    let (Some(tools), Some(server)) = (Tools::find(), needs::postgres()) else { return };
    let database = fresh_schema(&server).await;
    assert_eq!(morning(Installation::on(database), &tools, true).await, expected());
}

fn expected() -> Outcome {
    let checks =
        [("张奶奶", "ok"), ("李爷爷", "ok"), ("赵奶奶", "ok"), ("王爷爷", "not_open"), ("刘奶奶", "ok_late"), ("陈爷爷", "excused")];
    let rungs = [(0, "call"), (1, "door"), (2, "family"), (3, "enter"), (4, "command")];
    let told = [
        ("王师傅", "notice.alert_call"),
        ("刘师傅", "notice.alert_door"),
        ("陈楼长", "notice.alert_door"),
        ("王师傅", "notice.alert_family"),
        ("社工小王", "notice.alert_family"),
        ("物业小马", "notice.alert_enter"),
        ("社工小王", "notice.alert_command"),
        ("王师傅", "notice.stand_down_well"),
        ("陈楼长", "notice.stand_down_well"),
        ("社工小王", "notice.stand_down_well"),
        ("物业小马", "notice.stand_down_well"),
    ];
    Outcome {
        checks: checks.map(|(who, state)| (who, state.to_owned())).into(),
        alerts: [("王爷爷", "resolved".to_owned(), "not_open".to_owned()), ("刘奶奶", "resolved".to_owned(), "not_observed".to_owned())]
            .into(),
        rungs: rungs.map(|(level, act)| (level, act.to_owned())).into(),
        told: told.map(|(who, key)| (who, key.to_owned())).into(),
    }
}

async fn morning(home: Installation, tools: &Tools, kill: bool) -> Outcome {
    let receiver = Receiver::start(&[Play::Status(204)]).await;
    let office = Office::found(home);
    let mut server = office.serve();
    let mut clerk = Caller::administrator(&server).await;
    let street = Street::enter(&clerk, &receiver.url).await;
    let sensors = Sensors::install(&clerk, &street).await;
    let volunteer = office.token("13900000001");
    let _at_work = sensors.start(tools, &office);
    street.agree(&clerk, office.ahead(DEADLINE_AHEAD), office.today()).await;
    let away = json!({ "kind": "with_family", "from_date": office.today(), "return_date": office.today() + TimeDelta::days(3),
        "reported_by": "女儿" });
    let at_daughters = clerk.post(&format!("/seniors/{}/absences", street.seniors[5]), away).await;
    let confirm = format!("/seniors/{}/absences/{}/confirm", street.seniors[5], id(&at_daughters));
    let (status, told) = clerk.ask(Method::POST, &confirm, None, at_daughters["version"].as_i64()).await;
    assert_eq!(status, StatusCode::OK, "{told}");

    let round = Caller::new(&server, &volunteer);
    let looks = [(street.seniors[0], "open"), (street.seniors[3], "closed")];
    let looks: Vec<Value> = looks.map(|(senior, kind)| look(senior, kind)).into();
    let answer = round.post("/signals", json!({ "signals": looks })).await;
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(2), "{answer}");

    let shut = alert_of(&clerk, street.seniors[3]).await;
    let level = |least: i64| move |alert: &Value| alert["level"].as_i64().filter(|level| *level >= least);
    clerk.wait_for("the second rung", &format!("/alerts/{shut}"), level(1)).await;
    if kill {
        server = killed(server, &office);
        clerk = Caller::new(&server, &clerk.token);
    }
    let round = Caller::new(&server, &volunteer);
    let unseen = alert_of(&clerk, street.seniors[4]).await;
    // A look that could not be sent in time: the phone sends the same again.
    let seen = look(street.seniors[4], "open");
    round.post("/signals", seen.clone()).await;
    round.post("/signals", seen).await;
    clerk.wait_for("the late sight closes it", &format!("/alerts/{unseen}"), |alert| (alert["state"] == "resolved").then_some(())).await;
    clerk.wait_for("nobody claims, the ladder goes up", &format!("/alerts/{shut}"), level(4)).await;
    let commanded = || told_about(shut, &receiver, &street).contains(&("社工小王", "notice.alert_command".to_owned()));
    clerk.wait_for("its word arrives", &format!("/alerts/{shut}"), |_| commanded().then_some(())).await;
    gone_and_seen(&office, &server, &street, shut).await;
    outcome(&clerk, &street, &receiver, shut, &office).await
}

/// kill -9, and a new process on the same data.
fn killed(mut server: Server, office: &Office) -> Server {
    server.signal("KILL");
    server.wait();
    office.serve()
}

/// The backup goes, the party member comes second, and the visit closes the alert.
async fn gone_and_seen(office: &Office, server: &Server, street: &Street, alert: Uuid) {
    let backup = Caller::new(server, &office.token("13900000002"));
    let primary = Caller::new(server, &office.token("13900000001"));
    backup.post(&format!("/alerts/{alert}/claim"), json!({})).await;
    let (status, problem) = primary.ask(Method::POST, &format!("/alerts/{alert}/claim"), Some(json!({ "id": Uuid::now_v7() })), None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(problem.to_string().contains("刘师傅"), "who is going has a name: {problem}");
    let going = Office::now();
    backup.post(&format!("/alerts/{alert}/on-site"), json!({})).await;
    let visit = json!({
        "senior_id": street.seniors[3], "alert_id": alert, "kind": "alert_followup", "method": "door", "started_at": going.to_rfc3339(),
        "result": "met", "contact_with": "senior", "resolve": { "safe": true, "contact_proof": "seen_in_person", "outcome": "overslept" }
    });
    let made = backup.post("/visits", visit).await;
    assert_eq!(made["alert_id"], json!(alert), "{made}");
}

async fn outcome(clerk: &Caller, street: &Street, receiver: &Receiver, shut: Uuid, office: &Office) -> Outcome {
    let told = || told_about(shut, receiver, street);
    let everybody = expected().told.len();
    clerk.wait_for("everybody is stood down", &format!("/alerts/{shut}"), |_| (told().len() >= everybody).then_some(())).await;
    let checks = clerk.get(&format!("/checks?date={}&slot=morning", office.today())).await;
    let alerts = clerk.get("/alerts").await;
    let detail = clerk.get(&format!("/alerts/{shut}")).await;
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let items = |page: &Value| page["items"].as_array().expect("a page").clone();
    let mut rungs: Vec<(String, i64, String)> = detail["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter(|step| step["state"] == "fired")
        .map(|step| (word(&step["fired_at"]), step["level"].as_i64().expect("a level"), word(&step["act"])))
        .collect();
    rungs.sort();
    Outcome {
        checks: items(&checks).iter().map(|check| (street.called(&check["senior_id"]), word(&check["state"]))).collect(),
        alerts: items(&alerts)
            .iter()
            .map(|alert| (street.called(&alert["senior_id"]), word(&alert["state"]), word(&alert["cause"])))
            .collect(),
        rungs: rungs.into_iter().map(|(_, level, act)| (level, act)).collect(),
        told: told(),
    }
}

/// Who was told what about this alert, repeats counted once.
fn told_about(alert: Uuid, receiver: &Receiver, street: &Street) -> BTreeSet<(&'static str, String)> {
    let about = |body: &Value| {
        let alerts = body["data"]["alerts"].as_array();
        alerts.is_some_and(|all| all.iter().any(|one| one.to_string().contains(&alert.to_string())))
    };
    let bodies = receiver.requests().into_iter().map(|request| serde_json::from_str::<Value>(&request.body).expect("a JSON body"));
    bodies
        .filter(about)
        .map(|body| (street.member_called(&body["data"]["recipient"]), body["type"].as_str().expect("a type").to_owned()))
        .collect()
}

fn look(senior: Uuid, kind: &str) -> Value {
    json!({ "id": Uuid::now_v7(), "senior_id": senior, "kind": kind, "observed_at": Office::now().to_rfc3339() })
}

async fn alert_of(clerk: &Caller, senior: Uuid) -> Uuid {
    let own = move |page: &Value| {
        let items = page["items"].as_array().expect("a page");
        items.iter().find(|alert| alert["senior_id"] == json!(senior)).map(id)
    };
    clerk.wait_for("an alert opens", "/alerts", own).await
}

/// The clients of others, which know nothing of this project.
struct Tools {
    publish: PathBuf,
    firmware: PathBuf,
}

impl Tools {
    fn find() -> Option<Self> {
        // Built beside the server by `cargo test --workspace`.
        let folder = PathBuf::from(env!("CARGO_BIN_EXE_chenlian")).parent().expect("a program has a folder").to_owned();
        let firmware = needs::built(&folder.join("firmware-sim"))?;
        Some(Self { publish: needs::program("mosquitto_pub")?, firmware })
    }
}

/// A native sensor behind 李爷爷's curtain, a Zigbee one behind 赵奶奶's.
struct Sensors {
    native: Value,
    gateway: Value,
}

/// Killed when the morning is over.
struct AtWork(Vec<Child>);

impl Drop for AtWork {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Sensors {
    async fn install(clerk: &Caller, street: &Street) -> Self {
        let native = json!({ "name": "d-li", "ecosystem": "native", "role": "curtain_contact", "expected_interval_seconds": 3600 });
        let native = clerk.post("/devices", native).await;
        let gateway =
            clerk.post("/devices", json!({ "name": "z-3", "ecosystem": "gateway", "role": "gateway", "base_topic": "zigbee2mqtt" })).await;
        let contact = json!({ "name": "curtain", "ecosystem": "zigbee2mqtt", "role": "curtain_contact", "gateway_id": id(&gateway) });
        let contact = clerk.post("/devices", contact).await;
        for (device, senior) in [(&native, street.seniors[1]), (&contact, street.seniors[2])] {
            let consent = json!({ "scope": "sensor", "given_at": Office::now().to_rfc3339(), "given_how": "口头" });
            clerk.post(&format!("/seniors/{senior}/consents"), consent).await;
            let bound = clerk.patch(&format!("/devices/{}", id(device)), 1, json!({ "senior_id": senior })).await;
            let version = bound["version"].as_i64().expect("a version");
            let path = format!("/devices/{}/calibrate", id(device));
            let (status, told) =
                clerk.ask(Method::POST, &path, Some(json!({ "while_closed": "closed", "while_open": "open" })), Some(version)).await;
            assert_eq!(status, StatusCode::OK, "{told}");
        }
        Self { native: native["credentials"].clone(), gateway: gateway["credentials"].clone() }
    }

    fn start(&self, tools: &Tools, office: &Office) -> AtWork {
        let file = office.home.file("sensor.json");
        let credentials = json!({ "device_id": self.native["mqtt_user"], "key_hex": self.native["key_hex"], "kid": self.native["kid"],
            "password": self.native["mqtt_password"] });
        std::fs::write(&file, credentials.to_string()).expect("the folder is writable");
        let port = office.mqtt().to_string();
        let native = Command::new(&tools.firmware)
            .args(["one", "--broker", &format!("127.0.0.1:{port}"), "--act", "open@5s", "--drain", "30s", "--credentials"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("firmware-sim runs");
        let (user, password) = (self.gateway["mqtt_user"].as_str(), self.gateway["mqtt_password"].as_str());
        let mut zigbee = Command::new(&tools.publish)
            .args(["-h", "127.0.0.1", "-p", &port, "-u", user.expect("a user"), "-P", password.expect("a password")])
            .args(["-q", "1", "-t", "zigbee2mqtt/curtain", "-l"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_pub runs");
        let mut lines = zigbee.stdin.take().expect("a pipe");
        std::thread::spawn(move || {
            for (contact, pause) in [(true, 2), (true, 4), (false, 4)] {
                std::thread::sleep(Duration::from_secs(pause));
                // Closed pipe: the morning is over.
                let _ = writeln!(lines, "{{\"contact\":{contact},\"battery\":90}}");
            }
            std::thread::sleep(Duration::from_mins(1));
        });
        AtWork(vec![native, zigbee])
    }
}
