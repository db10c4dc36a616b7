//! An office enters one building over the API: six seniors, and a person for every rung of the ladder.

use std::process::Command;
use std::time::{Duration, Instant};

use chenlian::clock::Clock;
use chenlian::demo::morning_zone;
use chrono::{DateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::binary::{Installation, Server, client};
use crate::outbox::SECRET;

/// What does not come within this will not come.
const WAIT_MAX: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// The morning in seconds instead of minutes.
const HURRY: [(&str, &str); 17] = [
    ("CHECK__GRACE", "1s"),
    ("CHECK__REMIND_ROUND", "4s"),
    ("CHECK__REMIND_LAST", "2s"),
    ("CHECK__LOOK_AGAIN", "0s"),
    ("CHECK__TRIAL", "0s"),
    ("LADDER__AGAIN", "50s"),
    ("LADDER__L1", "3s"),
    ("LADDER__L1_CLAIMED", "3s"),
    ("LADDER__L2", "6s"),
    ("LADDER__L2_UNSEEN", "50s"),
    ("LADDER__L3", "8s"),
    ("LADDER__L4", "10s"),
    ("LADDER__L5", "50s"),
    ("SENSOR__CLOSED_MIN", "2s"),
    ("SENSOR__SETTLE", "2s"),
    ("SENSOR__ONLINE_GRACE", "1s"),
    ("OUTBOX__ALLOW_PRIVATE_TARGETS", "true"),
];

const ADMINISTRATOR: &str = "13900000000";
const PASSWORD: &str = "every morning";

/// role, name on screens, phone.
const MEMBERS: [(&str, &str, &str); 8] = [
    ("volunteer", "王师傅", "13900000001"),
    ("volunteer", "刘师傅", "13900000002"),
    ("building_lead", "陈楼长", "13900000003"),
    ("social_worker", "社工小王", "13900000004"),
    ("property_staff", "物业小马", "13900000005"),
    ("branch_secretary", "李书记", "13900000006"),
    ("street_duty", "街道值班", "13900000007"),
    ("operator", "运维", "13900000008"),
];

/// Their roles in the story are those of [`super::morning`].
pub const SENIORS: [&str; 6] = ["张奶奶", "李爷爷", "赵奶奶", "王爷爷", "刘奶奶", "陈爷爷"];

/// One installation of the program, its settings hurried.
pub struct Office {
    pub home: Installation,
    pub zone: Tz,
    mqtt: u16,
}

impl Office {
    /// A folder with the first site and its administrator.
    pub fn found(home: Installation) -> Self {
        let office = Self { home, zone: morning_zone(Clock::System.now()), mqtt: crate::cli::binary::free_port() };
        let add = ["member", "add", "--phone", ADMINISTRATOR, "--name", "赵明", "--role", "administrator", "--password-stdin"];
        let mut command = office.command(&add);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("the program runs");
        std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), format!("{PASSWORD}\n").as_bytes()).expect("the program reads");
        let output = child.wait_with_output().expect("the program ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        office
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        for (key, value) in HURRY {
            command.env(format!("CHENLIAN_{key}"), value);
        }
        command.env("CHENLIAN_SITE__TIMEZONE", self.zone.name());
        command.env("CHENLIAN_MQTT__LISTEN", format!("127.0.0.1:{}", self.mqtt));
        command
    }

    pub fn serve(&self) -> Server {
        Server::start(self.command(&["serve"]))
    }

    /// Where sensors connect.
    pub fn mqtt(&self) -> u16 {
        self.mqtt
    }

    /// Somebody's token, made by the operator on the command line.
    pub fn token(&self, phone: &str) -> String {
        let output = self.command(&["token", "create", "--member", phone]).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    pub fn now() -> DateTime<Utc> {
        Clock::System.now()
    }

    /// A local time of today that lies this far ahead, in whole seconds.
    pub fn ahead(&self, by: TimeDelta) -> NaiveTime {
        let local = (Self::now() + by + TimeDelta::milliseconds(999)).with_timezone(&self.zone).time();
        local.with_nanosecond(0).expect("zero is a nanosecond")
    }

    pub fn today(&self) -> chrono::NaiveDate {
        Self::now().with_timezone(&self.zone).date_naive()
    }
}

/// Somebody who speaks to the API.
#[derive(Clone)]
pub struct Caller {
    pub base: String,
    pub token: String,
    inner: reqwest::Client,
}

impl Caller {
    pub fn new(server: &Server, token: &str) -> Self {
        Self { base: format!("http://{}/api/v1", server.http), token: token.to_owned(), inner: client() }
    }

    /// The administrator types her password, as silencing acts and edits of the register ask.
    pub async fn administrator(server: &Server) -> Self {
        let stranger = Self::new(server, "");
        let body = json!({ "phone": ADMINISTRATOR, "password": PASSWORD, "kind": "bearer" });
        let (status, signed_in) = stranger.ask(Method::POST, "/sessions", Some(body), None).await;
        assert!(status.is_success(), "{status} {signed_in}");
        Self { token: signed_in["token"].as_str().expect("a token").to_owned(), ..stranger }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>, version: Option<i64>) -> (StatusCode, Value) {
        let mut request = self.inner.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(version) = version {
            request = request.header("if-match", format!("\"{version}\""));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        crate::http::read(request).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None, None).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    /// Posts with an id of this request's own, unless the body has one.
    pub async fn post(&self, path: &str, mut body: Value) -> Value {
        if body.get("id").is_none() && body.get("signals").is_none() {
            body["id"] = json!(Uuid::now_v7());
        }
        let (status, answer) = self.ask(Method::POST, path, Some(body), None).await;
        assert!(status.is_success(), "POST {path}: {status} {answer}");
        answer
    }

    pub async fn patch(&self, path: &str, version: i64, body: Value) -> Value {
        let (status, answer) = self.ask(Method::PATCH, path, Some(body), Some(version)).await;
        assert!(status.is_success(), "PATCH {path}: {status} {answer}");
        answer
    }

    /// Looks again until it is so.
    pub async fn wait_for<T>(&self, what: &str, path: &str, is_so: impl Fn(&Value) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            let seen = self.get(path).await;
            if let Some(found) = is_so(&seen) {
                return found;
            }
            assert!(started.elapsed() < WAIT_MAX, "not in time: {what}; {path} says {seen}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The building and its people as the API named them.
pub struct Street {
    pub members: Vec<Uuid>,
    pub seniors: Vec<Uuid>,
}

impl Street {
    /// Enters everything but the agreements: from those on the clock runs.
    pub async fn enter(office: &Caller, receiver: &str) -> Self {
        let places = office.get("/places").await;
        let street = id(&places["items"][0]);
        let community = place(office, "community", "锦绣社区", street).await;
        let compound = place(office, "compound", "锦绣苑", community).await;
        let building = place(office, "building", "3号楼", compound).await;
        let mut members = Vec::new();
        for (role, called, phone) in MEMBERS {
            let member = id(&office.post("/members", json!({ "name": called, "called": called, "phone": phone })).await);
            office.post("/role-grants", json!({ "member_id": member, "role": role, "place_id": compound })).await;
            let way = json!({ "channel": "webhook", "address": receiver, "secret": SECRET, "position": 1 });
            let channel = id(&office.post(&format!("/members/{member}/channels"), way).await);
            office.patch(&format!("/members/{member}/channels/{channel}"), 1, json!({ "verified": true })).await;
            members.push(member);
        }
        let mut seniors = Vec::new();
        for (number, called) in (1..).zip(SENIORS) {
            let home =
                json!({ "building_id": building, "unit": "2单元", "floor": number, "room": format!("{number}01"), "walk_order": number });
            let home = id(&office.post("/homes", home).await);
            let senior =
                json!({ "home_id": home, "name": called, "called": called, "risk_band": "yellow", "categories": ["living_alone"] });
            let senior = id(&office.post("/seniors", senior).await);
            for (kind, member) in [("primary", members[0]), ("backup", members[1])] {
                office.post(&format!("/seniors/{senior}/pairings"), json!({ "member_id": member, "kind": kind })).await;
            }
            let daughter = json!({ "position": 1, "name": "女儿", "relation": "女儿", "phone": "13700000001", "minutes_away": 25 });
            office.post(&format!("/seniors/{senior}/contacts"), daughter).await;
            seniors.push(senior);
        }
        Self { members, seniors }
    }

    /// The moment of the cutoff; from here on the morning runs.
    pub async fn agree(&self, office: &Caller, deadline: NaiveTime, today: chrono::NaiveDate) {
        for senior in &self.seniors {
            let agreed = json!({ "slot": "morning", "expected_sign": "open", "sensor_policy": "sufficient", "deadline": deadline,
                "from_date": today });
            office.post(&format!("/seniors/{senior}/agreements"), agreed).await;
        }
    }

    pub fn called(&self, senior: &Value) -> &'static str {
        let at = self.seniors.iter().position(|id| senior == &json!(id)).expect("one of the street");
        SENIORS[at]
    }

    pub fn member_called(&self, member: &Value) -> &'static str {
        let at = self.members.iter().position(|id| member == &json!(id)).expect("one of the street");
        MEMBERS[at].1
    }
}

async fn place(office: &Caller, kind: &str, name: &str, parent: Uuid) -> Uuid {
    id(&office.post("/places", json!({ "kind": kind, "name": name, "parent_id": parent })).await)
}

pub fn id(row: &Value) -> Uuid {
    row["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id in {row}"))
}
