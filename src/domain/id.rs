//! Derived ids: the same cause gives the same id on every instance and after every restart, so that a check, a trigger or
//! a notice can exist only once (I2, I5, I12). The name space and the text forms below are part of the data: never change them.

use chrono::NaiveDate;
use uuid::Uuid;

use super::check::Slot;

const NAMESPACE: Uuid = Uuid::from_u128(0x8f0c_2c1e_6a51_4d0b_9c3e_77d2_55ab_1ec7);

fn derive(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes())
}

/// A number that looks drawn and is the same everywhere: how far what one person is told is moved behind a mark (seconds of Unix time).
pub fn draw(site: Uuid, recipient: Uuid, mark: i64) -> u64 {
    derive(&["draw", &site.to_string(), &recipient.to_string(), &mark.to_string()]).as_u64_pair().1
}

/// The check of one senior, date and slot.
pub fn check(site: Uuid, senior: Uuid, date: NaiveDate, slot: Slot) -> Uuid {
    derive(&["check", &site.to_string(), &senior.to_string(), &date.to_string(), slot.as_str()])
}

/// The trigger of a check: `kind` is `missed` or `help`.
pub fn check_trigger(check: Uuid, kind: &str) -> Uuid {
    derive(&["trigger", &check.to_string(), kind])
}

/// The trigger of a help press or of a manual request, named by the id of the signal or request.
pub fn request_trigger(site: Uuid, request: Uuid) -> Uuid {
    derive(&["request", &site.to_string(), &request.to_string()])
}

/// The alert that a trigger opens.
pub fn alert(trigger: Uuid) -> Uuid {
    derive(&["alert", &trigger.to_string()])
}

/// The absence that an outcome of an alert creates.
pub fn absence(alert: Uuid, return_date: NaiveDate) -> Uuid {
    derive(&["absence", &alert.to_string(), &return_date.to_string()])
}

/// The question whether another time or sign should be agreed, named by the alert or check that raised it.
pub fn misfit(mishap: Uuid) -> Uuid {
    derive(&["misfit", &mishap.to_string()])
}

/// The invented senior of a site's daily self-test.
pub fn canary(site: Uuid) -> Uuid {
    derive(&["canary", &site.to_string()])
}

/// The weekly drill of the week that begins on this Monday.
pub fn weekly_drill(site: Uuid, monday: NaiveDate) -> Uuid {
    derive(&["weekly_drill", &site.to_string(), &monday.to_string()])
}

/// What one person is told of a drill.
pub fn drill_notice(drill: Uuid, recipient: Uuid, key: &str) -> Uuid {
    derive(&["drill", &drill.to_string(), &recipient.to_string(), key])
}

/// What one person is told at one step of one alert.
pub fn notice(alert: Uuid, epoch: i64, step: i64, recipient: Uuid, key: &str) -> Uuid {
    derive(&["notice", &alert.to_string(), &epoch.to_string(), &step.to_string(), &recipient.to_string(), key])
}

/// The call that follows a text which nobody answered.
pub fn ring(notice: Uuid) -> Uuid {
    derive(&["ring", &notice.to_string()])
}

/// A reminder or report that exists once per person, date and reason.
pub fn daily_notice(site: Uuid, recipient: Uuid, date: NaiveDate, reason: &str) -> Uuid {
    derive(&["daily", &site.to_string(), &recipient.to_string(), &date.to_string(), reason])
}

/// What one person is told once about an absence.
pub fn absence_word(absence: Uuid, recipient: Uuid, key: &str) -> Uuid {
    derive(&["absence_word", &absence.to_string(), &recipient.to_string(), key])
}

/// One look of a sheet at one senior.
pub fn sheet_signal(sheet: Uuid, senior: Uuid) -> Uuid {
    derive(&["sheet", &sheet.to_string(), &senior.to_string()])
}

/// What a request makes that brings no id of its own, named by its sender and its key.
pub fn keyed(sender: Uuid, key: &str) -> Uuid {
    derive(&["keyed", &sender.to_string(), key])
}

/// One event of a device: a replay has the same id.
pub fn device_signal(device: Uuid, boot: i64, seq: i64, index: usize) -> Uuid {
    derive(&["device", &device.to_string(), &boot.to_string(), &seq.to_string(), &index.to_string()])
}

/// What one person is told of a press that was refused: once, however often the device or a broker repeats it.
pub fn refused_press(device: Uuid, press: &str, recipient: Uuid) -> Uuid {
    derive(&["refused", &device.to_string(), press, &recipient.to_string()])
}

/// Something else that the same message of such a device says.
pub fn device_beside(device: Uuid, at_ms: i64, nth: u8) -> Uuid {
    derive(&["beside", &device.to_string(), &at_ms.to_string(), &nth.to_string()])
}

/// A change of level of a device that numbers nothing: named by the moment at which it was first seen.
pub fn device_edge(device: Uuid, at_ms: i64) -> Uuid {
    derive(&["edge", &device.to_string(), &at_ms.to_string()])
}
