//! 走访 · 探访. Whoever may visit a senior writes the record; what it says about health is for those who may read that.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by};
use crate::app::App;
use crate::domain::access::{Capability, Relation};
use crate::domain::alert::TimelineKind;
use crate::domain::day;
use crate::domain::place::RiskBand;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::visit::ResolveResult;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, Limit, Page};
use crate::http::value::Day;
use crate::store::alert::{self, AlertItem};
use crate::store::register::home::{self, Home};
use crate::store::register::pairing::{self, PairingFilter};
use crate::store::register::{JsonText, senior};
use crate::store::visit::{self, Due, DueFilter, NewVisit, Rights, Visit, VisitFilter};
use crate::store::{Error, Tx, naming};
use crate::text;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(due)).routes(routes!(get))
}

#[derive(Deserialize, IntoParams, Default)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[serde(default)]
    pub senior: Option<Uuid>,
    #[serde(default)]
    pub alert: Option<Uuid>,
    /// Visits that began on this local date or later.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    pub from: Option<Day>,
    /// Visits that began on this local date or earlier.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    pub to: Option<Day>,
    /// Also records that were corrected by a later one.
    #[serde(default)]
    pub with_replaced: bool,
    #[serde(default)]
    #[param(inline, required = false)]
    pub limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub cursor: Option<Cursor<Uuid>>,
}

/// A record as it was taken in.
#[derive(Serialize, ToSchema)]
struct Recorded {
    #[serde(flatten)]
    visit: Visit,
    /// What did not go as asked although the record was kept, in the caller's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Record a visit. A follow-up may resolve its alert in the same request: both are written or neither, except that a record
/// whose alert somebody else has already closed is kept without closing it again. The dossier of a first visit is entered
/// into the register if the caller may do that, and otherwise waits for the social worker.
#[utoipa::path(post, path = "/api/v1/visits", tag = "visits", request_body = NewVisit,
    responses((status = 201, body = Recorded), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewVisit>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let (by, recent) = (by(&caller, &app), caller.authenticated_recently());
    let answer = made_once!(app, once, by, |tx| require(&mut tx, &caller, &body).await?, {
        let relation = require(&mut tx, &caller, &body).await?;
        let rights = Rights {
            silence: recent && relation.may(Capability::Silence),
            confirm: recent && relation.may(Capability::AbsenceConfirm),
            register: relation.may(Capability::SeniorWrite),
        };
        let visit = visit::create(&mut tx, &by, body, rights).await?;
        let detail = aside(&visit, rights, caller.locale);
        Answer::created(&Recorded { visit, detail })
    });
    app.wake.all();
    answer
}

fn aside(visit: &Visit, rights: Rights, locale: &str) -> Option<String> {
    let resolved = visit.resolve_result.as_deref().and_then(|word| word.parse().ok());
    match resolved {
        Some(ResolveResult::AlreadyResolved) => Some(text::plain(locale, "visit.resolved_by_other")),
        Some(ResolveResult::NewerTrigger) => Some(text::plain(locale, "visit.alert_is_newer")),
        Some(ResolveResult::Resolved) | None => {
            (visit.dossier.0.is_some() && !rights.register).then(|| text::plain(locale, "visit.dossier_waits"))
        }
    }
}

/// What is known before a record is written.
pub struct Begun {
    pub senior_id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    /// What the register knows of the window; for whoever sees the senior.
    pub home: Option<Home>,
    pub alert: Option<AlertItem>,
    /// When the reader said that she goes, or that she is there.
    pub went_at: Option<DateTime<Utc>>,
    /// Nobody has visited her yet.
    pub is_first: bool,
    /// Who may have gone along: the reader first, then those paired with the senior.
    pub people: Vec<(Uuid, String)>,
    pub relation: Relation,
}

/// What the form of a record is filled in with, for whoever may hand one in.
pub async fn begun(app: &App, caller: &Caller, senior: Option<Uuid>, alert: Option<Uuid>) -> Result<Begun, HttpError> {
    let caller = caller.clone();
    Ok(looked_up!(app, |tx| known(&mut tx, &caller, senior, alert).await?))
}

async fn known(tx: &mut Tx, caller: &Caller, senior: Option<Uuid>, alert: Option<Uuid>) -> crate::store::Result<Begun> {
    let site = caller.site_id;
    let alert = match alert {
        Some(id) => Some(alert::get(tx, site, id).await?),
        None => None,
    };
    let senior_id = senior.or(alert.as_ref().map(|alert| alert.senior_id)).ok_or_else(Refusal::not_found)?;
    if alert.as_ref().is_some_and(|alert| alert.senior_id != senior_id) {
        return Err(Refusal::not_found().into());
    }
    let relation = may_record(tx, caller, senior_id, alert.as_ref().map(|alert| alert.id)).await?;
    let row = senior::get(tx, site, senior_id).await?;
    let home = home::get(tx, site, row.home_id).await?;
    let mut went_at = None;
    if let Some(alert) = &alert {
        let going = |kind| matches!(kind, TimelineKind::Claimed | TimelineKind::OnSite);
        let timeline = alert::timeline(tx, site, alert.id).await?;
        went_at = timeline.iter().rfind(|row| going(row.kind) && row.actor_id == Some(caller.member_id)).map(|row| row.at);
    }
    let filter = VisitFilter { senior_id: Some(senior_id), ..VisitFilter::default() };
    let one = crate::store::register::Page { after: None, limit: 1 };
    let is_first = visit::visible(tx, &caller.who(), filter, one).await?.is_empty();
    let mut people = vec![(caller.member_id, naming::member(tx, site, caller.member_id).await?)];
    let filter = PairingFilter { senior_id: Some(senior_id), on: Some(caller.today), ..PairingFilter::default() };
    for pairing in pairing::list(tx, site, filter, crate::store::register::Page::default()).await? {
        if pairing.member_id != caller.member_id {
            people.push((pairing.member_id, naming::member(tx, site, pairing.member_id).await?));
        }
    }
    let door = naming::door(tx, site, senior_id).await?;
    let said = |name: &str| door.get(name).cloned().unwrap_or_default();
    let home = Some(home).filter(|_| relation.may(Capability::SeniorRead));
    Ok(Begun {
        senior_id,
        called: row.called,
        building: said("building"),
        unit: said("unit"),
        home,
        alert,
        went_at,
        is_first,
        people,
        relation,
    })
}

/// Whoever went because she was called may hand in her record also after somebody else has closed the alert.
async fn may_record(tx: &mut Tx, caller: &Caller, senior_id: Uuid, alert: Option<Uuid>) -> crate::store::Result<Relation> {
    match caller.senior(tx, senior_id, Capability::VisitCreate).await {
        Err(Error::Refused(refusal)) if matches!(refusal.kind, RefusalKind::NotFound | RefusalKind::Forbidden) => match alert {
            Some(alert) if visit::was_called(tx, &caller.who(), alert, senior_id).await? => Ok(Relation::default()),
            _ => Err(refusal.into()),
        },
        other => other,
    }
}

async fn require(tx: &mut Tx, caller: &Caller, visit: &NewVisit) -> crate::store::Result<Relation> {
    let relation = may_record(tx, caller, visit.senior_id, visit.alert_id).await?;
    // Whoever came after the alert was over closes nothing any more; the record says what became of it.
    if visit.resolve.is_some() && relation != Relation::default() && !relation.may(Capability::AlertAct) {
        return Err(Refusal::forbidden("problem.forbidden").into());
    }
    Ok(relation)
}

/// Visits of the seniors whom the caller sees, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/visits", tag = "visits", params(ListQuery), responses((status = 200, body = Page<Visit>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&listed(&app, &caller, query).await?))
}

/// The same for the senior's page.
pub async fn listed(app: &App, caller: &Caller, query: ListQuery) -> Result<Page<Visit>, HttpError> {
    let caller = caller.clone();
    let begins = |date: Option<NaiveDate>| date.and_then(|date| day::day_start(caller.timezone, date));
    let filter = VisitFilter {
        id: None,
        senior_id: query.senior,
        alert_id: query.alert,
        from: begins(query.from.map(|day| day.0)),
        before: begins(query.to.and_then(|day| day.0.succ_opt())),
        with_replaced: query.with_replaced,
    };
    let page = entry::page(query.cursor, query.limit);
    let rows: Vec<Visit> = looked_up!(app, |tx| {
        let visits = visit::visible(&mut tx, &caller.who(), filter, page).await?;
        let relations = caller.seniors(&mut tx, visits.iter().map(|visit| visit.senior_id)).await?;
        visits.into_iter().map(|visit| readable(visit, &caller, &relations)).collect()
    });
    Ok(Page::cut(rows, query.limit, |row| row.id))
}

/// Without the right to read about health a record says that somebody came, unless one wrote it oneself.
fn readable(mut visit: Visit, caller: &Caller, relations: &BTreeMap<Uuid, Relation>) -> Visit {
    let health = relations.get(&visit.senior_id).is_some_and(|relation| relation.may(Capability::HealthRead));
    if !health && visit.entered_by != caller.member_id {
        visit.conditions = JsonText::default();
        visit.safety = JsonText::default();
        visit.dossier = JsonText(None);
        visit.family_visits_last_month = None;
        visit.note = None;
    }
    visit
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DueQuery {
    /// Due on this date or before; today if left out.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    pub until: Option<Day>,
    #[serde(default)]
    pub band: Option<RiskBand>,
    /// This place and below.
    #[serde(default)]
    pub place: Option<Uuid>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub cursor: Option<Cursor<(NaiveDate, Uuid)>>,
}

/// Seniors whose visit is due, the longest waiting first; `band` picks one of red, yellow and green.
#[utoipa::path(get, path = "/api/v1/visits/due", tag = "visits", params(DueQuery),
    responses((status = 200, body = Page<Due>), (status = 403, body = Problem)))]
async fn due(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<DueQuery>) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&due_of(&app, &caller, query).await?))
}

/// The same for the page.
pub async fn due_of(app: &App, caller: &Caller, query: DueQuery) -> Result<Page<Due>, HttpError> {
    caller.require(Capability::HealthRead)?;
    let filter = DueFilter {
        until: query.until.map_or(caller.today, |day| day.0),
        band: query.band,
        place: query.place,
        after: query.cursor.map(|cursor| cursor.0),
        limit: query.limit.rows(),
    };
    let who = caller.who();
    let rows = looked_up!(app, |tx| visit::due(&mut tx, &who, &filter).await?);
    Ok(Page::cut(rows, query.limit, Due::sort_key))
}

/// One visit.
#[utoipa::path(get, path = "/api/v1/visits/{id}", tag = "visits", params(("id" = Uuid, Path)),
    responses((status = 200, body = Visit), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let visit = looked_up!(app, |tx| {
        let visit = visit::get(&mut tx, caller.site_id, id).await?;
        let relation = caller.senior(&mut tx, visit.senior_id, Capability::SeniorRead).await?;
        let relations = BTreeMap::from([(visit.senior_id, relation)]);
        readable(visit, &caller, &relations)
    });
    Ok(Answer::ok(&visit))
}
