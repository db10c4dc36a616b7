//! One senior's alert, minute by minute. Minute 0 is the cutoff; the street has a person for every rung.

mod acts;
mod claims;
mod contacts;
mod list;
mod rungs;

use chrono::TimeDelta;

use super::*;
use crate::domain::check::Slot;
use crate::domain::place::{PairingKind, Role};
use crate::domain::roster::GrantFact;
use crate::domain::signal::{SensorPolicy, Sign, SignalKind, Source, Standing};

const PRIMARY: Uuid = Uuid::from_u128(1);
const BACKUP: Uuid = Uuid::from_u128(2);
const LEAD: Uuid = Uuid::from_u128(3);
const SOCIAL: Uuid = Uuid::from_u128(4);
const PROPERTY: Uuid = Uuid::from_u128(5);
const SECRETARY: Uuid = Uuid::from_u128(6);
const STREET: Uuid = Uuid::from_u128(7);
const OPERATOR: Uuid = Uuid::from_u128(9);

struct Street {
    case: Case,
    roster: Roster,
    told: Vec<(Uuid, &'static str)>,
    rows: Vec<TimelineKind>,
    /// What the last event asked the store to do.
    last: Vec<Command>,
}

fn cutoff() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-23T09:45:00+08:00").unwrap().to_utc()
}

fn minute(minute: i64) -> DateTime<Utc> {
    cutoff() + TimeDelta::minutes(minute)
}

/// The morning check `days` after Monday, 23 November 2026.
fn morning_check(days: i64) -> CheckView {
    let shift = TimeDelta::days(days);
    CheckView {
        id: Uuid::from_u128(100 + u128::try_from(days).unwrap()),
        local_date: "2026-11-23".parse::<NaiveDate>().unwrap() + shift,
        slot: Slot::Morning,
        state: CheckState::Expected,
        expected_sign: Sign::Open,
        sensor_policy: SensorPolicy::Sufficient,
        require_change: false,
        counts_from: minute(-405) + shift,
        deadline_at: minute(-15) + shift,
        cutoff_at: cutoff() + shift,
        day_ends_at: minute(855) + shift,
        unobserved_delay: TimeDelta::zero(),
        received_late: false,
        triggered: false,
        next_action_at: Some(minute(-45) + shift),
        decided_at: None,
    }
}

/// Its id says when and what, so that two signals of a story never share one.
fn signal(kind: SignalKind, observed_at: DateTime<Utc>) -> SignalFact {
    SignalFact {
        id: Uuid::from_u128(u128::from(observed_at.timestamp_millis().unsigned_abs()) << 8 | kind as u128),
        kind,
        observed_at,
        received_at: observed_at,
        source: Source::Member,
        evidence: None,
        standing: Standing::Accepted,
        replaces: None,
    }
}

impl Street {
    fn new() -> Self {
        let senior = CaseSenior {
            site_id: Uuid::from_u128(1000),
            id: Uuid::from_u128(1001),
            called: "张奶奶".to_owned(),
            building_name: "3号楼".to_owned(),
            unit: "2单元".to_owned(),
            zone: chrono_tz::Asia::Shanghai,
            rules: Arc::default(),
            trial_until: None,
            canary: false,
        };
        let grant = |role, member_id| GrantFact { role, member_id, distance: 0 };
        let roster = Roster {
            pairings: vec![(PairingKind::Primary, PRIMARY), (PairingKind::Backup, BACKUP)],
            grants: vec![
                grant(Role::BuildingLead, LEAD),
                grant(Role::SocialWorker, SOCIAL),
                grant(Role::PropertyStaff, PROPERTY),
                grant(Role::BranchSecretary, SECRETARY),
                grant(Role::StreetDuty, STREET),
            ],
            ..Roster::default()
        };
        let case = Case { senior, checks: vec![morning_check(0)], signals: Vec::new(), absences: Vec::new(), alert: None, outage: None };
        Self { case, roster, told: Vec::new(), rows: Vec::new(), last: Vec::new() }
    }

    /// The curtain was seen shut at eight, so the alert opens at minute 0 with the cause `not_open`.
    fn seen_shut() -> Self {
        let mut street = Self::new();
        street.see(SignalKind::Closed, minute(-105));
        street.tick(0);
        street
    }

    fn nobody_looked() -> Self {
        let mut street = Self::new();
        street.tick(0);
        street
    }

    fn pressed(kind: SignalKind) -> Self {
        let mut street = Self::new();
        street.see(kind, minute(0));
        street
    }

    fn event(&mut self, event: &Event, now: DateTime<Utc>) -> Result<(), Refusal> {
        let mut commands = decide(&mut self.case, event, now)?;
        commands.extend(fire(&mut self.case, &self.roster, &[OPERATOR], now));
        for command in &commands {
            match command {
                Command::Tell(notice) => self.told.push((notice.recipient_id, notice.key)),
                Command::Record(row) => self.rows.push(row.kind),
                _ => {}
            }
        }
        self.last = commands;
        Ok(())
    }

    fn tick(&mut self, at: i64) {
        self.event(&Event::Tick, minute(at)).unwrap();
    }

    fn run(&mut self, minutes: impl Iterator<Item = i64>) {
        minutes.for_each(|at| self.tick(at));
    }

    fn append(&mut self, signal: SignalFact, now: DateTime<Utc>) -> Uuid {
        let id = signal.id;
        self.case.signals.push(signal.clone());
        self.event(&Event::Signals(vec![signal]), now).unwrap();
        id
    }

    fn see(&mut self, kind: SignalKind, now: DateTime<Utc>) -> Uuid {
        self.append(signal(kind, now), now)
    }

    fn act(&mut self, at: i64, by: Uuid, act: Act) -> Result<(), Refusal> {
        self.event(&Event::Act(Actor { id: by, may_silence: by == SOCIAL, may_confirm: by == SOCIAL }, act), minute(at))
    }

    fn alert(&self) -> &Alert {
        self.case.alert.as_ref().expect("an alert is there")
    }

    /// (level, minute since the alert opened) of every rung fired in this epoch, in order.
    fn fired(&self) -> Vec<(i64, i64)> {
        let alert = self.alert();
        let of_epoch = alert.steps.iter().filter(|step| step.epoch == alert.epoch && step.state == StepState::Fired);
        let mut fired: Vec<(i64, i64)> =
            of_epoch.map(|step| (step.level, (step.fired_at.unwrap() - alert.opened_at).num_minutes())).collect();
        fired.sort_by_key(|(_, at)| *at);
        fired
    }

    /// What the last event no longer wanted.
    fn cancelled(&self) -> Option<Unwanted> {
        self.last
            .iter()
            .find_map(|command| if let Command::CancelPending { unwanted, .. } = command { Some(unwanted.clone()) } else { None })
    }

    /// Whether the last event tells those again whom a claim or an end had kept from being told.
    fn tells_again(&self) -> bool {
        self.last.iter().any(|command| matches!(command, Command::TellAgain { .. }))
    }

    fn told_with(&self, key: &str) -> Vec<Uuid> {
        self.told.iter().filter(|(_, known)| *known == key).map(|(member, _)| *member).collect()
    }
}
