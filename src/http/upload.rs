//! A file as the body of a request: bytes, bounded, and what they hash to.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use sha2::{Digest, Sha256};

use super::HttpState;
use super::error::HttpError;
use super::json::{ContentHash, read_body};

/// Bytes of a file.
pub const FILE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// A file is larger than an ordinary body, and a phone's line is slow.
const PATIENCE: u32 = 6;

/// The file and its hash.
#[derive(Debug)]
pub struct Upload(pub Bytes, pub ContentHash);

impl Upload {
    /// The hash as it is shown and sent back.
    pub fn hash(&self) -> String {
        crate::store::bulk::hex(&self.1.0)
    }
}

impl FromRequest<HttpState> for Upload {
    type Rejection = HttpError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, HttpError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // Any other type could be sent by a form of another site.
        if kind != "application/octet-stream" {
            return Err(HttpError::MediaType);
        }
        let bytes = read_body(request, FILE_BYTES_MAX, state.app.config.http.header_timeout.std() * PATIENCE).await?;
        let hash = ContentHash(Sha256::digest(&bytes).into());
        Ok(Self(bytes, hash))
    }
}
