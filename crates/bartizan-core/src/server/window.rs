//! The window of a Session whose client is away: the store alone has its messages.
//!
//! They are read back before CONNACK, so whoever sees a live connection finds the window whole, and
//! what is sent again goes before anything new [MQTT-4.6.0-1].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slotmap::Key;

use super::{Effects, Server};
use crate::durable::{Fetch, Fetched};
use crate::event::{Event, Subject, What};
use crate::message::{Message, Time};
use crate::session::owing::CONNACK;
use crate::session::{Session, SessionKey};
use crate::wire::PacketId;

/// Messages of one page. All of them are needed, so this bounds an answer and nothing else.
const PAGE_MESSAGES: usize = 256;

impl Session {
    /// The client is gone: what it has not acknowledged is on the disk.
    pub(crate) fn set_window_aside(&mut self) {
        if let Some(aside) = self.aside.held() {
            aside.resumes = false;
        }
        if self.stored
            && let Some(window) = self.inflight.held()
        {
            window.set_messages_aside();
        }
    }

    /// Messages of a page go back into the window, but for those that may not be received any more;
    /// these, and those that are missing.
    fn refill(&mut self, page: Fetched) -> Vec<(PacketId, u64, Refused)> {
        let mut found: BTreeMap<u64, Arc<Message>> =
            page.messages.into_iter().map(|found| (found.seq, found.message)).collect();
        let missing: BTreeSet<u64> = page.missing.into_iter().collect();
        let Session { grants, subscriptions, inflight, aside, .. } = self;
        let keeps = |message: &Message| {
            let topic = message.topic();
            grants.receive(&topic).allow
                && (!aside.window_lost || subscriptions.iter().any(|(full, s)| s.filter(full).matches(&topic)))
        };
        let mut refused = Vec::new();
        // One that was acknowledged while it was read is not there any more.
        for (id, slot) in inflight.iter_mut().filter(|(_, slot)| slot.is_bare()) {
            match found.remove(&slot.seq) {
                Some(message) if keeps(&message) => slot.message = Some(message),
                Some(_) => refused.push((id, slot.seq, Refused::ByPolicy)),
                None if missing.contains(&slot.seq) => refused.push((id, slot.seq, Refused::Missing)),
                None => {}
            }
        }
        refused
    }
}

/// Why a message does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    ByPolicy,
    Missing,
}

impl Server {
    /// The client is back. True if CONNACK has to wait for messages of the window, or for others to have what
    /// the Session before left: until then the store has it under the same Client Identifier.
    pub(crate) fn resumes_window(&mut self, key: SessionKey, fx: &mut Effects) -> bool {
        let waits = self.fetch_window(key, fx) || self.has_estate(key);
        if waits && let Some(session) = self.sessions.get_mut(key) {
            session.aside.resumes = true;
        }
        waits
    }

    fn has_estate(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| session.aside.has_estate())
    }

    /// Asks for the next page; false if there is nothing to read any more.
    fn fetch_window(&mut self, key: SessionKey, fx: &mut Effects) -> bool {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.stored) else { return false };
        if !session.inflight.has_bare() {
            return false;
        }
        // Behind a page of the queue that is on its way.
        if session.aside.begin_window() {
            let mut seqs = session.inflight.bare(PAGE_MESSAGES);
            seqs.sort_unstable();
            fx.fetches.push(Fetch { session: key.data().as_ffi(), client_id: Arc::clone(&session.client_id), seqs });
        }
        true
    }

    /// A page of the window is there.
    pub(crate) fn window_fetched(&mut self, key: SessionKey, page: Fetched, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        // If the client is gone again, its messages stay where they are.
        let refused = if session.connection.is_some() { session.refill(page) } else { Vec::new() };
        for (id, seq, why) in refused {
            if let Some(session) = self.sessions.get_mut(key) {
                session.inflight.finish(id);
                if why == Refused::Missing {
                    let why = format!("message {seq} in flight to {:?} is not there any more", session.client_id);
                    fx.events.push(Event::new(now, Subject::default(), What::StoreFailed { why }));
                }
            }
            self.counters().publish_dropped.add(1);
            self.forget_queued(key, seq, fx);
        }
        self.go_on(key, now, fx);
    }

    /// A page has come: the next one, and CONNACK once the window is whole.
    pub(crate) fn go_on(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let resumes = self.sessions.get(key).is_some_and(|session| session.aside.resumes);
        if resumes && !self.fetch_window(key, fx) && !self.has_estate(key) {
            let Some(session) = self.sessions.get_mut(key) else { return };
            (session.aside.resumes, session.aside.window_lost) = (false, false);
            if let Some(connection) = session.connection {
                self.owed_done(connection, CONNACK, now, fx);
            }
        }
        self.fetch_ahead(key, now, fx);
        self.proceed(key, now, fx);
    }
}
