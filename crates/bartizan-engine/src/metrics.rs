//! Every figure of a running engine by name: what the seam hands to Python.
//!
//! `NAME` is a counter or a gauge, `NAME/OF` one of several, `NAME_ns/END` a bucket of a histogram
//! (`latency`).

use std::collections::BTreeMap;

use crate::engine::{Engine, Running};
use crate::latency::Totals;
use crate::store::Space;

impl Engine {
    /// Every counter, gauge and histogram by name.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let mut totals = Totals::default();
        if let Some(running) = self.running().as_ref() {
            for (name, value) in running.common.totals() {
                totals.add(name, value);
            }
            now(running, &mut totals);
            self.population(running, &mut totals);
            let listeners: Vec<&str> = self.config.listeners.iter().map(|listener| listener.name.as_str()).collect();
            latencies(running, &listeners, &mut totals);
            running.shared.connects.add_to(&listeners, &mut totals);
        }
        totals.into_inner()
    }

    /// Clients by listener and by role.
    fn population(&self, running: &Running, totals: &mut Totals) {
        let population = running.common.population();
        for (at, listener) in self.config.listeners.iter().enumerate() {
            let visitors = population.by_listener().get(at).copied().unwrap_or_default();
            totals.add(format!("listener_clients_connected/{}", listener.name), visitors.connected);
            totals.add(format!("listener_connects_accepted/{}", listener.name), visitors.accepted);
            totals.add(format!("listener_connects_refused/{}", listener.name), visitors.refused);
        }
        for (role, count) in population.by_role() {
            totals.add(format!("role_clients_connected/{role}"), count);
        }
    }
}

fn now(running: &Running, totals: &mut Totals) {
    let retained = running.common.retained();
    let alive = running.threads.iter().filter(|thread| !thread.is_finished()).count();
    let sockets = running.shared.admission.iter().map(|admission| admission.connections()).sum();
    let gauges = [
        ("sockets_open", sockets),
        ("retained_messages", retained.store.len() as u64),
        ("retained_bytes", retained.store.bytes()),
        ("events_lost", running.shared.events.lost()),
        ("authentications_pending", running.shared.desk.pending() as u64),
        ("authentications_recalled", running.shared.desk.recalled()),
        ("shards", running.threads.len() as u64),
        ("shards_alive", alive as u64),
        ("store_full", u64::from(running.shared.store.space() == Space::Full)),
        ("store_failed", u64::from(running.shared.store.failure().is_some())),
        ("epoch", running.epoch),
    ];
    for (name, value) in gauges {
        totals.add(name, value);
    }
}

fn latencies(running: &Running, listeners: &[&str], totals: &mut Totals) {
    for timed in &running.shared.timed {
        timed.delivery.add_to("publish_delivery", totals);
        timed.decision.add_to("policy_decision", totals);
        for (handshakes, listener) in timed.handshakes.iter().zip(listeners) {
            handshakes.add_to_each("handshake", &format!("/{listener}"), totals);
        }
    }
    if let Some(syncs) = running.shared.store.syncs() {
        syncs.add_to("store_sync", totals);
    }
}
