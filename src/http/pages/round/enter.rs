//! Paper typed in: "whole sheet looked at HH:MM by N, except …". What is sent goes through `POST /api/v1/signals/sheet`.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone};
use uuid::Uuid;

use super::sheet::{Paper, PaperQuery, query};
use super::{Entrance, entrances};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::api::rounds::{Asked, Stop};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::pages::filter::Choice;
use crate::http::pages::frame::{Frame, Said};
use crate::http::pages::page;
use crate::store::signal::BATCH_MAX;
use crate::store::{self, naming, round};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/round/enter", get(enter))
}

#[derive(Template)]
#[template(path = "round/enter.html")]
struct EnterPage {
    frame: Frame,
    asked: Asked,
    /// What a time of that day is written with: `+08:00`.
    offset: String,
    /// Who may have walked, by id; the reader herself first if she is one of them.
    walkers: Vec<(Uuid, String)>,
    member_id: Uuid,
    whose: String,
    count: usize,
    entrances: Vec<Entrance>,
    choices: Vec<Choice>,
    /// The paper itself, for whoever has not printed it yet.
    sheet: String,
}

impl EnterPage {
    fn is_today(&self) -> bool {
        self.asked.date == self.frame.today
    }

    /// This page, as the value of a parameter.
    fn here(&self) -> String {
        let here = format!("/round/enter{}", query(self.asked));
        form_urlencoded::byte_serialize(here.as_bytes()).collect()
    }

    /// More than one request may hold.
    fn is_too_many(&self) -> bool {
        self.count > BATCH_MAX
    }

    /// Nobody asks the only walker who it was.
    fn asks_who(&self) -> bool {
        self.walkers.iter().any(|(id, _)| *id != self.member_id)
    }

    /// What a stop can be marked with, with the word on its button; the first is what the whole sheet says.
    fn marks(&self, stop: &Stop) -> [(String, Said, &'static str); 4] {
        let (sign, frame) = (stop.expected_sign, &self.frame);
        [
            (sign.shown_by().to_string(), frame.word("round.shown", sign), "good"),
            (sign.missed_by().to_string(), frame.word("round.missed", sign), "shut"),
            ("not_visible".to_owned(), frame.word("round.mark", "not_visible"), "blind"),
            (String::new(), frame.say("round.enter_skipped"), "skipped"),
        ]
    }
}

/// How far the site's clock is from UTC at noon of a day: nobody changes the clock between the first look and noon.
fn offset(caller: &Caller, date: NaiveDate) -> String {
    let noon = date.and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default());
    let noon: Option<DateTime<chrono_tz::Tz>> = caller.timezone.from_local_datetime(&noon).earliest();
    noon.map_or_else(|| "Z".to_owned(), |noon| noon.format("%:z").to_string())
}

/// Whose walk it may have been: of one's own round oneself, of a place whoever walks there, for readers who may know that.
async fn walkers(app: &App, caller: &Caller, asked: Asked, paper: &Paper) -> Result<Vec<(Uuid, String)>, HttpError> {
    let mut walkers = vec![(caller.member_id, paper.reader.clone())];
    let Some(place) = asked.place else { return Ok(walkers) };
    let asker = caller.clone();
    let seniors: Vec<Uuid> = paper.stops.iter().map(|stop| stop.senior_id).collect();
    let named = app.read(move |mut tx| async move {
        match asker.place(&mut tx, place, Capability::MembersRead).await {
            Ok(()) => {}
            Err(store::Error::Refused(_)) => return Ok((tx, Vec::new())),
            Err(other) => return Err(other),
        }
        let ids = round::walkers(&mut tx, asker.site_id, &seniors, asked.date, asked.slot).await?;
        let named = naming::members(&mut tx, asker.site_id, &ids).await?;
        Ok((tx, named.into_iter().collect::<Vec<_>>()))
    });
    walkers.extend(named.await?.into_iter().filter(|(id, _)| *id != caller.member_id));
    Ok(walkers)
}

async fn enter(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<PaperQuery>) -> Result<Response, HttpError> {
    let asked = query.asked(&caller, false);
    if asked.date > caller.today {
        return Err(Refusal::invalid("date", "round.sheet_future").into());
    }
    let paper = Paper::read(&app, &caller, asked).await?;
    page(&EnterPage {
        frame: Frame::of(&caller, if asked.place.is_some() { "/board" } else { "/round" }),
        offset: offset(&caller, asked.date),
        walkers: walkers(&app, &caller, asked, &paper).await?,
        member_id: caller.member_id,
        whose: paper.whose,
        count: paper.stops.len(),
        entrances: entrances(paper.stops),
        choices: paper.choices,
        sheet: format!("/round/sheet{}", self::query(asked)),
        asked,
    })
}
