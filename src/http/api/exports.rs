//! Lists to take away as tables: what their reader sees in the API and nothing more, with stable ids, stamped with who took them
//! and when, and on record.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::imports::attachment;
use super::{alerts, drills, seniors, visits};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictQuery};
use crate::http::page::{Cursor, Limit};
use crate::http::value::Day;
use crate::sheet::{self, Cell, Table};
use crate::store::audit;
use crate::store::register::Page as RowPage;
use crate::store::register::member::{self, MemberFilter};
use crate::text;

/// Rows of one table.
const ROWS_MAX: usize = 20_000;
/// Days of one table of visits or alerts.
const DAYS_MAX: i64 = 366;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(all_seniors))
        .routes(routes!(all_agreements))
        .routes(routes!(all_members))
        .routes(routes!(all_visits))
        .routes(routes!(all_alerts))
        .routes(routes!(one_drill))
}

#[derive(Deserialize, IntoParams, Clone, Copy)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Period {
    /// The first local date; 30 days ago if nothing is said.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Day>,
    /// The last local date; today if nothing is said.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Day>,
}

impl Period {
    fn days(self, today: NaiveDate) -> Result<(Day, Day), Refusal> {
        let to = self.to.map_or(today, |day| day.0);
        let from = self.from.map_or(to - chrono::TimeDelta::days(30), |day| day.0);
        if from > to || (to - from).num_days() > DAYS_MAX {
            return Err(Refusal::invalid("from", "register.days_span").with("days", DAYS_MAX));
        }
        Ok((Day(from), Day(to)))
    }
}

/// The fields of a list in their order: the name in the API's answer, and the closed list whose words it holds.
type Fields = &'static [(&'static str, &'static str)];

const SENIORS: Fields = &[
    ("id", ""),
    ("building", ""),
    ("unit", ""),
    ("room", ""),
    ("window_hint", ""),
    ("name", ""),
    ("called", ""),
    ("phone", ""),
    ("birth_year", ""),
    ("categories", "import.category"),
    ("risk_band", "import.band"),
    ("hearing_hint", ""),
    ("last_contact_at", "at"),
];
const AGREEMENTS: Fields = &[
    ("id", ""),
    ("senior_id", ""),
    ("called", ""),
    ("door", ""),
    ("slot", "export.slot"),
    ("expected_sign", "import.sign"),
    ("deadline", ""),
    ("effective_from", ""),
    ("to_date", ""),
];
const MEMBERS: Fields = &[("id", ""), ("name", ""), ("called", ""), ("phone", ""), ("created_at", "at"), ("ended_at", "at")];
const VISITS: Fields = &[
    ("id", ""),
    ("senior_id", ""),
    ("called", ""),
    ("door", ""),
    ("kind", "export.visit"),
    ("method", "export.method"),
    ("started_at", "at"),
    ("ended_at", "at"),
    ("result", "export.result"),
    ("note", ""),
    ("next_due", ""),
];
const ALERTS: Fields = &[
    ("id", ""),
    ("senior_id", ""),
    ("called", ""),
    ("building", ""),
    ("unit", ""),
    ("opened_at", "at"),
    ("state", "export.state"),
    ("level", ""),
    ("resolved_at", "at"),
    ("outcome", "export.outcome"),
    ("outcome_note", ""),
];

const DRILLS: Fields = &[
    ("name", ""),
    ("level", ""),
    ("channel", "channel.name"),
    ("sent_at", "at"),
    ("arrived_at", "at"),
    ("confirmed_at", "at"),
    ("reached", "drill.reached"),
    ("last_error", ""),
];

/// The seniors whom the caller sees.
#[utoipa::path(get, path = "/api/v1/exports/seniors", tag = "exports",
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 403, body = Problem)))]
async fn all_seniors(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let rows = values(everybody(&app, &caller).await?);
    table(&app, &caller, "seniors", SENIORS, rows).await
}

/// The agreements of the seniors whom the caller sees, also those that ended.
#[utoipa::path(get, path = "/api/v1/exports/agreements", tag = "exports",
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 403, body = Problem)))]
async fn all_agreements(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let seniors = everybody(&app, &caller).await?;
    let mut rows = Vec::new();
    for senior in &seniors {
        rows.extend(seniors::agreements::listed(&app, &caller, senior.id).await?);
        require_bounded(rows.len())?;
    }
    let rows = with_doors(values(rows), &seniors);
    table(&app, &caller, "agreements", AGREEMENTS, rows).await
}

/// All members, also those who left.
#[utoipa::path(get, path = "/api/v1/exports/members", tag = "exports",
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 403, body = Problem)))]
async fn all_members(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let (site_id, page) = (caller.site_id, RowPage { limit: i64::try_from(ROWS_MAX).unwrap_or(i64::MAX), ..RowPage::default() });
    let filter = MemberFilter { with_ended: true, ..MemberFilter::default() };
    let members = looked_up!(app, |tx| member::list(&mut tx, site_id, filter, page).await?);
    table(&app, &caller, "members", MEMBERS, values(members)).await
}

/// The visits of a time to the seniors whom the caller sees.
#[utoipa::path(get, path = "/api/v1/exports/visits", tag = "exports", params(Period),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn all_visits(State(app): State<App>, caller: Caller, StrictQuery(period): StrictQuery<Period>) -> Result<Response, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let (from, to) = period.days(caller.today)?;
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let query = visits::ListQuery { from: Some(from), to: Some(to), limit: Limit::FULL, cursor, ..visits::ListQuery::default() };
        let page = visits::listed(&app, &caller, query).await?;
        cursor = page.next.is_some().then(|| page.items.last().map(|last| Cursor(last.id))).flatten();
        rows.extend(page.items);
        require_bounded(rows.len())?;
        if cursor.is_none() {
            break;
        }
    }
    let seniors = everybody(&app, &caller).await?;
    table(&app, &caller, "visits", VISITS, with_doors(values(rows), &seniors)).await
}

/// The alerts of a time that the caller may see.
#[utoipa::path(get, path = "/api/v1/exports/alerts", tag = "exports", params(Period),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn all_alerts(State(app): State<App>, caller: Caller, StrictQuery(period): StrictQuery<Period>) -> Result<Response, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let (from, to) = period.days(caller.today)?;
    let (mut rows, mut cursor): (Vec<Value>, Option<Value>) = (Vec::new(), None);
    loop {
        let after = cursor.take().and_then(|text| serde_json::from_value(text).ok());
        let query = alerts::ListQuery { from: Some(from), to: Some(to), limit: Limit::FULL, cursor: after, ..alerts::ListQuery::default() };
        let page = alerts::listed(&app, &caller, query).await?;
        cursor = page.next.map(Value::String);
        rows.extend(values(page.items));
        require_bounded(rows.len())?;
        if cursor.is_none() {
            break;
        }
    }
    table(&app, &caller, "alerts", ALERTS, rows).await
}

/// Who was reached by one drill, and how.
#[utoipa::path(get, path = "/api/v1/exports/drills/{id}", tag = "exports", params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 404, body = Problem)))]
async fn one_drill(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let report = drills::of(&app, &caller, id).await?;
    table(&app, &caller, "drills", DRILLS, values(report.reached)).await
}

async fn everybody(app: &App, caller: &Caller) -> Result<Vec<seniors::SeniorView>, HttpError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let search = seniors::Search { words: String::new(), place: None, with_ended: false, limit: Limit::FULL, after };
        let page = seniors::searched(app, caller, search).await?;
        after = page.next.is_some().then(|| page.items.last().map(|last| Cursor(last.id))).flatten();
        all.extend(page.items);
        require_bounded(all.len())?;
        if after.is_none() {
            return Ok(all);
        }
    }
}

fn require_bounded(rows: usize) -> Result<(), HttpError> {
    if rows > ROWS_MAX { Err(Refusal::conflict("export.too_many").with("max", ROWS_MAX).into()) } else { Ok(()) }
}

fn values<T: Serialize>(items: Vec<T>) -> Vec<Value> {
    items.into_iter().map(|item| serde_json::to_value(item).expect("answers are plain data")).collect()
}

/// Says with each row whom it is about.
fn with_doors(mut rows: Vec<Value>, seniors: &[seniors::SeniorView]) -> Vec<Value> {
    let known: BTreeMap<Uuid, &seniors::SeniorView> = seniors.iter().map(|senior| (senior.id, senior)).collect();
    for row in &mut rows {
        let id = row["senior_id"].as_str().and_then(|id| id.parse().ok());
        if let Some(senior) = id.and_then(|id: Uuid| known.get(&id)) {
            row["called"] = Value::String(senior.called.clone());
            row["door"] = Value::String(format!("{} {} {}", senior.building, senior.unit, senior.room));
        }
    }
    rows
}

async fn table(app: &App, caller: &Caller, list: &str, fields: Fields, rows: Vec<Value>) -> Result<Response, HttpError> {
    let (site_id, member_id, now) = (caller.site_id, caller.member_id, app.clock.now());
    let taken = format!("export_{list}");
    let name = app
        .write(move |mut tx| async move {
            let (actor_id, object_kind) = (Some(member_id), "site");
            let entry = audit::Entry { site_id, at: now, actor_id, act: &taken, object_kind, object_id: Some(site_id), fields: &[] };
            audit::write(&mut tx, &entry).await?;
            let member = member::get(&mut tx, site_id, member_id).await?;
            Ok((tx, member.name))
        })
        .await?;
    let at = now.with_timezone(&caller.timezone).format("%Y-%m-%d %H:%M").to_string();
    let title = text::plain(caller.locale, &format!("export.list_{list}"));
    let stamp = text::render(caller.locale, "export.stamp", &BTreeMap::from([("list", title.clone()), ("name", name), ("at", at)]));
    let heading = |(field, _): &(&str, &str)| text::plain(caller.locale, &format!("export.field_{field}"));
    let made = Table {
        name: title,
        stamp: vec![stamp],
        headings: fields.iter().map(heading).collect(),
        rows: rows.iter().map(|row| fields.iter().map(|(field, of)| cell(caller.locale, &row[*field], of)).collect()).collect(),
        choices: Vec::new(),
    };
    let timezone = caller.timezone;
    let written = tokio::task::spawn_blocking(move || sheet::write(&[made], timezone)).await.map_err(|_| HttpError::Panicked)?;
    Ok(attachment(written.map_err(|_| HttpError::Panicked)?, &format!("chenlian-{list}.xlsx")))
}

/// A value as a person reads it: words of closed lists in her language, moments by the site's clock.
fn cell(locale: &str, value: &Value, of: &str) -> Cell {
    match value {
        Value::Null => Cell::Empty,
        Value::Number(number) => number.as_f64().map_or(Cell::Empty, Cell::Number),
        Value::String(text) if of == "at" => text.parse().map_or_else(|_| Cell::Text(text.clone()), Cell::Moment),
        Value::String(text) if of.is_empty() => {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").map_or_else(|_| Cell::Text(text.clone()), Cell::Day)
        }
        Value::String(word) => Cell::Text(said(locale, of, word)),
        Value::Array(words) => {
            let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| said(locale, of, word)).collect();
            Cell::Text(words.join(" "))
        }
        other => Cell::Text(other.to_string()),
    }
}

/// The first of the words that mean it.
fn said(locale: &str, of: &str, word: &str) -> String {
    let key = format!("{of}_{word}");
    let text = text::plain(locale, &key);
    if text == key { word.to_owned() } else { text.split(['\u{3001}', ';']).next().unwrap_or_default().to_owned() }
}
