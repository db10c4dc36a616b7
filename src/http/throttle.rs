//! Sign-in attempts: few per phone and address, more per address, and a pause for everybody when one phone is tried from
//! many places. The owner of the phone is never locked out by somebody else's attempts (reliability.md §6).

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::error::HttpError;

/// One phone from one address: a burst, then one per period.
const PAIR_BURST: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
const PAIR_PERIOD: Duration = Duration::from_secs(30);
/// One address: a whole community may stand behind it.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
const ADDRESS_PERIOD: Duration = Duration::from_secs(2);
/// One phone from anywhere: over it each attempt waits, none is refused.
const PHONE_BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const PHONE_PERIOD: Duration = Duration::from_secs(10);
const SLOWDOWN: Duration = Duration::from_secs(2);
/// Remembered keys; beyond it the rested ones are forgotten.
const KEYS_MAX: usize = 20_000;

#[derive(Debug)]
pub struct Throttle {
    pairs: DefaultKeyedRateLimiter<(String, IpAddr)>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    phones: DefaultKeyedRateLimiter<String>,
}

impl Default for Throttle {
    fn default() -> Self {
        let quota = |burst, period| Quota::with_period(period).expect("a period is longer than zero").allow_burst(burst);
        Self {
            pairs: RateLimiter::keyed(quota(PAIR_BURST, PAIR_PERIOD)),
            addresses: RateLimiter::keyed(quota(ADDRESS_BURST, ADDRESS_PERIOD)),
            phones: RateLimiter::keyed(quota(PHONE_BURST, PHONE_PERIOD)),
        }
    }
}

impl Throttle {
    /// Counts one attempt: how long it has to wait, or that it came too soon.
    pub fn attempt(&self, phone: &str, address: IpAddr) -> Result<Duration, HttpError> {
        let address = household(address);
        self.forget_rested();
        let clock = DefaultClock::default();
        let soon = |wait: Duration| HttpError::TooMany { retry_seconds: wait.as_secs() + 1 };
        self.addresses.check_key(&address).map_err(|until| soon(until.wait_time_from(clock.now())))?;
        self.pairs.check_key(&(phone.to_owned(), address)).map_err(|until| soon(until.wait_time_from(clock.now())))?;
        Ok(if self.phones.check_key(&phone.to_owned()).is_ok() { Duration::ZERO } else { SLOWDOWN })
    }

    fn forget_rested(&self) {
        if self.pairs.len() > KEYS_MAX {
            self.pairs.retain_recent();
        }
        if self.addresses.len() > KEYS_MAX {
            self.addresses.retain_recent();
        }
        if self.phones.len() > KEYS_MAX {
            self.phones.retain_recent();
        }
    }
}

/// One customer of a provider has a whole /64 of IPv6 addresses.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_from_one_address_locks_out_nobody_else() {
        let throttle = Throttle::default();
        let (guesser, owner): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "198.51.100.7".parse().unwrap());
        for _ in 0..PAIR_BURST.get() {
            assert_eq!(throttle.attempt("13800138000", guesser).unwrap(), Duration::ZERO);
        }
        assert!(matches!(throttle.attempt("13800138000", guesser), Err(HttpError::TooMany { retry_seconds: 1.. })));
        assert!(throttle.attempt("13800138000", owner).is_ok());
    }

    #[test]
    fn a_phone_that_is_tried_from_many_places_is_slowed_down_and_not_refused() {
        let throttle = Throttle::default();
        for last in 0..PHONE_BURST.get() {
            throttle.attempt("13800138000", IpAddr::from([192, 0, 2, u8::try_from(last).unwrap()])).unwrap();
        }
        assert_eq!(throttle.attempt("13800138000", "198.51.100.7".parse().unwrap()).unwrap(), SLOWDOWN);
    }

    #[test]
    fn addresses_of_one_household_count_as_one() {
        let throttle = Throttle::default();
        for last in 0..PAIR_BURST.get() {
            throttle.attempt("13800138000", format!("2001:db8::{last}").parse().unwrap()).unwrap();
        }
        assert!(throttle.attempt("13800138000", "2001:db8::ffff".parse().unwrap()).is_err());
    }
}
