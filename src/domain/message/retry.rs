//! What becomes of a message after an attempt (I11, I12): an unknown outcome is repeated under the same key, because for a
//! missed check a duplicate is cheaper than silence; a channel that gives up hands over to the person's next one.

use chrono::{DateTime, TimeDelta, Utc};

use super::elsewhere::Elsewhere;
use crate::words;

words! {
    /// How an attempt ended, as far as the outbox asks.
    pub enum OutcomeClass {
        /// The receiver says that it has it.
        Sent = "sent",
        /// Certainly not accepted: refused connection, name not found, busy.
        SafeRetry = "safe_retry",
        /// Certainly not accepted, and the whole endpoint asks for a pause.
        Throttled = "throttled",
        /// May have been accepted: the link broke after the request was written.
        Ambiguous = "ambiguous",
        /// This message will never be accepted there.
        Permanent = "permanent",
        /// This address will never accept anything: it is switched off.
        Gone = "gone",
        /// The account or its settings are refused: nothing at all will leave by this channel until somebody has seen to it.
        Config = "config",
        /// The stored message cannot be used (I28).
        Broken = "broken"
    }
}

/// One attempt. `detail` is for the delivery log: a status or a word, never text of the message or of the answer (I34).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub class: OutcomeClass,
    /// The pause that the receiver asked for.
    pub wait: Option<TimeDelta>,
    /// The pause holds for the whole account and not for this address alone.
    pub whole_account: bool,
    /// The provider's number of what it accepted: receipts name it.
    pub provider_id: Option<String>,
    pub detail: String,
}

impl Outcome {
    pub fn new(class: OutcomeClass, detail: impl Into<String>) -> Self {
        Self { class, wait: None, whole_account: false, provider_id: None, detail: detail.into() }
    }

    /// Accepted, under the provider's number if it gives one.
    pub fn sent(provider_id: Option<String>) -> Self {
        Self { provider_id, ..Self::new(OutcomeClass::Sent, "accepted") }
    }

    /// This address is to be left alone for a while.
    pub fn throttled(wait: Option<TimeDelta>, detail: impl Into<String>) -> Self {
        Self { wait, ..Self::new(OutcomeClass::Throttled, detail) }
    }

    /// The whole account is to be left alone for a while.
    pub fn account_throttled(wait: Option<TimeDelta>, detail: impl Into<String>) -> Self {
        Self { whole_account: true, ..Self::throttled(wait, detail) }
    }
}

/// What a refusal of our key or clock says. It stops the whole channel; but where each address was promised to one key (`bound`, RFC 8292)
/// and others have lately taken messages with the key of now, this address was made with an older one: it alone is gone.
pub fn refusal(class: OutcomeClass, bound: bool, others_work: bool) -> OutcomeClass {
    if class == OutcomeClass::Config && bound && others_work { OutcomeClass::Gone } else { class }
}

/// Limits of `outbox.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRules {
    pub first: TimeDelta,
    pub max: TimeDelta,
    pub attempts_max: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    Sent,
    RetryAt(DateTime<Utc>),
    /// The receiver asked for a pause and the person has no other channel: it is sent then, and other people are asked now.
    HeldUp(DateTime<Utc>),
    /// This channel gave up; the person has another one.
    NextChannel,
    /// All have been tried, and an earlier one had only asked for a pause: it is asked again then, and other people now.
    BackAt(DateTime<Utc>),
    /// This channel gave up, and every other one has.
    Failed,
}

/// A throttled endpoint that names no time.
const THROTTLED_SECONDS: i64 = 30;
/// The longest pause that is believed: a message must not wait for a mistyped year.
const PAUSE_MAX: TimeDelta = TimeDelta::hours(1);
/// Over a limit nothing is dropped: it waits through this many pauses before it fails.
pub const PAUSES_MAX: i64 = 24;

/// Decides after the `attempts`-th attempt. `jitter` lies in 0..1 and spreads retries by ±20 %.
pub fn after_attempt(
    outcome: &Outcome,
    attempts: i64,
    elsewhere: Elsewhere,
    rules: &RetryRules,
    jitter: f64,
    now: DateTime<Utc>,
) -> Settle {
    match outcome.class {
        OutcomeClass::Sent => Settle::Sent,
        OutcomeClass::Permanent | OutcomeClass::Gone | OutcomeClass::Config | OutcomeClass::Broken => leave(elsewhere),
        OutcomeClass::Throttled if elsewhere == Elsewhere::Untried || attempts >= rules.attempts_max.max(PAUSES_MAX) => leave(elsewhere),
        OutcomeClass::Throttled => {
            let own = now + pause(outcome);
            if matches!(elsewhere, Elsewhere::Paused(at) if at < own) { leave(elsewhere) } else { Settle::HeldUp(own) }
        }
        _ if attempts >= rules.attempts_max => leave(elsewhere),
        OutcomeClass::SafeRetry | OutcomeClass::Ambiguous => Settle::RetryAt(now + back_off(attempts, rules, jitter)),
    }
}

const fn leave(elsewhere: Elsewhere) -> Settle {
    match elsewhere {
        Elsewhere::Untried => Settle::NextChannel,
        Elsewhere::Paused(at) => Settle::BackAt(at),
        Elsewhere::Nowhere => Settle::Failed,
    }
}

/// So many attempts over one provider, one after the other, that all came to nothing.
pub const AWAY_AFTER: usize = 5;

/// Whether a provider is away, and not one of its addresses: by how the last attempts over it ended, newest first, whoever they were
/// for. Each that hangs holds a place for as long as an attempt may last, so that in a crowd the last would wait for longer than the
/// ladder does.
pub fn is_away(last: &[OutcomeClass]) -> bool {
    let came_to_nothing = |class: &OutcomeClass| matches!(class, OutcomeClass::SafeRetry | OutcomeClass::Ambiguous);
    last.len() >= AWAY_AFTER && last.iter().take(AWAY_AFTER).all(came_to_nothing)
}

/// How long the receiver of a throttled message is left alone.
pub fn pause(outcome: &Outcome) -> TimeDelta {
    outcome.wait.unwrap_or(TimeDelta::seconds(THROTTLED_SECONDS)).clamp(TimeDelta::seconds(1), PAUSE_MAX)
}

/// The first pause doubles with every attempt up to the limit.
fn back_off(attempts: i64, rules: &RetryRules, jitter: f64) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 30) - 1).unwrap_or(0);
    let pause = rules.first.checked_mul(1 << doublings.min(20)).unwrap_or(rules.max).min(rules.max);
    let permille = 800 + spread_permille(jitter);
    pause * permille / 1000
}

#[expect(clippy::cast_possible_truncation, reason = "the value is clamped to 0..400 first")]
fn spread_permille(jitter: f64) -> i32 {
    (jitter.clamp(0.0, 1.0) * 400.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: RetryRules = RetryRules { first: TimeDelta::seconds(5), max: TimeDelta::minutes(5), attempts_max: 4 };

    fn check(class: OutcomeClass, wait: Option<i64>, attempts: i64, elsewhere: Elsewhere, expected: Settle) {
        let outcome = Outcome { wait: wait.map(TimeDelta::seconds), ..Outcome::new(class, "") };
        let settled = after_attempt(&outcome, attempts, elsewhere, &RULES, 0.5, at(0));
        assert_eq!(settled, expected, "{class} after {attempts} attempts, wait {wait:?}, {elsewhere:?}");
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn an_attempt_is_repeated_later_and_later_until_the_channel_gives_up() {
        use Elsewhere::{Nowhere, Untried};
        use OutcomeClass::{Ambiguous, Broken, Config, Permanent, SafeRetry, Sent, Throttled};
        check(Sent, None, 1, Nowhere, Settle::Sent);
        check(SafeRetry, None, 1, Untried, Settle::RetryAt(at(5)));
        check(Ambiguous, None, 2, Untried, Settle::RetryAt(at(10)));
        check(Ambiguous, None, 3, Untried, Settle::RetryAt(at(20)));
        check(Ambiguous, None, 4, Untried, Settle::NextChannel);
        check(Ambiguous, None, 4, Nowhere, Settle::Failed);
        check(Throttled, Some(60), 1, Untried, Settle::NextChannel);
        check(Throttled, None, 1, Nowhere, Settle::HeldUp(at(30)));
        check(Throttled, Some(900), 1, Nowhere, Settle::HeldUp(at(900)));
        check(Throttled, Some(900), 23, Nowhere, Settle::HeldUp(at(900)));
        check(Throttled, Some(900), 24, Nowhere, Settle::Failed);
        check(Throttled, Some(86_400), 1, Nowhere, Settle::HeldUp(at(3_600)));
        check(Broken, None, 1, Untried, Settle::NextChannel);
        check(Permanent, None, 1, Untried, Settle::NextChannel);
        check(Config, None, 1, Nowhere, Settle::Failed);
    }

    /// I11.
    #[test]
    fn nothing_fails_while_a_channel_of_hers_only_pauses_and_the_shortest_pause_is_waited_for() {
        use OutcomeClass::{Ambiguous, Broken, Config, Gone, Permanent, SafeRetry, Sent, Throttled};
        let pausing = Elsewhere::Paused(at(60));
        for last_word in [Permanent, Gone, Config, Broken] {
            check(last_word, None, 1, pausing, Settle::BackAt(at(60)));
        }
        for used_up in [Ambiguous, SafeRetry] {
            check(used_up, None, 4, pausing, Settle::BackAt(at(60)));
            check(used_up, None, 3, pausing, Settle::RetryAt(at(20)));
        }
        check(Throttled, Some(61), 1, pausing, Settle::BackAt(at(60)));
        check(Throttled, Some(60), 1, pausing, Settle::HeldUp(at(60)));
        check(Throttled, Some(59), 1, pausing, Settle::HeldUp(at(59)));
        check(Throttled, Some(59), 24, pausing, Settle::BackAt(at(60)));
        check(Sent, None, 1, pausing, Settle::Sent);
    }

    #[test]
    fn a_refused_key_stops_the_channel_unless_other_addresses_show_that_it_is_right() {
        use OutcomeClass::{Ambiguous, Config, Gone, Permanent, SafeRetry, Sent, Throttled};
        for (class, bound, others_work, expected) in [
            (Config, true, true, Gone),
            // After a change of the key, until the first browser has allowed the new one, nobody can tell the two apart.
            (Config, true, false, Config),
            (Config, false, true, Config),
            (Config, false, false, Config),
        ] {
            assert_eq!(refusal(class, bound, others_work), expected, "bound {bound}, others work {others_work}");
        }
        for class in [Sent, SafeRetry, Ambiguous, Throttled, Permanent, Gone] {
            assert_eq!(refusal(class, true, true), class, "{class}");
        }
    }

    #[test]
    fn a_provider_is_away_when_nothing_but_silence_came_for_a_while() {
        use OutcomeClass::{Ambiguous, Permanent, SafeRetry, Sent, Throttled};
        assert!(is_away(&[Ambiguous, SafeRetry, Ambiguous, Ambiguous, SafeRetry, Sent]));
        assert!(!is_away(&[Ambiguous; AWAY_AFTER - 1]), "too few to tell");
        for answered in [Sent, Throttled, Permanent] {
            assert!(!is_away(&[Ambiguous, Ambiguous, Ambiguous, answered, Ambiguous]), "{answered}");
        }
    }

    #[test]
    fn pauses_are_spread_and_never_longer_than_the_limit_allows() {
        let rules = RetryRules { attempts_max: i64::MAX, ..RULES };
        for attempts in [1, 2, 7, 40, 1_000_000] {
            let pauses = [0.0, 0.5, 1.0].map(|jitter| back_off(attempts, &rules, jitter));
            assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "{pauses:?}");
            assert!(pauses[2] <= rules.max * 6 / 5 && pauses[0] >= rules.first * 4 / 5, "{pauses:?}");
        }
    }
}
