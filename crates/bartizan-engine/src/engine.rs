//! Start, stop, apply: what the seam calls. Every method is callable from any thread and waits
//! for nobody but the shards.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bartizan_core::event::Event;
use bartizan_core::policy::{Image, Schedule, scope};
use bartizan_core::server::apply::Change;
use bartizan_core::server::bans::Bans;
use bartizan_core::server::listing::{self, ClientListing, Listed};
use bartizan_core::server::{AuthRequest, Common, Effects, ListenerRules, Roster, Server};
use bartizan_core::wire::ReasonCode;
use mio::{Poll, Waker};

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{ConfigError, EngineConfig, StoreKind, TlsSection};
use crate::desk::{Answer, Desk, Token};
use crate::events::{Bell, Events};
use crate::identities;
use crate::listener::{BoundListener, ListenerConfig, ListenerError, bind};
use crate::mailbox::{Mail, Mailbox};
use crate::recovery::Recovery;
use crate::shard::{ConnectTimes, Shard, Shared, Timed, WAKER};
use crate::store::{self, Store, StoreError, Wake};
use crate::tls::{TlsError, TlsSlot};
use crate::trace::Traces;

/// How long a shard may take to answer a question from outside.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why the engine did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// A listener's certificates.
    #[error("listeners.{listener}: {error}")]
    Tls {
        /// Its name.
        listener: String,
        /// What is wrong.
        error: TlsError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The identities.
    #[error("identities: {0}")]
    Identities(String),
    /// The operating system.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// It is running already, or not at all.
    #[error("{0}")]
    State(&'static str),
}

pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) common: Arc<Common>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    slots: Vec<(String, ListenerConfig, TlsSlot)>,
    bound: Vec<(String, String, &'static str)>,
    pub(crate) identities: Arc<Roster>,
    pub(crate) epoch: u64,
}

/// The engine.
pub struct Engine {
    pub(crate) config: EngineConfig,
    bell: Bell,
    running: Mutex<Option<Running>>,
    /// What the last run left: its events can still be taken.
    stopped: Mutex<Option<Arc<Events>>>,
    recovery: Recovery,
    /// Also what a start begins with.
    bans: Mutex<Arc<Bans>>,
    tidy: fn(),
}

impl Engine {
    /// The same, calling this where an allocator should give free memory back to the system: by
    /// the thread that freed it, twice a second at most.
    #[must_use]
    pub fn tidied_by(mut self, tidy: fn()) -> Engine {
        self.tidy = tidy;
        self
    }

    /// An engine that has not started. The configuration is checked whole.
    ///
    /// # Errors
    /// `Config` where it cannot be used.
    pub fn new(config: &[u8]) -> Result<Engine, EngineError> {
        let config = EngineConfig::parse(config)?;
        for listener in &config.listeners {
            listener.socket(1)?;
            listener.rules()?;
        }
        Ok(Engine {
            config,
            bell: Bell::new()?,
            running: Mutex::default(),
            stopped: Mutex::default(),
            recovery: Recovery::default(),
            bans: Mutex::default(),
            tidy: || (),
        })
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable when there are questions, commands or events.
    #[must_use]
    pub fn wake_fd(&self) -> i32 {
        self.bell.number()
    }

    /// Binds the listeners, opens the store, takes back what it holds, and serves: all or nothing.
    ///
    /// # Errors
    /// Whatever is in the way; then nothing listens and nothing is open.
    pub fn start(&self, policy: Arc<Image>, identities: &[u8], schedule: Schedule) -> Result<(), EngineError> {
        let mut running = self.running();
        if running.is_some() {
            return Err(EngineError::State("the engine is running already"));
        }
        let shards = self.config.shards().max(1);
        let (identities, revoked) = identities::parse(identities)?;
        let rules = self.config.listeners.iter().map(|l| l.rules()).collect::<Result<Vec<_>, _>>()?;
        let listeners = self.bind_all(shards)?;
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..shards {
            let poll = Poll::new()?;
            mailboxes.push(Mailbox::new(Waker::new(poll.registry(), WAKER)?));
            polls.push(poll);
        }
        let store = self.open_store(shards, &mailboxes)?;
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            mailboxes,
            desk: Desk::default(),
            events: Arc::new(Events::default()),
            bell: Bell::new_shared(&self.bell)?,
            store,
            tidy: self.tidy,
            admission: rules.iter().map(|_| Arc::new(Admission::default())).collect(),
            timed: (0..shards).map(|_| Timed::new(rules.len())).collect(),
            connects: ConnectTimes::default(),
            traces: Traces::default(),
        });
        let common = Arc::new(Common::new(shards));
        if self.config.control {
            common.commands().open();
        }
        let change = Change { image: policy, identities, revoked, schedule: Arc::new(schedule), epoch: 1 };
        let mut servers = self.recovery.run(&shared, &common, &rules, &change, shards)?;
        let bans = Arc::clone(&self.bans.lock().unwrap_or_else(PoisonError::into_inner));
        for server in &mut servers {
            // Nobody is connected yet: nothing comes of it.
            server.ban(Arc::clone(&bans), shared.clock.now(), &mut Effects::default());
        }
        let slots = self.slots(&listeners);
        let bound = listeners.iter().map(describe).collect();
        let threads = spawn(&shared, polls, servers, &rules, listeners)?;
        let identities = change.identities;
        *running = Some(Running { shared, common, threads, slots, bound, identities, epoch: 1 });
        Ok(())
    }

    fn bind_all(&self, shards: usize) -> Result<Vec<BoundListener>, EngineError> {
        // Certificates first: a bad one must not leave a port open for a moment.
        let mut ready = Vec::new();
        for section in &self.config.listeners {
            let socket = section.socket(shards)?;
            let slot = section.tls.as_ref().map(|tls| context(&socket, tls)).transpose()?.flatten();
            ready.push((socket, slot));
        }
        let bound = ready.into_iter().map(|(socket, slot)| bind(&socket, slot)).collect::<Result<Vec<_>, _>>()?;
        Ok(bound)
    }

    fn slots(&self, listeners: &[BoundListener]) -> Vec<(String, ListenerConfig, TlsSlot)> {
        listeners
            .iter()
            .filter_map(|listener| {
                let config = listener.config();
                Some((config.name.clone(), (**config).clone(), listener.tls_slot()?.clone()))
            })
            .collect()
    }

    fn open_store(&self, shards: usize, mailboxes: &[Arc<Mailbox>]) -> Result<Arc<dyn Store>, EngineError> {
        let mailboxes = mailboxes.to_vec();
        let wake: Wake = Arc::new(move |lane| {
            if let Some(mailbox) = mailboxes.get(lane) {
                mailbox.wake();
            }
        });
        let section = &self.config.store;
        Ok(match section.kind {
            StoreKind::Memory => store::memory::open(shards, wake),
            StoreKind::Embedded => store::open(section.embedded(shards), wake)?,
        })
    }

    /// How far taking back what the store holds has come; may be asked while `start` runs.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Says goodbye to everyone, writes what waits, closes the store. Returns when it is done.
    pub fn stop(&self, grace: Duration) {
        let Some(running) = self.running().take() else { return };
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        ask_all(&running.shared, grace + ANSWER_MAX, |done| Mail::Drain(grace_ms, done));
        for mailbox in &running.shared.mailboxes {
            mailbox.send(Mail::Stop);
        }
        for thread in running.threads {
            // A shard that panicked has told so on standard error; the others are ended all the same.
            let _ = thread.join();
        }
        running.shared.store.close();
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&running.shared.events));
        self.bell.ring();
    }

    /// Swaps policy and identities. Returns the new epoch once every shard has swept its Sessions.
    ///
    /// # Errors
    /// `Identities`; then nothing has changed.
    pub fn apply(&self, policy: Arc<Image>, identities: &[u8], schedule: Schedule) -> Result<u64, EngineError> {
        let (identities, revoked) = identities::parse(identities)?;
        let (shared, change) = self.with_running(|running| {
            running.epoch += 1;
            running.identities = Arc::clone(&identities);
            let schedule = Arc::new(schedule);
            let change = Change { image: policy, identities, revoked, schedule, epoch: running.epoch };
            (Arc::clone(&running.shared), change)
        })?;
        let epoch = change.epoch;
        shared.desk.forget();
        ask_every(&shared, |done| Mail::Apply(change.clone(), done))?;
        Ok(epoch)
    }

    /// Swaps a listener's certificates, CA roots and CRLs in place.
    ///
    /// # Errors
    /// `Tls` when they cannot be used; then nothing has changed.
    pub fn set_tls(&self, listener: &str, material: &[u8]) -> Result<(), EngineError> {
        let section: TlsSection = serde_json::from_slice(material).map_err(|error| ConfigError {
            where_: format!("listeners.{listener}"),
            what: format!("TLS material: {error}"),
        })?;
        let running = self.running();
        let running = running.as_ref().ok_or(EngineError::State("the engine is not running"))?;
        let (_, socket, slot) = running
            .slots
            .iter()
            .find(|(name, ..)| name == listener)
            .ok_or(EngineError::State("no TLS listener of that name"))?;
        let refused = |error| EngineError::Tls { listener: listener.to_owned(), error };
        let material = section.material();
        let context = socket.tls_context(&material).map_err(refused)?;
        let revoked = material.revocations().map_err(refused)?;
        if let Some(context) = context {
            slot.replace(context);
        }
        running.shared.desk.forget();
        // Afterwards, so that nobody slips in between by the context that was.
        let number = self.config.listeners.iter().position(|section| section.name == listener);
        if let Some(number) = number.filter(|_| revoked.values().any(|serials| !serials.is_empty())) {
            let revoked = Arc::new(revoked);
            for mailbox in &running.shared.mailboxes {
                mailbox.send(Mail::Revoked(number, Arc::clone(&revoked)));
            }
        }
        Ok(())
    }

    /// Disconnects a client, of a tenant if one is named; false when it is not connected.
    #[must_use]
    pub fn disconnect(&self, client_id: &str, tenant: Option<&str>, reason: ReasonCode) -> bool {
        let Some(shared) = self.shared() else { return false };
        let whose = scope::name(tenant, client_id);
        ask_all(&shared, ANSWER_MAX, |done| Mail::Disconnect(whose.clone(), reason, done)).contains(&true)
    }

    /// Connected clients, in the order of their Client Identifiers.
    #[must_use]
    pub fn clients(&self, listed: &Listed) -> Vec<ClientListing> {
        let Some(shared) = self.shared() else { return Vec::new() };
        let pages = ask_all(&shared, ANSWER_MAX, |done| Mail::List(listed.clone(), done));
        let mut clients: Vec<ClientListing> = pages.into_iter().flatten().collect();
        listing::truncate(&mut clients, listed.limit, |client| (&client.client_id, client.tenant.as_deref()));
        clients
    }

    /// Name, address and transport of every listener.
    #[must_use]
    pub fn listeners(&self) -> Vec<(String, String, &'static str)> {
        self.running().as_ref().map_or_else(Vec::new, |running| running.bound.clone())
    }

    /// Publishes status of the server's own, retained. Only `$SYS/` is the server's.
    pub fn publish_status(&self, topics: Vec<(String, String)>) {
        let Some(shared) = self.shared() else { return };
        let own = topics.into_iter().filter(|(topic, _)| topic.starts_with("$SYS/")).collect();
        if let Some(mailbox) = shared.mailboxes.first() {
            mailbox.send(Mail::Status(own));
        }
    }

    /// Questions for the authenticators.
    #[must_use]
    pub fn take_auth_requests(&self, limit: usize) -> Vec<(Token, AuthRequest)> {
        self.bell.silence();
        let Some(shared) = self.shared() else { return Vec::new() };
        let taken = shared.desk.take(limit);
        if taken.len() == limit {
            self.bell.ring();
        }
        taken
    }

    /// Answers them. An answer nobody waits for any more is dropped.
    pub fn answer(&self, answers: Vec<Answer>) {
        let Some(shared) = self.shared() else { return };
        let now = shared.clock.now();
        for answer in answers {
            let Some((shard, connection)) = shared.desk.answered(&answer, now) else { continue };
            if let Some(mailbox) = shared.mailboxes.get(shard) {
                mailbox.send(Mail::Verdict(connection, answer.verdict));
            }
        }
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn take_events(&self, limit: usize) -> Vec<Event> {
        let running = self.shared().map(|shared| Arc::clone(&shared.events));
        let stopped = || self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(events) = running.or_else(stopped) else { return Vec::new() };
        let taken = events.take(limit);
        if taken.len() == limit {
            self.bell.ring();
        }
        taken
    }

    /// Keeps bans for the next start.
    pub(crate) fn keep_bans(&self, bans: Arc<Bans>) {
        *self.bans.lock().unwrap_or_else(PoisonError::into_inner) = bans;
    }

    /// Does something to what runs.
    pub(crate) fn with_running<T>(&self, work: impl FnOnce(&mut Running) -> T) -> Result<T, EngineError> {
        let mut running = self.running();
        Ok(work(running.as_mut().ok_or(EngineError::State("the engine is not running"))?))
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.running().as_ref().map(|running| Arc::clone(&running.shared))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// A shard did not answer in time.
pub(crate) fn late() -> EngineError {
    EngineError::State("a shard did not answer in time; the change is in force on the others")
}

/// Asks every shard; what all of them answered.
pub(crate) fn ask_every<T>(
    shared: &Shared,
    mail: impl Fn(std::sync::mpsc::SyncSender<T>) -> Mail,
) -> Result<Vec<T>, EngineError> {
    let answers = ask_all(shared, ANSWER_MAX, mail);
    if answers.len() < shared.mailboxes.len() { Err(late()) } else { Ok(answers) }
}

/// Asks every shard, and gives back the answers that came in time.
pub(crate) fn ask_all<T>(
    shared: &Shared,
    within: Duration,
    mail: impl Fn(std::sync::mpsc::SyncSender<T>) -> Mail,
) -> Vec<T> {
    let shards = shared.mailboxes.len();
    let (sender, receiver) = sync_channel(shards);
    for mailbox in &shared.mailboxes {
        mailbox.send(mail(sender.clone()));
    }
    drop(sender);
    let until = std::time::Instant::now() + within;
    let mut answers = Vec::new();
    while answers.len() < shards {
        let left = until.saturating_duration_since(std::time::Instant::now());
        match receiver.recv_timeout(left) {
            Ok(answer) => answers.push(answer),
            Err(_) => break,
        }
    }
    answers
}

fn context(socket: &ListenerConfig, tls: &TlsSection) -> Result<Option<TlsSlot>, EngineError> {
    let context = socket
        .tls_context(&tls.material())
        .map_err(|error| EngineError::Tls { listener: socket.name.clone(), error })?;
    Ok(context.map(TlsSlot::new))
}

fn describe(listener: &BoundListener) -> (String, String, &'static str) {
    let config = listener.config();
    let address = listener.local_addr().map_or_else(|| config.bind.to_string(), |address| address.to_string());
    (config.name.clone(), address, config.kind())
}

/// Starts the threads. Every socket is registered before the first of them runs.
fn spawn(
    shared: &Arc<Shared>,
    polls: Vec<Poll>,
    servers: Vec<Server>,
    rules: &[ListenerRules],
    listeners: Vec<BoundListener>,
) -> Result<Vec<JoinHandle<()>>, EngineError> {
    let mut first = Some(listeners);
    let mut shards = Vec::new();
    let originals = first.as_ref().map_or(0, Vec::len);
    let mut clones: Vec<Vec<BoundListener>> = Vec::new();
    for _ in 1..polls.len() {
        let mut own = Vec::with_capacity(originals);
        for listener in first.iter().flatten() {
            own.push(listener.try_clone()?);
        }
        clones.push(own);
    }
    let mut clones = clones.into_iter();
    for (lane, (poll, server)) in polls.into_iter().zip(servers).enumerate() {
        let own = if lane == 0 { first.take() } else { clones.next() }.unwrap_or_default();
        shards.push(Shard::new(lane, Arc::clone(shared), poll, server, rules.to_vec(), own)?);
    }
    let mut threads = Vec::new();
    for (lane, shard) in shards.into_iter().enumerate() {
        let name = format!("bartizan-{lane}");
        threads.push(std::thread::Builder::new().name(name).spawn(move || shard.run())?);
    }
    Ok(threads)
}
