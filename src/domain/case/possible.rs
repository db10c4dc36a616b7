//! Which acts somebody may do with an alert as it stands: what the page shows as buttons and the API lists. An act that is left
//! out would be refused; one that is listed may still be (by what its form says).

use uuid::Uuid;

use crate::domain::access::{Capability, Relation};
use crate::words;

words! {
    /// The acts on an alert, the usual order at a door first.
    pub enum Possible {
        Claim = "claim", OnSite = "on_site", NoAnswer = "no_answer", Resolve = "resolve", Extend = "extend", Release = "release",
        Escalate = "escalate", Emergency = "emergency", Assign = "assign", Review = "review", Reopen = "reopen"
    }
}

/// How an alert stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub is_resolved: bool,
    /// What it was has been said. A sign closes an alert without it.
    pub has_outcome: bool,
    pub is_reviewed: bool,
    /// Whose claim lives at this moment.
    pub claimed_by: Option<Uuid>,
}

/// What a reader with this tie may do, in the order of [`Possible::ALL`].
pub fn possible(standing: Standing, relation: &Relation, reader: Uuid) -> Vec<Possible> {
    Possible::ALL.iter().copied().filter(|act| relation.may(needs(*act)) && fits(*act, standing, reader)).collect()
}

fn needs(act: Possible) -> Capability {
    match act {
        Possible::Assign | Possible::Review | Possible::Reopen => Capability::AlertCommand,
        _ => Capability::AlertAct,
    }
}

fn fits(act: Possible, standing: Standing, reader: Uuid) -> bool {
    let open = !standing.is_resolved;
    let mine = standing.claimed_by == Some(reader);
    match act {
        Possible::Claim => open && standing.claimed_by.is_none(),
        Possible::OnSite => open && (mine || standing.claimed_by.is_none()),
        Possible::Extend | Possible::Release => open && mine,
        Possible::NoAnswer | Possible::Escalate | Possible::Emergency | Possible::Assign => open,
        Possible::Resolve => open || !standing.has_outcome,
        Possible::Review => standing.is_resolved && !standing.is_reviewed,
        Possible::Reopen => standing.is_resolved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(standing: Standing, relation: &Relation, reader: Uuid) -> Vec<&'static str> {
        possible(standing, relation, reader).into_iter().map(Possible::as_str).collect()
    }

    #[test]
    fn the_buttons_follow_who_is_going_and_who_asks() {
        use crate::domain::place::Role;
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let open = Standing { is_resolved: false, has_outcome: false, is_reviewed: false, claimed_by: None };
        let told = Relation { told: true, ..Relation::default() };
        let worker = Relation { roles: vec![Role::SocialWorker], ..Relation::default() };
        let (mine, theirs) = (Standing { claimed_by: Some(me), ..open }, Standing { claimed_by: Some(other), ..open });
        let (closed, by_sign) = (Standing { is_resolved: true, has_outcome: true, ..open }, Standing { is_resolved: true, ..open });
        for (standing, relation, expected) in [
            (open, &told, vec!["claim", "on_site", "no_answer", "resolve", "escalate", "emergency"]),
            (mine, &told, vec!["on_site", "no_answer", "resolve", "extend", "release", "escalate", "emergency"]),
            (theirs, &told, vec!["no_answer", "resolve", "escalate", "emergency"]),
            (theirs, &worker, vec!["no_answer", "resolve", "escalate", "emergency", "assign"]),
            (closed, &told, vec![]),
            (by_sign, &told, vec!["resolve"]),
            (closed, &worker, vec!["review", "reopen"]),
            (Standing { is_reviewed: true, ..closed }, &worker, vec!["reopen"]),
            (open, &Relation::default(), vec![]),
        ] {
            assert_eq!(words(standing, relation, me), expected, "{standing:?}");
        }
    }
}
