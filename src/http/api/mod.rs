//! The JSON API, one file per noun. A new noun is one file with `routes()` and one line here.

pub mod alerts;
pub mod audit;
pub mod checks;
pub mod devices;
pub mod events;
pub mod notifications;
pub mod rounds;
pub mod sessions;
pub mod signals;

use utoipa_axum::router::OpenApiRouter;

use super::HttpState;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .merge(sessions::routes())
        .merge(rounds::routes())
        .merge(checks::routes())
        .merge(signals::routes())
        .merge(alerts::routes())
        .merge(devices::routes())
        .merge(events::routes())
        .merge(audit::routes())
        .merge(notifications::routes())
}
