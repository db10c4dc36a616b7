//! 阿里云语音: a telephone rings and reads an approved template aloud. What wakes people when a text did not.
//!
//! Wire (signature and error codes: `aliyun`): `SingleCallByTts` at `dyvmsapi.aliyuncs.com` with `CalledNumber` (one
//! number), `TtsCode` (TTS_…), `TtsParam` (JSON, every value a string, under 250 characters, no web address), `PlayTimes` (1 to 3), `OutId`
//! (1 to 15 bytes, so the short id), and `CalledShowNumber` only for an account with numbers of its own; without it the provider calls
//! from its shared numbers. Answer: `{"Code":"OK","CallId":…}`, which means that the call is placed and not that anybody heard it: the
//! receipt says that.
//!
//! Templates use the variables `${place}` and `${count}` (an account with shared numbers may have two), that of the code only `${code}`;
//! those for contacts have none.
//!
//! Limits: 1 call a minute, 5 an hour and 20 in 24 hours to one number, failed ones included. There is no idempotency and no list to ask
//! by our number: after an unknown outcome the call is placed once more, signed anew. If the limit of the minute refuses it, the first
//! one was placed.
//!
//! Sources: the vendor's pages on the action, on limits, on voice templates and on error codes.

use std::time::Duration;

use super::Outgoing;
use super::aliyun::{Gateway, Stamp};
use super::aliyun_sms::{number, parameters};
use crate::config;
use crate::domain::message::brief::Brief;
use crate::domain::message::retry::{Outcome, OutcomeClass};

#[derive(Debug, Clone)]
pub struct AliyunVoice {
    gateway: Gateway,
    settings: config::AliyunVoice,
}

impl AliyunVoice {
    pub fn new(settings: &config::AliyunVoice, attempt_timeout: Duration) -> Result<Self, reqwest::Error> {
        let gateway = Gateway::new(&settings.base_url, &settings.access_key_id, &settings.access_key_secret, attempt_timeout)?;
        Ok(Self { gateway, settings: settings.clone() })
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let Ok(brief) = serde_json::from_slice::<Brief>(&outgoing.body) else {
            return Outcome::new(OutcomeClass::Broken, "unreadable message");
        };
        let Some(number) = number(&outgoing.address) else {
            return Outcome::new(OutcomeClass::Permanent, "no telephone number");
        };
        let spoken: Vec<_> = brief.values().into_iter().filter(|(name, _)| !["called", "link"].contains(name)).collect();
        let (spoken, times, out_id) = (parameters(&spoken), self.settings.play_times.to_string(), outgoing.short_id());
        let mut parameters = vec![
            ("CalledNumber", number.as_str()),
            ("TtsCode", self.settings.templates.of(brief.template)),
            ("TtsParam", &spoken),
            ("PlayTimes", &times),
            ("OutId", &out_id),
        ];
        if !self.settings.shown_number.is_empty() {
            parameters.push(("CalledShowNumber", &self.settings.shown_number));
        }
        // Signed anew each time: a repeat under the old nonce would be refused and nobody would be called.
        let stamp = Stamp::new(&outgoing.dedupe_key, outgoing.at);
        match self.gateway.ask("SingleCallByTts", &parameters, &stamp, outgoing.at).await {
            Ok(answer) if outgoing.repeated && answer.is_limit_of_the_minute() => Outcome::sent(None),
            Ok(answer) => answer.outcome(),
            Err(outcome) => outcome,
        }
    }
}
