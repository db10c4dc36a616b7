//! One alert: all that a person needs at the door, and the acts that fit as it stands.

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
    Router::new().route("/alerts/{id}", get(alert))
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
}

/// What the page says of people.
struct Around {
    /// How the reader and her scheme are named on the phone.
    me: String,
    site: String,
    /// Who can be sent, nearest first.
    sendable: Vec<(Uuid, String)>,
    /// Who was sent, by the id that the timeline holds.
    sent: Vec<(String, String)>,
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

    /// Everybody who was told, once each, with the last word about it.
    fn told(&self) -> Vec<&Told> {
        let mut told: Vec<&Told> = Vec::new();
        for one in &self.detail.told {
            match told.iter_mut().find(|known| known.recipient_id == one.recipient_id) {
                Some(known) => *known = one,
                None => told.push(one),
            }
        }
        told
    }

    /// The sentence of one row of the timeline.
    fn sentence(&self, entry: &TimelineEntry) -> Said {
        let frame = &self.frame;
        let word = |name: &str| entry.detail.get(name).map(String::as_str).filter(|word| !word.is_empty());
        let by_nobody = entry.actor_called.is_none();
        let key = match entry.kind {
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
        for name in ["told", "service", "reason"] {
            said = said.with(name, word(name).unwrap_or_default());
        }
        let to = word("to").and_then(|id| self.around.sent.iter().find(|(known, _)| known == id));
        said.with("to", to.map_or("", |(_, called)| called.as_str()))
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

async fn alert(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let (detail, relation) = alerts::opened(&app, &caller, id).await?;
    let around = around(&app, &caller, &detail).await?;
    page(&AlertPage {
        frame: Frame::of(&caller, "/alerts"),
        now: app.clock.now(),
        reader: caller.member_id,
        detail,
        around,
        questions: Questions::on(caller.today),
        may_visit: relation.may(Capability::VisitCreate),
    })
}

async fn around(app: &App, caller: &Caller, detail: &AlertDetail) -> Result<Around, HttpError> {
    let (caller, senior) = (caller.clone(), detail.alert.senior_id);
    let assigns = detail.alert.may.contains(&Possible::Assign);
    let sent: Vec<String> = detail.timeline.iter().filter_map(|entry| entry.detail.get("to").cloned()).collect();
    let around = app
        .read(move |mut tx| async move {
            let site_id = caller.site_id;
            let me = naming::member(&mut tx, site_id, caller.member_id).await?;
            let mut around = Around { me, site: site::get(&mut tx, site_id).await?.name, sendable: Vec::new(), sent: Vec::new() };
            for text in sent {
                if let Ok(member) = text.parse() {
                    around.sent.push((text, naming::member(&mut tx, site_id, member).await?));
                }
            }
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
