//! What became of a message, fact by fact, as the timeline of its alert tells it to people: no codes, one sentence each.

use chrono::{DateTime, Utc};

use super::Channel;
use super::receipt::ReceiptState;
use super::retry::OutcomeClass;
use crate::words;

words! {
    /// One thing that is known.
    pub enum Fact {
        /// Accepted by the provider, which has not reported yet; of a call that somebody is being rung.
        Waiting = "waiting", Ringing = "ringing",
        Delivered = "delivered", Heard = "heard", Unanswered = "unanswered",
        /// The number does not exist, is suspended or mistyped.
        DeadNumber = "dead_number",
        /// Reported as not received.
        Undelivered = "undelivered",
        /// It did not leave, and is tried again.
        Retrying = "retrying",
        /// It may have left, and is sent again.
        Uncertain = "uncertain",
        /// Too much for the receiver: it waits.
        Held = "held",
        /// It will not leave this way.
        Failed = "failed",
        /// On a screen of hers, beside the rest.
        Shown = "shown",
        /// There is no way to tell this person anything.
        NoChannel = "no_channel"
    }
}

/// One message about an alert to one person, with all that is known of it, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey {
    pub channel: Channel,
    /// It has ended, and did not reach the person.
    pub is_failed: bool,
    pub attempts: Vec<(DateTime<Utc>, OutcomeClass, String)>,
    pub reports: Vec<(DateTime<Utc>, ReceiptState, String)>,
    /// The way by which the same person was told after it.
    pub next: Option<Channel>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When it was last so.
    pub at: DateTime<Utc>,
    pub fact: Fact,
    /// How often in a row.
    pub times: usize,
    /// What was tried instead.
    pub next: Option<Channel>,
}

/// The providers' codes for a number that nobody can be reached under: Aliyun's for calls and texts, Tencent's.
const DEAD_NUMBERS: [&str; 5] =
    ["200004", "200011", "MOBILE_NOT_ON_SERVICE", "isv.MOBILE_NUMBER_ILLEGAL", "InvalidParameterValue.IncorrectPhoneNumber"];

/// The facts of one message, in the order of their times.
pub fn told(journey: &Journey) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let mut accepted = 0;
    for (at, class, code) in &journey.attempts {
        let fact = if *class == OutcomeClass::Sent {
            accepted += 1;
            // What a report says of it says that it was sent.
            (journey.reports.len() < accepted).then(|| accepted_by(journey.channel))
        } else {
            refused_by(journey.channel, *class, code)
        };
        let Some(fact) = fact else { continue };
        match told.last_mut().filter(|last| last.fact == fact) {
            Some(last) => (last.at, last.times) = (*at, last.times + 1),
            None => told.push(Told { at: *at, fact, times: 1, next: None }),
        }
    }
    told.extend(journey.reports.iter().map(|(at, state, code)| Told { at: *at, fact: reported(*state, code), times: 1, next: None }));
    told.sort_by_key(|one| one.at);
    if let Some(last) = told.last_mut().filter(|_| journey.is_failed) {
        last.next = journey.next;
        if matches!(last.fact, Fact::Retrying | Fact::Uncertain | Fact::Held) {
            last.fact = Fact::Failed;
        }
    }
    told
}

const fn accepted_by(channel: Channel) -> Fact {
    match channel {
        _ if channel.is_beside() => Fact::Shown,
        _ if channel.rings() => Fact::Ringing,
        _ => Fact::Waiting,
    }
}

/// `None`: a pop-up that did not appear is nobody's trouble.
fn refused_by(channel: Channel, class: OutcomeClass, code: &str) -> Option<Fact> {
    use OutcomeClass::{Ambiguous, Broken, Config, Gone, Permanent, SafeRetry, Sent, Throttled};
    if channel.is_beside() {
        return None;
    }
    Some(match class {
        SafeRetry => Fact::Retrying,
        Ambiguous | Sent => Fact::Uncertain,
        Throttled => Fact::Held,
        Permanent | Gone | Config | Broken if names_dead_number(code) => Fact::DeadNumber,
        Permanent | Gone | Config | Broken => Fact::Failed,
    })
}

fn reported(state: ReceiptState, code: &str) -> Fact {
    match state {
        ReceiptState::Delivered => Fact::Delivered,
        ReceiptState::Heard => Fact::Heard,
        ReceiptState::Unanswered => Fact::Unanswered,
        ReceiptState::Failed if names_dead_number(code) => Fact::DeadNumber,
        ReceiptState::Failed => Fact::Undelivered,
    }
}

/// A code stands by itself, or among the words that the channel kept beside it.
fn names_dead_number(code: &str) -> bool {
    code.split([' ', ':', ',']).any(|word| DEAD_NUMBERS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minute * 60, 0).unwrap()
    }

    /// `(minute, fact, times, next)` of a message with these attempts and reports; it has failed if there is a next one.
    fn check(
        channel: Channel,
        attempts: &[(i64, OutcomeClass, &str)],
        reports: &[(i64, ReceiptState, &str)],
        next: Option<Channel>,
        expected: &[(i64, Fact, usize, Option<Channel>)],
    ) {
        let attempts = attempts.iter().map(|(minute, class, code)| (at(*minute), *class, (*code).to_owned())).collect();
        let reports = reports.iter().map(|(minute, state, code)| (at(*minute), *state, (*code).to_owned())).collect();
        let journey = Journey { channel, is_failed: next.is_some(), attempts, reports, next };
        let expected: Vec<Told> =
            expected.iter().map(|(minute, fact, times, next)| Told { at: at(*minute), fact: *fact, times: *times, next: *next }).collect();
        assert_eq!(told(&journey), expected, "{journey:?}");
    }

    #[test]
    fn each_attempt_and_each_report_is_one_fact_and_a_report_says_that_it_was_sent() {
        use Channel::{AliyunSms, AliyunVoice, WebPush, WecomApp};
        use OutcomeClass::{Ambiguous, Config, Permanent, SafeRetry, Sent, Throttled};
        use ReceiptState::{Delivered, Failed, Heard, Unanswered};
        check(WecomApp, &[(0, Sent, "accepted")], &[], None, &[(0, Fact::Waiting, 1, None)]);
        check(AliyunSms, &[(0, Sent, "accepted")], &[(1, Delivered, "DELIVERED")], None, &[(1, Fact::Delivered, 1, None)]);
        check(
            AliyunSms,
            &[(0, Sent, "accepted")],
            &[(1, Failed, "MOBILE_NOT_ON_SERVICE")],
            Some(AliyunVoice),
            &[(1, Fact::DeadNumber, 1, Some(AliyunVoice))],
        );
        check(
            AliyunVoice,
            &[(0, Sent, "accepted"), (2, Sent, "accepted")],
            &[(1, Unanswered, "200003")],
            None,
            &[(1, Fact::Unanswered, 1, None), (2, Fact::Ringing, 1, None)],
        );
        check(AliyunVoice, &[(0, Sent, "accepted")], &[(1, Heard, "200000")], None, &[(1, Fact::Heard, 1, None)]);
        // Tries of one kind are one fact; the last one says that it is over, and what came next.
        check(
            WecomApp,
            &[(0, SafeRetry, "no connection"), (1, SafeRetry, "no connection"), (3, Sent, "accepted")],
            &[],
            None,
            &[(1, Fact::Retrying, 2, None), (3, Fact::Waiting, 1, None)],
        );
        check(
            WecomApp,
            &[(0, Throttled, "45009"), (1, Ambiguous, "timeout"), (2, Ambiguous, "timeout")],
            &[],
            Some(AliyunSms),
            &[(0, Fact::Held, 1, None), (2, Fact::Failed, 2, Some(AliyunSms))],
        );
        check(WecomApp, &[(0, Config, "40001")], &[], Some(AliyunSms), &[(0, Fact::Failed, 1, Some(AliyunSms))]);
        check(AliyunSms, &[(0, Permanent, "isv.MOBILE_NUMBER_ILLEGAL")], &[], None, &[(0, Fact::DeadNumber, 1, None)]);
        // A report that came before the answer; a pop-up that nobody misses.
        check(AliyunSms, &[(1, Sent, "accepted")], &[(0, Delivered, "DELIVERED")], None, &[(0, Fact::Delivered, 1, None)]);
        check(WebPush, &[(0, SafeRetry, "no connection"), (1, Sent, "accepted")], &[], None, &[(1, Fact::Shown, 1, None)]);
        check(WebPush, &[(0, Permanent, "status 400")], &[], None, &[]);
    }
}
