//! A store that is as durable as a test says: batches wait in their lane until they are
//! committed, and only what is committed outlives a crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bartizan_core::durable::{Fetch, Fetched, FetchedMessage, Loaded, Mutation, SessionRecord};
use bartizan_core::message::{Message, Time};
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions};

#[derive(Clone)]
struct Queued {
    message: Arc<Message>,
    qos: QoS,
    retain: bool,
    subscription_ids: Box<[u32]>,
    packet_id: Option<PacketId>,
    released: bool,
}

type Subscription = (SubscriptionOptions, Option<u32>);

/// What is on disk, and what is on its way there.
#[derive(Default)]
pub struct Disk {
    lanes: Vec<VecDeque<Vec<Mutation>>>,
    sessions: BTreeMap<Arc<str>, SessionRecord>,
    subscriptions: BTreeMap<(Arc<str>, Arc<str>), Subscription>,
    queued: BTreeMap<(Arc<str>, u64), Queued>,
    received: BTreeSet<(Arc<str>, PacketId)>,
    retained: BTreeMap<Arc<str>, Arc<Message>>,
    wills: BTreeMap<Arc<str>, (Option<Time>, Arc<Message>, u32)>,
}

impl Disk {
    pub fn new(lanes: usize) -> Disk {
        Disk { lanes: vec![VecDeque::new(); lanes], ..Disk::default() }
    }

    pub fn submit(&mut self, lane: usize, batch: Vec<Mutation>) {
        self.lanes[lane].push_back(batch);
    }

    /// Batches that are not committed yet.
    pub fn waiting(&self, lane: usize) -> usize {
        self.lanes[lane].len()
    }

    /// Commits the oldest batch of a lane. False when there is none.
    pub fn commit_one(&mut self, lane: usize) -> bool {
        let Some(batch) = self.lanes[lane].pop_front() else { return false };
        batch.into_iter().for_each(|mutation| self.apply(mutation));
        true
    }

    /// A page of what is queued, batches that are on their way to the disk among it.
    pub fn fetch(&self, lane: usize, fetch: &Fetch) -> Fetched {
        let mut ahead: BTreeMap<u64, Queued> = BTreeMap::new();
        for mutation in self.lanes[lane].iter().flatten() {
            if let Mutation::Enqueue { client_id, seq, message, qos, retain, subscription_ids, .. } = mutation
                && *client_id == fetch.client_id
            {
                let (message, subscription_ids) = (message.clone(), subscription_ids.clone());
                let (qos, retain) = (*qos, *retain);
                let queued = Queued { message, qos, retain, subscription_ids, packet_id: None, released: false };
                ahead.insert(*seq, queued);
            }
        }
        let mut page = Fetched { session: fetch.session, messages: Vec::new(), missing: Vec::new() };
        for seq in &fetch.seqs {
            let queued = ahead.get(seq).or_else(|| self.queued.get(&(fetch.client_id.clone(), *seq)));
            match queued.cloned() {
                Some(Queued { message, qos, retain, subscription_ids, .. }) => {
                    page.messages.push(FetchedMessage { seq: *seq, message, qos, retain, subscription_ids });
                }
                None => page.missing.push(*seq),
            }
        }
        page
    }

    /// The power fails: what is not committed is gone.
    pub fn crash(&mut self) {
        self.lanes.iter_mut().for_each(VecDeque::clear);
    }

    /// True when nothing of any Session is kept.
    pub fn is_clean(&self) -> bool {
        self.sessions.is_empty()
            && self.subscriptions.is_empty()
            && self.queued.is_empty()
            && self.received.is_empty()
            && self.wills.is_empty()
    }

    /// Queued messages that somebody holds in memory beside the disk.
    pub fn held_in_memory(&self) -> usize {
        self.queued.values().filter(|queued| Arc::strong_count(&queued.message) > 1).count()
    }

    /// How many things are kept for Sessions, for a message when it should be none.
    pub fn counts(&self) -> [usize; 5] {
        [self.sessions.len(), self.subscriptions.len(), self.queued.len(), self.received.len(), self.wills.len()]
    }

    fn apply(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::SessionPut(record) => {
                self.sessions.insert(record.client_id.clone(), record);
            }
            Mutation::SessionDelete { client_id } => {
                self.sessions.remove(&client_id);
                self.subscriptions.retain(|key, _| key.0 != client_id);
                self.queued.retain(|key, _| key.0 != client_id);
                self.received.retain(|key| key.0 != client_id);
            }
            Mutation::SubscriptionPut { client_id, filter, options, subscription_id } => {
                self.subscriptions.insert((client_id, filter), (options, subscription_id));
            }
            Mutation::SubscriptionDelete { client_id, filter } => {
                self.subscriptions.remove(&(client_id, filter));
            }
            Mutation::Enqueue { client_id, seq, message, qos, retain, subscription_ids, packet_id } => {
                let queued = Queued { message, qos, retain, subscription_ids, packet_id, released: false };
                let before = self.queued.insert((client_id, seq), queued);
                assert!(before.is_none(), "a place in the queue was used twice");
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
                self.wills.insert(client_id, (due, will, delay_s));
            }
            Mutation::WillDelete { client_id } => {
                self.wills.remove(&client_id);
            }
        }
    }

    /// Everything on disk, in the order of `Loaded`.
    pub fn load(&self) -> Vec<Loaded> {
        let mut all: Vec<Loaded> = self.sessions.values().cloned().map(Loaded::Session).collect();
        for ((client_id, filter), (options, subscription_id)) in &self.subscriptions {
            all.push(Loaded::Subscription {
                client_id: client_id.clone(),
                filter: filter.clone(),
                options: *options,
                subscription_id: *subscription_id,
            });
        }
        for ((client_id, seq), queued) in &self.queued {
            let Queued { message, qos, retain, subscription_ids, packet_id, released } = queued.clone();
            let (client_id, seq) = (client_id.clone(), *seq);
            all.push(Loaded::Queued { client_id, seq, message, qos, retain, subscription_ids, packet_id, released });
        }
        for (client_id, packet_id) in &self.received {
            all.push(Loaded::Received { client_id: client_id.clone(), packet_id: *packet_id });
        }
        all.extend(self.retained.values().map(|message| Loaded::Retained { message: message.clone() }));
        for (client_id, (due, will, delay_s)) in &self.wills {
            let (client_id, will) = (client_id.clone(), will.clone());
            all.push(Loaded::Will { client_id, due: *due, will, delay_s: *delay_s });
        }
        all
    }
}
