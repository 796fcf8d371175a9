//! What happened, on its way up to Python: a bounded ring that counts what it lost, and tells a
//! flood once. A flood told line by line would itself be the denial of service.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_core::event::{Event, Subject, What};
use bartizan_core::message::Time;
use rustix::event::{EventfdFlags, eventfd};

/// Events that wait for Python at most.
const WAITING_MAX: usize = 65_536;
/// Alike events told one by one within a window, before the rest is only counted.
const ALIKE_MAX: u64 = 8;
/// Of connections and disconnections those of one address, and of all addresses together: a storm
/// of reconnects is told by numbers.
const VISITS_PER_ADDRESS_MAX: u64 = 128;
const VISITS_MAX: u64 = 256;
/// The window.
const WINDOW_MS: u64 = 1_000;
/// Kinds of flood told apart within a window.
const FLOODS_MAX: usize = 4_096;

/// A file descriptor that is readable when Python should look.
#[derive(Debug)]
pub struct Bell {
    descriptor: OwnedFd,
}

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> std::io::Result<Bell> {
        Ok(Bell { descriptor: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)? })
    }

    /// The same bell for another owner.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new_shared(bell: &Bell) -> std::io::Result<Bell> {
        Ok(Bell { descriptor: bell.descriptor.try_clone()? })
    }

    /// Makes the descriptor readable.
    pub fn ring(&self) {
        // A full counter is readable already.
        let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
    }

    /// Makes it silent again; call before looking.
    pub fn silence(&self) {
        let mut count = [0_u8; 8];
        let _ = rustix::io::read(&self.descriptor, &mut count);
    }

    /// Its number, for `loop.add_reader`.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }
}

/// Events of all shards.
#[derive(Debug, Default)]
pub struct Events {
    waiting: Mutex<VecDeque<Event>>,
    lost: AtomicU64,
}

impl Events {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a shard's events. True when Python should be told.
    pub fn push(&self, events: impl Iterator<Item = Event>) -> bool {
        let mut waiting = self.waiting();
        let was_empty = waiting.is_empty();
        for event in events {
            if waiting.len() >= WAITING_MAX {
                self.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                waiting.push_back(event);
            }
        }
        was_empty && !waiting.is_empty()
    }

    /// Gives back at most so many, oldest first.
    #[must_use]
    pub fn take(&self, limit: usize) -> Vec<Event> {
        let mut waiting = self.waiting();
        let count = limit.min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// How many could not be kept since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What makes events alike: kind, what it is about, source.
type Alike = (&'static str, &'static str, Subject);

/// What an event is about, among those of its kind. Never anything that a peer chose.
fn about(what: &What) -> &'static str {
    match what {
        What::Refused { reason, .. } => reason,
        What::Denied { action, .. } => action,
        What::LimitMet { limit, .. } => limit,
        What::ContractBroken { broken, .. } => broken,
        _ => "",
    }
}

/// One shard's view of floods.
#[derive(Debug, Default)]
pub struct Floods {
    window_ends: Time,
    counts: HashMap<Alike, u64>,
    unsorted: u64,
    connected: Visits,
    disconnected: Visits,
}

/// Connections, or disconnections, of one window.
#[derive(Debug, Default)]
struct Visits {
    told: u64,
    untold: u64,
}

impl Visits {
    /// Whether there is room for one more; it is counted if not.
    fn has_room(&mut self) -> bool {
        let has_room = self.told < VISITS_MAX;
        self.untold += u64::from(!has_room);
        has_room
    }

    /// What was counted in the window that ends.
    fn close(&mut self) -> Option<u64> {
        let untold = std::mem::take(self).untold;
        (untold > 0).then_some(untold)
    }
}

impl Floods {
    /// Lets through what is no flood; the rest is counted.
    pub fn filter(&mut self, events: &mut Vec<Event>, now: Time, out: &mut Vec<Event>) {
        if events.is_empty() && self.is_quiet() {
            return;
        }
        if now >= self.window_ends {
            self.close_window(now, out);
        }
        for event in events.drain(..) {
            if self.admits(&event) {
                out.push(event);
            }
        }
    }

    /// Nothing is counted, so no window must be closed.
    fn is_quiet(&self) -> bool {
        // A visit that is not told has others before it that are among the counts.
        self.counts.is_empty() && self.unsorted == 0
    }

    fn visits(&mut self, kind: &str) -> Option<&mut Visits> {
        match kind {
            "connected" => Some(&mut self.connected),
            "disconnected" => Some(&mut self.disconnected),
            _ => None,
        }
    }

    fn admits(&mut self, event: &Event) -> bool {
        let kind = event.what.kind();
        if self.visits(kind).is_some_and(|visits| !visits.has_room()) {
            return false;
        }
        if !matches!(kind, "denied" | "contract_broken" | "refused" | "limit_met" | "connected" | "disconnected") {
            return true;
        }
        // Connections come and go under new identifiers: their address is what they share.
        let subject = match kind {
            "denied" | "contract_broken" | "limit_met" => Subject { listener: None, ..event.subject.clone() },
            _ => Subject { address: event.subject.address.clone(), ..Subject::default() },
        };
        let alike = (kind, about(&event.what), subject);
        if self.counts.len() >= FLOODS_MAX && !self.counts.contains_key(&alike) {
            self.unsorted += 1;
            return false;
        }
        let count = self.counts.entry(alike).or_default();
        *count += 1;
        let is_told = *count <= most_of(kind);
        if let Some(visits) = self.visits(kind).filter(|_| is_told) {
            visits.told += 1;
        }
        is_told
    }

    fn close_window(&mut self, now: Time, out: &mut Vec<Event>) {
        for ((kind, about, subject), count) in self.counts.drain() {
            let most = most_of(kind);
            if count > most {
                let what = What::Repeated { kind, about, count: count - most, within_ms: WINDOW_MS };
                out.push(Event::new(now, subject, what));
            }
        }
        let unsorted = std::mem::take(&mut self.unsorted);
        let visits = [("connected", self.connected.close()), ("disconnected", self.disconnected.close())];
        let crowds = visits.into_iter().filter_map(|(kind, count)| Some((kind, count?)));
        for (kind, count) in crowds.chain((unsorted > 0).then_some(("other", unsorted))) {
            let what = What::Repeated { kind, about: "", count, within_ms: WINDOW_MS };
            out.push(Event::new(now, Subject::default(), what));
        }
        self.window_ends = now.plus_ms(WINDOW_MS);
    }

    /// When a window must be closed although nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        (!self.is_quiet()).then_some(self.window_ends)
    }
}

/// How many alike are told one by one within a window.
fn most_of(kind: &str) -> u64 {
    match kind {
        "connected" | "disconnected" => VISITS_PER_ADDRESS_MAX,
        _ => ALIKE_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_reconnects_is_told_by_some_of_each_address_and_numbers() {
        let visit = |address: u32| {
            let subject = Subject { address: Some(address.to_string().into()), ..Subject::default() };
            Event::new(Time(0), subject, What::Disconnected { reason: "Success", by: "client", why: String::new() })
        };
        let (mut floods, mut out) = (Floods::default(), Vec::new());
        let mut events: Vec<Event> = (0..1_000).map(|_| visit(1)).chain((2..20_002).map(visit)).collect();
        floods.filter(&mut events, Time(10), &mut out);
        assert_eq!(out.len() as u64, VISITS_MAX);
        floods.filter(&mut Vec::new(), Time(10 + WINDOW_MS), &mut out);
        let told: Vec<_> = out.iter().skip(VISITS_MAX as usize).collect();
        let counts = told.iter().map(|event| match event.what {
            What::Repeated { kind: "disconnected", count, .. } => count,
            _ => 0,
        });
        assert_eq!(counts.sum::<u64>() + VISITS_MAX, 21_000);
        assert_eq!(told.len(), 2);
        assert_eq!(floods.deadline(), None);
    }

    fn denial(topic: u64) -> Event {
        let subject = Subject { client_id: Some("press-01".into()), ..Subject::default() };
        let what = What::Denied { action: "publish", topic: topic.to_string(), rule: None, why: "no_permit" };
        Event::new(Time(0), subject, what)
    }

    #[test]
    fn a_flood_is_told_by_its_first_events_and_one_count() {
        let (mut floods, mut out) = (Floods::default(), Vec::new());
        let mut events: Vec<Event> = (0..5_000).map(denial).collect();
        floods.filter(&mut events, Time(10), &mut out);
        assert_eq!(out.len() as u64, ALIKE_MAX);
        floods.filter(&mut Vec::new(), Time(10 + WINDOW_MS), &mut out);
        let last = out.last().map(|event| event.what.clone());
        let count = 5_000 - ALIKE_MAX;
        assert_eq!(last, Some(What::Repeated { kind: "denied", about: "publish", count, within_ms: WINDOW_MS }));
        assert_eq!(floods.deadline(), None);
    }

    #[test]
    fn a_flood_hides_nothing_of_another_reason() {
        let refused = |reason| {
            let subject = Subject { address: Some("192.0.2.1".into()), ..Subject::default() };
            Event::new(Time(0), subject, What::Refused { reason, why: String::new() })
        };
        let (mut floods, mut out) = (Floods::default(), Vec::new());
        let mut events: Vec<Event> = (0..100).map(|_| refused("Handshake failed")).collect();
        events.push(refused("Not authorized"));
        floods.filter(&mut events, Time(10), &mut out);
        assert_eq!(out.len() as u64, ALIKE_MAX + 1);
    }

    #[test]
    fn what_the_ring_cannot_hold_is_counted() {
        let events = Events::default();
        assert!(events.push((0..70_000).map(denial)));
        assert_eq!(events.lost(), 70_000 - WAITING_MAX as u64);
        assert_eq!(events.take(10).len(), 10);
    }
}
