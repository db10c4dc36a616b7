//! A test message over one channel of a member: before anybody is told that it works, and as often as somebody doubts it. It takes
//! the way of every other message, so that what arrives proves the way.

use axum::extract::State;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::channels::require;
use crate::app::App;
use crate::domain::message::{Composed, priority};
use crate::domain::notice::{NoticeClass, RecipientKind, arguments};
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, by};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::jobs::deliver::draft::Draft;
use crate::notify::Saying;
use crate::notify::compose::Letter;
use crate::store::outbox::{self, NewMessage, Route};
use crate::store::register::By;
use crate::store::register::channel::{self, Channel};
use crate::store::register::member::{self, Member};
use crate::store::{self, Tx};
use crate::text;

/// What goes over one channel by itself, beside every notice.
pub(super) enum Said<'a> {
    /// A drill: nobody needs to do anything.
    Test,
    /// The code that verifies the address.
    Code(&'a str),
}

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(test))
}

#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(super) struct NewTest {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub(super) id: Uuid,
}

/// A message on its way; the delivery log says what becomes of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestSent {
    pub(super) id: Uuid,
    /// Stands in the delivery log.
    pub(super) call_no: i64,
}

/// Send a test message, marked as a drill, over one channel, also over one that nobody has verified yet. Whether it has arrived
/// only the member can say: `PATCH …/channels/{channel}` with `{"verified":true}`.
#[utoipa::path(post, path = "/api/v1/members/{id}/channels/{channel}/test", tag = "members",
    params(("id" = Uuid, Path), ("channel" = Uuid, Path)), request_body = NewTest,
    responses((status = 201, body = TestSent), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Segments((member_id, channel_id)): Segments<(Uuid, Uuid)>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewTest>,
) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    let answer = made_once!(app, once, by, |tx| (), {
        let channel = channel::of_member(&mut tx, by.site_id, member_id, channel_id).await?;
        Answer::created(&sent_test(&mut tx, &by, body.id, member_id, &channel).await?)
    })?;
    app.wake.all();
    Ok(answer)
}

/// Puts a test message under this id on its way.
pub async fn sent_test(tx: &mut Tx, by: &By, id: Uuid, member_id: Uuid, channel: &Channel) -> store::Result<TestSent> {
    let member = member::get(tx, by.site_id, member_id).await?;
    let call_no = outbox::next_call_no(tx, 1).await?;
    let message = message(by, id, &member, channel, call_no, &Said::Test)?;
    outbox::insert(tx, &[message], &[], by.now).await?;
    channel::tested(tx, by, channel).await?;
    Ok(TestSent { id, call_no })
}

pub(super) async fn channel_of(tx: &mut Tx, site_id: Uuid, member_id: Uuid, channel_id: Uuid) -> store::Result<(Member, Channel)> {
    let member = member::get(tx, site_id, member_id).await?;
    Ok((member, channel::of_member(tx, site_id, member_id, channel_id).await?))
}

/// The final bytes, in the member's language.
///
/// # Errors
/// A channel that is switched off, or of a kind that this version does not know.
pub(super) fn message(by: &By, id: Uuid, member: &Member, channel: &Channel, call_no: i64, said: &Said<'_>) -> Result<NewMessage, Refusal> {
    let word = channel.channel.parse().ok().filter(|_| channel.disabled_at.is_none());
    let word = word.ok_or_else(|| Refusal::conflict("channel.switched_off"))?;
    let locale = text::locale(&member.locale);
    let (key, code) = match said {
        Said::Test => ("notice.channel_test", None),
        Said::Code(code) => ("notice.channel_code", Some(*code)),
    };
    let arguments = arguments(code.map(|code| ("code", code)));
    let composed = Composed::one(key, arguments);
    let route = Route { id: Some(channel.id), channel: word, address: channel.address.clone(), rank: 1 };
    let draft = Draft {
        site_id: by.site_id,
        recipient_kind: RecipientKind::Member,
        saying: Saying {
            message_id: id,
            call_no,
            recipient_id: member.id,
            letter: Letter { called: &member.called, locale, drill: code.is_none(), link: None },
            class: NoticeClass::Report,
            composed: &composed,
            alerts: &[],
            code,
        },
        route: &route,
        priority: priority(NoticeClass::Report, key),
        claim_hash: None,
        after_doubt: false,
        notices: Vec::new(),
    };
    Ok(draft.seal(by.now))
}
