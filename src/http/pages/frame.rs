//! What every page has around it: the reader's language and clock, and the way to the other pages.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::assets;
use crate::domain::access::Capability;
use crate::http::caller::Caller;
use crate::text;

/// Of a page: language, time zone, and what its reader may open.
pub struct Frame {
    pub locale: &'static str,
    pub timezone: chrono_tz::Tz,
    pub today: NaiveDate,
    /// Empty for somebody who has not signed in.
    pub ways: Vec<Way>,
    /// What her roles allow somewhere in the site; a page about one senior asks for the tie to her.
    may: Vec<Capability>,
}

/// One entry of the menu.
pub struct Way {
    pub path: &'static str,
    /// Its word is `page.way_…`.
    pub key: &'static str,
    pub is_here: bool,
}

/// Whoever keeps the register finds it among her settings; the operator has nothing else to do here.
const SYSTEM: &str = "/system";

/// The menu in its order: who sees what. An entry without a capability is everybody's.
const WAYS: [(&str, &str, Option<Capability>); 8] = [
    ("/board", "page.way_board", Some(Capability::MembersRead)),
    ("/round", "page.way_round", None),
    ("/alerts", "page.way_alerts", None),
    ("/seniors", "page.way_seniors", Some(Capability::MembersRead)),
    ("/charts", "page.way_charts", Some(Capability::HealthRead)),
    ("/admin", "page.way_admin", Some(Capability::RegisterWrite)),
    (SYSTEM, "page.way_system", Some(Capability::SystemRead)),
    ("/me", "page.way_me", None),
];

impl Frame {
    /// Of a signed-in reader; `here` is the menu's entry that this page belongs to.
    pub fn of(caller: &Caller, here: &str) -> Self {
        let may = |needs: Option<Capability>| needs.is_none_or(|needs| caller.may(needs));
        let is_elsewhere = |path: &str| path == SYSTEM && caller.may(Capability::RegisterWrite);
        let shown = WAYS.into_iter().filter(|(path, _, needs)| may(*needs) && !is_elsewhere(path));
        Self {
            locale: caller.locale,
            timezone: caller.timezone,
            today: caller.today,
            ways: shown.map(|(path, key, _)| Way { path, key, is_here: path == here }).collect(),
            may: Capability::ALL.iter().copied().filter(|capability| caller.may(*capability)).collect(),
        }
    }

    /// Of somebody whom we do not know.
    pub fn of_stranger(locale: &'static str) -> Self {
        Self { locale, timezone: chrono_tz::UTC, today: NaiveDate::default(), ways: Vec::new(), may: Vec::new() }
    }

    pub fn may(&self, capability: Capability) -> bool {
        self.may.contains(&capability)
    }

    /// The sentence of a key; `.with("name", value)` fills it in.
    pub fn say(&self, key: &str) -> Said {
        Said { locale: self.locale, key: key.to_owned(), arguments: BTreeMap::new() }
    }

    /// The word of a closed list: `say_word("state", "open")` is the text of `page.state_open`.
    pub fn say_word(&self, list: &str, word: impl fmt::Display) -> Said {
        self.say(&format!("page.{list}_{word}"))
    }

    /// The word of a closed list of another area: `word("door.cause", "help")` is the text of `door.cause_help`.
    pub fn word(&self, list: &str, word: impl fmt::Display) -> Said {
        self.say(&format!("{list}_{word}"))
    }

    /// How long something has lasted, as people say it.
    pub fn length(&self, from: &DateTime<Utc>, to: &DateTime<Utc>) -> Said {
        let minutes = (*to - *from).num_minutes().max(0);
        match minutes {
            0..60 => self.say("door.minutes").with("minutes", minutes),
            60..1440 => self.say("door.hours").with("hours", minutes / 60).with("minutes", minutes % 60),
            _ => self.say("door.days").with("days", minutes / 1440),
        }
    }

    /// A moment by the site's clock: `06:41`.
    pub fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.timezone).format("%H:%M").to_string()
    }

    /// A local date with its weekday: `11月26日 周四`.
    pub fn day(&self, day: &NaiveDate) -> String {
        let weekday = self.say_word("weekday", day.weekday().number_from_monday());
        let month = self.say_word("month", day.month());
        self.say("page.day").with("month", month).with("day", day.day()).with("weekday", weekday).to_string()
    }

    /// Day and time, the day only if it is another one than today.
    pub fn when(&self, at: &DateTime<Utc>) -> String {
        let day = at.with_timezone(&self.timezone).date_naive();
        if day == self.today { self.time(at) } else { format!("{} {}", self.day(&day), self.time(at)) }
    }

    /// Where a file of `static/` is; the address changes with its content.
    pub fn asset(&self, path: &str) -> String {
        assets::address(path)
    }
}

/// A sentence on its way into a page; the template escapes it like any other value.
pub struct Said {
    locale: &'static str,
    key: String,
    arguments: BTreeMap<String, String>,
}

impl Said {
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.arguments.insert(name.to_owned(), value.to_string());
        self
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::render(self.locale, &self.key, &self.arguments))
    }
}
