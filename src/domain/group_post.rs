//! When a group is told how many households wait, and of which buildings. A post is the state of the moment and not an event: a lost one
//! is made good by the next, many alerts at once are one post, and a robot that takes twenty a minute never sees more than one.

use chrono::{DateTime, TimeDelta, Utc};

/// A change waits this long for others: an outbreak of one moment is one post.
const GATHER: TimeDelta = TimeDelta::seconds(10);
/// Between two posts to one group.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Households that wait, by building, in the order in which they are read.
pub type Counts = Vec<(String, i64)>;

/// What a group knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    pub posted: Counts,
    pub posted_at: Option<DateTime<Utc>>,
    /// Since when it is no longer so.
    pub changed_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The group knows.
    Nothing,
    /// What changed is noted; it is posted at this moment.
    At(DateTime<Utc>),
    Post,
}

/// What to do about `counts` now. A group that was never told begins with nobody waiting, so an empty street is no news.
pub fn decide(known: &Known, counts: &Counts, now: DateTime<Utc>) -> Decision {
    if known.posted == *counts {
        return Decision::Nothing;
    }
    let gathered = known.changed_at.unwrap_or(now) + GATHER;
    let due = known.posted_at.map_or(gathered, |last| gathered.max(last + PAUSE));
    if due <= now { Decision::Post } else { Decision::At(due) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000 + seconds)
    }

    fn counts(pairs: &[(&str, i64)]) -> Counts {
        pairs.iter().map(|(building, count)| ((*building).to_owned(), *count)).collect()
    }

    #[test]
    fn many_changes_of_a_moment_are_one_post_and_the_next_comes_a_minute_later() {
        let two = counts(&[("3号楼", 2)]);
        let mut known = Known::default();
        assert_eq!(decide(&known, &Counts::new(), at(0)), Decision::Nothing, "nobody waits");
        assert_eq!(decide(&known, &two, at(0)), Decision::At(at(10)));
        known.changed_at = Some(at(0));
        assert_eq!(decide(&known, &counts(&[("3号楼", 3)]), at(5)), Decision::At(at(10)), "it joins");
        assert_eq!(decide(&known, &two, at(10)), Decision::Post);
        known = Known { posted: two.clone(), posted_at: Some(at(10)), changed_at: None };
        assert_eq!(decide(&known, &two, at(500)), Decision::Nothing);
        known.changed_at = Some(at(20));
        assert_eq!(decide(&known, &Counts::new(), at(35)), Decision::At(at(70)));
        assert_eq!(decide(&known, &Counts::new(), at(70)), Decision::Post, "that nobody waits any more is news");
    }
}
