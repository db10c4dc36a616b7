//! The two retained JSON messages: `up/status` (birth, sleep and will) and `up/state` (the level, for home automation
//! only, never evidence).

use core::fmt::{self, Write as _};

use heapless::String;

pub const JSON_BYTES_MAX: usize = 192;
pub const FIRMWARE_VERSION: &str = env!("CARGO_PKG_VERSION");

pub type Json = String<JSON_BYTES_MAX>;

/// Where a message belongs: the life of the device, and the connection within it. A late will of an older connection has
/// a lower pair and must be ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub boot_n: u32,
    pub boot_id: u32,
    /// Counts connections, over restarts too.
    pub birth_n: u32,
}

pub fn birth(session: Session, next_s: u64) -> Json {
    let Session { boot_n, boot_id, birth_n } = session;
    json(format_args!(r#"{{"s":"on","bn":{boot_n},"bid":{boot_id},"bd":{birth_n},"fw":"{FIRMWARE_VERSION}","next_s":{next_s}}}"#))
}

pub fn sleep(session: Session, next_s: u64) -> Json {
    json(format_args!(r#"{{"s":"sleep","bn":{},"bd":{},"next_s":{next_s}}}"#, session.boot_n, session.birth_n))
}

pub fn will(session: Session) -> Json {
    json(format_args!(r#"{{"s":"off","bn":{},"bd":{}}}"#, session.boot_n, session.birth_n))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub contact_open: bool,
    pub lux: Option<u32>,
    pub battery_percent: Option<u8>,
    pub sos: bool,
    pub boot_n: u32,
}

/// What is not known is `null`: a template that finds no name at all fills the log of home automation with warnings.
pub fn state(level: Level) -> Json {
    let on = |flag| if flag { "ON" } else { "OFF" };
    let Level { contact_open, lux, battery_percent, sos, boot_n } = level;
    json(format_args!(
        r#"{{"contact":"{}","lux":{},"battery":{},"sos":"{}","bn":{boot_n}}}"#,
        on(contact_open),
        OrNull(lux),
        OrNull(battery_percent.map(u32::from)),
        on(sos)
    ))
}

struct OrNull(Option<u32>);

impl fmt::Display for OrNull {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("null"),
        }
    }
}

/// Two alkaline cells: full at 3.0 V, and at 2.0 V the regulator gives up. Linear between, which is good enough to know
/// when to bring a ladder.
pub fn battery_percent(millivolts: u16) -> u8 {
    let above = millivolts.clamp(2000, 3000) - 2000;
    u8::try_from(above / 10).expect("a thousand divided by ten")
}

fn json(text: fmt::Arguments) -> Json {
    let mut json = Json::new();
    json.write_fmt(text).expect("the longest status is shorter than the buffer");
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_texts_fit() {
        let session = Session { boot_n: u32::MAX, boot_id: u32::MAX, birth_n: u32::MAX };
        assert!(birth(session, u64::MAX).ends_with('}'));
        assert!(sleep(session, u64::MAX).ends_with('}'));
        let level = Level { contact_open: false, lux: Some(u32::MAX), battery_percent: Some(100), sos: false, boot_n: u32::MAX };
        assert!(state(level).ends_with('}'));
    }

    #[test]
    fn the_will_names_the_connection_it_belongs_to() {
        let session = Session { boot_n: 8, boot_id: 1, birth_n: 15 };
        assert_eq!(will(session).as_str(), r#"{"s":"off","bn":8,"bd":15}"#);
        assert_eq!(sleep(session, 21600).as_str(), r#"{"s":"sleep","bn":8,"bd":15,"next_s":21600}"#);
    }

    #[test]
    fn what_is_not_known_is_null() {
        let level = Level { contact_open: true, lux: None, battery_percent: Some(87), sos: false, boot_n: 8 };
        assert_eq!(state(level).as_str(), r#"{"contact":"ON","lux":null,"battery":87,"sos":"OFF","bn":8}"#);
    }

    #[test]
    fn a_fresh_and_a_flat_battery_have_sane_percentages() {
        assert_eq!([1500, 2000, 2500, 2912, 3300].map(battery_percent), [0, 0, 50, 91, 100]);
    }
}
