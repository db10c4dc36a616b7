//! How many of something one client may hold at once, so that nobody takes all of it: connections, open requests, streams.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// Places by key; a handle, cheap to clone.
#[derive(Debug)]
pub struct Crowd<K: Eq + Hash> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    each_max: usize,
}

/// One place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
}

impl<K: Eq + Hash> Clone for Crowd<K> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone(), each_max: self.each_max }
    }
}

impl<K: Eq + Hash + Clone> Crowd<K> {
    pub fn new(each_max: usize) -> Self {
        Self { held: Arc::default(), each_max }
    }

    /// `None`: this key holds as many as it may.
    pub fn enter(&self, key: K) -> Option<Place<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key.clone()).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Place { held: self.held.clone(), key })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// A body that keeps a place until its last byte was taken or its reader is gone.
pub struct Holding<G> {
    body: Body,
    _place: G,
}

impl<G: Send + Unpin + 'static> Holding<G> {
    pub fn body(body: Body, place: G) -> Body {
        Body::new(Self { body, _place: place })
    }
}

impl<G: Unpin> HttpBody for Holding<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_takes_its_own_places_and_nobody_elses() {
        let crowd = Crowd::new(2);
        let held: Vec<_> = (0..3).map(|_| crowd.enter("a")).collect();
        assert_eq!(held.iter().flatten().count(), 2);
        assert!(crowd.enter("b").is_some());
        drop(held);
        assert!(crowd.enter("a").is_some(), "a place that was left is free");
        assert!(crowd.held.lock().unwrap().is_empty(), "nobody is remembered who holds nothing");
    }
}
