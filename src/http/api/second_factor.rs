//! One's own second factor: begun with the password, in force once the phone's first code was typed.

use axum::extract::State;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::by;
use super::sessions::{own_account, record_failure};
use crate::domain::refusal::Refusal;
use crate::domain::second_factor::{self, RECOVERY_CODES, SECRET_BYTES};
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::envelope::Peer;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictJson;
use crate::http::value::Text;
use crate::http::{HttpState, qr};
use crate::store::{second_factor as stored, session};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(confirm))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Beginning {
    #[garde(length(chars, max = 128))]
    password: String,
}

/// What the phone must know; it is shown here and nowhere else.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Secret {
    /// To be typed by hand.
    secret: String,
    /// `otpauth://…`, as the picture says it.
    address: String,
    /// The address as a picture: the address of an image.
    qr: Option<String>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct FirstCode {
    code: Text<32>,
}

/// Codes to print and keep, each good for one sign-in without the phone.
#[derive(Serialize, ToSchema)]
struct Recovery {
    codes: Vec<String>,
}

/// Begin a second factor of one's own: a phone makes a code, which is asked at each sign-in from then on.
#[utoipa::path(post, path = "/api/v1/second-factor", tag = "sessions", request_body = Beginning,
    responses((status = 201, body = Secret), (status = 401, body = Problem), (status = 409, body = Problem)))]
async fn begin(
    State(state): State<HttpState>,
    caller: Caller,
    Peer(peer): Peer,
    StrictJson(body, _): StrictJson<Beginning>,
) -> Result<Answer, HttpError> {
    own_account(&state, &caller, peer, &body.password).await?;
    let (by, secret, seal) = (by(&caller, &state.app), rand::random::<[u8; SECRET_BYTES]>(), state.app.seal.clone());
    let member_id = caller.member_id;
    let (is_begun, phone) = state
        .app
        .write(move |mut tx| async move {
            let is_begun = stored::begin(&mut tx, &by, &seal, member_id, &secret).await?;
            let phone = session::account(&mut tx, by.site_id, member_id).await?.map(|(_, phone)| phone).unwrap_or_default();
            Ok((tx, (is_begun, phone)))
        })
        .await?;
    if !is_begun {
        return Err(Refusal::conflict("office.has_second_factor").into());
    }
    let address = second_factor::address(&secret, &phone);
    Ok(Answer::created(&Secret { secret: second_factor::written(&secret), qr: qr::address(&address), address }))
}

/// Type the first code: the second factor is in force, and the recovery codes are shown once.
#[utoipa::path(post, path = "/api/v1/second-factor/confirm", tag = "sessions", request_body = FirstCode,
    responses((status = 201, body = Recovery), (status = 401, body = Problem)))]
async fn confirm(
    State(state): State<HttpState>,
    caller: Caller,
    Peer(peer): Peer,
    StrictJson(body, _): StrictJson<FirstCode>,
) -> Result<Answer, HttpError> {
    let app = &state.app;
    state.throttle.turn(&caller.member_id.to_string(), peer).await?;
    let (by, seal, member_id, session_id) = (by(&caller, app), app.seal.clone(), caller.member_id, caller.session_id);
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let kept = codes.clone();
    let is_right = app
        .write(move |mut tx| async move {
            if !stored::take(&mut tx, &by, &seal, member_id, &body.code.0, false).await? {
                return Ok((tx, false));
            }
            stored::set_recovery(&mut tx, &by, &seal, member_id, &kept).await?;
            session::confirm(&mut tx, by.site_id, session_id, by.now, true).await?;
            Ok((tx, true))
        })
        .await?;
    if !is_right {
        let account = session::Account { site_id: caller.site_id, member_id, password_hash: None };
        record_failure(app, Some(account)).await?;
        return Err(HttpError::WrongCode);
    }
    Ok(Answer::created(&Recovery { codes }))
}

/// Letters and digits that nobody mistakes for each other, as two groups of five.
fn recovery_code() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let random = rand::random::<[u8; 10]>();
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    let (one, two) = random.split_at(5);
    format!("{}-{}", one.iter().map(letter).collect::<String>(), two.iter().map(letter).collect::<String>())
}
