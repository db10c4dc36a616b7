//! Who is connected, what each listens to and what waits for it. One lock, held for map operations only.
//!
//! What must stay true: a session belongs to a principal, so a client id taken from another device opens a session of one's own;
//! at most one connection is live per session; what is kept is bounded per principal.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::bucket::Bucket;
use crate::mqtt::ports::{Downlink, Identity};

/// Messages that wait for one session; acknowledgements of old messages are worth little.
pub const WAITING_MAX: usize = 16;
/// Client ids of one principal: a device uses one, tools a few.
const SESSIONS_PER_PRINCIPAL_MAX: usize = 8;
/// Filters of one session; a device needs one.
const FILTERS_MAX: usize = 8;

/// Why a live connection is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    TakenOver,
    Revoked,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey {
    pub principal: String,
    pub client_id: String,
}

/// A connection's side of its session.
pub struct Entered {
    pub present: bool,
    pub generation: u64,
    pub ended: oneshot::Receiver<Ending>,
    pub downlinks: mpsc::Receiver<Downlink>,
    /// What waited while nobody was connected.
    pub backlog: VecDeque<Downlink>,
    pub bucket: Arc<Mutex<Bucket>>,
}

#[derive(Default)]
pub struct Sessions(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    sessions: BTreeMap<SessionKey, Session>,
    buckets: HashMap<String, Arc<Mutex<Bucket>>>,
    generation: u64,
}

struct Session {
    identity: Arc<Identity>,
    persistent: bool,
    filters: Vec<String>,
    retained: Vec<Downlink>,
    waiting: VecDeque<Downlink>,
    live: Option<Live>,
    entered: u64,
}

struct Live {
    ended: oneshot::Sender<Ending>,
    downlinks: mpsc::Sender<Downlink>,
}

impl Sessions {
    /// Opens or resumes a session; whoever held it before is told to go.
    pub fn enter(&self, key: &SessionKey, identity: &Arc<Identity>, clean: bool) -> Entered {
        let mut inner = self.lock();
        inner.generation += 1;
        let generation = inner.generation;
        let bucket = inner.bucket(identity);
        let old = inner.sessions.remove(key);
        let (kept, live) = match old {
            Some(mut old) => (Some((old.filters, old.waiting)).filter(|_| old.persistent && !clean), old.live.take()),
            None => (None, None),
        };
        if let Some(live) = live {
            let _ = live.ended.send(Ending::TakenOver);
        }
        inner.make_room(&key.principal);
        let present = kept.is_some();
        let (filters, backlog) = kept.unwrap_or_default();
        let (ended_sender, ended) = oneshot::channel();
        let (downlink_sender, downlinks) = mpsc::channel(WAITING_MAX);
        let session = Session {
            identity: Arc::clone(identity),
            persistent: !clean,
            filters,
            retained: identity.retained.clone(),
            waiting: VecDeque::new(),
            live: Some(Live { ended: ended_sender, downlinks: downlink_sender }),
            entered: generation,
        };
        inner.sessions.insert(key.clone(), session);
        Entered { present, generation, ended, downlinks, backlog, bucket }
    }

    /// The connection is over; what it could not deliver waits if the session is to be resumed.
    pub fn leave(&self, key: &SessionKey, generation: u64, undelivered: impl IntoIterator<Item = Downlink>) {
        let mut inner = self.lock();
        let Some(session) = inner.sessions.get_mut(key).filter(|session| session.entered == generation) else {
            return;
        };
        session.live = None;
        for downlink in undelivered {
            session.keep(downlink);
        }
        if !session.persistent {
            inner.sessions.remove(key);
        }
        inner.forget_empty_buckets();
    }

    /// Adds a filter and returns what is retained for it; `None` if there are too many.
    pub fn subscribe(&self, key: &SessionKey, filter: &str) -> Option<Vec<Downlink>> {
        let mut inner = self.lock();
        let session = inner.sessions.get_mut(key)?;
        if !session.filters.iter().any(|known| known == filter) {
            if session.filters.len() == FILTERS_MAX {
                return None;
            }
            session.filters.push(filter.to_owned());
        }
        let matching = session.retained.iter().filter(|retained| rumqttc::matches(&retained.topic, filter));
        Some(matching.cloned().collect())
    }

    pub fn unsubscribe(&self, key: &SessionKey, filter: &str) {
        if let Some(session) = self.lock().sessions.get_mut(key) {
            session.filters.retain(|known| known != filter);
        }
    }

    /// Sends to every session of the principal that listens to the topic. Receipts are a courtesy: what finds no room is dropped.
    pub fn send(&self, principal: &str, downlink: &Downlink) {
        let mut inner = self.lock();
        for session in inner.of_principal(principal) {
            if downlink.retain {
                session.retained.retain(|retained| retained.topic != downlink.topic);
                session.retained.push(downlink.clone());
            }
            if !session.filters.iter().any(|filter| rumqttc::matches(&downlink.topic, filter)) {
                continue;
            }
            // Live delivery is not a replay, so the flag is off (MQTT-3.3.1-9).
            let message = Downlink { retain: false, ..downlink.clone() };
            match &session.live {
                Some(live) => {
                    let _ = live.downlinks.try_send(message);
                }
                None => session.keep(message),
            }
        }
    }

    /// Ends every session of a device and forgets it. New connections are refused by whoever authenticates.
    pub fn kick(&self, device_id: Uuid) {
        let mut inner = self.lock();
        let speaks_for = |session: &Session| session.identity.device.is_some_and(|device| device.device_id == device_id);
        let keys: Vec<SessionKey> = inner.sessions.iter().filter(|(_, session)| speaks_for(session)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(live) = inner.sessions.remove(&key).and_then(|session| session.live) {
                let _ = live.ended.send(Ending::Revoked);
            }
        }
    }

    pub fn live(&self) -> usize {
        self.lock().sessions.values().filter(|session| session.live.is_some()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Map operations leave the maps whole even if a panic interrupts their user.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn keep(&mut self, downlink: Downlink) {
        if self.persistent {
            if self.waiting.len() == WAITING_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(downlink);
        }
    }
}

impl Inner {
    fn of_principal(&mut self, principal: &str) -> impl Iterator<Item = &mut Session> {
        let first = SessionKey { principal: principal.to_owned(), client_id: String::new() };
        let sessions = self.sessions.range_mut(first..);
        sessions.take_while(move |(key, _)| key.principal == principal).map(|(_, session)| session)
    }

    /// Before one more session of the principal is opened, its oldest goes if there are too many.
    fn make_room(&mut self, principal: &str) {
        let first = SessionKey { principal: principal.to_owned(), client_id: String::new() };
        let of_principal = self.sessions.range(first..).take_while(|(key, _)| key.principal == principal);
        let mut ages: Vec<(u64, SessionKey)> = of_principal.map(|(key, session)| (session.entered, key.clone())).collect();
        ages.sort();
        for (_, key) in ages.iter().take((ages.len() + 1).saturating_sub(SESSIONS_PER_PRINCIPAL_MAX)) {
            if let Some(live) = self.sessions.remove(key).and_then(|session| session.live) {
                let _ = live.ended.send(Ending::TakenOver);
            }
        }
    }

    fn bucket(&mut self, identity: &Identity) -> Arc<Mutex<Bucket>> {
        let new = || Arc::new(Mutex::new(Bucket::per_minute(identity.messages_per_minute, Instant::now())));
        Arc::clone(self.buckets.entry(identity.principal.clone()).or_insert_with(new))
    }

    /// An empty bucket without user is like a new one. Looked at only now and then, since it walks all.
    fn forget_empty_buckets(&mut self) {
        if self.buckets.len() > 2 * self.sessions.len() + 64 {
            let now = Instant::now();
            self.buckets
                .retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.lock().unwrap_or_else(PoisonError::into_inner).is_empty(now));
        }
    }
}
