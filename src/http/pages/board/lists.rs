//! The two long lists behind the board: messages and what became of them, and every device that needs somebody.

use std::collections::BTreeSet;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::care::{Devices, shown_devices};
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::api::notifications::{self, MessageState, Notification};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit};
use crate::http::pages::filter::{self, Choice, blank};
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::board::care;
use crate::store::naming;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/board/deliveries", get(deliveries)).route("/board/devices", get(devices))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveriesQuery {
    #[serde(default, deserialize_with = "blank")]
    state: Option<MessageState>,
    #[serde(default, deserialize_with = "blank")]
    cursor: Option<Cursor<(DateTime<Utc>, Uuid)>>,
}

#[derive(Template)]
#[template(path = "board/deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    states: Vec<StateChoice>,
    rows: Vec<Delivery>,
    next: Option<String>,
    is_later: bool,
}

struct StateChoice {
    word: &'static str,
    text: String,
    is_chosen: bool,
}

struct Delivery {
    call_no: i64,
    recipient: Option<String>,
    channel: String,
    state: String,
    tone: &'static str,
    at: String,
    about: Vec<(String, Option<Uuid>)>,
    tries: Vec<(String, String, String)>,
    next_at: Option<String>,
}

async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    StrictQuery(query): StrictQuery<DeliveriesQuery>,
) -> Result<Response, HttpError> {
    let (state, is_later) = (query.state, query.cursor.is_some());
    let asked = notifications::Asked { state, cursor: query.cursor, limit: Limit::default(), recipient_id: None, alert_id: None };
    let found = notifications::of(&app, &caller, asked).await?;
    // The operator learns that somebody was not told, but reads no names.
    let names = if caller.may(Capability::MembersRead) {
        let (site_id, ids) = (caller.site_id, found.items.iter().map(|item| item.recipient_id).collect::<BTreeSet<Uuid>>());
        app.read(move |mut tx| async move { naming::members(&mut tx, site_id, &ids).await.map(|names| (tx, names)) }).await?
    } else {
        std::collections::BTreeMap::new()
    };
    let frame = Frame::of(&caller, "/board");
    let choice = |word: &MessageState| StateChoice {
        word: word.as_str(),
        text: frame.say(&format!("board.message_{word}")).to_string(),
        is_chosen: state == Some(*word),
    };
    let base = state.map(|state| format!("state={state}&")).unwrap_or_default();
    page(&DeliveriesPage {
        states: MessageState::ALL.iter().map(choice).collect(),
        rows: found.items.iter().map(|item| delivery(&frame, item, names.get(&item.recipient_id).cloned())).collect(),
        next: found.next.map(|next| format!("/board/deliveries?{base}cursor={next}")),
        is_later,
        frame,
    })
}

fn delivery(frame: &Frame, item: &Notification, recipient: Option<String>) -> Delivery {
    let words = |list: &str, word: &str| frame.say(&format!("board.{list}_{word}")).to_string();
    Delivery {
        call_no: item.call_no,
        recipient,
        channel: frame.word("channel.name", &item.channel).to_string(),
        state: words("message", &item.state),
        tone: match item.state.as_str() {
            "failed" => "bad",
            "sent" => "good",
            _ => "wait",
        },
        at: frame.when(&item.sealed_at),
        about: item.says.iter().map(|part| (words("class", &part.class), part.alert_id)).collect(),
        tries: item.attempts.iter().map(|tried| (frame.when(&tried.at), words("outcome", &tried.outcome), tried.detail.clone())).collect(),
        next_at: (item.state == "ready").then(|| frame.when(&item.next_at)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DevicesQuery {
    #[serde(default, deserialize_with = "blank")]
    place: Option<Uuid>,
}

#[derive(Template)]
#[template(path = "board/devices.html")]
struct DevicesPage {
    frame: Frame,
    choices: Vec<Choice>,
    devices: Devices,
    may_write: bool,
}

async fn devices(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<DevicesQuery>) -> Result<Response, HttpError> {
    caller.require(Capability::DevicesRead)?;
    let (asked, now, place) = (caller.clone(), app.clock.now(), query.place);
    let found = app.read(move |mut tx| async move {
        let places = filter::places(&mut tx, &asked, place, Capability::DevicesRead).await?;
        let whole_site = asked.require_site(Capability::DevicesRead).is_ok();
        let devices = care::ailing(&mut tx, &asked.who(), place, whole_site, now).await?;
        Ok((tx, (places, devices)))
    });
    let (places, devices) = found.await?;
    let frame = Frame::of(&caller, "/board");
    page(&DevicesPage {
        choices: filter::choices(&places, place),
        devices: shown_devices(&frame, &devices),
        may_write: caller.may(Capability::DevicesWrite),
        frame,
    })
}
