//! Access tokens of an account: fetched by one sender for all, kept until shortly before they run out, dropped when the provider says that
//! one is dead. Fetching is limited by the providers, too, so a burst of messages must not fetch as often as it sends.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::domain::message::retry::Outcome;

/// A token is not used in the last minutes of its life.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub expires_at: DateTime<Utc>,
}

/// The one token of an account, shared by all its senders.
#[derive(Debug, Clone, Default)]
pub struct TokenCache(Arc<Mutex<Option<Token>>>);

impl TokenCache {
    /// A token that is not `dead`: the cached one, or a fresh one. Whoever comes while one is fetched waits for that one.
    ///
    /// # Errors
    /// How fetching ended; nothing is kept then.
    pub async fn get<F, Fut>(&self, dead: Option<&str>, now: DateTime<Utc>, fetch: F) -> Result<String, Outcome>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Token, Outcome>>,
    {
        let mut cached = self.0.lock().await;
        if let Some(token) = cached.as_ref().filter(|token| token.expires_at - MARGIN > now && Some(token.text.as_str()) != dead) {
            return Ok(token.text.clone());
        }
        *cached = None;
        let token = fetch().await?;
        *cached = Some(token.clone());
        Ok(token.text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::message::retry::OutcomeClass;

    #[tokio::test]
    async fn a_burst_whose_token_died_fetches_one_and_a_failure_is_not_kept() {
        let (cache, fetched, now) = (TokenCache::default(), AtomicU32::new(0), DateTime::UNIX_EPOCH);
        let fetch = || async {
            let number = fetched.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Token { text: format!("t{number}"), expires_at: now + TimeDelta::hours(2) })
        };
        let all = futures_util::future::join_all((0..50).map(|_| cache.get(None, now, fetch))).await;
        assert!(all.iter().all(|token| token.as_deref() == Ok("t0")), "{all:?}");
        let all = futures_util::future::join_all((0..50).map(|_| cache.get(Some("t0"), now, fetch))).await;
        assert!(all.iter().all(|token| token.as_deref() == Ok("t1")), "{all:?}");
        assert_eq!(fetched.load(Ordering::Relaxed), 2);
        let refused = || async { Err(Outcome::new(OutcomeClass::Config, "40001")) };
        assert_eq!(cache.get(Some("t1"), now, refused).await.unwrap_err().class, OutcomeClass::Config);
        assert_eq!(cache.get(None, now, fetch).await.unwrap(), "t2", "what failed is tried again");
        assert_eq!(cache.get(None, now + TimeDelta::minutes(116), fetch).await.unwrap(), "t3", "before it runs out");
    }
}
