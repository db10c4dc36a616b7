//! Sign-in attempts: few per phone and address, more per address, and a pause for everybody when one phone is tried from
//! many places. The owner of the phone is never locked out by somebody else's attempts (reliability.md §6). And requests: so many
//! per caller.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use super::crowd::Crowd;
use super::error::HttpError;

/// One phone from one address: a burst, then one per period, each waiting for its turn.
const PAIR_BURST: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
const PAIR_PERIOD: Duration = Duration::from_secs(6);
/// So many wait; the next is told to come back.
const PAIR_WAITING_MAX: usize = 3;
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
    pair_period: Duration,
    waiting: Crowd<(String, IpAddr)>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    phones: DefaultKeyedRateLimiter<String>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::paced(PAIR_PERIOD)
    }
}

impl Throttle {
    fn paced(pair_period: Duration) -> Self {
        let quota = |burst, period| Quota::with_period(period).expect("a period is longer than zero").allow_burst(burst);
        Self {
            pairs: RateLimiter::keyed(quota(PAIR_BURST, pair_period)),
            pair_period,
            waiting: Crowd::new(PAIR_WAITING_MAX),
            addresses: RateLimiter::keyed(quota(ADDRESS_BURST, ADDRESS_PERIOD)),
            phones: RateLimiter::keyed(quota(PHONE_BURST, PHONE_PERIOD)),
        }
    }

    /// Counts one attempt and returns when it is its turn. The owner of a phone who shares an address with a guesser waits; only
    /// a crowd of attempts at once is told to come back.
    pub async fn turn(&self, phone: &str, address: IpAddr) -> Result<(), HttpError> {
        let address = household(address);
        forget_rested(&self.pairs);
        forget_rested(&self.addresses);
        forget_rested(&self.phones);
        check(&self.addresses, &address)?;
        let pair = (phone.to_owned(), address);
        if self.pairs.check_key(&pair).is_err() {
            let crowded = HttpError::TooMany { retry_seconds: self.pair_period.as_secs() + 1 };
            let _place = self.waiting.enter(pair.clone()).ok_or(crowded)?;
            while let Err(until) = self.pairs.check_key(&pair) {
                tokio::time::sleep(until.wait_time_from(DefaultClock::default().now())).await;
            }
        }
        if self.phones.check_key(&pair.0).is_err() {
            tokio::time::sleep(SLOWDOWN).await;
        }
        Ok(())
    }
}

/// How often one caller may ask, whatever it asks: far above what people and their programs do, far below a flood.
#[derive(Debug)]
pub struct Rates {
    members: DefaultKeyedRateLimiter<Uuid>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
}

impl Rates {
    /// As many requests at once, and again per minute.
    pub fn new(per_minute: NonZeroU32) -> Self {
        let quota = Quota::per_minute(per_minute);
        Self { members: RateLimiter::keyed(quota), strangers: RateLimiter::keyed(quota) }
    }

    /// A request of somebody who is signed in.
    pub fn member(&self, member_id: Uuid) -> Result<(), HttpError> {
        forget_rested(&self.members);
        check(&self.members, &member_id)
    }

    /// A request with a sign-in that is none.
    pub fn stranger(&self, address: IpAddr) -> Result<(), HttpError> {
        forget_rested(&self.strangers);
        check(&self.strangers, &household(address))
    }
}

fn check<K: Clone + Hash + Eq>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), HttpError> {
    let soon = |wait: Duration| HttpError::TooMany { retry_seconds: wait.as_secs() + 1 };
    limiter.check_key(key).map_err(|until| soon(until.wait_time_from(DefaultClock::default().now())))
}

fn forget_rested<K: Clone + Hash + Eq>(limiter: &DefaultKeyedRateLimiter<K>) {
    if limiter.len() > KEYS_MAX {
        limiter.retain_recent();
    }
}

/// One customer of a provider has a whole /64 of IPv6 addresses.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const PHONE: &str = "13800138000";

    async fn tired(throttle: &Throttle, address: IpAddr) {
        for _ in 0..PAIR_BURST.get() {
            throttle.turn(PHONE, address).await.unwrap();
        }
    }

    #[tokio::test]
    async fn guessing_from_one_address_makes_its_neighbour_wait_and_locks_nobody_out() {
        let period = Duration::from_millis(400);
        let throttle = Throttle::paced(period);
        let shared: IpAddr = "192.0.2.1".parse().unwrap();
        let began = Instant::now();
        tired(&throttle, shared).await;
        throttle.turn(PHONE, shared).await.expect("the owner of the phone gets her turn");
        assert!(began.elapsed() >= period, "but not at once");
        let began = Instant::now();
        throttle.turn(PHONE, "198.51.100.7".parse().unwrap()).await.expect("from elsewhere as if nothing were");
        assert!(began.elapsed() < period);
    }

    #[tokio::test]
    async fn a_crowd_of_guesses_at_once_is_told_to_come_back() {
        let throttle = Throttle::paced(Duration::from_millis(400));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        tired(&throttle, address).await;
        let together = futures_util::future::join_all((0..=PAIR_WAITING_MAX).map(|_| throttle.turn(PHONE, address))).await;
        let refused = together.iter().filter(|turn| matches!(turn, Err(HttpError::TooMany { retry_seconds: 1.. }))).count();
        assert_eq!(refused, 1);
    }

    #[tokio::test]
    async fn addresses_of_one_household_count_as_one() {
        let throttle = Throttle::paced(Duration::from_millis(400));
        for last in 0..PAIR_BURST.get() {
            throttle.turn(PHONE, format!("2001:db8::{last}").parse().unwrap()).await.unwrap();
        }
        let began = Instant::now();
        throttle.turn(PHONE, "2001:db8::ffff".parse().unwrap()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn a_flood_is_stopped_for_the_one_who_floods() {
        let rates = Rates::new(NonZeroU32::new(3).unwrap());
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        for _ in 0..3 {
            rates.member(one).unwrap();
        }
        assert!(matches!(rates.member(one), Err(HttpError::TooMany { retry_seconds: 1.. })));
        rates.member(other).unwrap();
    }
}
