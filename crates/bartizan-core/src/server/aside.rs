//! Queued messages that the store alone holds: when they go there, and how they come back.
//!
//! Behind a client that is away everything is set aside; behind one that is connected, what is
//! more than its window will soon take. The engine reads pages that `Effects::fetches` asks for.

use std::sync::Arc;

use slotmap::{Key, KeyData};

use super::{Effects, Server};
use crate::durable::{Fetch, Fetched, FetchedMessage};
use crate::event::{Event, Subject, What};
use crate::message::{Message, Time};
use crate::session::aside::{Fetching, Next};
use crate::session::session::Queued;
use crate::session::{Session, SessionKey};

/// Octets of waiting messages that a connected Session keeps in memory.
const RESIDENT_BYTES_MAX: usize = 256 * 1024;
/// With fewer messages than this in memory the next page is fetched.
const FETCH_BELOW: usize = 64;

impl Session {
    /// True if a message goes behind those in memory, to where the store alone has it. A queue
    /// stays in its order: behind what is set aside, everything is.
    pub(crate) fn sets_aside(&self) -> bool {
        let is_much = || self.queued_bytes.saturating_sub(self.aside.bytes()) >= RESIDENT_BYTES_MAX;
        let is_away = self.connection.is_none();
        self.stored && (!self.aside.is_empty() || is_away || (is_much() && !self.shares()))
    }

    /// True for a member of a Shared Subscription: when its connection ends, what waits for it in memory is
    /// given to another member that is there, so while it is connected it stays there.
    fn shares(&self) -> bool {
        self.subscriptions.values().any(|subscription| subscription.is_shared)
    }

    /// The client is gone: what waits for it in memory waits on the disk.
    pub(crate) fn set_all_aside(&mut self) {
        if !self.stored {
            return;
        }
        for queued in self.queue.take_all().into_iter().rev() {
            self.aside.push_front(queued.seq, queued.message.weight_bytes(), queued.group);
        }
    }

    /// Subscriptions have ended by the policy. Without any left nothing on the disk may be received,
    /// and is given up, where nobody else may have it: its places and octets.
    pub(crate) fn give_up_aside(&mut self, have_ended: bool) -> (Vec<u64>, usize) {
        match have_ended && self.subscriptions.is_empty() && !self.aside.is_shared() {
            true => self.aside.clear(),
            false => (Vec::new(), 0),
        }
    }

    /// Messages that wait, in memory or not.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len() + self.aside.len()
    }
}

impl Server {
    /// Asks for the next page, where a connected client will soon want it, or a sweep does.
    pub(crate) fn fetch_ahead(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| !session.aside.is_idle()) else { return };
        let is_wanted = session.connection.is_some() && session.queue.len() < FETCH_BELOW;
        match session.aside.next(is_wanted) {
            Next::Page(seqs) => {
                let (session, client_id) = (key.data().as_ffi(), Arc::clone(&session.client_id));
                fx.fetches.push(Fetch { session, client_id, seqs });
            }
            Next::Swept(sweep) => {
                self.report_lost(key, sweep.lost, sweep.dropped, now, fx);
                match self.sessions.get(key).is_some_and(|session| session.aside.has_ended) {
                    true => self.forget_session(key, fx),
                    false => self.fetch_ahead(key, now, fx),
                }
            }
            Next::Nothing => {}
        }
    }

    /// A page is there.
    pub fn fetched(&mut self, page: Fetched, now: Time, fx: &mut Effects) {
        let key = SessionKey::from(KeyData::from_ffi(page.session));
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.aside.end_fetch() == Fetching::Window {
            self.window_fetched(key, page, now, fx);
            return;
        }
        let mut dropped = Vec::new();
        for seq in &page.missing {
            // Only of a place that is still here: a message that nobody may lose in silence.
            if let Some((weight, _)) = session.aside.remove(*seq) {
                dropped.push((*seq, weight, None));
                let why = format!("message {seq} queued for {:?} is not there any more", session.client_id);
                fx.events.push(Event::new(now, Subject::default(), What::StoreFailed { why }));
            }
        }
        if session.aside.sweep().is_some() {
            session.look_again(page.messages, &mut dropped);
        } else if session.connection.is_some() {
            session.take_back(page.messages, &mut dropped);
        }
        for (seq, weight, shared) in dropped {
            self.drop_aside(key, seq, weight, shared.is_none(), fx);
            if let Some((group, message)) = shared {
                self.give_back(key, group, message, None, now, fx);
            }
        }
        self.go_on(key, now, fx);
    }

    /// It is not here any more; lost, unless another member has it.
    pub(crate) fn drop_aside(
        &mut self,
        key: SessionKey,
        seq: u64,
        weight_bytes: usize,
        is_lost: bool,
        fx: &mut Effects,
    ) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.queued_bytes = session.queued_bytes.saturating_sub(weight_bytes);
        }
        let counters = self.counters();
        counters.publish_dropped.add(u64::from(is_lost));
        counters.queued_messages.sub(1);
        counters.queued_bytes.sub(weight_bytes as u64);
        self.forget_queued(key, seq, fx);
    }
}

/// A message that may not be received: its place, its weight, and who else of its group may have it.
type Dropped = (u64, usize, Option<(Arc<str>, Arc<Message>)>);

impl Session {
    /// Messages that a client wants go to the end of the queue, as far as it may receive them still.
    fn take_back(&mut self, messages: Vec<FetchedMessage>, dropped: &mut Vec<Dropped>) {
        for FetchedMessage { seq, message, qos, retain, subscription_ids } in messages {
            // A connection that came and went in between has had the places change.
            let Some((weight, group)) = self.aside.take(seq) else { continue };
            if self.grants.receive(&message.topic()).allow {
                self.queue.push_back(Queued { seq, message, qos, retain, subscription_ids, group });
            } else {
                dropped.push((seq, weight, group.map(|group| (group, message))));
            }
        }
    }

    /// A sweep: what may be received stays on the disk.
    fn look_again(&mut self, messages: Vec<FetchedMessage>, dropped: &mut Vec<Dropped>) {
        for FetchedMessage { seq, message, .. } in messages {
            let topic = message.topic();
            let stays = !self.aside.is_left(seq)
                && self.grants.receive(&topic).allow
                && self.subscriptions.iter().any(|(full, s)| s.filter(full).matches(&topic));
            let gone = if stays { None } else { self.aside.remove(seq) };
            if let Some(sweep) = self.aside.sweep() {
                sweep.passed(seq);
                sweep.dropped += u64::from(gone.is_some());
            }
            dropped.extend(gone.map(|(weight, group)| (seq, weight, group.map(|group| (group, message)))));
        }
    }
}
