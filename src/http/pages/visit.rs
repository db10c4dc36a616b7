//! The form of a visit record: big choices, and nothing is typed that is known.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::alert::Questions;
use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::visit::{
    ConditionItem, ContactWith, Hearing, Mobility, NeedItem, SafetyItem, Shown, Sight, VisitKind, VisitMethod, VisitResult, shown_by,
};
use crate::http::HttpState;
use crate::http::api::visits::{self, Begun};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/visits/new", get(new))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewQuery {
    #[serde(default)]
    senior: Option<Uuid>,
    #[serde(default)]
    alert: Option<Uuid>,
    /// What a list suggests.
    #[serde(default)]
    kind: Option<VisitKind>,
}

#[derive(Template)]
#[template(path = "visit_new.html")]
struct VisitPage {
    frame: Frame,
    now: DateTime<Utc>,
    begun: Begun,
    kind: VisitKind,
    questions: Questions,
    /// The alert waits, and the reader may close it.
    may_resolve: bool,
    resolves: bool,
    /// What the end of the alert says about the visit, if the reader may know it.
    known: Option<Shown>,
}

/// Rows for contacts of a first visit.
const CONTACT_ROWS: usize = 3;

impl VisitPage {
    /// A follow-up belongs to an alert, every other kind to none.
    fn kinds(&self) -> Vec<VisitKind> {
        let follows = self.begun.alert.is_some();
        VisitKind::ALL.iter().copied().filter(|kind| (*kind == VisitKind::AlertFollowup) == follows).collect()
    }

    fn is_kind(&self, kind: &VisitKind) -> bool {
        self.kind == *kind
    }

    fn is_me(&self, member: &Uuid) -> bool {
        self.begun.people.first().is_some_and(|(me, _)| me == member)
    }

    fn started_at(&self) -> DateTime<Utc> {
        self.begun.went_at.unwrap_or(self.now)
    }

    fn is_method(&self, method: &VisitMethod) -> bool {
        self.known.map_or(VisitMethod::Door, |known| known.method) == *method
    }

    fn is_result(&self, result: &VisitResult) -> bool {
        self.known.is_some_and(|known| known.result == *result)
    }

    fn is_contact(&self, whom: &ContactWith) -> bool {
        self.known.is_some_and(|known| known.contact_with == Some(*whom))
    }

    fn methods(&self) -> &'static [VisitMethod] {
        VisitMethod::ALL
    }
    fn results(&self) -> &'static [VisitResult] {
        VisitResult::ALL
    }
    fn contacts(&self) -> &'static [ContactWith] {
        ContactWith::ALL
    }
    fn conditions(&self) -> &'static [ConditionItem] {
        ConditionItem::ALL
    }
    fn safety(&self) -> &'static [SafetyItem] {
        SafetyItem::ALL
    }
    fn needs(&self) -> &'static [NeedItem] {
        NeedItem::ALL
    }
    fn hearing(&self) -> &'static [Hearing] {
        Hearing::ALL
    }
    fn sight(&self) -> &'static [Sight] {
        Sight::ALL
    }
    fn mobility(&self) -> &'static [Mobility] {
        Mobility::ALL
    }
    fn contact_rows(&self) -> std::ops::Range<usize> {
        0..CONTACT_ROWS
    }
}

async fn new(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<NewQuery>) -> Result<Response, HttpError> {
    let begun = visits::begun(&app, &caller, query.senior, query.alert).await?;
    let kind = match (&begun.alert, query.kind) {
        (Some(_), _) => VisitKind::AlertFollowup,
        (None, Some(kind)) if kind != VisitKind::AlertFollowup => kind,
        _ if begun.is_first => VisitKind::FirstVisit,
        _ => VisitKind::CareVisit,
    };
    let waits = begun.alert.as_ref().is_some_and(|alert| alert.resolved_at.is_none());
    let may_resolve = waits && begun.relation.may(Capability::AlertAct);
    let goes = begun.alert.as_ref().is_some_and(|alert| alert.claimed_by == Some(caller.member_id));
    let reads = begun.relation.may(Capability::HealthRead);
    let told = begun.alert.as_ref().filter(|alert| reads || alert.resolved_by == Some(caller.member_id));
    let proof = told.and_then(|alert| alert.contact_proof.as_deref()?.parse().ok());
    page(&VisitPage {
        known: proof.and_then(shown_by),
        frame: Frame::of(&caller, if begun.alert.is_some() { "/alerts" } else { "/seniors" }),
        now: app.clock.now(),
        kind,
        questions: Questions::on(caller.today),
        may_resolve,
        resolves: may_resolve && goes,
        begun,
    })
}
