//! What a reader of JSON says about a value, as a key with arguments. The libraries that read speak English and may quote what
//! was sent; a person reads a sentence in her own language, and a program gets the words "expected …" without a value.

use super::moment;

/// Why a value could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    pub key: &'static str,
    pub arguments: Vec<(&'static str, String)>,
    /// For programs: what was expected. Never what was sent.
    pub expected: String,
    /// The field that is not there; the libraries name it in the sentence alone.
    pub missing: Option<String>,
}

/// The words of `http::value`, `domain::moment` and the register for single fields, and what to tell a person.
const PHRASES: [(&str, &str); 22] = [
    (moment::ALLOWED, "http.field_time"),
    ("a date such as", "http.field_day"),
    ("a time of day such as", "http.field_time_of_day"),
    ("a formatted date and time", "http.field_time"),
    ("a formatted time", "http.field_time_of_day"),
    ("a phone number", "register.phone"),
    ("the `next` of the page before", "http.field_cursor"),
    ("a formatted UUID", "http.field_id"),
    ("a UUID", "http.field_id"),
    ("a boolean", "http.field_boolean"),
    ("a string", "http.field_words"),
    ("a borrowed string", "http.field_words"),
    ("a sequence", "http.field_list"),
    ("a map", "http.field_object"),
    ("struct ", "http.field_object"),
    ("internally tagged", "http.field_object"),
    ("i64", "http.field_number"),
    ("i32", "http.field_number"),
    ("u64", "http.field_number"),
    ("u32", "http.field_number"),
    ("u8", "http.field_number"),
    ("f64", "http.field_number"),
];

/// How others begin, who know nothing of "expected".
const BEGINNINGS: [(&str, &str, &str); 9] = [
    ("UUID parsing failed", "http.field_id", "expected a UUID"),
    ("input contains invalid characters", "http.field_date_or_time", DATE_OR_TIME),
    ("premature end of input", "http.field_date_or_time", DATE_OR_TIME),
    ("input is out of range", "http.field_date_or_time", DATE_OR_TIME),
    ("trailing input", "http.field_date_or_time", DATE_OR_TIME),
    ("invalid digit found", "http.field_number", "expected a whole number"),
    ("cannot parse integer", "http.field_number", "expected a whole number"),
    ("number too ", "http.field_number", "expected a smaller number"),
    ("provided string was not", "http.field_boolean", "expected `true` or `false`"),
];
const DATE_OR_TIME: &str = "expected a date such as 2026-11-23, or a time of day such as 09:00:00";

/// Reads the sentence of serde, of one of our own field types, or of garde.
pub fn misread(reason: &str) -> Misread {
    let plain = |key, expected: &str| Misread { key, arguments: Vec::new(), expected: expected.to_owned(), missing: None };
    if let Some(name) = reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return Misread { missing: Some(name.to_owned()), ..plain("http.field_missing", "expected a value") };
    }
    if let Some((_, allowed)) = reason.split_once("; allowed: ") {
        let key = if reason.contains("too long") { "http.field_span_max" } else { "http.field_span" };
        return plain(key, &format!("expected {allowed}"));
    }
    if let Some(bound) = bound(reason) {
        return bound;
    }
    let expected = reason.rfind(", expected ").map(|at| &reason[at + 2..]).or_else(|| Some(reason).filter(|r| r.starts_with("expected ")));
    let Some(expected) = expected else {
        let known = BEGINNINGS.iter().find(|(beginning, ..)| reason.starts_with(beginning));
        let none = if reason.starts_with("unknown field") { "http.field_unknown_alone" } else { "http.field_value" };
        return known.map_or_else(|| plain(none, "expected another value"), |(_, key, expected)| plain(key, expected));
    };
    let phrase = expected.trim_start_matches("expected ");
    if let Some((_, key)) = PHRASES.iter().find(|(beginning, _)| phrase.starts_with(beginning)) {
        return plain(key, expected);
    }
    let words: Vec<&str> = phrase.split('`').skip(1).step_by(2).collect();
    if !words.is_empty() {
        let key = if reason.starts_with("unknown field") { "http.field_unknown" } else { "http.field_word" };
        return Misread { arguments: vec![("allowed", words.join(", "))], ..plain(key, expected) };
    }
    plain("http.field_value", expected)
}

/// A value that is too small, too large, too short or too long, with its bounds.
fn bound(reason: &str) -> Option<Misread> {
    let numbers: Vec<String> = reason
        .split(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != '-')
        .filter(|part| part.starts_with(|first: char| first.is_ascii_digit() || first == '-') && part.chars().any(|c| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    let (key, names, expected): (_, &[&'static str], _) = match numbers.as_slice() {
        [max] if reason.starts_with("length is greater than ") => {
            ("http.field_length_max", &["max"], format!("expected a length of at most {max}"))
        }
        [min] if reason.starts_with("length is lower than ") => {
            ("http.field_length_min", &["min"], format!("expected a length of at least {min}"))
        }
        [max] if reason.starts_with("greater than ") => ("http.field_number_max", &["max"], format!("expected at most {max}")),
        [min] if reason.starts_with("lower than ") => ("http.field_number_min", &["min"], format!("expected at least {min}")),
        [_, _] if reason.starts_with("expected ") && reason.contains(" characters") => {
            ("http.field_characters", &["min", "max"], reason.to_owned())
        }
        [_, _] if reason.starts_with("expected ") && reason.split(' ').count() == 4 => {
            ("http.field_range", &["min", "max"], reason.to_owned())
        }
        _ => return None,
    };
    Some(Misread { key, arguments: names.iter().copied().zip(numbers).collect(), expected, missing: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_of_a_library_has_its_own_sentence_and_none_repeats_what_was_sent() {
        for (reason, key, arguments) in [
            ("missing field `risk_band`", "http.field_missing", vec![]),
            ("unknown field `secret`, expected one of `id`, `name`", "http.field_unknown", vec![("allowed", "id, name")]),
            ("unknown field `secret`, expected `id`", "http.field_unknown", vec![("allowed", "id")]),
            ("unknown field `secret`, there are no fields", "http.field_unknown_alone", vec![]),
            ("unknown variant `secret`, expected `red` or `green`", "http.field_word", vec![("allowed", "red, green")]),
            ("invalid type: string \"secret\", expected i64", "http.field_number", vec![]),
            ("invalid type: integer `7`, expected a string", "http.field_words", vec![]),
            ("invalid type: string \"secret\", expected a boolean", "http.field_boolean", vec![]),
            ("invalid type: integer `7`, expected a sequence", "http.field_list", vec![]),
            ("invalid type: integer `7`, expected struct NewVisit", "http.field_object", vec![]),
            ("UUID parsing failed: invalid character: found `s` at 0", "http.field_id", vec![]),
            ("input contains invalid characters", "http.field_date_or_time", vec![]),
            ("expected a time such as 2026-11-23T08:15:00+08:00, with offset, years 2000 to 2100", "http.field_time", vec![]),
            ("expected a date such as 2026-11-23, years 2000 to 2100", "http.field_day", vec![]),
            ("invalid type: null, expected a time of day such as 09:00 or 09:00:30", "http.field_time_of_day", vec![]),
            ("\"secret\" is not a length of time; allowed: text such as \"10s\"", "http.field_span", vec![]),
            ("\"secret\" is too long; allowed: up to 10 years", "http.field_span_max", vec![]),
            ("length is greater than 500", "http.field_length_max", vec![("max", "500")]),
            ("length is lower than 1", "http.field_length_min", vec![("min", "1")]),
            ("lower than 60", "http.field_number_min", vec![("min", "60")]),
            ("expected 1 to 200", "http.field_range", vec![("min", "1"), ("max", "200")]),
            ("expected 1 to 64 characters without control characters", "http.field_characters", vec![("min", "1"), ("max", "64")]),
            ("invalid digit found in string", "http.field_number", vec![]),
            ("the reader is at a loss about secret", "http.field_value", vec![]),
        ] {
            let said = misread(reason);
            let expected: Vec<_> = arguments.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            assert_eq!((said.key, &said.arguments), (key, &expected), "{reason}");
            assert!(!said.expected.contains("secret"), "{reason}: {}", said.expected);
        }
        assert_eq!(misread("missing field `risk_band`").missing.as_deref(), Some("risk_band"));
    }
}
