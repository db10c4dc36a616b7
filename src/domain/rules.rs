//! The times and thresholds that a site can change. The defaults are those of the design; small values are legal, which is
//! how the demo and the end-to-end test run a whole morning in a minute.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agreement::GRACE_MAX;
use super::day::UNOBSERVED_DELAY_MAX;
use super::refusal::Refusal;

pub mod notify;

pub use notify::{DrillRules, NotifyRules, WeeklyDrill};

/// A length of time written as people write it: "15m", "10s", "1h 30m".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub TimeDelta);

impl Span {
    pub const fn seconds(seconds: i64) -> Self {
        Self(TimeDelta::seconds(seconds))
    }
    pub const fn minutes(minutes: i64) -> Self {
        Self(TimeDelta::minutes(minutes))
    }
    /// The same length for timers.
    pub fn std(self) -> std::time::Duration {
        self.0.to_std().unwrap_or_default()
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.std()))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = humantime::parse_duration(&text).map_err(|_| {
            serde::de::Error::custom(format!("{text:?} is not a length of time; allowed: text such as \"10s\", \"15m\", \"1h 30m\""))
        })?;
        let delta =
            TimeDelta::from_std(length).map_err(|_| serde::de::Error::custom(format!("{text:?} is too long; allowed: up to 10 years")))?;
        if delta > TimeDelta::days(3660) {
            return Err(serde::de::Error::custom(format!("{text:?} is too long; allowed: up to 10 years")));
        }
        Ok(Self(delta))
    }
}

/// `check.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRules {
    /// From this local time on a morning sign counts.
    pub morning_counts_from: NaiveTime,
    pub evening_counts_from: NaiveTime,
    /// The round opens here; earlier signs count all the same.
    pub morning_window_opens: NaiveTime,
    pub evening_window_opens: NaiveTime,
    /// Deadline T for agreements that name none, April to October.
    pub morning_deadline: NaiveTime,
    /// Deadline T for agreements that name none, November to March.
    pub morning_deadline_winter: NaiveTime,
    pub evening_deadline: NaiveTime,
    pub grace: Span,
    /// A site may hold back alerts of checks at which nobody looked; at most 60 min.
    pub unobserved_delay: Span,
    /// T minus this: the count left, to the round.
    pub remind_round: Span,
    /// T minus this: those not looked at, to round and backup; look again at tentative ones.
    pub remind_last: Span,
    /// T plus this: the second call for tentative ones.
    pub look_again: Span,
    /// Signals older than this are history only, and checks older than this are not evaluated.
    pub look_back: Span,
    /// Tolerated future of a phone's clock.
    pub future_people: Span,
    /// Tolerated future of a device's clock.
    pub future_devices: Span,
    /// New compounds run in trial mode this long.
    pub trial: Span,
    /// The local time at which, on the day before a return, somebody is asked whether it is so.
    pub confirm_return_at: NaiveTime,
    /// The local time of "no cover tomorrow".
    pub cover_notice_at: NaiveTime,
    /// The local time by which the daily proof has gone out.
    pub proof_at: NaiveTime,
}

impl Default for CheckRules {
    fn default() -> Self {
        let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("a literal time of day");
        Self {
            morning_counts_from: at(3, 0),
            evening_counts_from: at(12, 0),
            morning_window_opens: at(6, 30),
            evening_window_opens: at(17, 0),
            morning_deadline: at(9, 0),
            morning_deadline_winter: at(9, 30),
            evening_deadline: at(20, 0),
            grace: Span::minutes(15),
            unobserved_delay: Span::seconds(0),
            remind_round: Span::minutes(30),
            remind_last: Span::minutes(10),
            look_again: Span::minutes(5),
            look_back: Span(TimeDelta::days(7)),
            future_people: Span::minutes(2),
            future_devices: Span::minutes(10),
            trial: Span(TimeDelta::days(14)),
            confirm_return_at: at(16, 0),
            cover_notice_at: at(17, 0),
            proof_at: at(9, 50),
        }
    }
}

impl CheckRules {
    /// When somebody seen shut or not visible is looked at for the second time.
    pub fn look_again_at(&self, deadline_at: DateTime<Utc>) -> DateTime<Utc> {
        deadline_at + self.look_again.0
    }

    /// The deadline of a date for an agreement that names none.
    pub fn deadline(&self, slot: super::check::Slot, date: NaiveDate) -> NaiveTime {
        match slot {
            super::check::Slot::Evening => self.evening_deadline,
            super::check::Slot::Morning if matches!(date.month(), 11 | 12 | 1..=3) => self.morning_deadline_winter,
            super::check::Slot::Morning => self.morning_deadline,
        }
    }
}

/// `ladder.*`: when each level is due after the epoch began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LadderRules {
    /// L0 once more, if nobody has claimed.
    pub again: Span,
    pub l1: Span,
    /// L1 if somebody had claimed by then.
    pub l1_claimed: Span,
    pub l2: Span,
    /// L2 of a check at which nobody looked waits for a first look, at most until here.
    pub l2_unseen: Span,
    pub l3: Span,
    pub l4: Span,
    pub l5: Span,
    /// After the last step L4 and L5 come again at this pace.
    pub repeat: Span,
    pub help_l2: Span,
    /// Duty hours, local time. Outside of them a call for help also goes to whoever can be phoned at any hour.
    pub duty_from: NaiveTime,
    pub duty_to: NaiveTime,
    /// L2 after a "cry" card, which is less certain than a pressed button.
    pub cry_l2: Span,
    pub help_l3: Span,
    pub help_l4: Span,
    pub help_l5: Span,
    /// How long "I am going" holds L1 to L3.
    pub claim: Span,
    /// How long "I am at the door" holds them.
    pub on_site: Span,
    /// How long a contact who was told by message has to answer before the next one is told.
    pub contact_turn: Span,
}

impl LadderRules {
    /// Whether offices are manned at this local time; duty hours may run over midnight.
    pub fn is_on_duty(&self, time: NaiveTime) -> bool {
        if self.duty_from <= self.duty_to {
            self.duty_from <= time && time < self.duty_to
        } else {
            self.duty_from <= time || time < self.duty_to
        }
    }
}

impl Default for LadderRules {
    fn default() -> Self {
        let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("a literal time of day");
        Self {
            duty_from: at(8, 0),
            duty_to: at(18, 0),
            again: Span::minutes(10),
            l1: Span::minutes(5),
            l1_claimed: Span::minutes(15),
            l2: Span::minutes(20),
            l2_unseen: Span::minutes(30),
            l3: Span::minutes(30),
            l4: Span::minutes(45),
            l5: Span::minutes(60),
            repeat: Span::minutes(15),
            help_l2: Span::minutes(3),
            cry_l2: Span::minutes(10),
            help_l3: Span::minutes(5),
            help_l4: Span::minutes(10),
            help_l5: Span::minutes(15),
            claim: Span::minutes(15),
            on_site: Span::minutes(30),
            contact_turn: Span::minutes(3),
        }
    }
}

/// What a site keeps of the settings: copied from the configuration when the site is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub check: CheckRules,
    pub ladder: LadderRules,
    pub notify: NotifyRules,
}

const DAY: TimeDelta = TimeDelta::hours(24);
const LOOK_BACK_MAX: TimeDelta = TimeDelta::days(30);
const TRIAL_MAX: TimeDelta = TimeDelta::days(366);
const NOTHING: TimeDelta = TimeDelta::zero();
const SECOND: TimeDelta = TimeDelta::seconds(1);

impl Rules {
    /// What a site has stored, perhaps by an earlier or a later version of this program, since two of them run side by side
    /// during an update (I36): a key that is missing has its default, and one that only the other version knows is passed over.
    /// What people enter is read strictly instead.
    ///
    /// # Errors
    /// If it is no JSON, or a key that we know holds what we cannot read.
    pub fn from_stored(text: &str) -> serde_json::Result<Self> {
        let stored: Value = serde_json::from_str(text)?;
        let mut known = serde_json::to_value(Self::default())?;
        lay_over_known(&mut known, &stored);
        serde_json::from_value(known)
    }

    /// What may stand in a site's settings, whether they come from a file or from a person: a deadline that no sign can meet or a
    /// rung that never comes would be a silent way not to look. The refusal names the setting.
    pub fn check(&self) -> Result<(), Refusal> {
        self.check.require()?;
        self.ladder.require()?;
        self.notify.require(&self.check)
    }
}

impl CheckRules {
    fn require(&self) -> Result<(), Refusal> {
        if self.grace.0 > GRACE_MAX {
            return Err(Refusal::invalid("check.grace", "register.grace").with("hours", GRACE_MAX.num_hours()));
        }
        if self.unobserved_delay.0 > UNOBSERVED_DELAY_MAX {
            let minutes = UNOBSERVED_DELAY_MAX.num_minutes();
            return Err(Refusal::invalid("check.unobserved_delay", "register.unobserved_delay").with("minutes", minutes));
        }
        for (field, span, least, most) in [
            ("check.remind_round", self.remind_round, NOTHING, DAY),
            ("check.remind_last", self.remind_last, NOTHING, DAY),
            ("check.look_again", self.look_again, NOTHING, DAY),
            ("check.look_back", self.look_back, SECOND, LOOK_BACK_MAX),
            ("check.future_people", self.future_people, NOTHING, DAY),
            ("check.future_devices", self.future_devices, NOTHING, DAY),
            ("check.trial", self.trial, NOTHING, TRIAL_MAX),
        ] {
            within(field, span, least, most)?;
        }
        for (field, from, deadline) in [
            ("check.morning_deadline", self.morning_counts_from, self.morning_deadline),
            ("check.morning_deadline_winter", self.morning_counts_from, self.morning_deadline_winter),
            ("check.evening_deadline", self.evening_counts_from, self.evening_deadline),
        ] {
            if deadline <= from {
                return Err(Refusal::invalid(field, "register.deadline_too_early").with("time", from.format("%H:%M")));
            }
            if deadline.overflowing_add_signed(self.grace.0 + self.unobserved_delay.0).1 != 0 {
                return Err(Refusal::invalid(field, "register.cutoff_after_midnight"));
            }
        }
        Ok(())
    }
}

impl LadderRules {
    fn require(&self) -> Result<(), Refusal> {
        for levels in
            [[self.l1, self.l2, self.l3, self.l4, self.l5], [self.help_l2, self.help_l2, self.help_l3, self.help_l4, self.help_l5]]
        {
            if !levels.is_sorted() || levels[4].0 > GRACE_MAX {
                return Err(Refusal::invalid("ladder", "register.ladder_order").with("hours", GRACE_MAX.num_hours()));
            }
        }
        for (field, span, least) in [
            ("ladder.again", self.again, NOTHING),
            ("ladder.l1_claimed", self.l1_claimed, NOTHING),
            ("ladder.l2_unseen", self.l2_unseen, NOTHING),
            ("ladder.cry_l2", self.cry_l2, NOTHING),
            ("ladder.repeat", self.repeat, SECOND),
            ("ladder.claim", self.claim, SECOND),
            ("ladder.on_site", self.on_site, SECOND),
            ("ladder.contact_turn", self.contact_turn, SECOND),
        ] {
            within(field, span, least, GRACE_MAX)?;
        }
        Ok(())
    }
}

fn within(field: &str, span: Span, least: TimeDelta, most: TimeDelta) -> Result<(), Refusal> {
    if (least..=most).contains(&span.0) {
        return Ok(());
    }
    let length = |delta: TimeDelta| humantime::format_duration(delta.to_std().unwrap_or_default());
    Err(Refusal::invalid(field, "register.span").with("least", length(least)).with("most", length(most)))
}

fn lay_over_known(known: &mut Value, stored: &Value) {
    match (known, stored) {
        (Value::Object(known), Value::Object(stored)) => {
            for (name, value) in known {
                if let Some(stored) = stored.get(name) {
                    lay_over_known(value, stored);
                }
            }
        }
        (value, stored) => *value = stored.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duty_hours_are_half_open_and_may_run_over_midnight() {
        let time = |text: &str| text.parse::<NaiveTime>().unwrap();
        for (from, to, at, on_duty) in [
            ("08:00", "18:00", "07:59:59", false),
            ("08:00", "18:00", "08:00", true),
            ("08:00", "18:00", "17:59:59", true),
            ("08:00", "18:00", "18:00", false),
            ("20:00", "06:00", "23:00", true),
            ("20:00", "06:00", "05:59", true),
            ("20:00", "06:00", "06:00", false),
            ("08:00", "08:00", "08:00", false),
        ] {
            let rules = LadderRules { duty_from: time(from), duty_to: time(to), ..LadderRules::default() };
            assert_eq!(rules.is_on_duty(time(at)), on_duty, "{from}-{to} at {at}");
        }
    }

    #[test]
    fn a_setting_that_would_keep_a_rung_or_a_deadline_from_coming_is_refused_by_its_name() {
        let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        let refused = |change: &dyn Fn(&mut Rules)| {
            let mut rules = Rules::default();
            change(&mut rules);
            rules.check().err().and_then(|refusal| refusal.field)
        };
        assert_eq!(refused(&|_| ()), None);
        assert_eq!(refused(&|rules| rules.ladder.claim = Span::seconds(1)), None, "small values are legal");
        let cases: [(&str, &dyn Fn(&mut Rules)); 11] = [
            ("check.grace", &|rules| rules.check.grace = Span::minutes(30 * 60)),
            ("check.look_back", &|rules| rules.check.look_back = Span::seconds(0)),
            ("check.trial", &|rules| rules.check.trial = Span(TimeDelta::days(999))),
            ("check.morning_deadline", &|rules| rules.check.morning_deadline = at(2, 0)),
            ("check.evening_deadline", &|rules| rules.check.evening_deadline = at(23, 50)),
            ("ladder", &|rules| rules.ladder.l1 = Span(TimeDelta::days(999))),
            ("ladder", &|rules| rules.ladder.l4 = Span::seconds(0)),
            ("ladder.repeat", &|rules| rules.ladder.repeat = Span::seconds(0)),
            ("ladder.claim", &|rules| rules.ladder.claim = Span::seconds(0)),
            ("ladder.contact_turn", &|rules| rules.ladder.contact_turn = Span::seconds(0)),
            ("ladder.again", &|rules| rules.ladder.again = Span(TimeDelta::days(1))),
        ];
        for (field, change) in cases {
            assert_eq!(refused(change).as_deref(), Some(field));
        }
    }

    // I36
    #[test]
    fn the_times_that_another_version_stored_are_read_as_far_as_they_are_known() {
        let with_grace = |minutes| {
            let mut rules = Rules::default();
            rules.check.grace = Span::minutes(minutes);
            rules
        };
        for (text, expected) in [
            ("{}", Some(Rules::default())),
            (r#"{"check": {"grace": "20m"}}"#, Some(with_grace(20))),
            (r#"{"check": {"grace": "20m", "quiet": "1h"}, "sms": {"sign": "x"}, "ladder": {"l9": "2h"}}"#, Some(with_grace(20))),
            (&serde_json::to_string(&with_grace(7)).unwrap(), Some(with_grace(7))),
            (r#"{"check": {"grace": "soon"}}"#, None),
            (r#"{"check": null}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(Rules::from_stored(text).ok(), expected, "{text}");
        }
    }
}
