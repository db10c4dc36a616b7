//! Whatever happens in whatever order: nobody due is forgotten, nobody is alerted twice, no rung fires early, twice or
//! under a claim that holds it. One senior over two days, in memory, on the pure decisions; a small store applies the
//! commands and checks their preconditions.

use std::sync::Arc;

use chenlian::domain::absence::{AbsenceFact, AbsenceKind};
use chenlian::domain::alert::{Step, StepState};
use chenlian::domain::case::{Act, Actor, Case, CaseSenior, Event, Resolution, decide, fire};
use chenlian::domain::check::{CheckState, CheckView, Slot};
use chenlian::domain::day::{self, AgreementFact, EVERY_DAY};
use chenlian::domain::outcome::ContactProof;
use chenlian::domain::place::{PairingKind, Role};
use chenlian::domain::roster::{GrantFact, Roster};
use chenlian::domain::rules::Rules;
use chenlian::domain::signal::{Evidence, Polarity, SensorPolicy, Sign, SignalFact, SignalKind, Source, Standing};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use crate::harness::local;

mod rows;

use rows::Store;

const PEOPLE: [Uuid; 3] = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3)];

#[derive(Debug, Clone)]
enum Op {
    Wait(i64),
    /// Nobody watches for a day and longer.
    Outage(i64),
    Emergency(usize),
    Assign {
        who: usize,
        to: usize,
    },
    Left(usize),
    Tick,
    Signal {
        kind: SignalKind,
        minutes_ago: i64,
        device: bool,
    },
    Duplicate(usize),
    Correct {
        which: usize,
        kind: SignalKind,
    },
    Claim(usize),
    OnSite(usize),
    Extend(usize),
    Release(usize),
    NoAnswer(usize),
    Escalate(usize),
    Resolve(usize),
    Reopen(usize),
    Raise(usize),
    Undeliverable(i64),
    Confirm {
        day: u64,
        days: u64,
    },
    Cancel(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let kinds = [
        SignalKind::Open,
        SignalKind::Closed,
        SignalKind::NotVisible,
        SignalKind::SeenInPerson,
        SignalKind::NoAnswer,
        SignalKind::Help,
        SignalKind::Cry,
    ];
    let kind = || prop::sample::select(kinds.to_vec());
    let minutes_ago = prop_oneof![Just(0_i64), 0_i64..30, 0_i64..600];
    prop_oneof![
        8 => prop_oneof![1_i64..20, 1_i64..200].prop_map(Op::Wait),
        6 => Just(Op::Tick),
        5 => (kind(), minutes_ago, prop::bool::weighted(0.2)).prop_map(|(kind, minutes_ago, device)| Op::Signal { kind, minutes_ago, device }),
        1 => (0_usize..20).prop_map(Op::Duplicate),
        2 => (0_usize..20, kind()).prop_map(|(which, kind)| Op::Correct { which, kind }),
        2 => (0_usize..3).prop_map(Op::Claim),
        1 => (0_usize..3).prop_map(Op::OnSite),
        1 => (0_usize..3).prop_map(Op::Extend),
        1 => (0_usize..3).prop_map(Op::Release),
        1 => (0_usize..3).prop_map(Op::NoAnswer),
        1 => (0_usize..3).prop_map(Op::Escalate),
        1 => (0_usize..3).prop_map(Op::Resolve),
        1 => (0_usize..3).prop_map(Op::Reopen),
        1 => (0_usize..3).prop_map(Op::Raise),
        2 => (0_i64..24).prop_map(Op::Undeliverable),
        1 => (900_i64..2_000).prop_map(Op::Outage),
        1 => (0_usize..3).prop_map(Op::Emergency),
        1 => (0_usize..3, 0_usize..3).prop_map(|(who, to)| Op::Assign { who, to }),
        1 => (0_usize..3).prop_map(Op::Left),
        1 => (0_u64..2, 1_u64..3).prop_map(|(day, days)| Op::Confirm { day, days }),
        1 => (0_usize..3).prop_map(Op::Cancel),
    ]
}

fn monday() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).expect("a literal date")
}

fn checks() -> Vec<CheckView> {
    let zone = chrono_tz::Asia::Shanghai;
    let mut checks = Vec::new();
    for (date, slot, expected_sign) in [
        (monday(), Slot::Morning, Sign::Open),
        (monday(), Slot::Evening, Sign::Closed),
        (monday() + TimeDelta::days(1), Slot::Morning, Sign::Open),
    ] {
        let agreement = AgreementFact {
            id: Uuid::nil(),
            senior_id: Uuid::nil(),
            slot,
            weekdays: EVERY_DAY,
            expected_sign,
            window_opens: None,
            deadline: None,
            grace: None,
            unobserved_delay: None,
            sensor_policy: SensorPolicy::Sufficient,
            from_date: monday(),
            to_date: None,
        };
        let plan = day::plan(&agreement, &Rules::default().check, zone, date).expect("a check is agreed");
        checks.push(CheckView {
            id: Uuid::from_u128(100 + checks.len() as u128),
            local_date: date,
            slot,
            state: CheckState::Expected,
            expected_sign,
            sensor_policy: SensorPolicy::Sufficient,
            require_change: false,
            counts_from: plan.counts_from,
            deadline_at: plan.deadline_at,
            cutoff_at: plan.cutoff_at,
            day_ends_at: plan.day_ends_at,
            unobserved_delay: TimeDelta::zero(),
            received_late: false,
            triggered: false,
            next_action_at: Some(plan.deadline_at - TimeDelta::minutes(30)),
            decided_at: None,
        });
    }
    checks
}

fn senior() -> CaseSenior {
    CaseSenior {
        site_id: Uuid::from_u128(1000),
        id: Uuid::from_u128(1001),
        called: "张奶奶".to_owned(),
        building_name: "3号楼".to_owned(),
        unit: "2单元".to_owned(),
        zone: chrono_tz::Asia::Shanghai,
        rules: Arc::default(),
        trial_until: None,
        canary: false,
    }
}

fn new_case() -> Case {
    Case { senior: senior(), checks: checks(), signals: Vec::new(), absences: Vec::new(), alert: None, outage: None }
}

/// Somebody for every rung, so that none falls through.
fn roster() -> Roster {
    let roles = [Role::BuildingLead, Role::SocialWorker, Role::PropertyStaff, Role::BranchSecretary, Role::StreetDuty];
    Roster {
        pairings: vec![(PairingKind::Primary, PEOPLE[0]), (PairingKind::Backup, PEOPLE[1])],
        grants: roles.map(|role| GrantFact { role, member_id: PEOPLE[2], distance: 0 }).to_vec(),
        ..Roster::default()
    }
}

struct Run {
    case: Case,
    store: Store,
    roster: Roster,
    now: DateTime<Utc>,
    ids: u128,
}

impl Run {
    fn new() -> Self {
        let store = Store { checks: checks().into_iter().map(|check| (check.id, check)).collect(), ..Store::default() };
        Self { case: new_case(), store, roster: roster(), now: local("05:00:00"), ids: 10_000 }
    }

    fn event(&mut self, event: &Event) {
        // A refused act changes nothing; that the view is unchanged shows in the preconditions that follow.
        let Ok(commands) = decide(&mut self.case, event, self.now) else { return };
        self.store.apply(commands, self.now);
        self.reload();
        let fired = fire(&mut self.case, &self.roster, &[], self.now);
        self.store.apply(fired, self.now);
        self.reload();
    }

    /// The stored rows must say all that the view says: the next view is read from them.
    fn reload(&mut self) {
        for check in &self.case.checks {
            assert_eq!(&self.store.checks[&check.id], check, "a check was changed without being saved");
        }
        let Some(alert) = self.case.alert.as_mut() else { return };
        alert.version = self.store.alerts[&alert.id].version;
        assert_eq!(&self.store.alerts[&alert.id], alert, "an alert was changed without being saved");
        let steps: Vec<&Step> = self.store.steps.range((alert.id, 0, 0)..=(alert.id, i64::MAX, i64::MAX)).map(|(_, step)| step).collect();
        assert_eq!(steps, alert.steps.iter().collect::<Vec<_>>(), "a rung was changed without being saved");
    }

    fn append(&mut self, kind: SignalKind, observed_at: DateTime<Utc>, device: bool, replaces: Option<Uuid>) {
        self.ids += 1;
        let signal = SignalFact {
            id: Uuid::from_u128(self.ids),
            kind,
            observed_at,
            received_at: self.now,
            source: if device { Source::Device } else { Source::Member },
            evidence: device.then_some(Evidence::A),
            standing: Standing::Accepted,
            replaces,
        };
        self.case.signals.push(signal.clone());
        self.event(&Event::Signals(vec![signal]));
    }

    fn act(&mut self, who: usize, act: Act) {
        self.event(&Event::Act(Actor { id: PEOPLE[who], may_silence: who == 2, may_confirm: who == 2 }, act));
    }

    fn hurry(&mut self) {
        self.store.hurried.extend(self.case.alert.iter().map(|alert| alert.id));
    }

    fn confirm(&mut self, day: u64, days: u64) {
        self.ids += 1;
        let from_date = monday() + chrono::Days::new(day);
        let return_date = from_date + chrono::Days::new(days);
        let id = Uuid::from_u128(self.ids);
        self.case.absences.push(AbsenceFact {
            id,
            kind: AbsenceKind::Away,
            from_date,
            return_date,
            reported_by: String::new(),
            confirmed_at: Some(self.now),
            cancelled_at: None,
            return_confirmed_at: None,
            first_check: None,
        });
        self.event(&Event::Changed);
    }

    fn step(&mut self, op: &Op) {
        let known = |index: usize, of: usize| (of > 0).then(|| index % of);
        match op {
            Op::Wait(minutes) | Op::Outage(minutes) => self.now += TimeDelta::minutes(*minutes),
            Op::Tick => self.event(&Event::Tick),
            Op::Signal { kind, minutes_ago, device } => self.append(*kind, self.now - TimeDelta::minutes(*minutes_ago), *device, None),
            Op::Duplicate(which) => {
                if let Some(index) = known(*which, self.case.signals.len()) {
                    // A press is a trigger of its own and the store lets no replay through to it; all else may come again.
                    let again = self.case.signals[index].clone();
                    if again.polarity(Sign::Open, SensorPolicy::None) != Polarity::Urgent {
                        self.event(&Event::Signals(vec![again]));
                    }
                }
            }
            Op::Correct { which, kind } => {
                if let Some(index) = known(*which, self.case.signals.len()) {
                    let old = self.case.signals[index].clone();
                    // Taking back what closed an alert opens it again, with a call at once.
                    self.hurry();
                    self.append(*kind, old.observed_at, false, Some(old.id));
                }
            }
            Op::Emergency(who) => {
                self.hurry();
                self.act(*who, Act::Emergency { service: "120".to_owned() });
            }
            Op::Assign { who, to } => self.act(*who, Act::Assign { to: PEOPLE[*to] }),
            Op::Left(who) => self.event(&Event::Left(PEOPLE[*who])),
            Op::Claim(who) => self.act(*who, Act::Claim),
            Op::OnSite(who) => self.act(*who, Act::OnSite),
            Op::Extend(who) => self.act(*who, Act::Extend),
            Op::Release(who) => self.act(*who, Act::Release),
            Op::NoAnswer(who) => {
                self.hurry();
                self.act(*who, Act::NoAnswerAtDoor);
            }
            Op::Escalate(who) => {
                self.hurry();
                self.act(*who, Act::Escalate);
            }
            Op::Resolve(who) => {
                let proof = Some(ContactProof::SeenInPerson);
                let resolution =
                    Resolution { safe: true, proof, proof_by: None, proof_at: None, outcome: None, note: None, return_date: None };
                self.act(*who, Act::Resolve(resolution));
            }
            Op::Reopen(who) => {
                self.hurry();
                self.store.doubted.extend(self.case.alert.iter().map(|alert| alert.id));
                self.act(*who, Act::Reopen { reason: String::new() });
            }
            Op::Raise(who) => {
                self.ids += 1;
                self.act(*who, Act::Raise { request: Uuid::from_u128(self.ids), note: None });
            }
            Op::Undeliverable(step) => {
                self.hurry();
                let epoch = self.case.alert.as_ref().map_or(1, |alert| alert.epoch);
                self.event(&Event::Undeliverable { epoch, step: *step, operators: Vec::new() });
            }
            Op::Confirm { day, days } => self.confirm(*day, *days),
            Op::Cancel(which) => {
                if let Some(index) = known(*which, self.case.absences.len()) {
                    self.case.absences[index].cancelled_at.get_or_insert(self.now);
                    self.event(&Event::Changed);
                }
            }
        }
    }

    /// After the watch has passed: every due check is closed or alerting, and the ladder of an open alert never ends.
    fn inspect(&mut self) {
        self.event(&Event::Tick);
        let now = self.now;
        for check in self.case.checks.iter().filter(|check| now >= check.cutoff_at) {
            assert!(!check.state.is_undecided(), "due and undecided: {check:?}");
            let trigger = chenlian::domain::id::check_trigger(check.id, "missed");
            assert_eq!(check.triggered, self.store.triggers.contains(&trigger), "{check:?}");
            if check.state.missed_cause().is_some() {
                assert!(check.triggered, "missed, and nobody is told: {check:?}");
            }
            self.inspect_closed(check, trigger);
        }
        let Some(alert) = self.case.alert.as_ref() else { return };
        if let Some(signal) = alert.resolved_by_signal.filter(|_| !alert.is_unresolved()) {
            assert!(!self.is_replaced(signal), "closed by a sign that was taken back");
        }
        assert!(
            !alert.is_unresolved() || !self.store.touched.contains(&alert.id) || alert.has_ladder(),
            "touched, and only listed: {alert:?}"
        );
        if alert.is_unresolved() && alert.has_ladder() {
            let mut last =
                alert.steps.iter().filter(|s| s.epoch == alert.epoch && s.state == StepState::Pending && s.level >= 4).peekable();
            assert!(last.peek().is_some(), "the ladder ended before the alert: {alert:?}");
            assert!(last.all(|step| step.due_at > now && !step.held), "L4 and L5 fire when they are due, whoever claims");
        }
        assert!(alert.next_action_at.is_none_or(|next| next > now), "the ladder would be asked again at once, for ever");
        // Without a ladder the lists of the site come back to it.
        let comes_back = alert.next_action_at.is_some() || !alert.has_ladder();
        assert!(comes_back || !alert.is_unresolved(), "an open alert that nobody comes back to: {alert:?}");
        assert!(alert.is_unresolved() || alert.next_action_at.is_none(), "over, and asked for again: {alert:?}");
    }

    /// Never both: a sign of a person that closes the check also ends an alert that is about nothing else.
    fn inspect_closed(&self, check: &CheckView, trigger: Uuid) {
        let Some(alert) = self.case.alert.as_ref().filter(|alert| alert.is_unresolved()) else { return };
        let only_this = alert.triggers.iter().all(|known| known.id == trigger);
        if !only_this || self.store.doubted.contains(&alert.id) {
            return;
        }
        assert_ne!(check.state, CheckState::Excused, "excused and alerting: {check:?}");
        let by_a_person = self.case.signals.iter().any(|signal| {
            signal.is_human()
                && !self.is_replaced(signal.id)
                && signal.observed_at >= check.counts_from
                && signal.observed_at < check.day_ends_at
                && signal.polarity(check.expected_sign, check.sensor_policy) == Polarity::Matches
        });
        assert!(!by_a_person, "seen by a person and still alerting: {check:?}");
    }

    fn is_replaced(&self, id: Uuid) -> bool {
        self.case.signals.iter().any(|signal| signal.replaces == Some(id))
    }
}

fn facts() -> impl Strategy<Value = Vec<SignalFact>> {
    let kinds =
        [SignalKind::Open, SignalKind::Closed, SignalKind::NotVisible, SignalKind::SeenInPerson, SignalKind::NoAnswer, SignalKind::Help];
    let one = (prop::sample::select(kinds.to_vec()), -60_i64..2_000, prop::option::weighted(0.3, 0_usize..8), prop::bool::weighted(0.2));
    prop::collection::vec(one, 0..9).prop_map(|rows| {
        let id = |index: usize| Uuid::from_u128(1 + index as u128);
        let fact = |(index, (kind, minute, replaces, device)): (usize, (SignalKind, i64, Option<usize>, bool))| SignalFact {
            id: id(index),
            kind,
            observed_at: local("03:00:00") + TimeDelta::minutes(minute),
            received_at: local("03:00:00") + TimeDelta::minutes(minute + 10),
            source: if device { Source::Device } else { Source::Member },
            evidence: device.then_some(Evidence::A),
            standing: Standing::Accepted,
            replaces: replaces.filter(|old| *old < index).map(id),
        };
        rows.into_iter().enumerate().map(fact).collect()
    })
}

type Judged = Vec<(CheckState, bool)>;

/// Appends the batches one after the other, the watch passing between them, and judges at the end of the second day.
fn judged(batches: &[Vec<SignalFact>]) -> Judged {
    let mut case = new_case();
    let end = local("12:00:00") + TimeDelta::days(1);
    for (number, batch) in batches.iter().enumerate() {
        let now = end - TimeDelta::hours(40) + TimeDelta::hours(40) * i32::try_from(number).expect("few") / 20;
        for signal in batch {
            if !case.signals.iter().any(|known| known.id == signal.id) {
                case.signals.push(signal.clone());
            }
        }
        decide(&mut case, &Event::Signals(batch.clone()), now.min(end)).expect("signals are never refused");
        decide(&mut case, &Event::Tick, now.min(end)).expect("time is never refused");
    }
    decide(&mut case, &Event::Tick, end).expect("time is never refused");
    case.checks.into_iter().map(|check| (check.state, check.received_late)).collect()
}

/// `PROPTEST_CASES` asks for more than the few seconds of an ordinary run.
fn rules() -> ProptestConfig {
    let settings = ProptestConfig::default();
    ProptestConfig { cases: settings.cases.max(600), failure_persistence: None, ..settings }
}

proptest! {
    #![proptest_config(rules())]

    #[test]
    fn whatever_happens_in_whatever_order_nobody_due_is_forgotten_or_alerted_twice(ops in prop::collection::vec(op(), 1..70)) {
        let mut run = Run::new();
        for op in &ops {
            run.step(op);
            // Before the watch passes, later events meet checks that are due and not judged yet.
            if matches!(op, Op::Tick | Op::Wait(20..) | Op::Outage(_)) {
                run.inspect();
            }
        }
        run.now = run.now.max(local("09:45:00") + TimeDelta::days(1));
        run.inspect();
        prop_assert!(run.case.checks.iter().all(|check| !check.state.is_undecided()));
    }

    #[test]
    fn what_a_check_says_depends_on_the_set_of_signs_and_not_on_how_they_came(
        (set, shuffled, sizes) in facts().prop_flat_map(|set| {
            let twice: Vec<SignalFact> = set.iter().chain(&set).cloned().collect();
            (Just(set), Just(twice).prop_shuffle(), prop::collection::vec(1_usize..5, 20))
        })
    ) {
        let mut rest = shuffled.as_slice();
        let mut batches = Vec::new();
        for size in sizes {
            let (batch, after) = rest.split_at(size.min(rest.len()));
            batches.push(batch.to_vec());
            rest = after;
        }
        batches.push(rest.to_vec());
        prop_assert_eq!(judged(&[set]), judged(&batches));
    }
}
