//! Times as programs send them: RFC 3339 with `T` and an offset, years 2000 to 2100, whole milliseconds.

use chrono::{DateTime, Datelike, SubsecRound, Utc};

const YEAR_MIN: i32 = 2000;
const YEAR_MAX: i32 = 2100;
const CHARACTERS_MAX: usize = 40;

/// What is allowed, for error messages.
pub const ALLOWED: &str = "a time such as 2026-11-23T08:15:00+08:00, with offset, years 2000 to 2100";

/// Reads a time strictly; `None` for everything that two programs could understand differently.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let shaped = text.len() <= CHARACTERS_MAX && text.is_ascii() && text.as_bytes().get(10) == Some(&b'T');
    // A leap second would be read back as the next minute.
    let leap = text.get(17..19) == Some("60");
    if !shaped || leap {
        return None;
    }
    let at = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (YEAR_MIN..=YEAR_MAX).contains(&at.year()).then(|| at.trunc_subsecs(3))
}
