//! The adapter for tests and for labs that want nothing on disk: commits at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_core::message::{Message, Time};
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions};

use super::answers::Answers;
use super::port::{
    Committed, Fetch, Fetched, FetchedMessage, Loaded, Mutation, Promise, SessionRecord, Space, Store, StoreError,
    StoreInfo, Ticket, Wake,
};

/// A store whose contents live as long as it does.
pub struct MemoryStore {
    contents: Mutex<Contents>,
    lanes: Box<[AtomicU64]>,
    answers: Answers,
    closed: AtomicBool,
    wake: Wake,
}

/// A store in memory with so many lanes.
#[must_use]
pub fn open(lanes: usize, wake: Wake) -> Arc<MemoryStore> {
    Arc::new(MemoryStore {
        contents: Mutex::default(),
        lanes: (0..lanes).map(|_| AtomicU64::new(0)).collect(),
        answers: Answers::new(lanes),
        closed: AtomicBool::new(false),
        wake,
    })
}

impl Store for MemoryStore {
    fn info(&self) -> StoreInfo {
        StoreInfo { name: "memory", durability: None, lanes: self.lanes.len() }
    }

    fn submit_for(&self, lane: usize, batch: Vec<Mutation>, _promise: Option<Promise>) -> Ticket {
        let Some(watermark) = self.lanes.get(lane) else {
            return Ticket::NEVER;
        };
        if self.closed.load(Ordering::Acquire) {
            return Ticket::NEVER;
        }
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        for mutation in batch {
            contents.apply(mutation);
        }
        let ticket = Ticket(watermark.fetch_add(1, Ordering::AcqRel) + 1);
        drop(contents);
        (self.wake)(lane);
        ticket
    }

    fn committed(&self, lane: usize) -> Committed {
        let ticket = self.lanes.get(lane).map_or(0, |watermark| watermark.load(Ordering::Acquire));
        Committed { ticket: Ticket(ticket), failed: false }
    }

    fn space(&self) -> Space {
        Space::Ok
    }

    fn failure(&self) -> Option<StoreError> {
        None
    }

    fn load(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).visit(visit);
        Ok(())
    }

    fn load_places(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError> {
        self.load(visit)
    }

    fn fetch(&self, lane: usize, fetch: Fetch) {
        let page = self.contents.lock().unwrap_or_else(PoisonError::into_inner).page(&fetch);
        self.answers.put(lane, page);
        (self.wake)(lane);
    }

    fn has_fetched(&self, lane: usize) -> bool {
        self.answers.has(lane)
    }

    fn take_fetched(&self, lane: usize) -> Vec<Fetched> {
        self.answers.take(lane)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

struct Subscription {
    options: SubscriptionOptions,
    subscription_id: Option<u32>,
}

struct Queued {
    message: Arc<Message>,
    qos: QoS,
    retain: bool,
    subscription_ids: Box<[u32]>,
    packet_id: Option<PacketId>,
    released: bool,
}

struct Will {
    due: Option<Time>,
    will: Arc<Message>,
    delay_s: u32,
}

/// What is stored, in the most obvious form: the embedded adapter is compared with it.
#[derive(Default)]
struct Contents {
    sessions: BTreeMap<Arc<str>, SessionRecord>,
    subscriptions: BTreeMap<(Arc<str>, Arc<str>), Subscription>,
    queued: BTreeMap<(Arc<str>, u64), Queued>,
    received: BTreeSet<(Arc<str>, PacketId)>,
    retained: BTreeMap<Arc<str>, Arc<Message>>,
    wills: BTreeMap<Arc<str>, Will>,
}

impl Contents {
    fn apply(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::SessionPut(record) => {
                self.sessions.insert(record.client_id.clone(), record);
            }
            Mutation::SessionDelete { client_id } => self.end_session(&client_id),
            Mutation::SubscriptionPut { client_id, filter, options, subscription_id } => {
                self.subscriptions.insert((client_id, filter), Subscription { options, subscription_id });
            }
            Mutation::SubscriptionDelete { client_id, filter } => {
                self.subscriptions.remove(&(client_id, filter));
            }
            Mutation::Enqueue { client_id, seq, message, qos, retain, subscription_ids, packet_id } => {
                let queued = Queued { message, qos, retain, subscription_ids, packet_id, released: false };
                self.queued.insert((client_id, seq), queued);
            }
            Mutation::Assign { client_id, seq, packet_id } => {
                if let Some(queued) = self.queued.get_mut(&(client_id, seq)) {
                    queued.packet_id = Some(packet_id);
                }
            }
            Mutation::Released { client_id, seq } => {
                if let Some(queued) = self.queued.get_mut(&(client_id, seq)) {
                    queued.released = true;
                }
            }
            Mutation::Dequeue { client_id, seq } => {
                self.queued.remove(&(client_id, seq));
            }
            Mutation::ReceivedPut { client_id, packet_id } => {
                self.received.insert((client_id, packet_id));
            }
            Mutation::ReceivedDelete { client_id, packet_id } => {
                self.received.remove(&(client_id, packet_id));
            }
            Mutation::RetainedPut { message } => {
                self.retained.insert(message.topic().as_str().into(), message);
            }
            Mutation::RetainedDelete { topic } => {
                self.retained.remove(&topic);
            }
            Mutation::WillPut { client_id, due, will, delay_s } => {
                self.wills.insert(client_id, Will { due, will, delay_s });
            }
            Mutation::WillDelete { client_id } => {
                self.wills.remove(&client_id);
            }
        }
    }

    fn page(&self, fetch: &Fetch) -> Fetched {
        let found = fetch.seqs.iter().filter_map(|seq| {
            let held = self.queued.get(&(fetch.client_id.clone(), *seq))?;
            Some(FetchedMessage {
                seq: *seq,
                message: held.message.clone(),
                qos: held.qos,
                retain: held.retain,
                subscription_ids: held.subscription_ids.clone(),
            })
        });
        let messages: Vec<_> = found.collect();
        let is_missing = |seq: &&u64| !messages.iter().any(|found| found.seq == **seq);
        let missing = fetch.seqs.iter().filter(is_missing).copied().collect();
        Fetched { session: fetch.session, messages, missing }
    }

    fn end_session(&mut self, client_id: &Arc<str>) {
        self.sessions.remove(client_id);
        let whose = |client: &Arc<str>| client == client_id;
        let filters = self.subscriptions.range((client_id.clone(), "".into())..);
        let filters: Vec<_> = filters.map(|(key, _)| key).take_while(|key| whose(&key.0)).cloned().collect();
        for key in &filters {
            self.subscriptions.remove(key);
        }
        let seqs = self.queued.range((client_id.clone(), 0)..);
        let seqs: Vec<_> = seqs.map(|(key, _)| key).take_while(|key| whose(&key.0)).cloned().collect();
        for key in &seqs {
            self.queued.remove(key);
        }
        let ids = self.received.range((client_id.clone(), PacketId::MIN)..);
        let ids: Vec<_> = ids.take_while(|key| whose(&key.0)).cloned().collect();
        for key in &ids {
            self.received.remove(key);
        }
    }

    fn visit(&self, visit: &mut dyn FnMut(Loaded)) {
        for record in self.sessions.values() {
            visit(Loaded::Session(record.clone()));
        }
        for ((client_id, filter), held) in &self.subscriptions {
            let (client_id, filter) = (client_id.clone(), filter.clone());
            let Subscription { options, subscription_id } = *held;
            visit(Loaded::Subscription { client_id, filter, options, subscription_id });
        }
        for ((client_id, seq), held) in &self.queued {
            visit(Loaded::Queued {
                client_id: client_id.clone(),
                seq: *seq,
                message: held.message.clone(),
                qos: held.qos,
                retain: held.retain,
                subscription_ids: held.subscription_ids.clone(),
                packet_id: held.packet_id,
                released: held.released,
            });
        }
        for (client_id, packet_id) in &self.received {
            visit(Loaded::Received { client_id: client_id.clone(), packet_id: *packet_id });
        }
        for message in self.retained.values() {
            visit(Loaded::Retained { message: message.clone() });
        }
        for (client_id, held) in &self.wills {
            let (client_id, will) = (client_id.clone(), held.will.clone());
            visit(Loaded::Will { client_id, due: held.due, will, delay_s: held.delay_s });
        }
    }
}
