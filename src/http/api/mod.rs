//! The JSON API, one file per noun. A new noun is one file with `routes()` and one line here.

// First: its macros are the shape of the routes below.
#[macro_use]
mod entry;

pub mod alerts;
pub mod audit;
pub mod checks;
pub mod claims;
pub mod contact_answers;
pub mod devices;
pub mod drills;
pub mod duties;
pub mod events;
pub mod exports;
pub mod findings;
pub mod grids;
pub mod groups;
pub mod homes;
pub mod imports;
pub mod invitations;
pub mod leaves;
pub mod members;
pub mod notifications;
pub mod places;
mod quarantine;
pub mod reachability;
pub mod role_grants;
pub mod rounds;
pub mod second_factor;
pub mod seniors;
pub mod sessions;
pub mod signals;
pub mod sites;
pub mod statistics;
pub mod system;
pub mod visits;
pub mod web_push;

use utoipa_axum::router::OpenApiRouter;

use super::HttpState;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .merge(sessions::routes())
        .merge(invitations::routes())
        .merge(imports::routes())
        .merge(exports::routes())
        .merge(second_factor::routes())
        .merge(rounds::routes())
        .merge(checks::routes())
        .merge(signals::routes())
        .merge(alerts::routes())
        .merge(claims::routes())
        .merge(contact_answers::routes())
        .merge(devices::routes())
        .merge(drills::routes())
        .merge(quarantine::routes())
        .merge(events::routes())
        .merge(audit::routes())
        .merge(notifications::routes())
        .merge(sites::routes())
        .merge(places::routes())
        .merge(grids::routes())
        .merge(groups::routes())
        .merge(homes::routes())
        .merge(members::routes())
        .merge(role_grants::routes())
        .merge(duties::routes())
        .merge(leaves::routes())
        .merge(seniors::routes())
        .merge(visits::routes())
        .merge(web_push::routes())
        .merge(findings::routes())
        .merge(reachability::routes())
        .merge(statistics::routes())
        .merge(system::routes())
}
