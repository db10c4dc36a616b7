//! What an administrator keeps: the way from an empty system to the first round, then places, members, seniors, leaves, devices.

mod devices;
mod drills;
mod export;
mod first;
mod groups;
mod import;
mod leaves;
mod member;
mod notify;
mod places;
mod senior;
mod sheet;

use axum::Router;

use crate::http::HttpState;

/// The menu's entry of all of them.
const HERE: &str = "/admin";

pub fn routes() -> Router<HttpState> {
    first::routes()
        .merge(import::routes())
        .merge(member::routes())
        .merge(places::routes())
        .merge(senior::routes())
        .merge(sheet::routes())
        .merge(leaves::routes())
        .merge(devices::routes())
        .merge(groups::routes())
        .merge(notify::routes())
        .merge(drills::routes())
        .merge(export::routes())
}
