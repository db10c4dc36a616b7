//! When and by which channel first a member is told: her quiet hours and the order of her channels. Everybody sets her own.

use axum::extract::State;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::channels::require;
use crate::app::App;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::api::entry::by;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::value::TimeOfDay;
use crate::store::register::quiet_hours::{self, QuietHours};
use crate::store::register::{channel, channel_order};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(quiet, set_quiet)).routes(routes!(arrange))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewQuietHours {
    /// `HH:MM` on the site's wall clock; with neither time the site's count again, and twice the same time means never.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    from: Option<TimeOfDay>,
    /// May be earlier than `from`: then they pass midnight.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    to: Option<TimeOfDay>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewChannelOrder {
    /// All channels of the member, the one that is used first first; none: the order of the site.
    channels: Vec<Uuid>,
}

/// Whether the order is the member's own.
#[derive(Serialize, ToSchema)]
struct ChannelOrder {
    channels: Vec<Uuid>,
    own: bool,
}

/// When a member is reminded of nothing.
#[utoipa::path(get, path = "/api/v1/members/{id}/quiet-hours", tag = "members", params(("id" = Uuid, Path)),
    responses((status = 200, body = QuietHours), (status = 404, body = Problem)))]
async fn quiet(State(app): State<App>, caller: Caller, Segments(member_id): Segments<Uuid>) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    Ok(Answer::ok(&looked_up!(app, |tx| quiet_hours::get(&mut tx, caller.site_id, member_id).await?)))
}

/// Set the quiet hours of a member. Reminders and reports wait until they end; alerts do not.
#[utoipa::path(put, path = "/api/v1/members/{id}/quiet-hours", tag = "members", params(("id" = Uuid, Path)),
    request_body = NewQuietHours, responses((status = 200, body = QuietHours), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn set_quiet(
    State(app): State<App>,
    caller: Caller,
    Segments(member_id): Segments<Uuid>,
    StrictJson(body, _): StrictJson<NewQuietHours>,
) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    let hours = match (body.from, body.to) {
        (Some(from), Some(to)) => Some((from.0, to.0)),
        (None, None) => None,
        (Some(_), None) => return Err(Refusal::invalid("to", "register.quiet_both").into()),
        (None, Some(_)) => return Err(Refusal::invalid("from", "register.quiet_both").into()),
    };
    let by = by(&caller, &app);
    let set = app.write(move |mut tx| async move {
        let set = quiet_hours::set(&mut tx, &by, member_id, hours).await?;
        Ok((tx, set))
    });
    Ok(Answer::ok(&set.await?))
}

/// Put the channels of a member into an order, or give her the site's again.
#[utoipa::path(put, path = "/api/v1/members/{id}/channel-order", tag = "members", params(("id" = Uuid, Path)),
    request_body = NewChannelOrder, responses((status = 200, body = ChannelOrder), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn arrange(
    State(app): State<App>,
    caller: Caller,
    Segments(member_id): Segments<Uuid>,
    StrictJson(body, _): StrictJson<NewChannelOrder>,
) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    let by = by(&caller, &app);
    let arranged = app.write(move |mut tx| async move {
        channel_order::set(&mut tx, &by, member_id, &body.channels).await?;
        let own = channel_order::own_since(&mut tx, by.site_id, member_id).await?.is_some();
        let channels = channel::list(&mut tx, by.site_id, member_id).await?;
        Ok((tx, ChannelOrder { channels: channels.into_iter().map(|channel| channel.id).collect(), own }))
    });
    Ok(Answer::ok(&arranged.await?))
}
