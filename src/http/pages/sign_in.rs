//! The way in: phone and password. Volunteers need neither; their phone was let in by an invitation.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::http::HttpState;
use crate::http::envelope::accepted_locale;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/sign-in", get(sign_in))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignInQuery {
    /// Where to go then: a path of ours.
    #[serde(default)]
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
}

async fn sign_in(State(_): State<App>, headers: HeaderMap, StrictQuery(query): StrictQuery<SignInQuery>) -> Result<Response, HttpError> {
    page(&SignInPage { frame: Frame::of_stranger(accepted_locale(&headers)), next: own_path(query.next) })
}

/// Only a path of this server: another host would be a way to send people to a trap.
fn own_path(next: Option<String>) -> String {
    let is_own = |path: &String| path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
    next.filter(is_own).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_sign_in_nobody_is_sent_to_another_host() {
        for (next, expected) in [
            (Some("/alerts/7?x=1"), "/alerts/7?x=1"),
            (Some("//evil.example"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (None, "/"),
        ] {
            assert_eq!(own_path(next.map(str::to_owned)), expected);
        }
    }
}
