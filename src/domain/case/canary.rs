//! The daily self-test (I27): an invented senior whose curtain nobody opens. Her check is missed like any other and opens an alert with
//! one rung, which tells the operators that alerts arrive; once it has arrived, it is over. She has no home, so no list finds her.

use chrono::{DateTime, Utc};

use super::{Alert, AlertState, Arguments, Case, CaseSenior, Command, TimelineKind, Unwanted, record};
use crate::domain::{id, ladder};

/// What the operators read every day.
pub const KEY: &str = "notice.canary";

impl CaseSenior {
    /// The one that the program made. People enter others to practise with; those climb the whole ladder.
    pub fn is_daily_canary(&self) -> bool {
        self.canary && self.id == id::canary(self.site_id)
    }

    /// Begins the ladder of the alert's epoch.
    pub(super) fn begin_ladder(&self, alert: &mut Alert, on_duty: bool, now: DateTime<Utc>) {
        if self.is_daily_canary() {
            ladder::begin_canary(alert, now);
        } else {
            ladder::begin(alert, &self.rules.ladder, on_duty, now);
        }
    }
}

impl Case {
    /// The message has left: nobody has to do anything.
    pub(super) fn end_canary(&mut self, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        if !self.senior.is_daily_canary() {
            return;
        }
        let Some(alert) = self.alert.as_mut().filter(|alert| alert.is_unresolved()) else { return };
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(now);
        let alert_id = alert.id;
        extra.push(record(alert_id, now, TimelineKind::Resolved, None, Arguments::new()));
        extra.push(Command::CancelPending { alert_id, unwanted: Unwanted::All });
    }
}
