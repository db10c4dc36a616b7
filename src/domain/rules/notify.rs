//! `notify.*`: when words that ask nobody to go are told, by which way people are reached who have chosen none, and when the site
//! tries whether its alerts arrive. Alerts themselves follow none of this.

use chrono::{NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};

use super::{CheckRules, Span, within};
use crate::domain::message::Channel;
use crate::domain::refusal::Refusal;
use crate::words;

words! {
    /// Whether the weekly drill runs.
    pub enum WeeklyDrill {
        /// Nobody has decided it; the system page says so.
        Undecided = "undecided",
        On = "on",
        Off = "off"
    }
}

/// `notify.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyRules {
    /// Local times between which reminders and reports wait, for everybody who has set none of her own. May pass midnight; twice the
    /// same time: never.
    pub quiet_from: NaiveTime,
    pub quiet_to: NaiveTime,
    /// Reminders and reports keep clear of full and half hours by so many seconds, at least and at most; `[0, 0]`: they do not.
    pub jitter_seconds: [i64; 2],
    /// Words of channels, the first one first, for people who go to doors and have not put theirs into an order. Those that are not
    /// named come last.
    pub order_helpers: Vec<String>,
    /// The same for people who sit at a desk.
    pub order_staff: Vec<String>,
    /// The local time of the daily message that proves that alerts arrive (I27).
    pub canary_at: NaiveTime,
    /// How long it may take to arrive.
    pub canary_within: Span,
    pub drill: DrillRules,
}

/// `notify.drill.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillRules {
    pub weekly: WeeklyDrill,
    /// 1 is Monday.
    pub weekday: u8,
    pub at: NaiveTime,
    /// When the report is made, counted from the beginning.
    pub report_after: Span,
    /// Whether the people of the street's duty are told, too.
    pub street_duty: bool,
}

impl Default for NotifyRules {
    fn default() -> Self {
        let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("a literal time of day");
        let words = |channels: &[Channel]| channels.iter().map(|channel| channel.as_str().to_owned()).collect();
        Self {
            quiet_from: at(22, 0),
            quiet_to: at(6, 30),
            jitter_seconds: [20, 120],
            order_helpers: words(&[
                Channel::AliyunSms,
                Channel::TencentSms,
                Channel::AliyunVoice,
                Channel::OfficialAccount,
                Channel::WecomApp,
            ]),
            order_staff: words(&[Channel::WecomApp, Channel::AliyunSms, Channel::TencentSms, Channel::AliyunVoice]),
            canary_at: at(7, 0),
            canary_within: Span::minutes(10),
            drill: DrillRules::default(),
        }
    }
}

impl Default for DrillRules {
    fn default() -> Self {
        Self {
            weekly: WeeklyDrill::Undecided,
            weekday: 3,
            at: NaiveTime::from_hms_opt(15, 0, 0).expect("a literal time of day"),
            report_after: Span::minutes(30),
            street_duty: false,
        }
    }
}

/// Longer than that a reminder must not be held back for the sake of the providers.
const JITTER_SECONDS_MAX: i64 = 600;
const CANARY_WITHIN_MAX: TimeDelta = TimeDelta::hours(2);
const REPORT_AFTER_MAX: TimeDelta = TimeDelta::hours(24);

impl NotifyRules {
    pub(super) fn require(&self, check: &CheckRules) -> Result<(), Refusal> {
        let [least, most] = self.jitter_seconds;
        if !(0 <= least && least <= most && most <= JITTER_SECONDS_MAX) {
            return Err(Refusal::invalid("notify.jitter_seconds", "register.jitter").with("most", JITTER_SECONDS_MAX));
        }
        for (field, order) in [("notify.order_helpers", &self.order_helpers), ("notify.order_staff", &self.order_staff)] {
            let once = order.iter().enumerate().all(|(place, word)| !order[..place].contains(word));
            if !once || order.iter().any(|word| word.parse::<Channel>().is_err()) {
                let known = Channel::ALL.iter().map(|channel| channel.as_str()).collect::<Vec<_>>().join(", ");
                return Err(Refusal::invalid(field, "register.channel_order").with("allowed", known));
            }
        }
        // It is a check of the morning slot: before that begins it would never be one.
        if self.canary_at <= check.morning_counts_from {
            let time = check.morning_counts_from.format("%H:%M");
            return Err(Refusal::invalid("notify.canary_at", "register.deadline_too_early").with("time", time));
        }
        within("notify.canary_within", self.canary_within, TimeDelta::seconds(1), CANARY_WITHIN_MAX)?;
        if !(1..=7).contains(&self.drill.weekday) {
            return Err(Refusal::invalid("notify.drill.weekday", "register.weekday"));
        }
        within("notify.drill.report_after", self.drill.report_after, TimeDelta::seconds(1), REPORT_AFTER_MAX)
    }
}
