//! What WeCom and the official account share: the code in every answer, the token in every address.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::http::Reply;
use super::token::Token;
use crate::domain::message::retry::{Outcome, OutcomeClass};

/// Every answer, whatever its status says.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub errcode: i64,
    #[serde(default)]
    pub msgid: serde_json::Value,
    /// Recipients that WeCom does not know, in one text.
    #[serde(default)]
    pub invaliduser: String,
}

impl Answer {
    /// The number of the message, which one of them writes as text and the other as number.
    pub fn number(&self) -> Option<String> {
        match &self.msgid {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// The token is dead: a fresh one, and once more.
pub const fn is_dead_token(errcode: i64) -> bool {
    matches!(errcode, 40001 | 40014 | 42001)
}

/// The codes that mean the same on both. `None`: the caller's own.
pub fn shared(errcode: i64) -> Option<OutcomeClass> {
    Some(match errcode {
        -1 => OutcomeClass::SafeRetry,
        // Key, account or address refused; a token that is dead a second time is a wrong key.
        40001 | 40013 | 40014 | 40056 | 40125 | 40164 | 42001 | 48001 | 60020 => OutcomeClass::Config,
        // Recipient unknown, not following, refused; text too long or wrong.
        40003 | 40008 | 40037 | 40058 | 43004 | 43101 | 44004 | 47003 | 81013 => OutcomeClass::Permanent,
        _ => return None,
    })
}

/// The token in an answer that grants one.
///
/// # Errors
/// The account is refused, or the answer is none.
pub fn token(reply: &Reply, now: DateTime<Utc>) -> Result<Token, Outcome> {
    #[derive(Deserialize)]
    struct Granted {
        #[serde(default)]
        errcode: i64,
        #[serde(default)]
        access_token: String,
        #[serde(default)]
        expires_in: i64,
    }
    let Some(granted) = reply.json::<Granted>().filter(|_| reply.status == 200) else {
        // Nothing was sent, so nothing can have arrived.
        return Err(Outcome { class: OutcomeClass::SafeRetry, ..reply.unclear() });
    };
    match granted.errcode {
        0 if !granted.access_token.is_empty() => {
            Ok(Token { text: granted.access_token, expires_at: now + TimeDelta::seconds(granted.expires_in) })
        }
        -1 | 0 => Err(Outcome::new(OutcomeClass::SafeRetry, format!("token errcode {}", granted.errcode))),
        45009 => Err(Outcome::account_throttled(Some(TimeDelta::seconds(60)), "token errcode 45009")),
        other => Err(Outcome::new(OutcomeClass::Config, format!("token errcode {other}"))),
    }
}

/// The first characters that fit, and an ellipsis where something was cut.
pub fn cut_bytes(text: &str, bytes_max: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub(ELLIPSIS.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ELLIPSIS}", &text[..end])
}
