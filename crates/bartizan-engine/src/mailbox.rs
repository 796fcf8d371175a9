//! What reaches a shard from outside its thread. Senders never wait; a shard that sleeps is
//! woken once.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use bartizan_core::server::activity::Activity;
use bartizan_core::server::apply::{Change, Revocations};
use bartizan_core::server::bans::{Bans, Cut};
use bartizan_core::server::command::Reply;
use bartizan_core::server::connect::Verdict;
use bartizan_core::server::listing::{ClientListing, Listed};
use bartizan_core::server::observations::Observations;
use bartizan_core::server::observe::Watch;
use bartizan_core::server::throttle::Throttles;
use bartizan_core::server::update::{Ended, Update};
use bartizan_core::server::{Adoption, Forward};
use bartizan_core::session::ConnectionKey;
use bartizan_core::wire::ReasonCode;
use crossbeam_queue::SegQueue;

use crate::admission::Place;
use crate::inspecting::Look;
use crate::listener::Transport;
use crate::shard::Connecting;
use crate::trace::Trace;

/// One thing for a shard.
pub enum Mail {
    /// From another shard, in its order, and what it weighs; and since when it is under way, if that is timed.
    Forwards(Vec<Forward>, usize, Option<Instant>),
    /// A connection whose Session lives here, with the octets already read from it, and its CONNECT, which is timed.
    Adopt(Box<Adoption>, Box<Transport>, Option<Place>, Vec<u8>, Option<Connecting>),
    /// The authenticators have answered.
    Verdict(ConnectionKey, Verdict),
    /// A policy or identity change; tells when it is in force.
    Apply(Change, SyncSender<()>),
    /// Some identities changed; tells what ended.
    Update(Box<Update>, SyncSender<Vec<Ended>>),
    /// Remove what these identities retain; tells how many messages that was.
    ClearRetained(HashSet<Arc<str>>, SyncSender<usize>),
    /// Certificates were revoked: whoever is connected by one of them, on this listener, is disconnected.
    Revoked(usize, Arc<Revocations>),
    /// Disconnect a client; tells whether it was there.
    Disconnect(String, ReasonCode, SyncSender<bool>),
    /// Bans in place of those that were; tells the connections that were cut.
    Ban(Arc<Bans>, SyncSender<Vec<Cut>>),
    /// Throttles in place of those that were; tells when they are in force.
    Throttle(Arc<Throttles>, SyncSender<()>),
    /// End a Session; tells what was in it.
    Discard(String, SyncSender<Option<Ended>>),
    /// Who is connected.
    List(Listed, SyncSender<Vec<ClientListing>>),
    /// What is watched from now on; tells when it is.
    Watch(Option<Watch>, SyncSender<()>),
    /// What was observed since the last time, with the rules that were used or without.
    Observed(bool, SyncSender<Observations>),
    /// What identities did since the last time.
    Active(SyncSender<Activity>),
    /// An answer to a command, for whoever of it is here.
    Reply(Arc<Reply>),
    /// A client's packets are taken down from now on; tells when they are.
    Trace(Arc<Trace>, SyncSender<()>),
    /// They are no more.
    EndTrace(u64),
    /// Somebody looks at something that is here.
    Look(Look),
    /// Messages of the server's own, retained: topic and text.
    Status(Vec<(String, String)>),
    /// Say goodbye to everyone; tells when all are gone or the deadline has passed.
    Drain(u64, SyncSender<()>),
    /// End the thread.
    Stop,
}

/// Octets that may wait for a shard before others stop reading what would come on top: less than
/// half of what may wait for one client, so that a word to read more slowly is not too late.
const CONGESTED_BYTES: usize = 384 * 1024;

/// A shard's mailbox.
pub struct Mailbox {
    queue: SegQueue<Mail>,
    waker: mio::Waker,
    is_asleep: AtomicBool,
    /// What the forwards in it weigh.
    bytes: AtomicUsize,
    /// Another shard waits for it to be emptier.
    is_awaited: AtomicBool,
}

impl Mailbox {
    /// A mailbox that wakes through this waker.
    #[must_use]
    pub fn new(waker: mio::Waker) -> Arc<Mailbox> {
        Arc::new(Mailbox {
            queue: SegQueue::new(),
            waker,
            is_asleep: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            is_awaited: AtomicBool::new(false),
        })
    }

    /// Puts something in.
    pub fn send(&self, mail: Mail) {
        self.queue.push(mail);
        self.wake();
    }

    /// Puts in what another shard forwards.
    pub fn forward(&self, forwards: Vec<Forward>, since: Option<Instant>) {
        let bytes = forwards.iter().map(Forward::weight_bytes).sum();
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.send(Mail::Forwards(forwards, bytes, since));
    }

    /// Forwards of this weight have been handled. True when a shard waits for that.
    #[must_use]
    pub fn lighten(&self, bytes: usize) -> bool {
        let left = self.bytes.fetch_sub(bytes, Ordering::SeqCst).saturating_sub(bytes);
        left <= CONGESTED_BYTES / 2 && self.is_awaited.swap(false, Ordering::SeqCst)
    }

    /// True while so much waits that reading more would only grow it (I7).
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) > CONGESTED_BYTES
    }

    /// Another shard is to be woken once this is emptier.
    pub fn await_room(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
    }

    /// Wakes the shard, if it sleeps.
    pub fn wake(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            // Failure means that the poll is gone, and the shard with it.
            let _ = self.waker.wake();
        }
    }

    /// Takes something out.
    pub fn receive(&self) -> Option<Mail> {
        self.queue.pop()
    }

    /// The shard is about to sleep. False when something has come meanwhile: then it must not.
    #[must_use]
    pub fn may_sleep(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        if self.queue.is_empty() {
            return true;
        }
        self.is_asleep.store(false, Ordering::SeqCst);
        false
    }

    /// The shard is awake.
    pub fn awake(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }
}
