//! A phone number has one written form, so that the number in the register is the number typed at sign-in.

/// Digits of the shortest service number and of the longest international number (ITU-T E.164).
const DIGITS_MIN: usize = 3;
const DIGITS_MAX: usize = 15;

/// Digits only, with a leading `+` for other countries; +86 is left out. `None`: not a phone number.
///
/// Spaces, hyphens and brackets, as people write them, are dropped.
pub fn normalise(text: &str) -> Option<String> {
    let kept: String = text.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '\u{a0}')).collect();
    let number = kept.strip_prefix("+86").or_else(|| kept.strip_prefix("0086")).unwrap_or(&kept);
    let digits = number.strip_prefix('+').unwrap_or(number);
    let fits = (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| number.to_owned())
}

/// Whether a text reaches a number in its written form: a mobile of mainland China, or a number of another country, of which
/// nobody here can tell.
pub fn takes_texts(number: &str) -> bool {
    let mainland = number.len() == 11 && number.starts_with('1') && matches!(number.as_bytes()[1], b'3'..=b'9');
    mainland || number.starts_with('+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reaches_a_mobile_and_no_telephone_on_the_wall() {
        for (number, reached) in
            [("13800138000", true), ("+447700900000", true), ("03517001234", false), ("110", false), ("12345678901", false)]
        {
            assert_eq!(takes_texts(number), reached, "{number}");
        }
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (written, expected) in [
            ("13800138000", Some("13800138000")),
            (" +86 138-0013-8000 ", Some("13800138000")),
            ("(0351) 700 1234", Some("03517001234")),
            ("+44 20 7946 0000", Some("+442079460000")),
            ("110", Some("110")),
            ("", None),
            ("12", None),
            ("13800x38000", None),
            ("1234567890123456", None),
            ("１３８００１３８０００", None),
        ] {
            assert_eq!(normalise(written).as_deref(), expected, "{written:?}");
        }
    }
}
