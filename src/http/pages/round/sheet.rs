//! The round on paper: to tick by hand, and for a morning without a server. Of a place it also says whom to phone.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::{Entrance, entrances};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::check::Slot;
use crate::domain::signal::Sign;
use crate::http::HttpState;
use crate::http::api::invitations;
use crate::http::api::rounds::{self, Asked, Stop};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::pages::filter::{self, Choice, blank};
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::http::qr;
use crate::http::value::Day;
use crate::store::naming;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/round/sheet", get(sheet))
}

/// Which paper: here it is printed, by `enter` typed in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperQuery {
    /// Today if left out. Tomorrow's is printed the evening before, and its code names that day.
    #[serde(default)]
    date: Option<Day>,
    #[serde(default)]
    slot: Option<Slot>,
    /// The reader's own round if left out.
    #[serde(default, deserialize_with = "blank")]
    place: Option<Uuid>,
}

impl PaperQuery {
    /// `sheet`: to print, which opens telephone numbers.
    pub fn asked(&self, caller: &Caller, sheet: bool) -> Asked {
        let date = self.date.map_or(caller.today, |day| day.0);
        Asked { date, slot: self.slot.unwrap_or(Slot::Morning), place: self.place, sheet }
    }
}

/// What both sides of the paper show.
pub struct Paper {
    pub stops: Vec<Stop>,
    /// Places of which the reader may have a list.
    pub choices: Vec<Choice>,
    /// How the reader is called.
    pub reader: String,
    /// Whose paper it is: the place's, or else the reader's own.
    pub whose: String,
}

impl Paper {
    pub async fn read(app: &App, caller: &Caller, asked: Asked) -> Result<Self, HttpError> {
        let choices = choices(app, caller, asked.place).await?;
        let stops = rounds::of(app, caller.clone(), asked).await?.stops;
        let reader = name(app, caller).await?;
        let chosen = choices.iter().find(|choice| choice.is_chosen).map(|choice| choice.name.clone());
        Ok(Self { whose: chosen.unwrap_or_else(|| reader.clone()), stops, choices, reader })
    }
}

#[derive(Template)]
#[template(path = "round/sheet.html")]
struct SheetPage {
    frame: Frame,
    asked: Asked,
    now: DateTime<Utc>,
    tomorrow: NaiveDate,
    /// Whose paper it is: the walker, or the place.
    whose: String,
    printed_by: String,
    count: usize,
    entrances: Vec<Entrance>,
    /// Places of which the reader may print a list.
    choices: Vec<Choice>,
    /// Where the paper is typed in, as an address and as a picture.
    enter: String,
    qr: Option<String>,
}

impl SheetPage {
    fn is_today(&self) -> bool {
        self.asked.date == self.frame.today
    }

    fn is_of_place(&self) -> bool {
        self.asked.place.is_some()
    }

    /// `?date=…&slot=…` of another sheet of the same round or place.
    fn query(&self, date: &NaiveDate, slot: &Slot) -> String {
        query(Asked { date: *date, slot: *slot, ..self.asked })
    }

    fn slots(&self) -> &'static [Slot] {
        Slot::ALL
    }

    /// The earliest agreed time: who is back by then is late for nobody.
    fn earliest(&self) -> Option<DateTime<Utc>> {
        self.entrances.iter().flat_map(|entrance| &entrance.stops).map(|stop| stop.deadline_at).min()
    }

    /// Boxes to tick, in the words of the agreed sign.
    fn boxes(&self, sign: &Sign) -> [String; 3] {
        let frame = &self.frame;
        [frame.word("round.shown", sign), frame.word("round.missed", sign), frame.word("round.mark", "not_visible")]
            .map(|said| said.to_string())
    }

    fn expects_other(&self, stop: &Stop) -> bool {
        let usual = if self.asked.slot == Slot::Morning { Sign::Open } else { Sign::Closed };
        stop.expected_sign != usual
    }
}

/// The same round or place of that day, as a query.
pub fn query(asked: Asked) -> String {
    let place = asked.place.map(|place| format!("&place={place}")).unwrap_or_default();
    format!("?date={}&slot={}{place}", asked.date, asked.slot)
}

async fn sheet(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    StrictQuery(query): StrictQuery<PaperQuery>,
) -> Result<Response, HttpError> {
    let asked = query.asked(&caller, true);
    let paper = Paper::read(&app, &caller, asked).await?;
    let enter = format!("/round/enter{}", self::query(asked));
    page(&SheetPage {
        frame: Frame::of(&caller, if asked.place.is_some() { "/board" } else { "/round" }),
        now: app.clock.now(),
        tomorrow: caller.today.checked_add_days(Days::new(1)).unwrap_or(caller.today),
        whose: paper.whose,
        printed_by: paper.reader,
        count: paper.stops.len(),
        entrances: entrances(paper.stops),
        choices: paper.choices,
        qr: qr::address(&format!("{}{enter}", invitations::base(&app, &headers))),
        enter,
        asked,
    })
}

/// The places of a reader who may print lists of more than her own round.
async fn choices(app: &App, caller: &Caller, chosen: Option<Uuid>) -> Result<Vec<Choice>, HttpError> {
    if chosen.is_none() && !caller.may(Capability::PhoneRead) {
        return Ok(Vec::new());
    }
    Ok(filter::choices(&filter::read_places(app, caller, chosen, Capability::PhoneRead).await?, chosen))
}

/// How the reader is called.
pub async fn name(app: &App, caller: &Caller) -> Result<String, HttpError> {
    let (site_id, member_id) = (caller.site_id, caller.member_id);
    let called = app.read(move |mut tx| async move { naming::member(&mut tx, site_id, member_id).await.map(|called| (tx, called)) });
    Ok(called.await?)
}
