//! Who did what, and when: the record that nobody can change.

use std::collections::BTreeSet;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::filter::blank;
use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::http::HttpState;
use crate::http::api::audit::{self, Asked, AuditRow};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit};
use crate::http::value::{Day, Text};
use crate::store::{audit as record, naming};
use crate::text;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/audit", get(list))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    #[serde(default, deserialize_with = "blank")]
    actor: Option<Uuid>,
    #[serde(default, deserialize_with = "blank")]
    object: Option<Uuid>,
    #[serde(default, deserialize_with = "blank")]
    act: Option<Text<60>>,
    #[serde(default, deserialize_with = "blank")]
    from: Option<Day>,
    #[serde(default, deserialize_with = "blank")]
    to: Option<Day>,
    #[serde(default, deserialize_with = "blank")]
    cursor: Option<Cursor<i64>>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    actors: Vec<(Uuid, String, bool)>,
    from: String,
    to: String,
    object: String,
    rows: Vec<Row>,
    next: Option<String>,
    is_later: bool,
    is_filtered: bool,
}

struct Row {
    at: String,
    actor: Option<(Uuid, String)>,
    act: String,
    object: String,
    object_id: Option<Uuid>,
    /// A page of the object itself.
    link: Option<String>,
    fields: String,
}

async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<AuditQuery>) -> Result<Response, HttpError> {
    let (from, to, is_later) = (query.from.map(|day| day.0), query.to.map(|day| day.0), query.cursor.is_some());
    let act = query.act.map(|act| act.0);
    let kept = address(query.actor, query.object, act.as_deref(), from, to);
    let asked = Asked { limit: Limit::default(), cursor: query.cursor, actor_id: query.actor, object_id: query.object, act, from, to };
    let found = audit::of(&app, &caller, asked).await?;
    let (site_id, seen) = (caller.site_id, found.items.iter().filter_map(|row| row.actor_id).collect::<BTreeSet<Uuid>>());
    let names = app.read(move |mut tx| async move {
        let names = naming::members(&mut tx, site_id, &seen).await?;
        let actors = record::actors(&mut tx, site_id).await?;
        Ok((tx, (names, actors)))
    });
    let (names, actors) = names.await?;
    let frame = Frame::of(&caller, "/admin");
    page(&AuditPage {
        actors: actors.into_iter().map(|(id, called)| (id, called, query.actor == Some(id))).collect(),
        from: from.map(|day| day.to_string()).unwrap_or_default(),
        to: to.map(|day| day.to_string()).unwrap_or_default(),
        object: query.object.map(|id| id.to_string()).unwrap_or_default(),
        rows: found.items.into_iter().map(|row| shown(&frame, row, &names)).collect(),
        next: found.next.map(|next| format!("/audit?{kept}cursor={next}")),
        is_filtered: !kept.is_empty(),
        is_later,
        frame,
    })
}

/// The filter as it stands in the address.
fn address(
    actor: Option<Uuid>,
    object: Option<Uuid>,
    act: Option<&str>,
    from: Option<chrono::NaiveDate>,
    to: Option<chrono::NaiveDate>,
) -> String {
    let said = [
        ("actor", actor.map(|id| id.to_string())),
        ("object", object.map(|id| id.to_string())),
        ("act", act.map(str::to_owned)),
        ("from", from.map(|day| day.to_string())),
        ("to", to.map(|day| day.to_string())),
    ];
    let mut address = form_urlencoded::Serializer::new(String::new());
    for (name, value) in said.iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
        address.append_pair(name, value);
    }
    let address = address.finish();
    if address.is_empty() { address } else { format!("{address}&") }
}

fn shown(frame: &Frame, row: AuditRow, names: &std::collections::BTreeMap<Uuid, String>) -> Row {
    let link = row.object_id.and_then(|id| match row.object_kind.as_str() {
        "senior" => Some(format!("/seniors/{id}")),
        "alert" => Some(format!("/alerts/{id}")),
        _ => None,
    });
    Row {
        at: frame.when(&row.at),
        actor: row.actor_id.map(|id| (id, names.get(&id).cloned().unwrap_or_else(|| id.to_string()))),
        act: word(frame, "act", &row.act),
        object: word(frame, "kind", &row.object_kind),
        object_id: row.object_id,
        link,
        fields: row.fields.join(" "),
    }
}

/// The word of an act or a kind; one that is not known yet is shown as it is stored.
fn word(frame: &Frame, list: &str, stored: &str) -> String {
    let key = format!("audit.{list}_{stored}");
    let said = text::plain(frame.locale, &key);
    if said.ends_with(&key) { stored.to_owned() } else { said }
}
