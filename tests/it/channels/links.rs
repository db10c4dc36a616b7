//! The ways in which a link breaks, and what each says about the message: the same for every provider that speaks HTTP.

use chenlian::domain::message::retry::OutcomeClass;
use serde_json::json;

use super::fake::{Answer, Break, Play};

/// One request, played so, ends so.
pub fn broken() -> Vec<(Play, OutcomeClass)> {
    use OutcomeClass::{Ambiguous, Permanent, SafeRetry, Throttled};
    vec![
        (Play::Before(Break::Reset), Ambiguous),
        (Play::After(Break::Reset), Ambiguous),
        (Play::Before(Break::Hang), Ambiguous),
        (Play::After(Break::Hang), Ambiguous),
        (Play::After(Break::Cut), Ambiguous),
        (Play::After(Break::Slow), Ambiguous),
        (Play::After(Break::Huge), Ambiguous),
        (Play::After(Break::Html), Ambiguous),
        (Play::After(Break::Status(500)), Ambiguous),
        (Play::After(Break::Status(502)), Ambiguous),
        (Play::Before(Break::Status(503)), SafeRetry),
        (Play::Before(Break::Status(404)), Permanent),
        (Play::Before(Break::Redirect), Permanent),
        (Play::Answer(Answer::later(429, 7)), Throttled),
        (Play::Answer(Answer::later(503, 7)), Throttled),
        (Play::Answer(Answer::text(200, "")), Ambiguous),
        (Play::Answer(Answer::json(200, &json!({}))), Ambiguous),
        (Play::Answer(Answer::json(200, &json!({"errmsg": "ok", "msg": "ok", "StatusCode": 0}))), Ambiguous),
        (Play::Answer(Answer::json(502, &json!({"errcode": 0, "code": 0}))), Ambiguous),
    ]
}

/// What loses an answer after the message was accepted.
pub const LOST: [Break; 5] = [Break::Reset, Break::Hang, Break::Cut, Break::Html, Break::Status(504)];
