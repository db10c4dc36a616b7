//! What an entry of the register must look like, field by field. Texts are kept in one form (NFC, trimmed, no control
//! characters), so that the same name typed on two phones is the same name, and neither database sees a NUL.

use chrono::{Days, NaiveDate};
use unicode_normalization::UnicodeNormalization;

use super::day::EVERY_DAY;
use super::refusal::Refusal;

pub const NAME_CHARS_MAX: usize = 64;
pub const HINT_CHARS_MAX: usize = 120;
pub const NOTE_CHARS_MAX: usize = 200;
pub const ADDRESS_CHARS_MAX: usize = 500;
/// Dates of the register lie within the years that times may have.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2100;
pub const CONTACTS_MAX: i64 = 10;
pub const CHANNELS_MAX: i64 = 10;
/// Buildings or seniors of one duty, buildings of one grid.
pub const SCOPES_MAX: usize = 200;
/// How long a member may be away in one entry.
pub const LEAVE_DAYS_MAX: u64 = 366;
pub const POSITION_MAX: i64 = 100_000;

/// A text that may be empty.
pub fn text(field: &str, value: &str, chars_max: usize) -> Result<String, Refusal> {
    let clean: String = value.nfc().collect::<String>().trim().to_owned();
    if clean.chars().any(char::is_control) {
        return Err(Refusal::invalid(field, "register.control_characters"));
    }
    if clean.chars().count() > chars_max {
        return Err(Refusal::invalid(field, "register.text_length").with("max", chars_max));
    }
    Ok(clean)
}

/// A text that says something.
pub fn name(field: &str, value: &str) -> Result<String, Refusal> {
    let clean = text(field, value, NAME_CHARS_MAX)?;
    if clean.is_empty() {
        return Err(Refusal::invalid(field, "register.name_length").with("max", NAME_CHARS_MAX));
    }
    Ok(clean)
}

/// An optional text: an empty one is none.
pub fn optional(field: &str, value: Option<&str>, chars_max: usize) -> Result<Option<String>, Refusal> {
    let clean = value.map(|value| text(field, value, chars_max)).transpose()?;
    Ok(clean.filter(|clean| !clean.is_empty()))
}

/// A phone number in its one written form.
pub fn phone(field: &str, value: &str) -> Result<String, Refusal> {
    super::phone::normalise(value).ok_or_else(|| Refusal::invalid(field, "register.phone"))
}

pub fn optional_phone(field: &str, value: Option<&str>) -> Result<Option<String>, Refusal> {
    value.filter(|value| !value.trim().is_empty()).map(|value| phone(field, value)).transpose()
}

/// Weekdays as bits, at least one.
pub fn weekdays(field: &str, value: i64) -> Result<i64, Refusal> {
    if (1..=EVERY_DAY).contains(&value) { Ok(value) } else { Err(Refusal::invalid(field, "register.weekdays")) }
}

/// A place in an order.
pub fn position(field: &str, value: i64) -> Result<i64, Refusal> {
    if (0..=POSITION_MAX).contains(&value) {
        Ok(value)
    } else {
        Err(Refusal::invalid(field, "register.position").with("max", POSITION_MAX))
    }
}

pub fn date(field: &str, value: NaiveDate) -> Result<NaiveDate, Refusal> {
    use chrono::Datelike;
    if YEARS.contains(&value.year()) { Ok(value) } else { Err(Refusal::invalid(field, "register.date")) }
}

/// From–to with an exclusive end: the end lies after the beginning.
pub fn dates(from: NaiveDate, to_field: &str, to: Option<NaiveDate>) -> Result<(), Refusal> {
    date("from_date", from)?;
    match to {
        Some(to) if date(to_field, to)? <= from => Err(Refusal::invalid(to_field, "register.dates")),
        _ => Ok(()),
    }
}

/// Ending a row that has a history: not before today, and not after an end that is already known.
pub fn ending(to: NaiveDate, today: NaiveDate, known: Option<NaiveDate>) -> Result<(), Refusal> {
    date("to_date", to)?;
    if to < today {
        return Err(Refusal::invalid("to_date", "register.end_in_the_past"));
    }
    match known {
        Some(known) if known <= today => Err(Refusal::conflict("register.already_ended")),
        Some(known) if to > known => Err(Refusal::invalid("to_date", "register.end_not_later")),
        _ => Ok(()),
    }
}

/// A leave is bounded, so that nobody is away for ever by a typing error.
pub fn leave(from: NaiveDate, back: NaiveDate) -> Result<(), Refusal> {
    dates(from, "return_date", Some(back))?;
    if from.checked_add_days(Days::new(LEAVE_DAYS_MAX)).is_some_and(|latest| back > latest) {
        return Err(Refusal::invalid("return_date", "register.leave_length").with("days", LEAVE_DAYS_MAX));
    }
    Ok(())
}

/// 张奶奶 stays as people say it, a full name in a list of staff shows its first character alone: 张**.
pub fn masked(name: &str) -> String {
    let mut chars = name.chars();
    let first: String = chars.next().into_iter().collect();
    let hidden = chars.count().clamp(1, 2);
    first + &"*".repeat(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_composed_and_free_of_control_characters() {
        for (input, expected) in
            [(" 张秀英 ", Some("张秀英")), ("e\u{301}", Some("é")), ("", None), ("   ", None), ("a\0b", None), ("a\nb", None)]
        {
            assert_eq!(name("name", input).ok().as_deref(), expected, "{input:?}");
        }
        assert!(name("name", &"名".repeat(NAME_CHARS_MAX)).is_ok());
        assert!(name("name", &"名".repeat(NAME_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn weekdays_name_at_least_one_day_and_dates_end_after_they_begin() {
        for (bits, valid) in [(0, false), (1, true), (127, true), (128, false), (-1, false)] {
            assert_eq!(weekdays("weekdays", bits).is_ok(), valid, "{bits}");
        }
        let day = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        assert!(dates(day(2), "to_date", Some(day(2))).is_err());
        assert!(dates(day(2), "to_date", Some(day(3))).is_ok());
        assert!(dates(NaiveDate::from_ymd_opt(1999, 12, 31).unwrap(), "to_date", None).is_err());
    }

    #[test]
    fn a_list_of_staff_shows_the_first_character_of_a_name() {
        for (name, shown) in [("张秀英", "张**"), ("李四", "李*"), ("王", "王*"), ("欧阳娜娜娜", "欧**")] {
            assert_eq!(masked(name), shown);
        }
    }
}
