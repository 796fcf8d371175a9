//! Packets of one client as they pass, for whoever looks: each trace has a bounded buffer between the shards,
//! which never wait for it, and its reader.
//!
//! | file       | what                                                                  |
//! |------------|-----------------------------------------------------------------------|
//! | `mod`      | a trace, its buffer; begin, take, end                                   |
//! | `captured` | one packet, taken down without its secrets                              |
//! | `shown`    | the same as JSON                                                        |
//!
//! A trace is of a Client Identifier: it outlasts connections. What a shard pays for it, it pays on connections of
//! that client alone; where nobody looks, one branch for each read and each write.

pub mod captured;
pub(crate) mod shown;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::message::Time;
use bartizan_core::policy::scope;

use crate::engine::{ANSWER_MAX, Engine, EngineError, ask_all};
use crate::mailbox::Mail;
use captured::{Captured, Passed};

/// Traces at once.
pub const TRACES_MAX: usize = 8;
/// Octets that wait for the reader of one trace; what comes on top is counted and dropped.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// A trace whose reader did not end it is forgotten so long after its end.
const FORGOTTEN_AFTER_MS: u64 = 60_000;

/// One client's packets, for one reader.
#[derive(Debug)]
pub struct Trace {
    number: u64,
    /// Of a tenant's client its whole name.
    client_id: String,
    until: Time,
    with_payloads: bool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    packets: VecDeque<Captured>,
    bytes: usize,
    aliases: shown::Aliases,
}

impl Trace {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name under which the server keeps the client's Session.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// True for the name under which the server keeps a Session.
    #[must_use]
    pub fn is_of(&self, client_id: &str) -> bool {
        self.client_id == client_id
    }

    /// The Client Identifier as its client sends it.
    #[must_use]
    pub fn connect_client_id(&self) -> &str {
        scope::parts(&self.client_id).1
    }

    /// True where a CONNECT with this Client Identifier may turn out to be of its client.
    #[must_use]
    pub fn may_be_of(&self, client_id: &str) -> bool {
        self.connect_client_id() == client_id
    }

    /// True where it is of a tenant's client: whose CONNECT it is, is not known before its identity is.
    #[must_use]
    pub fn has_tenant(&self) -> bool {
        scope::tenant(&self.client_id).is_some()
    }

    /// Whether payloads are taken down.
    #[must_use]
    pub fn with_payloads(&self) -> bool {
        self.with_payloads
    }

    /// Takes a packet down, if there is room and time.
    pub fn push(&self, packet: Captured) {
        if packet.at > self.until {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.bytes + packet.weight_bytes() <= WAITING_BYTES_MAX {
            waiting.bytes += packet.weight_bytes();
            waiting.packets.push_back(packet);
        } else if let Some(Captured { what: Passed::Lost(count), .. }) = waiting.packets.back_mut() {
            *count += 1;
        } else {
            // Where they are missing, that is told.
            waiting.packets.push_back(Captured { what: Passed::Lost(1), ..packet });
        }
    }

    /// The first packets, as JSON lines.
    fn take(&self, limit: usize, with_octets: bool) -> Vec<u8> {
        let mut waiting = self.waiting();
        let many = limit.min(waiting.packets.len());
        let packets: Vec<Captured> = waiting.packets.drain(..many).collect();
        waiting.bytes -= packets.iter().map(Captured::weight_bytes).sum::<usize>();
        let mut aliases = std::mem::take(&mut waiting.aliases);
        // The shards must not wait while this is written out.
        drop(waiting);
        let mut lines = Vec::new();
        for packet in &packets {
            shown::line(packet, &mut aliases, with_octets, &mut lines);
        }
        self.waiting().aliases = aliases;
        lines
    }
}

/// All traces of an engine.
#[derive(Debug, Default)]
pub struct Traces {
    each: Mutex<Vec<Arc<Trace>>>,
    numbers: AtomicU64,
}

impl Traces {
    fn each(&self) -> MutexGuard<'_, Vec<Arc<Trace>>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, client_id: String, until: Time, with_payloads: bool, now: Time) -> Option<Arc<Trace>> {
        let mut each = self.each();
        each.retain(|trace| trace.until.plus_ms(FORGOTTEN_AFTER_MS) > now);
        if each.len() >= TRACES_MAX {
            return None;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let trace = Arc::new(Trace { number, client_id, until, with_payloads, waiting: Mutex::default() });
        each.push(Arc::clone(&trace));
        Some(trace)
    }

    fn get(&self, number: u64) -> Option<Arc<Trace>> {
        self.each().iter().find(|trace| trace.number == number).cloned()
    }

    fn remove(&self, number: u64) -> bool {
        let mut each = self.each();
        let before = each.len();
        each.retain(|trace| trace.number != number);
        each.len() < before
    }
}

impl Engine {
    /// Takes down what a client sends and is sent, of a tenant if one is named, for so long; the trace's number.
    ///
    /// # Errors
    /// `State` where nothing runs, or as many traces are under way as may be.
    pub fn trace(
        &self,
        client_id: &str,
        tenant: Option<&str>,
        within: Duration,
        with_payloads: bool,
    ) -> Result<u64, EngineError> {
        let shared = self.shared().ok_or(EngineError::State("the engine is not running"))?;
        let whose = scope::name(tenant, client_id);
        let now = shared.clock.now();
        let until = now.plus_ms(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        let trace = shared.traces.add(whose, until, with_payloads, now);
        let trace = trace.ok_or(EngineError::State("as many traces are under way as may be"))?;
        // From when this returns, nothing is missed.
        ask_all(&shared, ANSWER_MAX, |done| Mail::Trace(Arc::clone(&trace), done));
        Ok(trace.number)
    }

    /// What was taken down, oldest first, as JSON lines; none where there is no such trace.
    #[must_use]
    pub fn take_trace(&self, number: u64, limit: usize, with_octets: bool) -> Option<Vec<u8>> {
        Some(self.shared()?.traces.get(number)?.take(limit, with_octets))
    }

    /// Ends a trace; false where there is none.
    #[must_use]
    pub fn end_trace(&self, number: u64) -> bool {
        let Some(shared) = self.shared() else { return false };
        for mailbox in &shared.mailboxes {
            mailbox.send(Mail::EndTrace(number));
        }
        shared.traces.remove(number)
    }
}

#[cfg(test)]
mod tests;
