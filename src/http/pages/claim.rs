//! The page behind the link of a message. Of a drill: one button that says that it was read. Of an alert: whom it is about, and one button each. It needs no sign-in and shows no more than the
//! message did; opening it claims nothing.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::frame::Frame;
use super::page;
use crate::http::HttpState;
use crate::http::api::claims::offered;
use crate::http::api::drills::invited;
use crate::http::envelope::Peer;
use crate::http::error::HttpError;
use crate::store::claim_link::Offered;
use crate::store::drill::Invited;
use crate::text;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/c/{key}", get(claim))
}

#[derive(Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    frame: Frame,
    called: String,
    me: Uuid,
    key: String,
    alerts: Vec<Offered>,
    now: DateTime<Utc>,
}

impl ClaimPage {
    /// Whoever goes, while others wait for her.
    fn goes<'a>(&self, alert: &'a Offered) -> Option<&'a str> {
        let holds = alert.claim_until.is_some_and(|until| until > self.now);
        alert.claimed_by_called.as_deref().filter(|_| holds)
    }

    fn is_mine(&self, alert: &Offered) -> bool {
        alert.claimed_by == Some(self.me) && self.goes(alert).is_some()
    }
}

#[derive(Template)]
#[template(path = "drill.html")]
struct DrillPage {
    frame: Frame,
    key: String,
    invited: Invited,
}

async fn claim(State(state): State<HttpState>, Peer(address): Peer, Path(key): Path<String>) -> Result<Response, HttpError> {
    state.rates.stranger(address)?;
    if let Some(invited) = invited(&state.app, key.clone()).await? {
        let mut frame = Frame::of_stranger(text::locale(&invited.locale));
        frame.timezone = invited.timezone.parse().unwrap_or_default();
        return page(&DrillPage { frame, key, invited });
    }
    let offer = offered(&state.app, key.clone()).await?;
    let (now, locale) = (state.app.clock.now(), text::locale(&offer.locale));
    let mut frame = Frame::of_stranger(locale);
    frame.timezone = offer.timezone.parse().unwrap_or_default();
    page(&ClaimPage { frame, called: offer.called, me: offer.member_id, key, alerts: offer.alerts, now })
}
