//! The JSON API, one file per noun. A new noun is one file with `routes()` and one line here.

pub mod sessions;

use utoipa_axum::router::OpenApiRouter;

use super::HttpState;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().merge(sessions::routes())
}
