//! The page behind the link of a message to a contact: whom it is about, what has been done, and three answers. It needs no sign-in,
//! names no member, and opening it answers nothing.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::frame::{Frame, Said};
use super::page;
use crate::domain::alert::{ContactAnswer, TimelineKind};
use crate::http::HttpState;
use crate::http::api::alerts::TimelineEntry;
use crate::http::api::contact_answers::offered;
use crate::http::envelope::{self, Peer};
use crate::http::error::HttpError;
use crate::store::contact_link::FamilyOffer;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/f/{key}", get(family))
}

#[derive(Template)]
#[template(path = "family.html")]
struct FamilyPage {
    frame: Frame,
    key: String,
    offer: FamilyOffer,
    done: Vec<TimelineEntry>,
}

impl FamilyPage {
    fn answers(&self) -> &'static [ContactAnswer] {
        ContactAnswer::ALL
    }

    fn is_given(&self, answer: &ContactAnswer) -> bool {
        self.offer.answer.as_deref() == Some(answer.as_str())
    }

    /// What she has answered, in words.
    fn answered(&self) -> Option<Said> {
        let answer = self.offer.answer.as_deref()?;
        Some(self.frame.word("family.answered", answer))
    }

    fn sentence(&self, entry: &TimelineEntry) -> Said {
        let who = entry.detail.get("relation").map_or("", String::as_str);
        self.frame.word("family.done", entry.kind).with("who", who)
    }
}

async fn family(
    State(state): State<HttpState>,
    Peer(address): Peer,
    headers: HeaderMap,
    Path(key): Path<String>,
) -> Result<Response, HttpError> {
    state.rates.stranger(address)?;
    let (offer, mut done) = offered(&state.app, key.clone()).await?;
    // That people were told is said once, however many rungs there were.
    let mut said = false;
    done.retain(|entry| entry.kind != TimelineKind::StepFired || !std::mem::replace(&mut said, true));
    let mut frame = Frame::of_stranger(envelope::accepted_locale(&headers));
    frame.timezone = offer.timezone.parse().unwrap_or_default();
    page(&FamilyPage { frame, key, offer, done })
}
