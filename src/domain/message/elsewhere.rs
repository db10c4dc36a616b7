//! What is left for a person when one of her channels has ended its try (I11): a channel that only asked for a pause has not said no,
//! and is asked again when its pause is over. What it carries has failed only when every channel has given its last word.

use chrono::{DateTime, TimeDelta, Utc};

use super::retry::{OutcomeClass, PAUSES_MAX};

/// Two channels whose pauses are over, and that ask for another one each time, do not chase each other.
const A_MOMENT: TimeDelta = TimeDelta::seconds(1);

/// By what else she can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// A channel of hers that has not been tried.
    Untried,
    /// All have been tried, and one of them may be asked again then.
    Paused(DateTime<Utc>),
    Nowhere,
}

/// An earlier message with the same notice, over a channel that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// How its last attempt ended.
    pub last: OutcomeClass,
    /// All of them.
    pub attempts: i64,
    /// Its channel still carries messages.
    pub works: bool,
    /// `None`: the pause is over.
    pub paused_until: Option<DateTime<Utc>>,
}

impl Earlier {
    /// When it may be asked again; `None` if it has given its last word.
    fn wakes_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let only_paused = self.last == OutcomeClass::Throttled && self.works && self.attempts < PAUSES_MAX;
        only_paused.then(|| self.paused_until.unwrap_or(now).max(now + A_MOMENT))
    }
}

/// Which of the earlier messages is asked again, and when: the one that wakes first, and of several the person's first.
pub fn first_awake(earlier: &[Earlier], now: DateTime<Utc>) -> Option<(usize, DateTime<Utc>)> {
    let waking = earlier.iter().enumerate().filter_map(|(place, one)| Some((place, one.wakes_at(now)?)));
    waking.min_by_key(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    /// Throttled once, by a channel that works.
    fn paused(until: Option<i64>) -> Earlier {
        Earlier { last: OutcomeClass::Throttled, attempts: 1, works: true, paused_until: until.map(at) }
    }

    /// I11.
    #[test]
    fn of_the_channels_that_were_left_the_one_whose_pause_ends_first_is_asked_again() {
        let said_no = Earlier { last: OutcomeClass::Permanent, ..paused(Some(1)) };
        let gave_up = Earlier { last: OutcomeClass::Ambiguous, attempts: 4, ..paused(Some(1)) };
        let reported = Earlier { last: OutcomeClass::Sent, ..paused(Some(1)) };
        let switched_off = Earlier { works: false, ..paused(Some(1)) };
        let worn_out = Earlier { attempts: PAUSES_MAX, ..paused(Some(1)) };
        for (earlier, expected) in [
            (vec![], None),
            (vec![paused(Some(60))], Some((0, 60))),
            (vec![paused(Some(3_600)), paused(Some(60))], Some((1, 60))),
            (vec![paused(Some(60)), paused(Some(60))], Some((0, 60))),
            (vec![paused(Some(60)), paused(None)], Some((1, 1))),
            (vec![paused(Some(-5))], Some((0, 1))),
            (vec![said_no, gave_up, paused(Some(3_600)), reported], Some((2, 3_600))),
            (vec![Earlier { attempts: PAUSES_MAX - 1, ..worn_out }], Some((0, 1))),
            (vec![said_no, gave_up, reported, switched_off, worn_out], None),
        ] {
            let expected = expected.map(|(place, seconds)| (place, at(seconds)));
            assert_eq!(first_awake(&earlier, at(0)), expected, "{earlier:?}");
        }
    }
}
