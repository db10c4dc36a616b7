//! What is written on the command line, read strictly.

use std::time::{Duration, UNIX_EPOCH};

use firmware_sim::sim::link::Broker;
use firmware_sim::sim::room::Act;

/// 2026-01-01: boot numbers made from the clock fit 32 bits for 136 years from here.
const BOOT_EPOCH_S: u64 = 1_767_225_600;

pub fn broker(text: &str) -> Result<Broker, String> {
    let (host, port) = text.rsplit_once(':').ok_or("host:port is expected")?;
    let port = port.parse().map_err(|_| "the port is a number up to 65535")?;
    if host.is_empty() {
        return Err("a host is missing".to_owned());
    }
    Ok(Broker { host: host.trim_matches(['[', ']']).to_owned(), port })
}

/// Such as 250ms, 5s, 15m, 24h, 30d.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 250ms, 5s, 15m, 24h or 30d");
    let end = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..end].parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match &text[end..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

pub fn probability(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| "a probability is a number from 0 to 1".to_owned())
}

pub fn half(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (0.0..=0.5).contains(value)).ok_or_else(|| "a drift is a number from 0 to 0.5".to_owned())
}

/// Such as open@5s; without a time, at once.
pub fn timed_act(text: &str) -> Result<(Duration, Act), String> {
    let (name, at) = text.split_once('@').unwrap_or((text, "0s"));
    let act = Act::try_from(name.to_owned())?;
    Ok((duration(at)?, act))
}

/// A number that grows from run to run without a file that remembers it.
pub fn boot_n_of_now() -> u32 {
    let now_s = unix_ms_now() / 1000;
    u32::try_from(now_s.saturating_sub(BOOT_EPOCH_S)).unwrap_or(u32::MAX).max(1)
}

pub fn unix_ms_now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30d"), Ok(Duration::from_hours(720)));
        for wrong in ["", "5", "s", "-5s", "5 s", "5.5s", "99999999999999999999s", "9999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_act_has_a_name_and_a_time() {
        assert_eq!(timed_act("open@5s"), Ok((Duration::from_secs(5), Act::OpenCurtain)));
        assert_eq!(timed_act("sos-long"), Ok((Duration::ZERO, Act::HoldSos)));
        assert!(timed_act("fly@5s").is_err() && timed_act("open@soon").is_err());
    }

    #[test]
    fn a_broker_may_have_an_ipv6_address() {
        assert_eq!(broker("[::1]:1883"), Ok(Broker { host: "::1".to_owned(), port: 1883 }));
        assert!(broker("localhost").is_err() && broker(":1883").is_err() && broker("a:99999").is_err());
    }

    #[test]
    fn probabilities_stay_between_none_and_all() {
        assert_eq!(probability("0.05"), Ok(0.05));
        for wrong in ["-0.1", "1.1", "NaN", "x"] {
            assert!(probability(wrong).is_err(), "{wrong}");
        }
    }
}
