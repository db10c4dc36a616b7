//! 待上门: the list, one alert with its timeline, and what a person does with it.

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::{Capability, Relation};
use crate::domain::alert::AlertState;
use crate::domain::case::{Act, Actor, Resolution};
use crate::domain::check::Cause;
use crate::domain::day;
use crate::domain::outcome::{ContactProof, Outcome};
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{ContentHash, Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, Limit, Page};
use crate::http::value::{Day, Text, Timestamp};
use crate::store::alert::{self, Filter};
use crate::store::audit::{self, Entry};
use crate::store::case;

mod view;

pub use view::{Alert, AlertDetail, TimelineEntry, Told};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(claim))
        .routes(routes!(release))
        .routes(routes!(extend))
        .routes(routes!(on_site))
        .routes(routes!(no_answer))
        .routes(routes!(assign))
        .routes(routes!(resolve))
        .routes(routes!(escalate))
        .routes(routes!(emergency))
        .routes(routes!(reopen))
        .routes(routes!(review))
}

#[derive(Deserialize, IntoParams, Default)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only those that nobody has resolved.
    #[serde(default)]
    #[param(required = false)]
    pub open: bool,
    /// This place and below.
    #[serde(default)]
    pub place: Option<Uuid>,
    #[serde(default)]
    pub senior: Option<Uuid>,
    #[serde(default)]
    pub cause: Option<Cause>,
    #[serde(default)]
    pub state: Option<AlertState>,
    /// Opened on this local date or later.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    pub from: Option<Day>,
    /// Opened on this local date or earlier.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    pub to: Option<Day>,
    #[serde(default)]
    #[param(inline, required = false)]
    pub limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub cursor: Option<Cursor<(i64, DateTime<Utc>, Uuid)>>,
}

/// Alerts that the caller may see, the most urgent first: emergencies, calls for help, then missed signs, those looked at before
/// those at which nobody looked, each by level. One for which a sensor showed the sign late stands below them, resolved ones at
/// the end, the latest first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(ListQuery), responses((status = 200, body = Page<Alert>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&listed(&app, &caller, query).await?))
}

/// The list as this caller sees it.
pub async fn listed(app: &App, caller: &Caller, query: ListQuery) -> Result<Page<Alert>, HttpError> {
    let begins = |date: Option<NaiveDate>| date.and_then(|date| day::day_start(caller.timezone, date));
    let filter = Filter {
        open_only: query.open,
        place: query.place,
        senior: query.senior,
        cause: query.cause,
        state: query.state,
        opened_from: begins(query.from.map(|day| day.0)),
        opened_before: begins(query.to.and_then(|day| day.0.succ_opt())),
        after: query.cursor.map(|cursor| cursor.0),
        limit: query.limit.rows(),
    };
    let (caller, now) = (caller.clone(), app.clock.now());
    Ok(looked_up!(app, |tx| {
        let rows = alert::list(&mut tx, &caller.who(), &filter).await?;
        let page = Page::cut(rows, query.limit, |row| (row.rank, row.opened_at, row.id));
        let seniors = page.items.iter().map(|row| row.senior_id);
        let relations = caller.seniors(&mut tx, seniors).await?;
        page.map(|row| {
            let relation = relations.get(&row.senior_id).cloned().unwrap_or_default();
            Alert::seen_by(row, &relation, caller.member_id, now)
        })
    }))
}

/// "Someone should look at her."
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewAlert {
    id: Option<Uuid>,
    senior_id: Uuid,
    #[serde(default)]
    note: Option<Text<200>>,
}

/// Ask that somebody goes; joins an alert that is already open.
#[utoipa::path(post, path = "/api/v1/alerts", tag = "alerts", request_body = NewAlert,
    responses((status = 201, body = Alert), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(body, hash): StrictJson<NewAlert>,
) -> Result<Answer, HttpError> {
    let once = key.once(&caller, body.id, hash)?;
    let now = app.clock.now();
    let answer = app
        .write(move |mut tx| async move {
            if let Some(answer) = once.replay(&mut tx, now).await? {
                return Ok((tx, answer));
            }
            let relation = caller.senior(&mut tx, body.senior_id, Capability::AlertAct).await?;
            let actor = Actor { id: caller.member_id, may_silence: false, may_confirm: false };
            let id = case::raise(&mut tx, caller.site_id, body.senior_id, actor, once.id, body.note.map(|text| text.0), now).await?;
            let item = alert::get(&mut tx, caller.site_id, id).await?;
            let answer = Answer::created(&Alert::seen_by(item, &relation, caller.member_id, now));
            once.keep(&mut tx, &answer).await?;
            Ok((tx, answer))
        })
        .await?;
    app.wake.all();
    Ok(answer)
}

/// One alert with triggers, ladder, timeline and who was told; for those whom the ladder has told also the door, the phone
/// and whom to call, in order. Each such opening is logged.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts", params(("id" = Uuid, Path)),
    responses((status = 200, body = AlertDetail), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&opened(&app, &caller, id).await?.0))
}

/// The alert as this caller sees it, with her tie to the senior; the opening is logged.
pub async fn opened(app: &App, caller: &Caller, id: Uuid) -> Result<(AlertDetail, Relation), HttpError> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let opened = app
        .write(move |mut tx| async move {
            let item = alert::get(&mut tx, caller.site_id, id).await?;
            let relation = caller.senior(&mut tx, item.senior_id, Capability::SeniorRead).await?;
            let detail = view::detail(&mut tx, caller.site_id, item, &relation, caller.member_id, now).await?;
            if relation.may(Capability::PhoneRead) || relation.may(Capability::SensitiveRead) {
                let entry = Entry {
                    site_id: caller.site_id,
                    at: now,
                    actor_id: Some(caller.member_id),
                    act: "read_sensitive",
                    object_kind: "alert",
                    object_id: Some(id),
                    fields: &["room", "phone", "contacts"],
                };
                audit::write(&mut tx, &entry).await?;
            }
            Ok((tx, (detail, relation)))
        })
        .await?;
    Ok(opened)
}

/// What an open page asks again whenever something has happened: no door and no phone, so it is no opening.
pub async fn followed(app: &App, caller: &Caller, id: Uuid) -> Result<(Vec<TimelineEntry>, Vec<Told>), HttpError> {
    let caller = caller.clone();
    Ok(looked_up!(app, |tx| {
        let item = alert::get(&mut tx, caller.site_id, id).await?;
        let relation = caller.senior(&mut tx, item.senior_id, Capability::SeniorRead).await?;
        view::followed(&mut tx, caller.site_id, &item, &relation, caller.member_id).await?
    }))
}

/// The body of an act that says nothing more than that it is done.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Plain {
    id: Option<Uuid>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Assign {
    id: Option<Uuid>,
    member_id: Uuid,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Resolve {
    id: Option<Uuid>,
    /// 人平安？
    safe: bool,
    #[serde(default)]
    contact_proof: Option<ContactProof>,
    #[serde(default)]
    proof_by: Option<Text<64>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    proof_at: Option<Timestamp>,
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(default)]
    note: Option<Text<200>>,
    /// First day back, for outcomes that mean "not at home".
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    return_date: Option<Day>,
}

impl Resolve {
    fn resolution(self) -> Resolution {
        Resolution {
            safe: self.safe,
            proof: self.contact_proof,
            proof_by: self.proof_by.map(|text| text.0),
            proof_at: self.proof_at.map(|at| at.0),
            outcome: self.outcome,
            note: self.note.map(|text| text.0),
            return_date: self.return_date.map(|day| day.0),
        }
    }
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Emergency {
    id: Option<Uuid>,
    service: EmergencyService,
}

#[derive(Deserialize, Serialize, ToSchema, Clone, Copy)]
enum EmergencyService {
    #[serde(rename = "110")]
    Police,
    #[serde(rename = "119")]
    Fire,
    #[serde(rename = "120")]
    Ambulance,
}

impl EmergencyService {
    fn number(self) -> &'static str {
        match self {
            Self::Police => "110",
            Self::Fire => "119",
            Self::Ambulance => "120",
        }
    }
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Reopen {
    id: Option<Uuid>,
    reason: Text<200>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Review {
    id: Option<Uuid>,
    #[serde(default)]
    outcome: Option<Outcome>,
    /// First day back, if the outcome is now one that means "not at home".
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    return_date: Option<Day>,
}

/// One request of a person about one alert.
struct Asked {
    app: App,
    caller: Caller,
    key: IdempotencyKey,
    alert: Uuid,
    body_id: Option<Uuid>,
    hash: ContentHash,
}

impl Asked {
    /// Does it once, under the senior's lock, and answers with the alert as it is now.
    async fn act(self, need: Capability, act: Act) -> Result<Answer, HttpError> {
        let Self { app, caller, key, alert, body_id, hash } = self;
        let once = key.once(&caller, body_id, hash)?;
        let now = app.clock.now();
        let answer = app
            .write(move |mut tx| async move {
                if let Some(answer) = once.replay(&mut tx, now).await? {
                    return Ok((tx, answer));
                }
                let senior = alert::senior_of(&mut tx, caller.site_id, alert).await?;
                let relation = caller.senior(&mut tx, senior, need).await?;
                // Whether somebody can be sent is asked last: who may not send anybody here learns nothing about who is a member.
                case::act(&mut tx, caller.site_id, alert, actor(&caller, &relation), act, now).await?;
                let item = alert::get(&mut tx, caller.site_id, alert).await?;
                let answer = Answer::ok(&Alert::seen_by(item, &relation, caller.member_id, now));
                once.keep(&mut tx, &answer).await?;
                Ok((tx, answer))
            })
            .await?;
        app.wake.all();
        Ok(answer)
    }
}

/// Closing without proof, ending an agreement or saying that a senior is away silences: it needs the right and a password
/// typed a moment ago.
pub fn actor(caller: &Caller, relation: &Relation) -> Actor {
    let may = |capability| relation.may(capability) && caller.authenticated_recently();
    Actor { id: caller.member_id, may_silence: may(Capability::Silence), may_confirm: may(Capability::AbsenceConfirm) }
}

macro_rules! plain_act {
    ($(#[$doc:meta])* $name:ident, $path:literal, $need:expr, $act:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "alerts", params(("id" = Uuid, Path)), request_body = Plain,
            responses((status = 200, body = Alert), (status = 404, body = Problem), (status = 409, body = Problem)))]
        async fn $name(
            State(app): State<App>,
            caller: Caller,
            key: IdempotencyKey,
            Segments(alert): Segments<Uuid>,
            StrictJson(body, hash): StrictJson<Plain>,
        ) -> Result<Answer, HttpError> {
            Asked { app, caller, key, alert, body_id: body.id, hash }.act($need, $act).await
        }
    };
}

plain_act!(
    /// 我去看看. The same person again changes nothing; another one gets 409 with the name.
    claim, "/api/v1/alerts/{id}/claim", Capability::AlertAct, Act::Claim
);
plain_act!(
    /// I cannot go after all.
    release, "/api/v1/alerts/{id}/release", Capability::AlertAct, Act::Release
);
plain_act!(
    /// I need a little longer.
    extend, "/api/v1/alerts/{id}/extend", Capability::AlertAct, Act::Extend
);
plain_act!(
    /// 到门口了
    on_site, "/api/v1/alerts/{id}/on-site", Capability::AlertAct, Act::OnSite
);
plain_act!(
    /// 敲门没人应: family and key holder are called at once.
    no_answer, "/api/v1/alerts/{id}/no-answer", Capability::AlertAct, Act::NoAnswerAtDoor
);
plain_act!(
    /// 我需要人手: the next level comes at once.
    escalate, "/api/v1/alerts/{id}/escalate", Capability::AlertAct, Act::Escalate
);

/// Send somebody whom a message reaches and who is not on leave; whoever was going is told.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/assign", tag = "alerts", params(("id" = Uuid, Path)), request_body = Assign,
    responses((status = 200, body = Alert), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn assign(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    Segments(alert): Segments<Uuid>,
    StrictJson(body, hash): StrictJson<Assign>,
) -> Result<Answer, HttpError> {
    let act = Act::Assign { to: body.member_id };
    Asked { app, caller, key, alert, body_id: body.id, hash }.act(Capability::AlertCommand, act).await
}

/// 见到人了 / 联系上了. Also completes the outcome of an alert that a late sign has closed.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/resolve", tag = "alerts", params(("id" = Uuid, Path)), request_body = Resolve,
    responses((status = 200, body = Alert), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn resolve(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    Segments(alert): Segments<Uuid>,
    StrictJson(body, hash): StrictJson<Resolve>,
) -> Result<Answer, HttpError> {
    Asked { app, caller, key, alert, body_id: body.id, hash }.act(Capability::AlertAct, Act::Resolve(body.resolution())).await
}

/// 120, 119 or 110 has been called.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/emergency", tag = "alerts", params(("id" = Uuid, Path)), request_body = Emergency,
    responses((status = 200, body = Alert), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn emergency(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    Segments(alert): Segments<Uuid>,
    StrictJson(body, hash): StrictJson<Emergency>,
) -> Result<Answer, HttpError> {
    let act = Act::Emergency { service: body.service.number().to_owned() };
    Asked { app, caller, key, alert, body_id: body.id, hash }.act(Capability::AlertAct, act).await
}

/// It was closed too early.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/reopen", tag = "alerts", params(("id" = Uuid, Path)), request_body = Reopen,
    responses((status = 200, body = Alert), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn reopen(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    Segments(alert): Segments<Uuid>,
    StrictJson(body, hash): StrictJson<Reopen>,
) -> Result<Answer, HttpError> {
    let act = Act::Reopen { reason: body.reason.0 };
    Asked { app, caller, key, alert, body_id: body.id, hash }.act(Capability::AlertCommand, act).await
}

/// A social worker has looked at how it went.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/review", tag = "alerts", params(("id" = Uuid, Path)), request_body = Review,
    responses((status = 200, body = Alert), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn review(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    Segments(alert): Segments<Uuid>,
    StrictJson(body, hash): StrictJson<Review>,
) -> Result<Answer, HttpError> {
    let act = Act::Review { outcome: body.outcome, return_date: body.return_date.map(|day| day.0) };
    Asked { app, caller, key, alert, body_id: body.id, hash }.act(Capability::AlertCommand, act).await
}
