//! Paper typed in: "whole sheet looked at HH:MM by N, except …". What is sent goes through `POST /api/v1/signals/sheet`.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone};
use serde::Deserialize;
use uuid::Uuid;

use super::sheet::{choices, name, query};
use super::{Entrance, entrances};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::check::Slot;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::api::rounds::{self, Asked, Stop};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::pages::filter::{Choice, blank};
use crate::http::pages::frame::{Frame, Said};
use crate::http::pages::page;
use crate::http::value::Day;
use crate::store::signal::BATCH_MAX;
use crate::store::{self, naming, round};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/round/enter", get(enter))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnterQuery {
    /// Today if left out. A code printed the evening before names its own day.
    #[serde(default)]
    date: Option<Day>,
    #[serde(default)]
    slot: Option<Slot>,
    /// The reader's own round if left out.
    #[serde(default, deserialize_with = "blank")]
    place: Option<Uuid>,
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
async fn walkers(app: &App, caller: &Caller, asked: Asked, me: &str) -> Result<Vec<(Uuid, String)>, HttpError> {
    let mut walkers = vec![(caller.member_id, me.to_owned())];
    let Some(place) = asked.place else { return Ok(walkers) };
    let asker = caller.clone();
    let named = app.read(move |mut tx| async move {
        match asker.place(&mut tx, place, Capability::MembersRead).await {
            Ok(()) => {}
            Err(store::Error::Refused(_)) => return Ok((tx, Vec::new())),
            Err(other) => return Err(other),
        }
        let stops = round::of_place(&mut tx, asker.site_id, place, asked.date, asked.slot).await?;
        let ids = round::walkers(&mut tx, asker.site_id, &stops, asked.date, asked.slot).await?;
        let named = naming::members(&mut tx, asker.site_id, &ids).await?;
        Ok((tx, named.into_iter().collect::<Vec<_>>()))
    });
    walkers.extend(named.await?.into_iter().filter(|(id, _)| *id != caller.member_id));
    Ok(walkers)
}

async fn enter(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<EnterQuery>) -> Result<Response, HttpError> {
    let asked = Asked {
        date: query.date.map_or(caller.today, |day| day.0),
        slot: query.slot.unwrap_or(Slot::Morning),
        place: query.place,
        sheet: false,
    };
    if asked.date > caller.today {
        return Err(Refusal::invalid("date", "round.sheet_future").into());
    }
    let choices = choices(&app, &caller, asked.place).await?;
    let round = rounds::of(&app, caller.clone(), asked).await?;
    let me = name(&app, &caller).await?;
    let chosen = choices.iter().find(|choice| choice.is_chosen).map(|choice| choice.name.clone());
    page(&EnterPage {
        frame: Frame::of(&caller, if asked.place.is_some() { "/board" } else { "/round" }),
        offset: offset(&caller, asked.date),
        walkers: walkers(&app, &caller, asked, &me).await?,
        member_id: caller.member_id,
        whose: chosen.unwrap_or(me),
        count: round.stops.len(),
        entrances: entrances(round.stops),
        choices,
        sheet: format!("/round/sheet{}", self::query(asked)),
        asked,
    })
}
