//! What a volunteer is shown of the sensors of one home. Nothing here decides anything: a hint, however strong, is never "ok".

use chrono::{DateTime, TimeDelta, Utc};

use super::Deed;
use crate::domain::signal::{Evidence, SignalKind};

/// Two different hints within this time support each other.
const TOGETHER: TimeDelta = TimeDelta::minutes(10);

/// A stored signal of a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    pub kind: SignalKind,
    pub class: Evidence,
    /// `None`: stored before this was kept.
    pub deed: Option<Deed>,
    pub at: DateTime<Utc>,
}

/// What is said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub noted: Noted,
    /// Another hint of another sort shortly before: a strong hint, no more.
    pub with: Option<Noted>,
}

/// The latest of the most telling ones; of two hints that support each other the later, with the earlier beside it. A call for help
/// stands above everything.
pub fn shown(noted: &[Noted]) -> Option<Shown> {
    let rank = |one: &Noted| (one.kind == SignalKind::Help, std::cmp::Reverse(one.class), one.at);
    let best = *noted.iter().max_by_key(|one| rank(one))?;
    if best.class != Evidence::B || best.kind == SignalKind::Help {
        return Some(Shown { noted: best, with: None });
    }
    let mut hints: Vec<Noted> = noted.iter().copied().filter(|one| one.class == Evidence::B && one.deed.is_some()).collect();
    hints.sort_by_key(|one| one.at);
    let pair = hints.iter().enumerate().rev().find_map(|(n, later)| {
        let earlier = hints[..n].iter().rev().find(|one| one.deed != later.deed && later.at - one.at <= TOGETHER)?;
        Some(Shown { noted: *later, with: Some(*earlier) })
    });
    Some(pair.unwrap_or(Shown { noted: best, with: None }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noted(class: Evidence, deed: Deed, minute: i64) -> Noted {
        let at = DateTime::from_timestamp(1_788_734_400 + minute * 60, 0).unwrap();
        Noted { kind: SignalKind::Activity, class, deed: Some(deed), at }
    }

    fn hint(deed: Deed, minute: i64) -> Noted {
        noted(Evidence::B, deed, minute)
    }

    #[test]
    fn two_different_hints_within_ten_minutes_are_a_strong_one() {
        let light = hint(Deed::LightChanged, 0);
        let pairs = [
            (hint(Deed::Stirred, 10), true),
            (hint(Deed::Stirred, 11), false),
            (hint(Deed::LightChanged, 1), false),
            (noted(Evidence::C, Deed::OpenedOnTime, 1), false),
        ];
        for (other, strong) in pairs {
            for both in [[light, other], [other, light]] {
                let shown = shown(&both).unwrap();
                assert_eq!(shown.with.is_some(), strong, "{other:?}");
            }
        }
        let later = [light, hint(Deed::Stirred, 1), hint(Deed::Shaken, 60)];
        assert_eq!(shown(&later), Some(Shown { noted: later[1], with: Some(light) }), "one alone an hour later takes nothing away");
    }

    #[test]
    fn what_suffices_is_shown_before_a_hint_and_a_hint_before_what_a_timer_did() {
        let (proof, hint, timer) = (noted(Evidence::A, Deed::Opened, 0), hint(Deed::Stirred, 1), noted(Evidence::C, Deed::OpenedOnTime, 2));
        let help = Noted { kind: SignalKind::Help, deed: None, ..noted(Evidence::A, Deed::Opened, -9) };
        for (among, best) in [(vec![timer], timer), (vec![timer, hint], hint), (vec![proof, hint, timer], proof), (vec![proof, help], help)]
        {
            assert_eq!(shown(&among), Some(Shown { noted: best, with: None }));
        }
        assert_eq!(shown(&[]), None);
    }

    proptest! {
        /// A strong hint is made of two sorts of hints, whatever else was seen, and in whatever order.
        #[test]
        fn a_strong_hint_has_two_sorts_of_class_b(picks in prop::collection::vec((0_usize..3, 0..Deed::ALL.len(), 0_i64..90), 0..12)) {
            let all: Vec<Noted> =
                picks.into_iter().map(|(class, deed, minute)| noted(Evidence::ALL[class], Deed::ALL[deed], minute)).collect();
            if let Some(Shown { noted, with: Some(with) }) = shown(&all) {
                prop_assert!(noted.deed != with.deed && noted.class == Evidence::B && with.class == Evidence::B);
                prop_assert!((noted.at - with.at) <= TOGETHER && noted.at >= with.at);
            }
        }
    }
}
