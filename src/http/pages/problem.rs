//! A refusal as a page: what happened, what to do, and the way back. Whoever is not signed in is shown the sign-in and returns
//! to where she wanted to go.

use askama::Template;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::Frame;
use crate::http::error::HttpError;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    title: String,
    detail: String,
    request_id: &'a str,
}

/// Whether a person is looking at a browser, and not a program asking the API.
pub fn wants_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !uri.path().starts_with("/api/") && accepted.contains("text/html")
}

/// The body of an error for people; status and headers stay those of the error.
pub fn problem(error: &HttpError, uri: &Uri, locale: &'static str, request_id: &str) -> Response {
    if matches!(error, HttpError::SignInRequired) {
        let back = uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
        let next: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
        return Redirect::to(&if back == "/" { "/sign-in".to_owned() } else { format!("/sign-in?next={next}") }).into_response();
    }
    let (title, detail) = error.told(locale);
    super::page(&ProblemPage { frame: Frame::of_stranger(locale), title, detail, request_id }).unwrap_or_else(IntoResponse::into_response)
}
