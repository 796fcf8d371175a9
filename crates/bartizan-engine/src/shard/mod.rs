//! One reactor: a thread that owns its connections and Sessions for life.
//!
//! | file      | what                                                                   |
//! |-----------|------------------------------------------------------------------------|
//! | `mod`     | the round: wait, read, tick, commit, write                             |
//! | `accept`  | new connections: admission, handshake                                  |
//! | `bytes`   | reading into one shared buffer, writing once per round, lingering      |
//! | `connecting` | how long a CONNECT takes                                            |
//! | `perform` | what core wants done                                                   |
//! | `mail`    | what comes from outside the thread                                     |
//! | `timing`  | how long a PUBLISH takes, and a decision                               |
//! | `tidy`    | free memory goes back to the system                                    |
//! | `tap`     | packets of traced clients, taken down as they pass                     |
//!
//! Edge-triggered and registered once: a connection that has more to read than its share of a
//! round stays in `ready` and is looked at in the next one without asking the kernel.

mod accept;
mod bytes;
mod connecting;
mod mail;
mod perform;
mod tap;
mod tidy;
mod timing;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use bartizan_core::message::Time;
use bartizan_core::server::{Deferred, Effects, ListenerRules, Server};
use bartizan_core::session::ConnectionKey;
use mio::{Events as Ready, Poll, Token};
use slotmap::{SecondaryMap, SlotMap};

use crate::admission::Admission;
use crate::clock::Clock;
use crate::desk::Desk;
use crate::driver::{Driver, DriverKey};
use crate::events::{Bell, Events, Floods};
use crate::listener::BoundListener;
use crate::mailbox::Mailbox;
use crate::store::{Space, Store, Ticket};
use crate::trace::Traces;
pub use connecting::{ConnectTimes, Connecting};
pub use timing::Timed;
use timing::Timing;

/// The waker's token; listeners follow.
pub const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;
/// Read at once into the shared buffer, and taken from one connection per round.
const READ_BYTES: usize = 65_536;
/// TLS handshakes begun or driven on per round, so that a storm of reconnects does not stop the
/// traffic of those connected.
const HANDSHAKES_PER_ROUND: usize = 8;
/// Python is woken for events at most so often.
const TELL_EVERY_MS: u64 = 20;

/// What all shards of an engine share.
pub struct Shared {
    /// The clock.
    pub clock: Clock,
    /// Every shard's mailbox.
    pub mailboxes: Vec<Arc<Mailbox>>,
    /// Questions for the authenticators.
    pub desk: Desk,
    /// What happened.
    pub events: Arc<Events>,
    /// Tells Python to look at any of them, and at commands.
    pub bell: Bell,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Gives memory that is free back to the system.
    pub tidy: fn(),
    /// Admission by listener.
    pub admission: Vec<Arc<Admission>>,
    /// What each shard has timed.
    pub timed: Vec<Timed>,
    /// How long CONNECTs took.
    pub connects: ConnectTimes,
    /// Clients whose packets somebody looks at.
    pub traces: Traces,
}

/// One reactor.
pub struct Shard {
    lane: usize,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    poll: Poll,
    server: Server,
    rules: Vec<ListenerRules>,
    listeners: Vec<BoundListener>,
    accepting: Vec<bool>,
    accept_again: Option<Time>,
    drivers: SlotMap<DriverKey, Driver>,
    by_connection: SecondaryMap<ConnectionKey, DriverKey>,
    ready: VecDeque<DriverKey>,
    deadlines: BinaryHeap<Reverse<(Time, DriverKey)>>,
    fx: Effects,
    deferred: VecDeque<(Ticket, Deferred)>,
    floods: Floods,
    told: Vec<bartizan_core::event::Event>,
    tell_at: Time,
    tidying: tidy::Tidying,
    buffer: Vec<u8>,
    drain: Option<(Time, SyncSender<()>)>,
    /// Connections whose handshake waits for its turn.
    shaking: VecDeque<DriverKey>,
    taps: tap::Taps,
    store_failed: bool,
    is_running: bool,
    timing: Timing,
    /// CONNECTs without an answer.
    connecting: HashMap<ConnectionKey, Connecting>,
}

impl Shard {
    /// A shard that has not started. Its listeners are registered here, so that an error of the
    /// kernel shows before anything is served.
    ///
    /// # Errors
    /// When the kernel refuses to watch a socket.
    pub fn new(
        lane: usize,
        shared: Arc<Shared>,
        poll: Poll,
        server: Server,
        rules: Vec<ListenerRules>,
        mut listeners: Vec<BoundListener>,
    ) -> std::io::Result<Shard> {
        for (at, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(FIRST_LISTENER + at), mio::Interest::READABLE)?;
        }
        let mailbox = shared.mailboxes.get(lane).cloned().ok_or(std::io::ErrorKind::NotFound)?;
        let room = server.room();
        Ok(Shard {
            lane,
            mailbox,
            poll,
            server,
            rules,
            accepting: vec![true; listeners.len()],
            accept_again: None,
            listeners,
            drivers: SlotMap::with_capacity_and_key(room),
            by_connection: SecondaryMap::with_capacity(room),
            ready: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            fx: Effects::default(),
            deferred: VecDeque::new(),
            floods: Floods::default(),
            told: Vec::new(),
            tell_at: Time(0),
            tidying: tidy::Tidying::default(),
            buffer: vec![0; READ_BYTES],
            drain: None,
            shaking: VecDeque::new(),
            taps: tap::Taps::default(),
            store_failed: false,
            is_running: true,
            timing: Timing::new(),
            connecting: HashMap::new(),
            shared,
        })
    }

    /// Serves until told to stop.
    pub fn run(mut self) {
        let mut ready = Ready::with_capacity(256);
        while self.is_running {
            let timeout = self.timeout();
            match self.poll.poll(&mut ready, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            }
            self.mailbox.awake();
            let began = Instant::now();
            let now = self.shared.clock.at(began);
            self.begin_timing(began);
            self.mark_ready(&ready);
            self.round(now);
        }
        self.tell_all();
    }

    /// One round: everything that is there, each connection its share; then what follows from it.
    fn round(&mut self, now: Time) {
        self.look_at_store(now);
        // Before mail and new connections: what a client sent on its old connection is handled
        // before its new one takes the Session over.
        if !self.is_congested() {
            self.look_at_ready(now);
        }
        self.collect_mail(now);
        self.accept_all(now);
        self.server.tick(now, &mut self.fx);
        self.tidy(now);
        self.check_deadlines(now);
        self.settle(now);
        self.check_drain(now);
    }

    /// Does what core wants, and what follows from that, until nothing is left.
    fn settle(&mut self, now: Time) {
        loop {
            self.perform(now);
            if !self.collect_commits(now) && self.fx.is_empty() {
                break;
            }
        }
        self.end_timing();
        self.tell(now);
    }

    /// How long nothing can happen. Zero when something waits already.
    fn timeout(&mut self) -> Option<Duration> {
        let is_busy = !self.ready.is_empty() || !self.shaking.is_empty();
        if (is_busy && !self.is_congested()) || self.accepting.contains(&true) {
            return Some(Duration::ZERO);
        }
        let now = self.shared.clock.now();
        let next = [
            self.server.next_deadline(),
            self.deadlines.peek().map(|Reverse((at, _))| *at),
            self.floods.deadline(),
            self.accept_again,
            self.drain.as_ref().map(|(at, _)| *at),
            (!self.told.is_empty()).then_some(self.tell_at),
            self.tidying.deadline(),
            is_busy.then(|| now.plus_ms(5)),
        ];
        let next = next.into_iter().flatten().min();
        if !self.mailbox.may_sleep() || self.has_commits() {
            return Some(Duration::ZERO);
        }
        next.map(|at| Duration::from_millis(at.since(now)))
    }

    fn mark_ready(&mut self, events: &Ready) {
        for event in events {
            let token = event.token();
            if token == WAKER {
                continue;
            }
            if let Some(accepting) = self.accepting.get_mut(token.0.wrapping_sub(FIRST_LISTENER)) {
                *accepting = true;
                continue;
            }
            let key = DriverKey::of(token);
            let Some(driver) = self.drivers.get_mut(key) else { continue };
            let mut is_due = driver.is_blocked || driver.transport.wants_write();
            if event.is_readable() || event.is_error() {
                driver.is_readable = true;
                is_due = true;
            }
            if event.is_read_closed() {
                // No further edge will tell of the end: a short read proves nothing any more.
                driver.is_readable = true;
                driver.is_half_closed = true;
                is_due = true;
            }
            if event.is_writable() {
                driver.is_blocked = false;
            }
            // Every connection becomes writable once when it is registered: that is no work.
            if is_due {
                self.queue(key);
            }
        }
    }

    /// Puts a connection among those to be looked at.
    fn queue(&mut self, key: DriverKey) {
        if let Some(driver) = self.drivers.get_mut(key)
            && !driver.is_ready
        {
            driver.is_ready = true;
            self.ready.push_back(key);
        }
    }

    /// Looks once at every connection that is ready now, and drives on as many handshakes as a
    /// round bears: in their order, and without a look at those behind them.
    fn look_at_ready(&mut self, now: Time) {
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else { return };
            if let Some(driver) = self.drivers.get_mut(key) {
                driver.is_ready = false;
                self.look_at(key, now);
                self.relieve(now);
                if self.forward_early(now) && self.others_are_behind() {
                    break;
                }
            }
        }
        for _ in 0..HANDSHAKES_PER_ROUND {
            let Some(key) = self.shaking.pop_front() else { return };
            if let Some(driver) = self.drivers.get_mut(key) {
                driver.is_ready = false;
                self.handshake(key, now);
            }
        }
    }

    /// Writes before the end of the round, where so much waits that more would find no room.
    fn relieve(&mut self, now: Time) {
        if self.fx.is_urgent {
            self.settle(now);
        }
    }

    /// True while other shards or the store are so far behind that reading more would only
    /// grow what waits for them (I7).
    fn is_congested(&self) -> bool {
        self.others_are_behind() || self.shared.store.space() == Space::Busy
    }

    fn look_at_store(&mut self, now: Time) {
        let failed = self.shared.store.committed(self.lane).failed;
        if failed && !self.store_failed {
            self.store_failed = true;
            let why = self.shared.store.failure().map_or_else(String::new, |error| error.to_string());
            let what = bartizan_core::event::What::StoreFailed { why };
            let subject = bartizan_core::event::Subject::default();
            self.fx.events.push(bartizan_core::event::Event::new(now, subject, what));
        }
        self.server.set_store_writable(!failed && self.shared.store.space() != Space::Full);
    }

    fn has_commits(&self) -> bool {
        let committed = self.shared.store.committed(self.lane);
        self.deferred.front().is_some_and(|(ticket, _)| committed.covers(*ticket))
            || self.shared.store.has_fetched(self.lane)
    }

    /// Lets happen what waited for a commit, or for a page of a queue. True when something did.
    fn collect_commits(&mut self, now: Time) -> bool {
        let committed = self.shared.store.committed(self.lane);
        let mut any = false;
        for page in self.shared.store.take_fetched(self.lane) {
            any = true;
            self.server.fetched(page, now, &mut self.fx);
        }
        while let Some((_, deferred)) = self.deferred.pop_front_if(|(ticket, _)| committed.covers(*ticket)) {
            any = true;
            self.server.committed(deferred, now, &mut self.fx);
        }
        any
    }

    /// Sends what happened up to Python: at once when it was quiet, else a few at a time, for each
    /// time costs a switch to another thread.
    fn tell(&mut self, now: Time) {
        self.floods.filter(&mut self.fx.events, now, &mut self.told);
        if !self.told.is_empty() && now >= self.tell_at {
            self.tell_at = now.plus_ms(TELL_EVERY_MS);
            self.tell_all();
        }
    }

    fn tell_all(&mut self) {
        if self.shared.events.push(self.told.drain(..)) {
            self.shared.bell.ring();
        }
    }
}
