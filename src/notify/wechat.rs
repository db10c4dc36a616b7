//! What WeCom and the official account share: the token in every address, the code in every answer.
//!
//! An answer is `{"errcode":0,"errmsg":"ok",…}` with HTTP 200 whatever happened: only a zero is acceptance, and every other code says
//! that nothing was accepted. A token is granted as `{"access_token":"…","expires_in":7200}`, at times with a zero beside it. The provider
//! may end a token early; 40001, 40014 and 42001 say so, and 40001 also that the account's key is wrong: a token that is dead a second
//! time means that. Fetching is limited, too (45009), and refused to unknown addresses (60020, 40164).

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::RequestBuilder;
use serde::Deserialize;

use super::http::exchange;
use super::token::{Token, TokenCache};
use crate::domain::message::retry::{Outcome, OutcomeClass};

/// Of an attempt: whoever waits for the token still wants to send.
const TOKEN_SECONDS_MAX: u64 = 4;
/// A limit that is counted by the minute, and one by the hour.
const OF_THE_MINUTE: TimeDelta = TimeDelta::seconds(60);
const OF_THE_HOUR: TimeDelta = TimeDelta::seconds(3_600);
/// What the text of 45009 says of the hour, in English or in Chinese.
const HOUR: [&str; 2] = ["hour", "\u{5c0f}\u{65f6}"];

/// How long 45009 lasts, by its text; where that does not say, it is asked again after a minute.
pub fn limit(errmsg: &str) -> TimeDelta {
    let said = errmsg.to_lowercase();
    if HOUR.iter().any(|word| said.contains(word)) { OF_THE_HOUR } else { OF_THE_MINUTE }
}

/// What no token lives longer than, whatever is granted.
const LIFE_SECONDS_MAX: u32 = 86_400;

/// Every answer, whatever its status says.
#[derive(Debug, Default, Deserialize)]
pub struct Answer {
    pub errcode: i64,
    #[serde(default)]
    pub errmsg: String,
    #[serde(default)]
    pub msgid: serde_json::Value,
    /// Recipients that WeCom does not know, in one text.
    #[serde(default)]
    pub invaliduser: String,
    /// Recipients without a licence for messages of applications.
    #[serde(default)]
    pub unlicenseduser: String,
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
const fn is_dead_token(errcode: i64) -> bool {
    matches!(errcode, 40001 | 40014 | 42001)
}

/// The codes that mean the same on both. What is not known was not accepted either, and another channel is faster than a riddle.
pub const fn class(errcode: i64) -> OutcomeClass {
    match errcode {
        -1 => OutcomeClass::SafeRetry,
        // Key, account or address refused; a token that is dead a second time is a wrong key.
        40001 | 40013 | 40014 | 40056 | 40125 | 40164 | 42001 | 48001 | 60020 => OutcomeClass::Config,
        // Recipient unknown (40003, 81013), not following (43004), refused (43101); template unknown (40037) or its values wrong (47003);
        // text too long or empty (40058, 44004), or of a wrong kind (40008).
        _ => OutcomeClass::Permanent,
    }
}

/// Posts JSON under the account's token, and once more under a fresh one if that was dead. The token stands in the address, so the repeat
/// is the same JSON (I12).
///
/// # Errors
/// How the attempt ended without an answer of the provider.
pub async fn post<Fut>(
    request: impl Fn() -> RequestBuilder,
    json: &str,
    tokens: &TokenCache,
    fetch: impl Fn() -> Fut,
    now: DateTime<Utc>,
) -> Result<Answer, Outcome>
where
    Fut: Future<Output = Result<Token, Outcome>>,
{
    let mut dead = None;
    loop {
        let token = tokens.get(dead.as_ref(), now, &fetch).await?;
        let request = request().query(&[("access_token", token.expose())]);
        let reply = exchange(request.header("content-type", "application/json").body(json.to_owned()), now).await?;
        let Some(answer) = reply.json::<Answer>().filter(|_| reply.status == 200) else { return Err(reply.unclear()) };
        if dead.is_some() || !is_dead_token(answer.errcode) {
            return Ok(answer);
        }
        dead = Some(token);
    }
}

/// Asks for a token.
///
/// # Errors
/// The account is refused, or no token came; no message has left then, whatever happened to this request.
pub async fn grant(request: RequestBuilder, now: DateTime<Utc>) -> Result<Token, Outcome> {
    let reply = exchange(request.timeout(Duration::from_secs(TOKEN_SECONDS_MAX)), now).await.map_err(not_sent)?;
    let granted: Option<Granted> = reply.json().filter(|_| reply.status == 200);
    granted.ok_or_else(|| not_sent(reply.unclear()))?.token(now)
}

fn not_sent(outcome: Outcome) -> Outcome {
    let class = if outcome.class == OutcomeClass::Throttled { OutcomeClass::Throttled } else { OutcomeClass::SafeRetry };
    Outcome { class, whole_account: true, detail: format!("token: {}", outcome.detail), ..outcome }
}

#[derive(Deserialize)]
struct Granted {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: u32,
}

impl Granted {
    fn token(self, now: DateTime<Utc>) -> Result<Token, Outcome> {
        let detail = format!("token: errcode {}", self.errcode);
        match self.errcode {
            0 if !self.access_token.is_empty() => {
                let lives = TimeDelta::seconds(i64::from(self.expires_in.min(LIFE_SECONDS_MAX)));
                Ok(Token::new(self.access_token, lives, now))
            }
            -1 | 0 => Err(Outcome::new(OutcomeClass::SafeRetry, detail)),
            45009 => Err(Outcome::account_throttled(Some(limit(&self.errmsg)), detail)),
            // Whatever else is wrong is wrong with the account: there is no message in this request.
            _ => Err(Outcome::new(OutcomeClass::Config, detail)),
        }
    }
}
