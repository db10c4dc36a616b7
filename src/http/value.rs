//! Types of single fields that refuse what the database or a person could not read back. Each names what is allowed and
//! never repeats what was sent.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::domain::absence::{AbsenceFact, AbsenceKind};
use crate::domain::{moment, phone};

const YEAR_MIN: i32 = 2000;
const YEAR_MAX: i32 = 2100;

/// An instant: RFC 3339 with `T` and an offset, years 2000 to 2100, cut to whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Timestamp(pub DateTime<Utc>);

/// A date: `2026-11-23`, years 2000 to 2100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Day(pub NaiveDate);

/// A time on the wall: `09:00` or `09:00:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TimeOfDay(pub NaiveTime);

/// A phone number in its one written form (`domain::phone`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phone(pub String);

/// Text that says something: trimmed, 1 to `MAX` characters, no control characters except line breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text<const MAX: usize>(pub String);

/// Text that may be empty: trimmed, at most `MAX` characters, no control characters except line breaks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MaybeText<const MAX: usize>(pub String);

impl Timestamp {
    pub fn parse(text: &str) -> Option<Self> {
        moment::parse(text).map(Self)
    }
}

impl Day {
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 10 {
            return None;
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        (YEAR_MIN..=YEAR_MAX).contains(&date.year()).then_some(Self(date))
    }
}

impl TimeOfDay {
    pub fn parse(text: &str) -> Option<Self> {
        let format = match text.len() {
            5 => "%H:%M",
            8 => "%H:%M:%S",
            _ => return None,
        };
        NaiveTime::parse_from_str(text, format).ok().filter(|time| time.nanosecond() == 0).map(Self)
    }
}

/// Reads text and asks `parse`.
struct From<T> {
    parse: fn(&str) -> Option<T>,
    allowed: &'static str,
}

impl<T> de::Visitor<'_> for From<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.allowed)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::custom(format!("expected {}", self.allowed)))
    }
}

macro_rules! from_text {
    ($name:ident, $parse:expr, $allowed:literal, $format:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(From { parse: $parse, allowed: $allowed })
            }
        }
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).format($format).description(Some($allowed));
                RefOr::T(Schema::Object(text.build()))
            }
        }
        impl ToSchema for $name {}
    };
}

from_text!(
    Timestamp,
    Timestamp::parse,
    "a time such as 2026-11-23T08:15:00+08:00, with offset, years 2000 to 2100",
    Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))
);
from_text!(Day, Day::parse, "a date such as 2026-11-23, years 2000 to 2100", Some(SchemaFormat::KnownFormat(KnownFormat::Date)));
from_text!(TimeOfDay, TimeOfDay::parse, "a time of day such as 09:00 or 09:00:30", Some(SchemaFormat::Custom("time".to_owned())));
from_text!(
    Phone,
    |text| phone::normalise(text).map(Phone),
    "a phone number of 3 to 15 digits",
    Some(SchemaFormat::Custom("phone".to_owned()))
);

/// Trims a text; `None` if it has too few or too many characters.
fn bounded(text: &str, characters: std::ops::RangeInclusive<usize>) -> Option<String> {
    let text = text.trim();
    let plain = !text.chars().any(|c| c.is_control() && c != '\n');
    (plain && characters.contains(&text.chars().count())).then(|| text.to_owned())
}

/// An absence as those who look or go are told of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AbsenceWord {
    pub id: Uuid,
    pub kind: AbsenceKind,
    /// The first day away.
    pub from: NaiveDate,
    /// The first day back.
    pub return_date: NaiveDate,
    /// Who said so, by name: the person to ask.
    pub reported_by: String,
}

impl std::convert::From<AbsenceFact> for AbsenceWord {
    fn from(fact: AbsenceFact) -> Self {
        Self { id: fact.id, kind: fact.kind, from: fact.from_date, return_date: fact.return_date, reported_by: fact.reported_by }
    }
}

macro_rules! bounded_text {
    ($name:ident, $least:literal) => {
        impl<'de, const MAX: usize> Deserialize<'de> for $name<MAX> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                bounded(&text, $least..=MAX)
                    .map(Self)
                    .ok_or_else(|| de::Error::custom(format!("expected {} to {MAX} characters without control characters", $least)))
            }
        }
        impl<const MAX: usize> PartialSchema for $name<MAX> {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some($least)).max_length(Some(MAX));
                RefOr::T(Schema::Object(text.build()))
            }
        }
        impl<const MAX: usize> ToSchema for $name<MAX> {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Owned(format!("{}{MAX}", stringify!($name)))
            }
        }
    };
}

bounded_text!(Text, 1);
bounded_text!(MaybeText, 0);
