//! How long a CONNECT takes: from the beginning of the round in which it was read, until its CONNACK is written or queued.
//!
//! Whoever is let in without a question is in it, and so is who was asked by AUTH; a connection that goes to the shard of
//! its Session takes its beginning along. One that ends without CONNACK is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bartizan_core::server::Means;

use super::Shard;
use crate::latency::{Latency, Totals};

/// Methods that are told apart: an authenticator may call itself anything.
const METHODS_MAX: usize = 32;
/// What further ones are called.
const OTHER: &str = "other";

/// A CONNECT without an answer.
pub struct Connecting {
    since: Instant,
    method: Means,
}

/// What is told apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Of {
    listener: usize,
    is_allowed: bool,
    method: Arc<str>,
}

/// What all shards have timed. Behind a lock that CONNECT takes; no message does.
#[derive(Default)]
pub struct ConnectTimes(Mutex<Told>);

#[derive(Default)]
struct Told {
    methods: BTreeSet<Arc<str>>,
    took: BTreeMap<Of, Latency>,
}

impl ConnectTimes {
    fn add(&self, listener: usize, is_allowed: bool, method: &str, took: Duration) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let method = told.methods.get(method).cloned().unwrap_or_else(|| {
            let new: Arc<str> = Arc::from(if told.methods.len() < METHODS_MAX { method } else { OTHER });
            told.methods.insert(Arc::clone(&new));
            new
        });
        told.took.entry(Of { listener, is_allowed, method }).or_default().add(took);
    }

    /// Adds what was timed to `totals`, each as `connect_ns/END/OUTCOME/LISTENER/METHOD`.
    pub fn add_to(&self, listeners: &[&str], totals: &mut Totals) {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (of, latency) in &told.took {
            let listener = listeners.get(of.listener).copied().unwrap_or_default();
            let outcome = if of.is_allowed { "allowed" } else { "refused" };
            latency.add_to_each("connect", &format!("/{outcome}/{listener}/{}", of.method), totals);
        }
    }
}

impl Shard {
    /// CONNECTs that were read, and those that were proved.
    pub(super) fn follow_connects(&mut self) {
        let since = self.timing.began();
        for (connection, method) in self.fx.connects.drain(..) {
            let since = self.connecting.get(&connection).map_or(since, |connecting| connecting.since);
            self.connecting.insert(connection, Connecting { since, method });
        }
    }

    /// CONNACKs that were among what was just written.
    pub(super) fn time_connacks(&mut self) {
        for (connection, is_allowed) in self.fx.connacks.drain(..) {
            let Some(Connecting { since, method }) = self.connecting.remove(&connection) else { continue };
            let listener = self.by_connection.get(connection).and_then(|key| self.drivers.get(*key));
            if let Some(listener) = listener.map(|driver| driver.listener) {
                self.shared.connects.add(listener, is_allowed, method.name(), since.elapsed());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_methods_are_told_apart_and_the_rest_is_other() {
        let times = ConnectTimes::default();
        for number in 0..=METHODS_MAX {
            times.add(0, true, &format!("{number:02}"), Duration::from_nanos(7));
        }
        times.add(0, true, "00", Duration::from_nanos(7));
        times.add(1, false, "00", Duration::from_nanos(7));
        let mut totals = Totals::default();
        times.add_to(&["gate", "hall"], &mut totals);
        let totals = totals.into_inner();
        let count = |of: &str| totals.get(&format!("connect_ns/100/{of}")).copied();
        assert_eq!(count("allowed/gate/00"), Some(2));
        assert_eq!(count("refused/hall/00"), Some(1));
        assert_eq!((count("allowed/gate/32"), count("allowed/gate/other")), (None, Some(1)));
    }
}
