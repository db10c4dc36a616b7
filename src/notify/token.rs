//! Access tokens of an account: fetched by one sender for all, kept until shortly before they run out, dropped when the provider says that
//! one is dead. Fetching is limited by the providers, too, so a burst of messages must not fetch as often as it sends.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::config::Secret;
use crate::domain::message::retry::Outcome;

/// A token is not used in the last tenth of its life. No fixed time: a provider may grant the short rest of a token that others hold, and
/// one that is never good enough would be fetched for every message.
const MARGIN_PART: i32 = 10;

#[derive(Debug, Clone)]
pub struct Token {
    text: Secret,
    until: DateTime<Utc>,
}

impl Token {
    pub fn new(text: String, lives: TimeDelta, now: DateTime<Utc>) -> Self {
        Self { text: Secret::new(text), until: now + lives - lives / MARGIN_PART }
    }
}

/// The one token of an account, shared by all its senders.
#[derive(Debug, Clone, Default)]
pub struct TokenCache(Arc<Cache>);

#[derive(Debug, Default)]
struct Cache {
    /// How often fetching has ended, in either way.
    ended: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    token: Option<Token>,
    failure: Option<Outcome>,
}

impl TokenCache {
    /// A token that is not `dead`: the cached one, or a fresh one. Whoever comes while one is fetched waits for that one.
    ///
    /// # Errors
    /// How fetching ended. Those who waited for it share the failure, or a burst would ask for a token as often as it has messages;
    /// whoever comes later asks anew.
    pub async fn get<F, Fut>(&self, dead: Option<&Secret>, now: DateTime<Utc>, fetch: F) -> Result<Secret, Outcome>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Token, Outcome>>,
    {
        let ended_before = self.0.ended.load(Ordering::Acquire);
        let mut last = self.0.last.lock().await;
        if let Some(token) = last.token.as_ref().filter(|token| token.until > now && Some(&token.text) != dead) {
            return Ok(token.text.clone());
        }
        if let Some(failure) = last.failure.as_ref().filter(|_| self.0.ended.load(Ordering::Acquire) > ended_before) {
            return Err(failure.clone());
        }
        // Nothing is left if this sender is cut off while it waits.
        *last = Last::default();
        let fetched = fetch().await;
        self.0.ended.fetch_add(1, Ordering::Release);
        match fetched {
            Ok(token) => Ok(last.token.insert(token).text.clone()),
            Err(failure) => Err(last.failure.insert(failure).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use futures_util::future::join_all;

    use super::*;
    use crate::domain::message::retry::OutcomeClass;

    /// A provider that counts how often it is asked.
    #[derive(Default)]
    struct Provider {
        cache: TokenCache,
        asked: AtomicU32,
    }

    impl Provider {
        async fn get(&self, dead: Option<&str>, minutes: i64) -> Result<String, Outcome> {
            let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
            let fetch = || async {
                let number = self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(Token::new(format!("t{number}"), TimeDelta::hours(2), now))
            };
            let dead = dead.map(Secret::new);
            self.cache.get(dead.as_ref(), now, fetch).await.map(|token| token.expose().to_owned())
        }

        async fn refuse(&self) -> Result<Secret, Outcome> {
            let refuse = || async {
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Err(Outcome::new(OutcomeClass::Config, "errcode 40001"))
            };
            self.cache.get(None, DateTime::UNIX_EPOCH, refuse).await
        }
    }

    async fn burst(provider: &Provider, dead: Option<&str>) -> Vec<String> {
        let mut tokens = join_all((0..50).map(|_| provider.get(dead, 0))).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
        tokens.dedup();
        tokens
    }

    #[tokio::test]
    async fn a_burst_fetches_one_token_and_one_more_when_that_one_has_died() {
        let provider = Provider::default();
        assert_eq!(burst(&provider, None).await, ["t0"]);
        assert_eq!(burst(&provider, Some("t0")).await, ["t1"]);
        assert_eq!(provider.get(Some("t0"), 0).await.unwrap(), "t1", "who holds an older dead one takes the one that is there");
        assert_eq!(provider.asked.into_inner(), 2);
    }

    #[tokio::test]
    async fn a_token_is_not_used_at_the_end_of_its_life() {
        let provider = Provider::default();
        for (minutes, token) in [(0, "t0"), (107, "t0"), (108, "t1"), (214, "t1")] {
            assert_eq!(provider.get(None, minutes).await.unwrap(), token, "after {minutes} minutes");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_shared_by_those_who_waited_for_it_and_kept_for_nobody() {
        let provider = Provider::default();
        let refused = join_all((0..50).map(|_| provider.refuse())).await;
        assert!(refused.iter().all(|refused| refused.as_ref().is_err_and(|outcome| outcome.class == OutcomeClass::Config)));
        assert_eq!(provider.asked.load(Ordering::Relaxed), 1);
        provider.refuse().await.unwrap_err();
        assert_eq!(provider.asked.load(Ordering::Relaxed), 2, "who comes later asks anew");
        assert_eq!(provider.get(None, 0).await.unwrap(), "t2");
    }

    #[tokio::test]
    async fn a_sender_that_is_cut_off_leaves_the_others_a_free_hand() {
        let provider = Provider::default();
        let hanging = provider.cache.get(None, DateTime::UNIX_EPOCH, std::future::pending);
        let cut_off = tokio::time::timeout(std::time::Duration::from_millis(1), hanging);
        let (cut_off, waited) = tokio::join!(cut_off, provider.get(None, 0));
        cut_off.unwrap_err();
        assert_eq!(waited.unwrap(), "t0");
    }

    #[tokio::test]
    async fn a_token_is_never_printed() {
        let provider = Provider::default();
        provider.get(None, 0).await.unwrap();
        assert!(!format!("{:?}", provider.cache).contains("t0"));
    }
}
