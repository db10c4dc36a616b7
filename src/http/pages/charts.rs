//! The figures of a period as pictures, with the same numbers in a table beside each.

mod drawing;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{NaiveDate, TimeDelta};
use serde::Deserialize;
use uuid::Uuid;

use self::drawing::{Drawing, Values, columns, rows};
use super::filter::{self, Choice, blank};
use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::statistics::{AlertFigures, CheckFigures, Minutes, Statistics};
use crate::http::HttpState;
use crate::http::api::statistics::{self, Asked};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::value::Day;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/charts", get(charts))
}

/// Periods that one touch chooses.
const PERIODS: [i64; 3] = [7, 30, 90];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChartsQuery {
    #[serde(default, deserialize_with = "blank")]
    place: Option<Uuid>,
    #[serde(default, deserialize_with = "blank")]
    from: Option<Day>,
    #[serde(default, deserialize_with = "blank")]
    to: Option<Day>,
}

#[derive(Template)]
#[template(path = "charts.html")]
struct ChartsPage {
    frame: Frame,
    where_to: String,
    period: String,
    choices: Vec<Choice>,
    from: NaiveDate,
    to: NaiveDate,
    periods: Vec<Period>,
    totals: Vec<(String, String)>,
    charts: Vec<Chart>,
    is_empty: bool,
}

struct Period {
    days: i64,
    link: String,
    is_chosen: bool,
}

struct Chart {
    id: &'static str,
    title: String,
    desc: String,
    /// Names of the series, where there are two.
    legend: Vec<String>,
    drawing: Option<Drawing>,
    head: Vec<String>,
    table: Vec<Vec<String>>,
}

async fn charts(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ChartsQuery>) -> Result<Response, HttpError> {
    let asked = Asked { from: query.from.map(|day| day.0), to: query.to.map(|day| day.0), place: query.place };
    let figures = statistics::of(&app, &caller, asked).await?;
    let places = filter::read_places(&app, &caller, query.place, Capability::HealthRead).await?;
    let frame = Frame::of(&caller, "/charts");
    let choices = filter::choices(&places, query.place);
    let (from, to) = (figures.from, figures.to);
    let place = query.place.map(|place| format!("&place={place}")).unwrap_or_default();
    let periods = PERIODS.map(|days| {
        let begins = caller.today - TimeDelta::days(days - 1);
        Period { days, link: format!("/charts?from={begins}&to={}{place}", caller.today), is_chosen: from == begins && to == caller.today }
    });
    page(&ChartsPage {
        where_to: filter::title(&frame, &choices),
        period: frame.say("charts.period").with("from", frame.day(&from)).with("to", frame.day(&to)).to_string(),
        is_empty: figures.checks.due + figures.checks.excused + figures.alerts.alerts == 0,
        totals: totals(&frame, &figures),
        charts: by_day(&frame, &figures).into_iter().chain(by_building(&frame, &figures)).collect(),
        periods: periods.into(),
        choices,
        from,
        to,
        frame,
    })
}

fn totals(frame: &Frame, figures: &Statistics) -> Vec<(String, String)> {
    let alerts = &figures.alerts;
    [
        ("completion", percent(frame, figures.checks.completion_percent)),
        ("alerts", alerts.alerts.to_string()),
        ("rate", plain(frame, alerts.per_100_senior_days)),
        ("claim", both(frame, alerts.minutes_to_claim.as_ref())),
        ("contact", both(frame, alerts.minutes_to_contact.as_ref())),
    ]
    .into_iter()
    .map(|(key, value)| (frame.say(&format!("charts.total_{key}")).to_string(), value))
    .collect()
}

/// One place of a chart: a day or a building.
struct Spot<'a> {
    name: String,
    checks: &'a CheckFigures,
    alerts: &'a AlertFigures,
}

fn by_day(frame: &Frame, figures: &Statistics) -> Vec<Chart> {
    let spots: Vec<Spot> = figures
        .days
        .iter()
        .map(|day| Spot {
            name: frame.say("charts.day").with("date", day.date.format("%-m-%-d")).to_string(),
            checks: &day.checks,
            alerts: &day.alerts,
        })
        .collect();
    ["completion_by_day", "rate_by_day", "claim_by_day", "contact_by_day"].into_iter().map(|id| chart(frame, id, &spots, columns)).collect()
}

fn by_building(frame: &Frame, figures: &Statistics) -> Vec<Chart> {
    let spots: Vec<Spot> =
        figures.buildings.iter().map(|of| Spot { name: of.name.clone(), checks: &of.checks, alerts: &of.alerts }).collect();
    ["completion_by_building", "rate_by_building", "claim_by_building", "contact_by_building"]
        .into_iter()
        .map(|id| chart(frame, id, &spots, rows))
        .collect()
}

/// One chart; what it shows is the first word of its id.
fn chart(frame: &Frame, id: &'static str, spots: &[Spot], draw: impl Fn(&Values) -> Drawing) -> Chart {
    let what = id.split('_').next().unwrap_or_default();
    let of_minutes = |alerts: &AlertFigures| match what {
        "claim" => alerts.minutes_to_claim.clone(),
        _ => alerts.minutes_to_contact.clone(),
    };
    let minutes: Vec<Option<Minutes>> = spots.iter().map(|spot| of_minutes(spot.alerts)).collect();
    let (series, columns): (Vec<Vec<Option<f64>>>, &[&str]) = match what {
        "completion" => {
            (vec![spots.iter().map(|spot| spot.checks.completion_percent).collect()], &["due", "seen", "missed", "excused", "completion"])
        }
        "rate" => (vec![spots.iter().map(|spot| spot.alerts.per_100_senior_days).collect()], &["alerts", "senior_days", "rate"]),
        _ => {
            let part = |pick: fn(&Minutes) -> f64| minutes.iter().map(|of| of.as_ref().map(pick)).collect();
            (vec![part(|of| of.median), part(|of| of.p90)], &["count", "median", "p90"])
        }
    };
    let cell = |column: &str, spot: &Spot, minutes: Option<&Minutes>| match column {
        "due" => spot.checks.due.to_string(),
        "seen" => spot.checks.seen().to_string(),
        "missed" => spot.checks.missed().to_string(),
        "excused" => spot.checks.excused.to_string(),
        "completion" => percent(frame, spot.checks.completion_percent),
        "alerts" => spot.alerts.alerts.to_string(),
        "senior_days" => spot.alerts.senior_days.to_string(),
        "rate" => plain(frame, spot.alerts.per_100_senior_days),
        "count" => minutes.map_or(0, |of| of.count).to_string(),
        "median" => plain(frame, minutes.map(|of| of.median)),
        _ => plain(frame, minutes.map(|of| of.p90)),
    };
    let names: Vec<String> = spots.iter().map(|spot| spot.name.clone()).collect();
    let is_share = what == "completion";
    let values = Values { names, series, top: is_share.then_some(100.0), unit: if is_share { "%".to_owned() } else { String::new() } };
    let say = |key: &str| frame.say(&format!("charts.{key}")).to_string();
    let of_what = if id.ends_with("building") { "building" } else { "date" };
    Chart {
        id,
        title: say(id),
        desc: say(&format!("{what}_desc")),
        legend: if values.series.len() > 1 { vec![say("median"), say("p90")] } else { Vec::new() },
        drawing: (!values.is_empty()).then(|| draw(&values)),
        head: [say(of_what)].into_iter().chain(columns.iter().map(|column| say(&format!("column_{column}")))).collect(),
        table: spots
            .iter()
            .zip(&minutes)
            .map(|(spot, minutes)| {
                [spot.name.clone()].into_iter().chain(columns.iter().map(|column| cell(column, spot, minutes.as_ref()))).collect()
            })
            .collect(),
    }
}

fn percent(frame: &Frame, value: Option<f64>) -> String {
    value.map_or_else(|| frame.say("charts.none").to_string(), |value| format!("{value} %"))
}

fn plain(frame: &Frame, value: Option<f64>) -> String {
    value.map_or_else(|| frame.say("charts.none").to_string(), |value| value.to_string())
}

fn both(frame: &Frame, minutes: Option<&Minutes>) -> String {
    minutes.map_or_else(
        || frame.say("charts.none").to_string(),
        |of| frame.say("charts.both").with("median", of.median).with("p90", of.p90).to_string(),
    )
}
