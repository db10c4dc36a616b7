//! 今早看窗: the reader's round, as it is walked: one hand, outdoors, perhaps without a network. What she taps is kept and sent by
//! `static/round.js`; `static/sw.js` keeps the page itself. Whoever keeps paper prints a `sheet` and types it in by `enter`.

mod enter;
mod sheet;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::Deserialize;

use super::frame::{Frame, Said};
use super::page;
use crate::app::App;
use crate::domain::absence::{ABSENCE_DAYS_MAX, AbsenceKind};
use crate::domain::check::{CheckState, Slot};
use crate::domain::signal::{Evidence, SignalKind};
use crate::http::HttpState;
use crate::http::api::rounds::{self, Asked, Sensed, Stop};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::value::Day;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/round", get(round)).merge(sheet::routes()).merge(enter::routes())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundQuery {
    /// Today if left out; another day is only read.
    #[serde(default)]
    date: Option<Day>,
    #[serde(default)]
    slot: Option<Slot>,
}

#[derive(Template)]
#[template(path = "round.html")]
struct RoundPage {
    frame: Frame,
    caller: Caller,
    called: String,
    now: DateTime<Utc>,
    date: NaiveDate,
    slot: Slot,
    done: usize,
    all: usize,
    /// What is left, and what is done, each in walking order.
    left: Vec<Entrance>,
    seen: Vec<Entrance>,
    tomorrow: NaiveDate,
    latest_return: NaiveDate,
}

/// The windows of one entrance, which are looked at from one place.
struct Entrance {
    building: String,
    unit: String,
    stops: Vec<Stop>,
}

impl RoundPage {
    fn is_today(&self) -> bool {
        self.date == self.frame.today
    }

    /// What may be tapped besides the agreed sign and its absence, in this order.
    fn more() -> [SignalKind; 3] {
        [SignalKind::SeenInPerson, SignalKind::SpokeWithPerson, SignalKind::NoAnswer]
    }

    fn absences() -> &'static [AbsenceKind] {
        AbsenceKind::ALL
    }

    /// Minutes to the agreed time, in words.
    fn time_left(&self, stop: &Stop) -> Said {
        let minutes = (stop.deadline_at - self.now).num_minutes();
        match minutes {
            1.. if stop.deadline_at > self.now => {
                self.frame.say("round.until").with("time", self.frame.time(&stop.deadline_at)).with("minutes", minutes)
            }
            _ if stop.deadline_at > self.now => self.frame.say("round.until_now").with("time", self.frame.time(&stop.deadline_at)),
            _ => self.frame.say("round.past").with("time", self.frame.time(&stop.deadline_at)),
        }
    }

    /// What somebody saw, in the words of the agreed sign.
    fn what(&self, stop: &Stop, kind: &SignalKind) -> Said {
        let sign = stop.expected_sign;
        match *kind {
            kind if kind == sign.shown_by() => self.frame.word("round.shown", sign),
            kind if kind == sign.missed_by() => self.frame.word("round.missed", sign),
            kind => self.frame.word("door.sign", kind),
        }
    }

    /// What a sensor saw, and what that is worth.
    fn sensed(&self, sensor: &Sensed) -> Said {
        let time = self.frame.time(&sensor.observed_at);
        let Some(deed) = sensor.deed else {
            return self.frame.say("round.sensor").with("time", time).with("what", self.frame.word("round.seen", sensor.kind));
        };
        let what = self.frame.word("round.deed", deed);
        match (sensor.class, sensor.with) {
            (Evidence::A, _) => self.frame.say("round.sensor").with("time", time).with("what", what),
            (Evidence::B, Some(with)) => {
                let with = self.frame.word("round.deed", with);
                self.frame.say("round.sensor_strong").with("time", time).with("with", with).with("what", what)
            }
            (Evidence::B, None) => self.frame.say("round.sensor_hint").with("time", time).with("what", what),
            (Evidence::C, _) => {
                self.frame.say("round.sensor_no_sign").with("time", time).with("what", self.frame.word("round.no_sign", deed))
            }
        }
    }

    /// The second look is still to come.
    fn looks_again(&self, stop: &Stop) -> bool {
        self.now < stop.look_again_at
    }

    /// The chip's colour; the words beside it say the same.
    fn tone(state: &CheckState) -> &'static str {
        match state {
            CheckState::Ok | CheckState::OkLate | CheckState::Excused => "good",
            CheckState::Expected | CheckState::NotEvaluated => "",
            CheckState::Tentative | CheckState::TentativeBlind | CheckState::Unmonitored => "wait",
            CheckState::NotObserved | CheckState::NotOpen | CheckState::NotSeen | CheckState::Help => "bad",
        }
    }
}

async fn round(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<RoundQuery>) -> Result<Response, HttpError> {
    let asked =
        Asked { date: query.date.map_or(caller.today, |day| day.0), slot: query.slot.unwrap_or(Slot::Morning), place: None, sheet: false };
    let round = rounds::of(&app, caller.clone(), asked).await?;
    let called = sheet::name(&app, &caller).await?;
    let (all, done) = (round.stops.len(), round.done);
    let (left, seen): (Vec<Stop>, Vec<Stop>) = round.stops.into_iter().partition(|stop| stop.state.wants_a_look());
    let after = |days| caller.today.checked_add_days(Days::new(days)).unwrap_or(caller.today);
    page(&RoundPage {
        frame: Frame::of(&caller, "/round"),
        called,
        now: app.clock.now(),
        date: asked.date,
        slot: asked.slot,
        done,
        all,
        left: entrances(left),
        seen: entrances(seen),
        tomorrow: after(1),
        latest_return: after(ABSENCE_DAYS_MAX.unsigned_abs()),
        caller,
    })
}

/// Neighbours in walking order under one heading.
fn entrances(stops: Vec<Stop>) -> Vec<Entrance> {
    let mut entrances: Vec<Entrance> = Vec::new();
    for stop in stops {
        match entrances.last_mut() {
            Some(last) if last.building == stop.building && last.unit == stop.unit => last.stops.push(stop),
            _ => entrances.push(Entrance { building: stop.building.clone(), unit: stop.unit.clone(), stops: vec![stop] }),
        }
    }
    entrances
}
