//! How fast one principal may speak. A device over its rate is read more slowly; the network holds the rest back, so nothing is
//! lost and nobody else waits.

use std::time::Duration;
use tokio::time::Instant;

/// A leaky bucket kept as the one instant at which it would be empty (the generic cell rate algorithm).
#[derive(Debug)]
pub struct Bucket {
    empty_at: Instant,
    interval: Duration,
    burst: Duration,
}

impl Bucket {
    /// A whole minute's worth may come at once.
    pub fn per_minute(messages: u32, now: Instant) -> Self {
        let interval = Duration::from_mins(1) / messages.max(1);
        Self { empty_at: now, interval, burst: Duration::from_mins(1) }
    }

    /// Takes a message that counts as so many, and says when the next one may be read.
    pub fn take(&mut self, cost: usize, now: Instant) -> Instant {
        self.empty_at = self.empty_at.max(now) + self.interval * u32::try_from(cost).unwrap_or(u32::MAX);
        // Room for one more message is needed before reading goes on.
        let over = (self.empty_at + self.interval).saturating_duration_since(now + self.burst);
        now + over
    }

    pub fn is_empty(&self, now: Instant) -> bool {
        self.empty_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_passes_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::per_minute(60, start);
        for message in 1..60 {
            assert_eq!(bucket.take(1, start), start, "message {message}");
        }
        assert_eq!(bucket.take(1, start), start + Duration::from_secs(1));
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.take(1, later), later + Duration::from_secs(1));
        assert!(!bucket.is_empty(later));
        assert!(bucket.is_empty(later + Duration::from_mins(1)));
        assert_eq!(bucket.take(4, later), later + Duration::from_secs(5), "a large message counts as several");
    }
}
