//! Files of `static/`, compiled in. Their address holds a part of their hash, so a browser keeps them for ever and still gets a
//! new one at once; under an outdated address the current file is served, but not kept.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::HttpState;
use crate::http::error::HttpError;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// Hexadecimal digits of a file's hash in its address.
const VERSION_DIGITS: usize = 12;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/static/{version}/{*path}", get(file))
}

/// Where a page finds a file. A file that is not there is a mistake of ours, which the browser tests see.
pub fn address(path: &str) -> String {
    let version = Static::get(path).map_or_else(|| "missing".to_owned(), |file| version(&file));
    format!("/static/{version}/{path}")
}

/// The file itself, for those that need an address of their own (the service worker).
pub fn body(path: &str) -> Option<Vec<u8>> {
    Static::get(path).map(|file| file.data.into_owned())
}

fn version(file: &EmbeddedFile) -> String {
    crate::store::bulk::hex(&file.metadata.sha256_hash())[..VERSION_DIGITS].to_owned()
}

async fn file(Path((asked, path)): Path<(String, String)>) -> Result<Response, HttpError> {
    let file = Static::get(&path).ok_or(HttpError::NotFound)?;
    let is_current = asked == version(&file);
    let kind = HeaderValue::from_str(&with_charset(file.metadata.mimetype())).expect("a media type is ASCII");
    let mut response = file.data.into_owned().into_response();
    let kept = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    Ok(response)
}

fn with_charset(kind: &str) -> String {
    if kind.starts_with("text/") || kind.ends_with("javascript") { format!("{kind}; charset=utf-8") } else { kind.to_owned() }
}
