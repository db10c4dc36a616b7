//! One alert: all that a person needs at the door, and the acts that fit as it stands.

use std::collections::BTreeSet;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate, Utc};
use uuid::Uuid;

use super::frame::{Frame, Said};
use super::page;
use crate::app::App;
use crate::domain::absence::ABSENCE_DAYS_MAX;
use crate::domain::access::Capability;
use crate::domain::alert::TimelineKind;
use crate::domain::case::possible::Possible;
use crate::domain::outcome::{ContactProof, DoorOutcome, DoorProof, Outcome, OutcomeClass};
use crate::http::HttpState;
use crate::http::api::alerts::{self, AlertDetail, TimelineEntry, Told};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::store::register::site;
use crate::store::{naming, roster};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/alerts/{id}", get(alert)).route("/alerts/{id}/news", get(news))
}

#[derive(Template)]
#[template(path = "alert.html")]
struct AlertPage {
    frame: Frame,
    now: DateTime<Utc>,
    reader: Uuid,
    detail: AlertDetail,
    around: Around,
    questions: Questions,
    may_visit: bool,
    news: News,
}

/// The part that the browser fetches again by itself: who was told, and what has happened.
#[derive(Template)]
#[template(path = "alert_news.html")]
struct NewsFragment {
    frame: Frame,
    news: News,
}

struct News {
    /// Everybody who was told, once each, with the last word about it.
    told: Vec<Told>,
    /// `(machine time, shown time, sentence)`
    rows: Vec<(String, String, String)>,
}

/// What the page says of people.
struct Around {
    /// How the reader and her scheme are named on the phone.
    me: String,
    site: String,
    /// Who can be sent, nearest first.
    sendable: Vec<(Uuid, String)>,
}

/// What is asked when somebody has been reached, here and in the visit record.
pub struct Questions {
    pub proofs: &'static [DoorProof],
    pub outcomes: &'static [DoorOutcome],
    pub tomorrow: NaiveDate,
    pub latest: NaiveDate,
}

impl Questions {
    pub fn on(today: NaiveDate) -> Self {
        let after = |days| today.checked_add_days(Days::new(days)).unwrap_or(today);
        Self { proofs: DoorProof::ALL, outcomes: DoorOutcome::ALL, tomorrow: after(1), latest: after(ABSENCE_DAYS_MAX.unsigned_abs()) }
    }

    /// The codes that mean "not at home", for the question when she comes back.
    pub fn absent() -> String {
        let codes: Vec<&str> = Outcome::ALL.iter().filter(|outcome| outcome.absence().is_some()).map(|outcome| outcome.as_str()).collect();
        codes.join(" ")
    }
}

impl AlertPage {
    fn may(&self, word: &str) -> bool {
        self.detail.alert.may.iter().any(|act| act.as_str() == word)
    }

    /// Whose claim lives.
    fn goes(&self) -> Option<(&str, DateTime<Utc>, bool)> {
        let alert = &self.detail.alert;
        let until = alert.claim_until.filter(|until| *until > self.now && alert.resolved_at.is_none())?;
        Some((alert.claimed_by_called.as_deref().unwrap_or_default(), until, alert.claimed_by == Some(self.reader)))
    }

    fn is_at_the_door(&self) -> bool {
        self.detail.alert.state.as_str() == "on_site"
    }

    /// The full list of outcomes by class, for whoever reviews.
    fn classes(&self) -> Vec<(OutcomeClass, Vec<Outcome>)> {
        let of = |class: &OutcomeClass| Outcome::ALL.iter().copied().filter(|outcome| outcome.class() == *class).collect();
        OutcomeClass::ALL.iter().map(|class| (*class, of(class))).collect()
    }

    fn all_proofs(&self) -> &'static [ContactProof] {
        ContactProof::ALL
    }
}

impl News {
    /// `sent`: who was sent, by the id that the timeline holds.
    fn of(frame: &Frame, timeline: &[TimelineEntry], told: Vec<Told>, sent: &[(String, String)]) -> Self {
        let row = |entry: &TimelineEntry| (entry.at.to_rfc3339(), frame.when(&entry.at), sentence(frame, entry, sent).to_string());
        let mut last: Vec<Told> = Vec::new();
        for one in told {
            match last.iter_mut().find(|known| known.recipient_id == one.recipient_id) {
                Some(known) => *known = one,
                None => last.push(one),
            }
        }
        Self { told: last, rows: timeline.iter().map(row).collect() }
    }
}

/// The sentence of one row of the timeline.
fn sentence(frame: &Frame, entry: &TimelineEntry, sent: &[(String, String)]) -> Said {
    let word = |name: &str| entry.detail.get(name).map(String::as_str).filter(|word| !word.is_empty());
    let by_nobody = entry.actor_called.is_none();
    let key = match entry.kind {
        TimelineKind::Message => return message(frame, word),
        TimelineKind::Resolved if by_nobody => "door.event_resolved_by_sign".to_owned(),
        TimelineKind::Reopened if word("reason").is_none() => "door.event_reopened_by_sign".to_owned(),
        kind => format!("door.event_{kind}"),
    };
    let mut said = frame.say(&key).with("who", entry.actor_called.as_deref().unwrap_or_default());
    if let Some(cause) = word("cause") {
        said = said.with("cause", frame.word("door.cause", cause));
    }
    if let Some(act) = word("act") {
        said = said.with("act", frame.word("door.act", act));
    }
    for name in ["told", "service", "reason", "relation"] {
        said = said.with(name, word(name).unwrap_or_default());
    }
    let to = word("to").and_then(|id| sent.iter().find(|(known, _)| known == id));
    let minutes = word("minutes").map(|minutes| frame.say("family.in_minutes").with("minutes", minutes).to_string());
    said.with("minutes", minutes.unwrap_or_default()).with("to", to.map_or("", |(_, called)| called.as_str()))
}

/// What is known of one message: no code, which helps nobody on the stairs.
fn message<'a>(frame: &Frame, word: impl Fn(&str) -> Option<&'a str>) -> Said {
    let way = |name: &str| word(name).map(|channel| frame.word("door.way", channel));
    let said = frame.word("door.message", word("fact").unwrap_or_default());
    let mut said = said.with("called", word("called").unwrap_or_default());
    if let Some(channel) = way("channel") {
        said = said.with("channel", channel);
    }
    if let Some(times) = word("times").filter(|times| *times != "1") {
        said = frame.say("door.message_times").with("what", said).with("times", times);
    }
    match way("next") {
        Some(next) => frame.say("door.message_next").with("what", said).with("next", next),
        None => said,
    }
}

async fn alert(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let (mut detail, relation) = alerts::opened(&app, &caller, id).await?;
    let around = around(&app, &caller, &detail).await?;
    let frame = Frame::of(&caller, "/alerts");
    let sent = sent(&app, &caller, &detail.timeline).await?;
    let news = News::of(&frame, &detail.timeline, std::mem::take(&mut detail.told), &sent);
    page(&AlertPage {
        frame,
        now: app.clock.now(),
        reader: caller.member_id,
        detail,
        around,
        questions: Questions::on(caller.today),
        may_visit: relation.may(Capability::VisitCreate),
        news,
    })
}

async fn news(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let (timeline, told) = alerts::followed(&app, &caller, id).await?;
    let frame = Frame::of(&caller, "/alerts");
    let news = News::of(&frame, &timeline, told, &sent(&app, &caller, &timeline).await?);
    page(&NewsFragment { frame, news })
}

/// The names of those who were sent, by the id that the timeline holds.
async fn sent(app: &App, caller: &Caller, timeline: &[TimelineEntry]) -> Result<Vec<(String, String)>, HttpError> {
    let site_id = caller.site_id;
    let assigned = timeline.iter().filter(|entry| entry.kind == TimelineKind::Assigned);
    let ids: BTreeSet<Uuid> = assigned.filter_map(|entry| entry.detail.get("to")?.parse().ok()).collect();
    let names = app.read(move |mut tx| async move { naming::members(&mut tx, site_id, &ids).await.map(|names| (tx, names)) }).await?;
    Ok(names.into_iter().map(|(id, called)| (id.to_string(), called)).collect())
}

async fn around(app: &App, caller: &Caller, detail: &AlertDetail) -> Result<Around, HttpError> {
    let (caller, senior) = (caller.clone(), detail.alert.senior_id);
    let assigns = detail.alert.may.contains(&Possible::Assign);
    let around = app
        .read(move |mut tx| async move {
            let site_id = caller.site_id;
            let me = naming::member(&mut tx, site_id, caller.member_id).await?;
            let mut around = Around { me, site: site::get(&mut tx, site_id).await?.name, sendable: Vec::new() };
            if assigns {
                let reachable = roster::reachable(&mut tx, site_id).await?;
                for member in roster::of(&mut tx, site_id, senior, caller.today).await?.sendable(&reachable) {
                    around.sendable.push((member, naming::member(&mut tx, site_id, member).await?));
                }
            }
            Ok((tx, around))
        })
        .await?;
    Ok(around)
}
