//! Server-sent events: open screens and programs hear what changed, as ids and kinds, and read it through the other routes.
//!
//! A reader hears only of seniors that she sees at that moment; her stream ends with her sign-in. A commit of this process
//! wakes the streams at once, one of another instance is found by looking.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::caller::{self, Caller};
use crate::http::crowd::Place;
use crate::http::error::{HttpError, Problem};
use crate::store;
use crate::store::follow::{self, Change, LATE_ROWS_MAX};

const HEARTBEAT: Duration = Duration::from_secs(15);
/// Commits of a busy moment are told together.
const BUNDLE: Duration = Duration::from_millis(100);
/// How often to look without being woken: other instances share a PostgreSQL, nobody else writes an SQLite file.
const LOOK_SHARED: Duration = Duration::from_secs(2);
const LOOK_ALONE: Duration = Duration::from_secs(15);
/// A write may take this long between taking its number and becoming visible.
const LATE_SECONDS_MAX: i64 = 30;
/// Rows per look: all late ones again, and some new ones, or a busy moment would hide what comes after it.
const ROWS_MAX: i64 = LATE_ROWS_MAX + 500;
/// A member with too many open streams tries again when one has ended.
const RETRY_SECONDS: u64 = 30;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(follow_changes))
}

/// The number after which a client that was cut off goes on.
struct LastEventId(Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        let Some(value) = parts.headers.get("last-event-id") else { return Ok(Self(None)) };
        let number = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|number| *number >= 0);
        number
            .map(|number| Self(Some(number)))
            .ok_or_else(|| HttpError::field("Last-Event-ID", "http.field_last_event", "expected the id of an event"))
    }
}

/// What changes from now on, or since Last-Event-ID. `reload` means: too much has happened, read your lists again.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(("Last-Event-ID" = Option<i64>, Header)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn follow_changes(
    State(state): State<HttpState>,
    caller: Caller,
    LastEventId(after): LastEventId,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, HttpError> {
    let place = state.streams.enter(caller.member_id).ok_or(HttpError::TooMany { retry_seconds: RETRY_SECONDS })?;
    let woken = state.app.changes.subscribe();
    let (site_id, late_from) = (caller.site_id, late_from(&state.app));
    let begin = state.app.read(move |mut tx| async move {
        let last = follow::last(&mut tx, site_id).await?;
        let recent = follow::since(&mut tx, site_id, last, late_from, ROWS_MAX).await?;
        Ok((tx, (last, recent)))
    });
    let (last, recent) = begin.await?;
    let missed_too_much = after.is_some_and(|after| after > last || last - after > LATE_ROWS_MAX);
    // Who comes anew has read her lists a moment ago; who comes back may hear the last half minute twice.
    let told = if after.is_none() || missed_too_much { recent.iter().map(|change| change.seq).collect() } else { BTreeSet::new() };
    let after = if missed_too_much { last } else { after.unwrap_or(last) };
    let look = if state.app.db.is_postgres() { LOOK_SHARED } else { LOOK_ALONE };
    let follower = Follower { app: state.app, stop: state.stop, caller, woken, look, after, told, behind: after < last, _place: place };
    let greeting = if missed_too_much { Event::default().event("reload").id(last.to_string()) } else { Event::default().comment("open") };
    let news = stream::unfold(follower, Follower::next).flat_map(stream::iter);
    let events = stream::once(async { greeting }).chain(news).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

struct Follower {
    app: App,
    stop: CancellationToken,
    caller: Caller,
    woken: broadcast::Receiver<()>,
    look: Duration,
    after: i64,
    /// Numbers already told that may be read again among late ones.
    told: BTreeSet<i64>,
    /// There is more to read: no waiting.
    behind: bool,
    /// Among the streams of this member.
    _place: Place<Uuid>,
}

fn late_from(app: &App) -> DateTime<Utc> {
    app.clock.now() - TimeDelta::seconds(LATE_SECONDS_MAX)
}

impl Follower {
    /// Waits for news; `None` ends the stream.
    async fn next(mut self) -> Option<(Vec<Event>, Self)> {
        loop {
            if !self.behind {
                self.wait().await?;
            }
            // A database that does not answer ends the stream: the client comes back with its Last-Event-ID.
            self.caller = caller::load(&self.app, self.caller.token, self.caller.via).await.ok().flatten()?;
            let events = self.read().await.ok()?;
            if !events.is_empty() {
                return Some((events, self));
            }
        }
    }

    /// Until somebody commits or it is time to look; `None`: the server stops.
    async fn wait(&mut self) -> Option<()> {
        use broadcast::error::{RecvError, TryRecvError};
        tokio::select! {
            () = self.stop.cancelled() => return None,
            // Being overrun by wake-ups is a wake-up too.
            woken = self.woken.recv() => if matches!(woken, Err(RecvError::Closed)) { return None },
            () = tokio::time::sleep(self.look) => {}
        }
        tokio::time::sleep(BUNDLE).await;
        while !matches!(self.woken.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
        Some(())
    }

    async fn read(&mut self) -> store::Result<Vec<Event>> {
        let (who, after, late_from) = (self.caller.who(), self.after, late_from(&self.app));
        let told = self.told.clone();
        let (changes, seen, behind) = self
            .app
            .read(move |mut tx| async move {
                let mut changes = follow::since(&mut tx, who.site_id, after, late_from, ROWS_MAX).await?;
                let behind = i64::try_from(changes.len()).is_ok_and(|rows| rows == ROWS_MAX);
                changes.retain(|change| !told.contains(&change.seq));
                let about_seniors = changes.iter().any(|change| change.senior_id.is_some());
                let seen = if about_seniors { store::access::visible(&mut tx, &who).await? } else { BTreeSet::new() };
                Ok((tx, (changes, seen, behind)))
            })
            .await?;
        self.behind = behind;
        self.told.extend(changes.iter().map(|change| change.seq));
        self.after = self.told.last().copied().unwrap_or_default().max(after);
        self.told = self.told.split_off(&(self.after - LATE_ROWS_MAX));
        let reads_register = self.caller.may(Capability::RegisterRead);
        let mine = |change: &&Change| change.senior_id.map_or(reads_register, |senior| seen.contains(&senior));
        Ok(changes.iter().filter(mine).map(event).collect())
    }
}

fn event(change: &Change) -> Event {
    let data = json!({ "object_id": change.object_id, "senior_id": change.senior_id, "at": change.at });
    Event::default().id(change.seq.to_string()).event(&change.kind).data(data.to_string())
}
