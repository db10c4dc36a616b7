//! What a phone keeps for the hours without a network: the service worker, the page that says so, and the card by which the
//! pages are put on the home screen.

use askama::Template;
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::assets;
use super::frame::Frame;
use super::page;
use crate::http::HttpState;
use crate::http::envelope::accepted_locale;
use crate::http::error::HttpError;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/sw.js", get(worker)).route("/offline", get(offline)).route("/manifest.webmanifest", get(manifest))
}

#[derive(Template)]
#[template(path = "offline.html")]
struct OfflinePage {
    frame: Frame,
}

async fn offline(headers: HeaderMap) -> Result<Response, HttpError> {
    page(&OfflinePage { frame: Frame::of_stranger(accepted_locale(&headers)) })
}

/// At the root, because a worker serves only what is below its own address; asked for anew each time, so that a mended one is
/// not kept from phones by an old one.
async fn worker() -> Result<Response, HttpError> {
    let file = assets::body("sw.js").ok_or(HttpError::NotFound)?;
    let kept = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // A worker fetches under the policy of its own file.
        (header::CONTENT_SECURITY_POLICY, super::POLICY),
    ];
    Ok((kept.map(|(name, value)| (name, HeaderValue::from_static(value))), file).into_response())
}

async fn manifest(headers: HeaderMap) -> Response {
    let frame = Frame::of_stranger(accepted_locale(&headers));
    let icon = |file: &str, sizes: &str, purpose: &str| json!({ "src": assets::address(file), "sizes": sizes, "type": "image/png", "purpose": purpose });
    let manifest = json!({
        "name": frame.say("page.name").to_string(),
        "short_name": frame.say("page.name").to_string(),
        "description": frame.say("page.what_for").to_string(),
        "lang": frame.locale,
        "id": "/", "start_url": "/", "scope": "/",
        "display": "standalone",
        "background_color": "#fffaf2", "theme_color": "#0b4f4a",
        "icons": [
            icon("icon-192.png", "192x192", "any"),
            icon("icon-512.png", "512x512", "any"),
            icon("icon-maskable-512.png", "512x512", "maskable"),
        ],
    });
    let kept = [(header::CONTENT_TYPE, "application/manifest+json"), (header::CACHE_CONTROL, "no-cache")];
    (kept.map(|(name, value)| (name, HeaderValue::from_static(value))), manifest.to_string()).into_response()
}
