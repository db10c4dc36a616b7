//! Seniors: who is looked after, with the fields that the reader's tie to her allows (domain.md §9).
//!
//! A list shows masked names to staff and full ones to the people who go; contacts and consents are opened with a reason,
//! and each opening is on record.

pub mod absences;
pub mod agreements;
mod consents;
mod contacts;
pub mod days;
pub mod pairings;
pub mod view;

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub use self::view::SeniorView;
use super::entry::{self, by};
use crate::app::App;
use crate::domain::access::{Capability, Relation};
use crate::domain::refusal::Refusal;
use crate::domain::search::{Findable, Hit, Query};
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::http::value::Text;
use crate::store::register::Page as RowPage;
use crate::store::register::consent::{self, Consent};
use crate::store::register::contact::{self, Contact};
use crate::store::register::history::{self, Rating, Residence};
use crate::store::register::home::{self, Home};
use crate::store::register::senior::{self, NewSenior, RevealReason, Senior, SeniorFilter, SeniorPatch};
use crate::store::{Tx, unheard};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change))
        .routes(routes!(reveal))
        .merge(contacts::routes())
        .merge(consents::routes())
        .merge(pairings::routes())
        .merge(agreements::routes())
        .merge(absences::routes())
        .merge(days::routes())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// This place and below.
    #[serde(default)]
    place: Option<Uuid>,
    #[serde(default)]
    home: Option<Uuid>,
    /// Also those who are no longer looked after.
    #[serde(default)]
    with_ended: bool,
    /// Those whom nobody has seen or heard for more than a week; false: all the others.
    #[serde(default)]
    contact_overdue: Option<bool>,
    /// Her name, its pinyin or initials, house and room, or four digits of her phone; the list is then in walking order.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    q: Option<Text<60>>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Reveal {
    reason: RevealReason,
}

/// What is on record about a senior, as far as the reader's tie to her allows.
#[derive(Serialize, ToSchema)]
struct Revealed {
    senior: SeniorView,
    home: Home,
    /// Where she lived before, oldest first.
    residences: Vec<Residence>,
    /// Her risk bands, oldest first.
    ratings: Vec<Rating>,
    contacts: Vec<Contact>,
    consents: Vec<Consent>,
}

/// Register a senior in a home.
#[utoipa::path(post, path = "/api/v1/seniors", tag = "seniors", request_body = NewSenior,
    responses((status = 201, body = Senior), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewSenior>,
) -> Result<Answer, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| require_home(&mut tx, &caller, body.home_id).await?, {
        let made = senior::create(&mut tx, &by, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// A home within the caller's scope.
async fn require_home(tx: &mut Tx, caller: &Caller, home_id: Uuid) -> crate::store::Result<()> {
    let home = home::get(tx, caller.site_id, home_id).await?;
    caller.place(tx, home.building_id, Capability::SeniorWrite).await
}

/// The seniors whom the caller sees, in the order of their ids; those whom a search finds in walking order.
#[utoipa::path(get, path = "/api/v1/seniors", tag = "seniors", params(ListQuery), responses((status = 200, body = Page<SeniorView>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    if let Some(words) = query.q {
        if query.home.is_some() || query.contact_overdue.is_some() {
            return Err(Refusal::invalid("q", "register.search_alone").into());
        }
        let search = Search { words: words.0, place: query.place, with_ended: query.with_ended, limit: query.limit, after: query.cursor };
        return Ok(Answer::ok(&searched(&app, &caller, search).await?));
    }
    let filter = SeniorFilter { id: None, home_id: query.home, under: query.place, with_ended: query.with_ended };
    let (page, wanted, now) = (entry::page(query.cursor, query.limit), query.contact_overdue, app.clock.now());
    let rows = looked_up!(app, |tx| {
        let kept = full_page!(page, |after| found(&mut tx, &caller, filter, after, now).await?, |row| wanted
            .is_none_or(|wanted| row.contact.overdue == wanted));
        shown(&mut tx, &caller, kept).await?
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// What somebody looks for. Nothing typed means everybody.
pub struct Search {
    pub words: String,
    pub place: Option<Uuid>,
    pub with_ended: bool,
    pub limit: Limit,
    /// The last one of the page before.
    pub after: Option<Cursor<Uuid>>,
}

/// Whom a search finds, in walking order.
pub async fn searched(app: &App, caller: &Caller, search: Search) -> Result<Page<SeniorView>, HttpError> {
    let (caller, now, limit) = (caller.clone(), app.clock.now(), search.limit);
    let rows = looked_up!(app, |tx| {
        let ids = hits(&mut tx, &caller, &search).await?;
        let mut rows: BTreeMap<Uuid, senior::AtHome> =
            senior::these(&mut tx, caller.site_id, &ids).await?.into_iter().map(|row| (row.senior.id, row)).collect();
        let contacts = unheard::of(&mut tx, caller.site_id, &ids, caller.timezone, now).await?;
        let row = |id: &Uuid| rows.remove(id).map(|row| Found { id: *id, row, contact: contacts.get(id).copied().unwrap_or_default() });
        let found = ids.iter().filter_map(row).collect();
        shown(&mut tx, &caller, found).await?
    });
    Ok(Page::cut(rows, limit, |row| row.id))
}

/// The ids of one page and one more, if there is one.
async fn hits(tx: &mut Tx, caller: &Caller, search: &Search) -> crate::store::Result<Vec<Uuid>> {
    let query = Query::of(&search.words);
    let everybody = senior::findable(tx, &caller.who(), search.place, search.with_ended).await?;
    let mut ids = Vec::new();
    // Whoever has left the list since stands nowhere in it: then there is nothing after her.
    let start = search.after.as_ref().map_or(Some(0), |last| everybody.iter().position(|row| row.id == last.0).map(|at| at + 1));
    for row in everybody.iter().skip(start.unwrap_or(usize::MAX)) {
        let hit = query.finds(&findable(row));
        let found = match hit {
            Some(Hit::ByPhone) => caller.senior(tx, row.id, Capability::SeniorRead).await?.may(Capability::PhoneRead),
            found => found.is_some(),
        };
        if found {
            ids.push(row.id);
        }
        if i64::try_from(ids.len()).is_ok_and(|count| count >= search.limit.rows()) {
            break;
        }
    }
    Ok(ids)
}

fn findable(row: &senior::FoundRow) -> Findable<'_> {
    Findable {
        name: &row.name,
        called: &row.called,
        building: &row.building,
        unit: &row.unit,
        room: &row.room,
        phone: row.phone.as_deref(),
    }
}

/// A row of the list before it is known what the caller may see of it.
struct Found {
    id: Uuid,
    row: senior::AtHome,
    contact: unheard::Contact,
}

async fn found(tx: &mut Tx, caller: &Caller, filter: SeniorFilter, page: RowPage, now: DateTime<Utc>) -> crate::store::Result<Vec<Found>> {
    let rows = senior::visible(tx, &caller.who(), filter, page).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.senior.id).collect();
    let contacts = unheard::of(tx, caller.site_id, &ids, caller.timezone, now).await?;
    let with_contact =
        |row: senior::AtHome| Found { id: row.senior.id, contact: contacts.get(&row.senior.id).copied().unwrap_or_default(), row };
    Ok(rows.into_iter().map(with_contact).collect())
}

async fn shown(tx: &mut Tx, caller: &Caller, found: Vec<Found>) -> crate::store::Result<Vec<SeniorView>> {
    let relations = caller.seniors(tx, found.iter().map(|found| found.id)).await?;
    // Whose tie ended between the two statements is shown once more, with what everybody sees.
    let show = |Found { id, row, contact }| SeniorView::in_list(row, relations.get(&id).unwrap_or(&Relation::default()), contact);
    Ok(found.into_iter().map(show).collect())
}

/// One senior.
#[utoipa::path(get, path = "/api/v1/seniors/{id}", tag = "seniors", params(("id" = Uuid, Path)),
    responses((status = 200, body = SeniorView), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let (view, _) = opened(&app, &caller, id).await?;
    Ok(Answer::ok(&view).version(view.version))
}

/// The senior as this caller sees her, with her tie.
pub async fn opened(app: &App, caller: &Caller, id: Uuid) -> Result<(SeniorView, Relation), HttpError> {
    let (caller, now) = (caller.clone(), app.clock.now());
    Ok(looked_up!(app, |tx| {
        let relation = caller.senior(&mut tx, id, Capability::SeniorRead).await?;
        (view_of(&mut tx, &caller, id, &relation, now).await?, relation)
    }))
}

async fn view_of(tx: &mut Tx, caller: &Caller, id: Uuid, relation: &Relation, now: DateTime<Utc>) -> crate::store::Result<SeniorView> {
    let filter = SeniorFilter { id: Some(id), with_ended: true, ..SeniorFilter::default() };
    let row = senior::visible(tx, &caller.who(), filter, RowPage::default()).await?.pop().ok_or_else(Refusal::not_found)?;
    let contact = unheard::of(tx, caller.site_id, &[id], caller.timezone, now).await?.remove(&id).unwrap_or_default();
    Ok(SeniorView::single(row, relation, contact))
}

/// Correct a senior's entry, say that she moved, or look after her again. Ending the care for her silences: it needs the right to and
/// a recent sign-in, and that no alert about her is open.
#[utoipa::path(patch, path = "/api/v1/seniors/{id}", tag = "seniors", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = SeniorPatch, responses((status = 200, body = Senior), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<SeniorPatch>,
) -> Result<Answer, HttpError> {
    let ending = matches!(body.ended_why, Some(Some(_)));
    if body.ended_why.is_some() {
        let beside: &[&str] = if ending { &[] } else { &["home_id"] };
        entry::require_alone(&body, "ended_why", beside)?;
    }
    let by = by(&caller, &app);
    let recent = caller.authenticated_recently();
    let answer = changed!(
        app,
        if_match,
        |tx| {
            let relation = caller.senior(&mut tx, id, Capability::SeniorWrite).await?;
            if ending && !(recent && relation.may(Capability::Silence)) {
                return Err(Refusal::forbidden("register.silencing").into());
            }
            if let Some(home_id) = body.home_id {
                require_home(&mut tx, &caller, home_id).await?;
            }
            senior::get(&mut tx, caller.site_id, id).await?
        },
        match body.ended_why {
            Some(Some(why)) => senior::end(&mut tx, &by, id, if_match.0, why, true).await?,
            Some(None) => senior::reopen(&mut tx, &by, id, if_match.0, body.home_id).await?,
            None => senior::patch(&mut tx, &by, id, if_match.0, body).await?,
        }
    );
    app.wake.all();
    answer
}

/// Open what is on record about a senior and one's tie to her allows. Says why; each opening is logged.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/reveal", tag = "seniors", params(("id" = Uuid, Path)), request_body = Reveal,
    responses((status = 200, body = Revealed), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn reveal(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    StrictJson(body, _): StrictJson<Reveal>,
) -> Result<Answer, HttpError> {
    let by = by(&caller, &app);
    let site_id = caller.site_id;
    let revealed = app
        .write(move |mut tx| async move {
            let relation = caller.senior(&mut tx, id, Capability::SensitiveRead).await?;
            senior::reveal(&mut tx, &by, id, body.reason).await?;
            let senior = view_of(&mut tx, &caller, id, &relation, by.now).await?;
            let home = home::get(&mut tx, site_id, senior.home_id).await?;
            let residences = history::residences(&mut tx, site_id, id).await?;
            // A risk band is a word about health.
            let health = relation.may(Capability::HealthRead);
            let ratings = if health { history::ratings(&mut tx, site_id, id).await? } else { Vec::new() };
            let contacts = contact::list(&mut tx, site_id, id).await?;
            let consents = consent::list(&mut tx, site_id, id).await?;
            Ok((tx, Revealed { senior, home, residences, ratings, contacts, consents }))
        })
        .await?;
    Ok(Answer::ok(&revealed))
}
