//! 今早看窗: the round of a day, in walking order, computed from pairings, duties and leaves.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::by;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::check::{CheckState, Slot};
use crate::domain::device::Unfit;
use crate::domain::evidence::Deed;
use crate::domain::evidence::hint::Shown;
use crate::domain::refusal::Refusal;
use crate::domain::signal::{Evidence, Sign, SignalKind};
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictQuery;
use crate::http::value::{AbsenceWord, Day};
use crate::store::round::sheet::{Lines, Person};
use crate::store::unheard::{self, Contact};
use crate::store::{self, Tx, plan, round};

/// Checks are planned to the next day.
const SHEET_DAYS_AHEAD_MAX: u64 = 1;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(get))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RoundQuery {
    /// Today if left out.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    date: Option<Day>,
    /// Morning if left out.
    #[serde(default)]
    slot: Option<Slot>,
    /// A place whose whole round staff want to see; the caller's own round if left out.
    #[serde(default)]
    place: Option<Uuid>,
    /// The list to print for a morning without a server, until tomorrow's; each senior on it counts as opened. With `place` it adds
    /// to every stop whom to phone.
    #[serde(default)]
    sheet: bool,
}

/// One window. Names of one's own round are not masked.
#[derive(Serialize, ToSchema)]
pub struct Stop {
    pub senior_id: Uuid,
    pub check_id: Uuid,
    pub name: String,
    pub called: String,
    pub phone: Option<String>,
    pub hearing_hint: String,
    pub building_id: Uuid,
    pub building: String,
    pub unit: String,
    pub floor: Option<i64>,
    pub room: String,
    pub window_hint: String,
    pub state: CheckState,
    pub expected_sign: Sign,
    pub window_opens_at: DateTime<Utc>,
    pub deadline_at: DateTime<Utc>,
    pub cutoff_at: DateTime<Utc>,
    /// When somebody seen shut or not visible is looked at for the second time.
    pub look_again_at: DateTime<Utc>,
    /// What a person saw last in this slot, from whatever phone.
    pub look: Option<Look>,
    /// In one's own round: who goes up with the walker if nobody opens.
    pub companion: Option<Person>,
    /// What sensors have shown in this slot, if anything.
    pub sensor: Option<Sensed>,
    /// A sensor is agreed and will say nothing that counts, for this reason: please look at the window.
    pub human_look: Option<Unfit>,
    /// Somebody says that she is away, and nobody has confirmed it: please look as usual.
    pub proposed_absence: Option<AbsenceWord>,
    /// When a person last saw her or heard her voice.
    pub last_contact_at: Option<DateTime<Utc>>,
    /// Nobody has seen or heard her for more than a week: please ring.
    pub contact_overdue: bool,
    /// On a list to print.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<Lines>,
}

/// What a sensor saw. Only class A can make a check ok, and only where that is agreed.
#[derive(Serialize, ToSchema)]
pub struct Sensed {
    pub kind: SignalKind,
    pub class: Evidence,
    pub deed: Option<Deed>,
    pub observed_at: DateTime<Utc>,
    /// Another sort of hint came shortly before: both together are a strong hint, and still no "ok".
    pub with: Option<Deed>,
}

impl From<Shown> for Sensed {
    fn from(shown: Shown) -> Self {
        let noted = shown.noted;
        Self { kind: noted.kind, class: noted.class, deed: noted.deed, observed_at: noted.at, with: shown.with.and_then(|with| with.deed) }
    }
}

/// The latest look at one window.
#[derive(Serialize, ToSchema)]
pub struct Look {
    /// The signal, for a correction.
    pub id: Uuid,
    pub kind: SignalKind,
    pub observed_at: DateTime<Utc>,
    /// How the one who looked is called.
    pub by: Option<String>,
    /// It is the caller's own, perhaps from another phone.
    pub mine: bool,
}

#[derive(Serialize, ToSchema)]
pub struct Round {
    pub date: NaiveDate,
    pub slot: Slot,
    /// Checks that need no more look.
    pub done: usize,
    pub stops: Vec<Stop>,
}

/// The round of a date and slot.
#[utoipa::path(get, path = "/api/v1/rounds", tag = "rounds", params(RoundQuery),
    responses((status = 200, body = Round), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<RoundQuery>) -> Result<Answer, HttpError> {
    let asked = Asked {
        date: query.date.map_or(caller.today, |day| day.0),
        slot: query.slot.unwrap_or(Slot::Morning),
        place: query.place,
        sheet: query.sheet,
    };
    Ok(Answer::ok(&of(&app, caller, asked).await?))
}

/// Whose round of which day.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub date: NaiveDate,
    pub slot: Slot,
    /// `None`: the caller's own.
    pub place: Option<Uuid>,
    pub sheet: bool,
}

/// The same for the pages.
pub async fn of(app: &App, caller: Caller, asked: Asked) -> Result<Round, HttpError> {
    let stops = if asked.sheet { of_sheet(app, caller, asked).await? } else { of_screen(app, caller, asked).await? };
    let done = stops.iter().filter(|stop| !stop.state.wants_a_look()).count();
    Ok(Round { date: asked.date, slot: asked.slot, done, stops })
}

async fn of_screen(app: &App, caller: Caller, asked: Asked) -> Result<Vec<Stop>, HttpError> {
    let now = app.clock.now();
    let stops = app.read(move |mut tx| async move {
        let stops = planned(&mut tx, &caller, asked, Capability::PhoneRead).await?;
        let stops = shown(&mut tx, &caller, stops, now).await?;
        Ok((tx, stops))
    });
    Ok(stops.await?)
}

/// The stops of the caller's own round, or of a place where she may do what `needs` says.
pub async fn planned(tx: &mut Tx, caller: &Caller, asked: Asked, needs: Capability) -> store::Result<Vec<round::Stop>> {
    let Asked { date, slot, place, .. } = asked;
    match place {
        None => round::of_member(tx, caller.site_id, caller.member_id, date, slot).await,
        Some(place) => {
            caller.place(tx, place, needs).await?;
            round::of_place(tx, caller.site_id, place, date, slot).await
        }
    }
}

async fn shown(tx: &mut Tx, caller: &Caller, stops: Vec<round::Stop>, now: DateTime<Utc>) -> store::Result<Vec<Stop>> {
    let seniors: Vec<Uuid> = stops.iter().map(|stop| stop.senior_id).collect();
    let contacts = unheard::of(tx, caller.site_id, &seniors, caller.timezone, now).await?;
    let mut looks = round::look::latest(tx, caller.site_id, &stops).await?;
    let companions: BTreeSet<Uuid> = stops.iter().filter_map(|stop| stop.companion).collect();
    let people = round::sheet::people(tx, caller.site_id, &companions).await?;
    let rules = plan::site(tx, caller.site_id).await?.rules.check;
    let around = |stop: round::Stop| {
        let contact = contacts.get(&stop.senior_id).copied().unwrap_or_default();
        let look = looks.remove(&stop.senior_id).map(|look| Look {
            mine: look.observed_by == Some(caller.member_id),
            id: look.id,
            kind: look.kind,
            observed_at: look.observed_at,
            by: look.called,
        });
        let companion = stop.companion.and_then(|member| people.get(&member).cloned());
        let look_again_at = rules.look_again_at(stop.deadline_at);
        Stop { look, companion, ..Stop::new(stop, contact, look_again_at) }
    };
    Ok(stops.into_iter().map(around).collect())
}

/// A sheet that lacks somebody is worse than none: what is not planned yet is planned first, and a day that cannot be planned yet
/// is refused and not answered with an empty page.
async fn of_sheet(app: &App, caller: Caller, asked: Asked) -> Result<Vec<Stop>, HttpError> {
    if asked.date > caller.today + Days::new(SHEET_DAYS_AHEAD_MAX) {
        return Err(Refusal::invalid("date", "register.too_far_ahead").with("days", SHEET_DAYS_AHEAD_MAX).into());
    }
    let by = by(&caller, app);
    let (made, stops) = app
        .write(move |mut tx| async move {
            let is_sensitive = may_open(&mut tx, &caller, asked.place).await?;
            let made = plan::plan_site(&mut tx, by.site_id, by.now).await?;
            let stops = planned(&mut tx, &caller, asked, Capability::PhoneRead).await?;
            let seniors: Vec<Uuid> = stops.iter().map(|stop| stop.senior_id).collect();
            let mut lines = match asked.place {
                Some(_) => round::sheet::lines(&mut tx, &by, &seniors, asked.date, is_sensitive).await?,
                // Whom else to phone is nothing that the walker reads.
                None => round::sheet::opened(&mut tx, &by, &seniors, &["phone", "sheet"]).await.map(|()| BTreeMap::new())?,
            };
            let mut stops = shown(&mut tx, &caller, stops, by.now).await?;
            for stop in &mut stops {
                stop.sheet = lines.remove(&stop.senior_id);
            }
            Ok((tx, (made, stops)))
        })
        .await?;
    if made > 0 {
        app.wake.watch.notify_one();
    }
    Ok(stops)
}

/// Whether contacts and key holders are on the sheet.
///
/// # Errors
/// For a place whose people the caller may not phone.
async fn may_open(tx: &mut Tx, caller: &Caller, place: Option<Uuid>) -> store::Result<bool> {
    let Some(place) = place else { return Ok(false) };
    caller.place(tx, place, Capability::PhoneRead).await?;
    match caller.place(tx, place, Capability::SensitiveRead).await {
        Ok(()) => Ok(true),
        Err(store::Error::Refused(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

impl Stop {
    fn new(stop: round::Stop, contact: Contact, look_again_at: DateTime<Utc>) -> Self {
        Self {
            senior_id: stop.senior_id,
            check_id: stop.check_id,
            name: stop.name,
            called: stop.called,
            phone: stop.phone,
            hearing_hint: stop.hearing_hint,
            building_id: stop.building_id,
            building: stop.building,
            unit: stop.unit,
            floor: stop.floor,
            room: stop.room,
            window_hint: stop.window_hint,
            state: stop.state,
            expected_sign: stop.expected_sign,
            window_opens_at: stop.window_opens_at,
            deadline_at: stop.deadline_at,
            cutoff_at: stop.cutoff_at,
            look_again_at,
            look: None,
            companion: None,
            sensor: stop.sensor.map(Sensed::from),
            human_look: stop.human_look,
            proposed_absence: stop.proposed_absence.map(AbsenceWord::from),
            last_contact_at: contact.last_contact_at,
            contact_overdue: contact.overdue,
            sheet: None,
        }
    }
}
