//! What one cell says.

use chrono::NaiveTime;

/// Characters of somebody's cell that are repeated to her.
const SHOWN_MAX: usize = 20;
const YEAR_MIN: i64 = 1900;

/// A cell as it is named in a sentence.
pub fn shown(cell: &str) -> String {
    let clean: String = cell.trim().chars().filter(|c| !c.is_control()).collect();
    if clean.chars().count() <= SHOWN_MAX { clean } else { clean.chars().take(SHOWN_MAX).chain(std::iter::once('\u{2026}')).collect() }
}

/// A word without what people put around it: blanks, a star, a remark in brackets.
pub fn plain(cell: &str) -> String {
    let half = half_width(cell);
    let before = half.split(['(', '[', '\u{3010}']).next().unwrap_or_default();
    before.chars().filter(|c| !c.is_whitespace() && !matches!(c, '*' | ':' | '\u{feff}')).collect::<String>().to_lowercase()
}

pub fn is_one_of(cell: &str, names: &[String]) -> bool {
    let cell = plain(cell);
    !cell.is_empty() && names.iter().any(|name| plain(name) == cell)
}

/// The words of a list in one cell.
pub fn parts(cell: &str) -> Vec<&str> {
    let is_between = |c: char| matches!(c, '\u{3001}' | '\u{ff0c}' | ',' | ';' | '\u{ff1b}' | '/' | '|') || c.is_whitespace();
    cell.split(is_between).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// What is written for several people, one after the other.
pub fn people(cell: &str) -> Vec<&str> {
    cell.split([';', '\u{ff1b}', '\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The word of a list, or the words that would have been understood.
pub fn word<T: Copy>(cell: &str, words: &[(T, Vec<String>)]) -> Result<T, String> {
    let found = words.iter().find(|(_, names)| is_one_of(cell, names)).map(|(word, _)| *word);
    found.ok_or_else(|| words.iter().filter_map(|(_, names)| names.first().cloned()).collect::<Vec<_>>().join("\u{3001}"))
}

/// 4, 4层, 4楼, -1.
pub fn floor(cell: &str) -> Option<i64> {
    let half = half_width(cell);
    let digits: String = half.chars().filter(|c| c.is_ascii_digit() || *c == '-').collect();
    // A floor and at most a word behind it.
    let rest = half.trim().trim_start_matches(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    if rest.chars().count() > 1 || rest.starts_with('.') { None } else { digits.parse().ok() }
}

/// 1938, 1938年, 1938-05-01.
pub fn year(cell: &str, this_year: i64) -> Option<i64> {
    let half = half_width(cell);
    let digits: String = half.trim().chars().take_while(char::is_ascii_digit).collect();
    let year = if digits.len() == 4 { digits.parse().ok()? } else { return None };
    (YEAR_MIN..=this_year).contains(&year).then_some(year)
}

/// 9:00, 09：00, 9点, 9点半, and a table program's part of a day.
pub fn time(cell: &str) -> Option<NaiveTime> {
    const OCLOCK: char = '\u{70b9}';
    const HALF: char = '\u{534a}';
    let half = half_width(cell).replace('\u{ff1a}', ":");
    let text = half.trim();
    if let Some(part) = text.parse::<f64>().ok().filter(|part| text.contains('.') && (0.0..1.0).contains(part)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a day has at most 1440 minutes")]
        let minutes = (part * 1440.0).round() as u32;
        return NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0);
    }
    let (hour, minute) = text.split_once([':', OCLOCK])?;
    let minute = match minute.trim().trim_end_matches('\u{5206}') {
        "" if text.contains(OCLOCK) => "0",
        written if written.starts_with(HALF) && written.chars().count() == 1 => "30",
        written => written,
    };
    // A program's own times have seconds behind them.
    let minute = minute.strip_suffix(":00").unwrap_or(minute);
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|_| text.trim().len() <= 2);
    NaiveTime::from_hms_opt(number(hour)?, number(minute)?, 0)
}

/// Full-width digits and signs, as an input method writes them, in their plain form.
pub fn half_width(text: &str) -> String {
    let half = |c: char| match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
    };
    text.chars().map(half).collect()
}
