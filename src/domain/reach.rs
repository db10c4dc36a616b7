//! Whether an alert about a senior would reach a person: checked when the register changes, every night, and before the
//! deadline, because a ladder that reaches nobody is an alarm when it is configured, not only when it is used (I16).
//!
//! Who would be told is asked of [`Roster`], as the ladder asks: holders farther away do not count while a nearer scope has one.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::alert::StepAct;
use super::check::Slot;
use super::day::EVERY_DAY;
use super::place::{PairingKind, Role};
use super::roster::{Roster, around_the_clock};
use crate::words;

words! {
    /// What is missing around one senior.
    pub enum Gap {
        NoAgreement = "no_agreement", DaysUncovered = "days_uncovered", NoPrimary = "no_primary", NoBackup = "no_backup",
        PrimaryUnreachable = "primary_unreachable", BackupUnreachable = "backup_unreachable", BothOnLeave = "both_on_leave",
        KeyHolderEnded = "key_holder_ended", NobodyToEnter = "nobody_to_enter",
        NoSocialWorker = "no_social_worker", NoBranchSecretary = "no_branch_secretary", NoStreetDuty = "no_street_duty",
        /// A help button is bound, and nobody hears it outside duty hours.
        NobodyAroundTheClock = "nobody_around_the_clock"
    }
}

words! {
    /// Why no message reaches a member, named by what mends it.
    pub enum Mute {
        NoChannel = "no_channel",
        /// She has one, and has not shown that she reads there.
        Unverified = "unverified",
        SwitchedOff = "switched_off",
        /// Only pop-ups on a computer, which reach nobody who is not sitting there.
        ScreenOnly = "screen_only",
        /// Everything of hers goes by an account that this installation does not have.
        NotSetUp = "not_set_up",
        /// Everything of hers goes by an account that its provider refuses.
        Refused = "refused"
    }
}

/// A way to reach a member that carries nothing at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadWay {
    pub is_beside: bool,
    pub is_verified: bool,
    pub is_on: bool,
    /// Its provider refuses the account; otherwise there is none.
    pub is_refused: bool,
}

/// Why none of these carries anything: the reason that is mended with the least.
pub fn why_mute(ways: &[DeadWay]) -> Mute {
    let mut real = ways.iter().filter(|way| !way.is_beside).peekable();
    if real.peek().is_none() {
        return if ways.is_empty() { Mute::NoChannel } else { Mute::ScreenOnly };
    }
    let reason = |way: &DeadWay| match way {
        DeadWay { is_on: false, .. } => Mute::SwitchedOff,
        DeadWay { is_verified: false, .. } => Mute::Unverified,
        DeadWay { is_refused: true, .. } => Mute::Refused,
        _ => Mute::NotSetUp,
    };
    let reasons: BTreeSet<Mute> = real.map(reason).collect();
    let first = [Mute::Unverified, Mute::Refused, Mute::NotSetUp].into_iter().find(|reason| reasons.contains(reason));
    first.unwrap_or(Mute::SwitchedOff)
}

/// Who is asked about this senior on this weekday before anybody else: who walks, the primary and the backup, or who stands in.
pub fn asked(roster: &Roster, has_evening: bool, weekday_bit: i64) -> BTreeSet<Uuid> {
    let slots = [Some(Slot::Morning), has_evening.then_some(Slot::Evening)];
    let walkers = slots.into_iter().flatten().flat_map(|slot| roster.walkers(slot, weekday_bit));
    let paired = [PairingKind::Primary, PairingKind::Backup].into_iter().filter_map(|kind| roster.paired(kind));
    walkers.chain(paired).collect()
}

/// The roles that the last rungs of the ladder need above every senior; in trial mode the last one is left out.
const LADDER_ROLES: [(Role, Gap, bool); 3] = [
    (Role::SocialWorker, Gap::NoSocialWorker, true),
    (Role::BranchSecretary, Gap::NoBranchSecretary, false),
    (Role::StreetDuty, Gap::NoStreetDuty, false),
];
/// A change of the register is looked at when nobody has changed anything for this long: half-entered is not a gap.
const SETTLES: TimeDelta = TimeDelta::minutes(2);
/// A register that never rests is looked at all the same.
const SETTLES_MAX: TimeDelta = TimeDelta::minutes(15);
/// Before a deadline there is still time to ask somebody.
pub const BEFORE_DEADLINE: TimeDelta = TimeDelta::minutes(30);

/// One senior on one date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReachFact {
    pub senior_id: Uuid,
    /// The weekdays of all agreements in force, as bits; 0 without any.
    pub weekdays: i64,
    /// Her compound is in trial mode: only L0, L1 and L4 are told.
    pub trial: bool,
    /// A help button speaks for her.
    pub help_button: bool,
    pub roster: Roster,
}

/// The people of a site on one date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReachPeople {
    /// Members who have not ended, with at least one verified channel that works.
    pub reachable: BTreeSet<Uuid>,
    /// Members who have not ended.
    pub present: BTreeSet<Uuid>,
    pub operators: BTreeSet<Uuid>,
}

impl ReachPeople {
    /// System notices reach somebody.
    pub fn has_operator(&self) -> bool {
        self.reach_any(self.operators.iter().copied())
    }

    fn reach_any(&self, people: impl IntoIterator<Item = Uuid>) -> bool {
        people.into_iter().any(|member| self.reachable.contains(&member))
    }
}

/// The gaps around one senior, in the order of the ladder.
pub fn gaps(fact: &ReachFact, people: &ReachPeople) -> Vec<Gap> {
    let mut gaps = Vec::new();
    match fact.weekdays & EVERY_DAY {
        0 => gaps.push(Gap::NoAgreement),
        EVERY_DAY => {}
        _ => gaps.push(Gap::DaysUncovered),
    }
    paired(fact, people, &mut gaps);
    if !fact.trial {
        if fact.roster.key_holder.is_some_and(|holder| !people.present.contains(&holder)) {
            gaps.push(Gap::KeyHolderEnded);
        }
        if !people.reach_any(fact.roster.audience(StepAct::Enter, Slot::Morning, 0, None, false)) {
            gaps.push(Gap::NobodyToEnter);
        }
    }
    for (role, gap, in_trial) in LADDER_ROLES {
        if (in_trial || !fact.trial) && !people.reach_any(fact.roster.holders(role)) {
            gaps.push(gap);
        }
    }
    // A call for help is urgent in trial mode, too.
    if fact.help_button && !around_the_clock(&fact.roster, &people.reachable) {
        gaps.push(Gap::NobodyAroundTheClock);
    }
    gaps
}

fn paired(fact: &ReachFact, people: &ReachPeople, gaps: &mut Vec<Gap>) {
    let roster = &fact.roster;
    let named = |kind| roster.pairings.iter().any(|(of, _)| *of == kind);
    for (kind, missing, unreachable) in
        [(PairingKind::Primary, Gap::NoPrimary, Gap::PrimaryUnreachable), (PairingKind::Backup, Gap::NoBackup, Gap::BackupUnreachable)]
    {
        // On leave without a substitute: the other one is asked, and only both together are a gap.
        let asked = roster.paired(kind);
        if !named(kind) {
            gaps.push(missing);
        } else if asked.is_some_and(|member| !people.reachable.contains(&member)) {
            gaps.push(unreachable);
        }
    }
    if named(PairingKind::Primary) && named(PairingKind::Backup) && roster.assigned().is_none() {
        gaps.push(Gap::BothOnLeave);
    }
}

/// Why everybody's reach is looked at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A new day began or the register changed.
    Changed,
    /// Half an hour before the deadline of this slot.
    Deadline(Slot),
}

/// When the reach must have been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// The last look; `None`: never.
    pub looked_at: Option<DateTime<Utc>>,
    pub day_began: DateTime<Utc>,
    /// The first change since the last look, and the last one.
    pub changed: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub deadlines: [(Slot, DateTime<Utc>); 2],
}

/// Whether a look is due at `now`.
pub fn occasion(moments: &Moments, now: DateTime<Utc>) -> Option<Occasion> {
    let unseen = |at: DateTime<Utc>| at <= now && moments.looked_at.is_none_or(|looked_at| looked_at < at);
    let closing = moments.deadlines.iter().find(|(_, deadline)| now < *deadline && unseen(*deadline - BEFORE_DEADLINE));
    if let Some((slot, _)) = closing {
        return Some(Occasion::Deadline(*slot));
    }
    let settled = moments.changed.is_some_and(|(first, last)| now - last >= SETTLES || now - first >= SETTLES_MAX);
    (settled || unseen(moments.day_began)).then_some(Occasion::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::roster::GrantFact;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn grant(role: Role, member: u128, distance: i64) -> GrantFact {
        GrantFact { role, member_id: id(member), distance }
    }

    fn covered() -> (ReachFact, ReachPeople) {
        let roster = Roster {
            pairings: vec![(PairingKind::Primary, id(2)), (PairingKind::Backup, id(3))],
            grants: vec![grant(Role::SocialWorker, 4, 2), grant(Role::BranchSecretary, 5, 2), grant(Role::StreetDuty, 6, 6)],
            key_holder: Some(id(8)),
            ..Roster::default()
        };
        let fact = ReachFact { senior_id: id(1), weekdays: EVERY_DAY, trial: false, help_button: false, roster };
        let people = ReachPeople { reachable: (2..=8).map(id).collect(), present: (2..=9).map(id).collect(), operators: [id(7)].into() };
        (fact, people)
    }

    #[test]
    fn a_senior_with_everybody_in_place_has_no_gap() {
        let (fact, people) = covered();
        assert_eq!(gaps(&fact, &people), []);
        assert!(people.has_operator());
    }

    #[test]
    fn every_missing_or_unreachable_person_is_a_gap_of_its_own() {
        let nothing = gaps(&ReachFact::default(), &ReachPeople::default());
        let (none, roles) = nothing.split_at(4);
        assert_eq!(none, [Gap::NoAgreement, Gap::NoPrimary, Gap::NoBackup, Gap::NobodyToEnter]);
        assert_eq!(roles, [Gap::NoSocialWorker, Gap::NoBranchSecretary, Gap::NoStreetDuty]);
        let (mut fact, people) = covered();
        fact.roster.leaves.push((id(2), None));
        assert_eq!(gaps(&fact, &people), [], "the backup is there");
        fact.roster.leaves.push((id(3), None));
        assert_eq!(gaps(&fact, &people), [Gap::BothOnLeave]);
        for (member, gap) in [
            (2, Gap::PrimaryUnreachable),
            (3, Gap::BackupUnreachable),
            (4, Gap::NoSocialWorker),
            (6, Gap::NoStreetDuty),
            (8, Gap::NobodyToEnter),
        ] {
            let (fact, mut people) = covered();
            people.reachable.remove(&id(member));
            assert_eq!(gaps(&fact, &people), [gap], "member {member}");
        }
        let (_, mut people) = covered();
        people.reachable.remove(&id(7));
        assert!(!people.has_operator());
    }

    #[test]
    fn whom_the_ladder_would_not_tell_does_not_close_a_gap() {
        let (mut fact, people) = covered();
        fact.roster.grants.push(grant(Role::SocialWorker, 9, 1));
        assert_eq!(gaps(&fact, &people), [Gap::NoSocialWorker], "the nearer one is told, and cannot be reached");
        fact.roster.leaves.push((id(9), None));
        assert_eq!(gaps(&fact, &people), [], "while she is away the farther one is told");
        let (mut fact, people) = covered();
        fact.roster.leaves.push((id(2), Some(id(9))));
        assert_eq!(gaps(&fact, &people), [Gap::PrimaryUnreachable], "her substitute is asked, and cannot be reached");
    }

    #[test]
    fn a_key_holder_who_has_left_and_a_weekday_without_agreement_are_gaps() {
        let (mut fact, mut people) = covered();
        people.present.remove(&id(8));
        fact.weekdays = 0b001_1111;
        assert_eq!(gaps(&fact, &people), [Gap::DaysUncovered, Gap::KeyHolderEnded]);
        fact.trial = true;
        fact.roster.grants.clear();
        assert_eq!(gaps(&fact, &people), [Gap::DaysUncovered, Gap::NoSocialWorker], "a trial tells nobody else");
    }

    #[test]
    fn a_help_button_that_nobody_hears_at_night_is_a_gap_also_in_trial_mode() {
        let (mut fact, mut people) = covered();
        fact.help_button = true;
        assert_eq!(gaps(&fact, &people), [], "the street answers at night");
        people.reachable.remove(&id(6));
        assert_eq!(gaps(&fact, &people), [Gap::NoStreetDuty, Gap::NobodyAroundTheClock]);
        fact.trial = true;
        assert_eq!(gaps(&fact, &people), [Gap::NobodyAroundTheClock], "a trial spares the street, and not the button");
        fact.help_button = false;
        assert_eq!(gaps(&fact, &people), []);
    }

    #[test]
    fn why_nobody_reads_is_what_is_mended_with_the_least() {
        let works = DeadWay { is_beside: false, is_verified: true, is_on: true, is_refused: false };
        let (off, fresh) = (DeadWay { is_on: false, ..works }, DeadWay { is_verified: false, ..works });
        let (refused, foreign) = (DeadWay { is_refused: true, ..works }, works);
        let screen = DeadWay { is_beside: true, ..works };
        for (ways, expected) in [
            (vec![], Mute::NoChannel),
            (vec![screen], Mute::ScreenOnly),
            (vec![screen, off], Mute::SwitchedOff),
            (vec![off, foreign], Mute::NotSetUp),
            (vec![foreign, refused, off], Mute::Refused),
            (vec![refused, fresh], Mute::Unverified),
        ] {
            assert_eq!(why_mute(&ways), expected, "{ways:?}");
        }
    }

    #[test]
    fn who_is_asked_first_are_the_walkers_of_the_day_and_the_pair_or_who_stands_in() {
        use crate::domain::roster::DutyFact;
        let (mut fact, _) = covered();
        let people = |fact: &ReachFact, evening, weekday| asked(&fact.roster, evening, weekday).into_iter().collect::<Vec<_>>();
        assert_eq!(people(&fact, false, 1), [id(2), id(3)]);
        fact.roster.duties.push(DutyFact { member_id: id(8), slot: Slot::Morning, weekdays: 1 });
        fact.roster.duties.push(DutyFact { member_id: id(9), slot: Slot::Evening, weekdays: 1 });
        assert_eq!(people(&fact, false, 1), [id(2), id(3), id(8)]);
        assert_eq!(people(&fact, true, 1), [id(2), id(3), id(8), id(9)]);
        assert_eq!(people(&fact, true, 2), [id(2), id(3)], "on another day");
        fact.roster.leaves.push((id(2), Some(id(7))));
        assert_eq!(people(&fact, false, 2), [id(3), id(7)]);
    }

    #[test]
    fn a_look_is_due_each_day_after_changes_have_settled_and_half_an_hour_before_a_deadline() {
        let at = |minutes: i64| DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap();
        let deadlines = [(Slot::Morning, at(540)), (Slot::Evening, at(1_200))];
        let due = |looked: Option<i64>, changed: Option<(i64, i64)>, now| {
            let changed = changed.map(|(first, last)| (at(first), at(last)));
            occasion(&Moments { looked_at: looked.map(at), day_began: at(0), changed, deadlines }, at(now))
        };
        assert_eq!(due(None, None, 1), Some(Occasion::Changed), "the first look");
        assert_eq!(due(Some(-600), None, 0), Some(Occasion::Changed), "a new day");
        assert_eq!(due(Some(0), None, 509), None);
        assert_eq!(due(Some(0), None, 510), Some(Occasion::Deadline(Slot::Morning)));
        assert_eq!(due(Some(510), None, 511), None, "once");
        assert_eq!(due(Some(0), None, 540), None, "too late for the morning");
        assert_eq!(due(Some(0), None, 1_199), Some(Occasion::Deadline(Slot::Evening)));
        assert_eq!(due(Some(0), Some((60, 60)), 61), None, "somebody is still typing");
        assert_eq!(due(Some(0), Some((60, 60)), 62), Some(Occasion::Changed));
        assert_eq!(due(Some(0), Some((60, 75)), 75), Some(Occasion::Changed), "somebody never stops typing");
    }
}
