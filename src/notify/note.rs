//! A message as mailboxes, browsers and the small push services show it: a heading, a text, a link. It is sealed in this one form; a
//! channel's request is made of it, the person's address and key, and nothing else, so that a repeat is the same request.

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Envelope, Outgoing};
use crate::domain::message::brief::Template;
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::domain::notice::NoticeClass;
use crate::words;

/// Of a sealed note that is pushed. Apple takes 4,096 bytes, browsers' services 4,096 after encryption, ntfy makes a file of a text
/// that is longer than that; the rest is for what the services put around it.
pub const PUSHED_BYTES_MAX: usize = 3_600;
/// Of a sealed note that is mailed.
pub const MAILED_BYTES_MAX: usize = 64 * 1024;
/// What the providers' days are counted in.
const CHINA_SECONDS: i32 = 8 * 60 * 60;

words! {
    /// How loudly a note is shown.
    pub enum Level {
        /// Through a phone that is muted.
        Help = "help",
        Alert = "alert",
        Notice = "notice"
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub title: String,
    /// The whole text, link included.
    pub body: String,
    pub link: Option<String>,
    /// Names the message where a second copy replaces the first: 32 letters and digits.
    pub tag: String,
    pub level: Level,
    /// When it was sealed, in seconds.
    pub at: i64,
    /// The alerts that a pop-up is about, as 32 digits each: when all of them are over, it closes. Empty where they are too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<String>,
    /// It says that they are over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_over: bool,
}

/// Alerts that a pop-up names: 700 bytes.
const ALERTS_MAX: usize = 20;

/// The bytes of a note, at most so many: of a text that is too long the end is missing, and the link is not.
pub fn seal(envelope: &Envelope<'_>, bytes_max: usize) -> Vec<u8> {
    bounded(&unbounded(envelope), envelope, bytes_max)
}

/// The same for a screen, which must know when it is over.
pub fn seal_for_screen(envelope: &Envelope<'_>) -> Vec<u8> {
    let alerts = if envelope.alerts.len() > ALERTS_MAX { &[] } else { envelope.alerts };
    let alerts = alerts.iter().map(|alert| alert.simple().to_string()).collect();
    let is_over = envelope.class == NoticeClass::StandDown.as_str();
    bounded(&Note { alerts, is_over, ..unbounded(envelope) }, envelope, PUSHED_BYTES_MAX)
}

fn bounded(note: &Note, envelope: &Envelope<'_>, bytes_max: usize) -> Vec<u8> {
    let sealed = |kept: usize| {
        let note = Note { body: shortened(envelope.text, kept, envelope.link), ..note.clone() };
        serde_json::to_vec(&note).expect("texts and a number are JSON")
    };
    let whole = sealed(envelope.text.len());
    if whole.len() <= bytes_max {
        return whole;
    }
    // How many bytes a letter has in JSON depends on the letter, so the longest start that fits is searched.
    let (mut fits, mut too_long) = (0, envelope.text.len());
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        if sealed(middle).len() <= bytes_max { fits = middle } else { too_long = middle }
    }
    sealed(fits)
}

/// With the whole text.
fn unbounded(envelope: &Envelope<'_>) -> Note {
    Note {
        title: envelope.title.to_owned(),
        body: envelope.text.to_owned(),
        link: envelope.link.map(str::to_owned),
        tag: envelope.message_id.simple().to_string(),
        level: level(envelope),
        at: envelope.sealed_at.timestamp(),
        alerts: Vec::new(),
        is_over: false,
    }
}

fn shortened(text: &str, kept: usize, link: Option<&str>) -> String {
    if kept >= text.len() {
        return text.to_owned();
    }
    let start = &text[..text.floor_char_boundary(kept)];
    link.map_or_else(|| format!("{start}…"), |link| format!("{start}… {link}"))
}

fn level(envelope: &Envelope<'_>) -> Level {
    match envelope.brief.template {
        Template::Help => Level::Help,
        // A drill of an alert rings as the alert would.
        _ if envelope.class == NoticeClass::Alert.as_str() => Level::Alert,
        _ => Level::Notice,
    }
}

impl Level {
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::Help | Self::Alert)
    }
}

impl Note {
    /// # Errors
    /// The stored bytes are no note (I28).
    pub fn open(outgoing: &Outgoing) -> Result<Self, Outcome> {
        Self::open_after(outgoing, &outgoing.second_mark())
    }

    /// The same for a channel that shows a second copy beside the first: the copy says what it is.
    ///
    /// # Errors
    /// See [`Note::open`].
    pub fn open_marked(outgoing: &Outgoing) -> Result<Self, Outcome> {
        Self::open_after(outgoing, &outgoing.repeat_mark())
    }

    fn open_after(outgoing: &Outgoing, mark: &str) -> Result<Self, Outcome> {
        let unreadable = |_| Outcome::new(OutcomeClass::Broken, "sealed note is unreadable");
        let note: Self = serde_json::from_slice(&outgoing.body).map_err(unreadable)?;
        Ok(Self { body: format!("{mark}{}", note.body), ..note })
    }
}

/// A key of the person's that goes into a header or a field.
///
/// # Errors
/// There is none, or it cannot be one.
pub fn token(outgoing: &Outgoing) -> Result<&str, Outcome> {
    let text = outgoing.secret.as_deref().and_then(|secret| std::str::from_utf8(secret).ok()).map(str::trim);
    let fits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    text.filter(fits).ok_or_else(|| Outcome::new(OutcomeClass::Permanent, "secret unusable"))
}

/// A topic or key that stands in the path of an address: whatever else is typed must not lead elsewhere on the server.
///
/// # Errors
/// It cannot be one.
pub fn in_path(text: &str, length_max: usize) -> Result<&str, Outcome> {
    let name = text.trim();
    if is_name(name, length_max) { Ok(name) } else { Err(Outcome::new(OutcomeClass::Permanent, "address unusable")) }
}

fn is_name(text: &str, length_max: usize) -> bool {
    let fits = (1..=length_max).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) && !text.contains("..") && text != "."
}

/// The provider's number of what it accepted, if it is one: it comes from outside and is stored.
pub fn number(text: &str) -> Option<String> {
    is_name(text, 64).then(|| text.to_owned())
}

/// An address of a service: what the settings say, and a path.
///
/// # Errors
/// The settings name no server.
pub fn at_base(base_url: &str, path: &str) -> Result<String, Outcome> {
    if base_url.is_empty() {
        return Err(Outcome::new(OutcomeClass::Config, "not set up"));
    }
    Ok(format!("{}/{path}", base_url.trim_end_matches('/')))
}

/// How long the provider's day still lasts: a daily limit holds until then.
pub fn rest_of_day(now: DateTime<Utc>) -> TimeDelta {
    let zone = FixedOffset::east_opt(CHINA_SECONDS).expect("eight hours are less than a day");
    let local = now.with_timezone(&zone).time();
    TimeDelta::days(1) - local.signed_duration_since(chrono::NaiveTime::MIN)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::message::brief::Brief;

    fn of(text: &str, link: Option<&str>, template: Template, class: &str, bytes_max: usize) -> (usize, Note) {
        let brief = Brief { template, called: String::new(), place: String::new(), count: 1, link: String::new(), code: None };
        let envelope = Envelope {
            message_id: Uuid::from_u128(7),
            call_no: 1,
            recipient_id: Uuid::from_u128(8),
            kind: "notice.alert_call",
            class,
            text,
            title: "标题",
            link,
            brief: &brief,
            alerts: &[],
            sealed_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        };
        let bytes = seal(&envelope, bytes_max);
        (bytes.len(), serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_text_that_is_too_long_loses_its_end_and_never_its_link() {
        let link = "https://cl.example.org/alerts";
        for text in ["三".repeat(4_000), "\"\n\\".repeat(4_000), "a".repeat(PUSHED_BYTES_MAX)] {
            let whole = format!("{text} {link}");
            let (length, note) = of(&whole, Some(link), Template::Alert, "alert", PUSHED_BYTES_MAX);
            assert!((PUSHED_BYTES_MAX - 100..=PUSHED_BYTES_MAX).contains(&length), "{length}");
            assert!(note.body.ends_with(&format!("… {link}")), "{}", note.body);
            let (length, note) = of(&whole, Some(link), Template::Alert, "alert", MAILED_BYTES_MAX);
            assert!(length > PUSHED_BYTES_MAX && note.body == whole);
        }
        let (_, note) = of("不长", None, Template::Alert, "alert", 10);
        assert_eq!(note.body, "…", "a limit that nothing fits ends, too");
    }

    #[test]
    fn a_pop_up_names_its_alerts_and_says_when_they_are_over() {
        let brief =
            Brief { template: Template::Alert, called: String::new(), place: String::new(), count: 1, link: String::new(), code: None };
        let note = |class: &str, alerts: &[Uuid]| {
            let text = "三".repeat(4_000);
            let envelope = Envelope {
                message_id: Uuid::from_u128(7),
                call_no: 1,
                recipient_id: Uuid::from_u128(8),
                kind: "notice.alert_call",
                class,
                text: &text,
                title: "标题",
                link: None,
                brief: &brief,
                alerts,
                sealed_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            };
            let bytes = seal_for_screen(&envelope);
            assert!(bytes.len() <= PUSHED_BYTES_MAX, "{}", bytes.len());
            serde_json::from_slice::<Note>(&bytes).unwrap()
        };
        let alerts: Vec<Uuid> = (0..=20).map(Uuid::from_u128).collect();
        assert_eq!((note("alert", &alerts[..20]).alerts.len(), note("alert", &alerts[..20]).is_over), (20, false));
        assert_eq!(note("alert", &alerts).alerts.len(), 0, "too many to be told when all are over");
        assert_eq!(note("stand_down", &alerts[..1]).alerts, ["00000000000000000000000000000000"]);
        assert!(note("stand_down", &alerts[..1]).is_over);
    }

    #[test]
    fn help_is_louder_than_an_alert_and_an_alert_than_news() {
        for (template, class, expected) in [
            (Template::Help, "alert", Level::Help),
            (Template::Alert, "alert", Level::Alert),
            (Template::Drill, "alert", Level::Alert),
            (Template::Drill, "report", Level::Notice),
            (Template::StandDown, "stand_down", Level::Notice),
            (Template::Notice, "reminder", Level::Notice),
            (Template::Code, "report", Level::Notice),
        ] {
            assert_eq!(of("x", None, template, class, PUSHED_BYTES_MAX).1.level, expected, "{template} {class}");
        }
    }

    #[test]
    fn what_stands_in_a_path_cannot_lead_elsewhere() {
        for (text, fits) in [
            ("wang-3_8", true),
            ("", false),
            ("a/b", false),
            ("a?b", false),
            ("..", false),
            ("a..b", false),
            ("三号楼", false),
            ("a b", false),
        ] {
            assert_eq!(is_name(text, 64), fits, "{text}");
        }
        assert!(!is_name(&"a".repeat(65), 64));
    }

    #[test]
    fn a_day_of_the_providers_ends_at_midnight_in_china() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(rest_of_day(at("2023-11-14T22:13:20Z")), TimeDelta::seconds(17 * 3_600 + 46 * 60 + 40));
        assert_eq!(rest_of_day(at("2023-11-14T16:00:00Z")), TimeDelta::days(1));
    }
}
