//! A code over one channel, typed back by whoever reads there: the address is verified, without anybody being asked.

use axum::extract::State;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::channel_test::{NewTest, Said, TestSent, channel_of, message};
use super::channels::require;
use crate::app::App;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, by};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::value::MaybeText;
use crate::store::outbox;
use crate::store::register::channel::{self, Channel};
use crate::store::register::channel_code;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(send)).routes(routes!(verify))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Typed {
    code: MaybeText<20>,
}

/// Send a code of six digits over one channel, good for ten minutes; the next one a minute later at the earliest.
#[utoipa::path(post, path = "/api/v1/members/{id}/channels/{channel}/code", tag = "members",
    params(("id" = Uuid, Path), ("channel" = Uuid, Path)), request_body = NewTest,
    responses((status = 201, body = TestSent), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn send(
    State(app): State<App>,
    caller: Caller,
    Segments((member_id, channel_id)): Segments<(Uuid, Uuid)>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewTest>,
) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let (by, seal, code) = (by(&caller, &app), app.seal.clone(), channel_code::random());
    let answer = made_once!(app, once, by, |tx| channel_of(&mut tx, by.site_id, member_id, channel_id).await?, {
        let (member, channel) = channel_of(&mut tx, by.site_id, member_id, channel_id).await?;
        if channel.verified_at.is_some() {
            return Err(Refusal::conflict("channel.verified_already").into());
        }
        channel_code::keep(&mut tx, &by, &seal, channel_id, &code).await?;
        let call_no = outbox::next_call_no(&mut tx, 1).await?;
        let message = message(&by, body.id, &member, &channel, call_no, &Said::Code(&code))?;
        outbox::insert(&mut tx, &[message], &[], by.now).await?;
        channel::code_sent(&mut tx, &by, &channel).await?;
        Answer::created(&TestSent { id: body.id, call_no })
    })?;
    app.wake.all();
    Ok(answer)
}

/// Verify a channel by the code that was sent over it.
#[utoipa::path(post, path = "/api/v1/members/{id}/channels/{channel}/verify", tag = "members",
    params(("id" = Uuid, Path), ("channel" = Uuid, Path)), request_body = Typed,
    responses((status = 200, body = Channel), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn verify(
    State(app): State<App>,
    caller: Caller,
    Segments((member_id, channel_id)): Segments<(Uuid, Uuid)>,
    StrictJson(body, _): StrictJson<Typed>,
) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    let (by, seal) = (by(&caller, &app), app.seal.clone());
    let verified = app
        .write(move |mut tx| async move {
            let (_, channel) = channel_of(&mut tx, by.site_id, member_id, channel_id).await?;
            // A repeat of what has been done already.
            if channel.verified_at.is_some() {
                return Ok((tx, Ok(channel)));
            }
            if let Err(refusal) = channel_code::check(&mut tx, &by, &seal, channel_id, &body.code.0).await? {
                return Ok((tx, Err(refusal)));
            }
            let channel = channel::confirm(&mut tx, &by, &channel).await?;
            Ok((tx, Ok(channel)))
        })
        .await?;
    app.wake.all();
    let channel = verified?;
    Ok(Answer::ok(&channel).version(channel.version))
}
