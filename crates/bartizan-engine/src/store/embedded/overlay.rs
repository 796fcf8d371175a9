//! The net effect of the log since a checkpoint: what the index must be told, and no more.
//!
//! A message queued and acknowledged between two checkpoints leaves nothing here, so it never
//! touches the index. An overlay is complete in itself: its rows refer only to bodies it holds,
//! so the message that straddles a checkpoint is stored once on each side of it.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, hash_map};
use std::sync::Arc;

use bartizan_core::message::Message;
use bartizan_core::wire::PacketId;

use super::numbers::ByNumber;
use super::places::{Places, QueueSlot};
use super::record::{BodyId, BodyV1, QueuedV1, RecordV1, SessionV1, SubscriptionV1, WillV1};
use crate::store::port::{Fetch, FetchedMessage, Mutation};

/// A message and how many rows of this overlay refer to it.
#[derive(Debug)]
pub struct Body {
    pub message: Arc<Message>,
    rows: u32,
}

/// Rows to put (`Some`, `true`) and to delete (`None`, `false`), in the order of the index.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Clients whose Subscriptions, queue and received ids in the index are void.
    pub ended: BTreeSet<Arc<str>>,
    pub sessions: BTreeMap<Arc<str>, Option<SessionV1>>,
    pub subscriptions: BTreeMap<(Arc<str>, Arc<str>), Option<SubscriptionV1>>,
    pub queue: Places,
    pub received: BTreeMap<(Arc<str>, PacketId), bool>,
    pub retained: BTreeMap<Arc<str>, Option<BodyId>>,
    pub wills: BTreeMap<Arc<str>, Option<WillV1>>,
    pub bodies: ByNumber<BodyId, Body>,
    /// By address: an address stays a message's own as long as `bodies` holds it.
    body_ids: ByNumber<usize, BodyId>,
}

impl Overlay {
    /// True if the index needs nothing.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
            && self.sessions.is_empty()
            && self.subscriptions.is_empty()
            && self.queue.is_empty()
            && self.received.is_empty()
            && self.retained.is_empty()
            && self.wills.is_empty()
    }

    /// Turns a mutation into records, passes each to `emit` and applies it.
    pub fn resolve<E>(
        &mut self,
        mutation: Mutation,
        next_body: &mut BodyId,
        emit: &mut impl FnMut(&RecordV1<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let record = match mutation {
            Mutation::SessionPut(record) => RecordV1::SessionPut(record.client_id.clone(), SessionV1::of(record)),
            Mutation::SessionDelete { client_id } => RecordV1::SessionDelete(client_id),
            Mutation::SubscriptionPut { client_id, filter, options, subscription_id } => {
                let row = SubscriptionV1::of(options, subscription_id);
                RecordV1::SubscriptionPut(client_id, filter, row)
            }
            Mutation::SubscriptionDelete { client_id, filter } => RecordV1::SubscriptionDelete(client_id, filter),
            Mutation::Enqueue { client_id, seq, message, qos, retain, subscription_ids, packet_id } => {
                let body = self.body(message, next_body, emit)?;
                let row = QueuedV1::new(body, qos, retain, subscription_ids, packet_id);
                RecordV1::Enqueue(client_id, seq, row)
            }
            Mutation::Assign { client_id, seq, packet_id } => RecordV1::Assign(client_id, seq, packet_id),
            Mutation::Released { client_id, seq } => RecordV1::Released(client_id, seq),
            Mutation::Dequeue { client_id, seq } => RecordV1::Dequeue(client_id, seq),
            Mutation::ReceivedPut { client_id, packet_id } => RecordV1::ReceivedPut(client_id, packet_id),
            Mutation::ReceivedDelete { client_id, packet_id } => RecordV1::ReceivedDelete(client_id, packet_id),
            Mutation::RetainedPut { message } => {
                let topic = message.topic().as_str().into();
                RecordV1::RetainedPut(topic, self.body(message, next_body, emit)?)
            }
            Mutation::RetainedDelete { topic } => RecordV1::RetainedDelete(topic),
            Mutation::WillPut { client_id, due, will, delay_s } => {
                let body = self.body(will, next_body, emit)?;
                RecordV1::WillPut(client_id, WillV1::new(body, due, delay_s))
            }
            Mutation::WillDelete { client_id } => RecordV1::WillDelete(client_id),
        };
        emit(&record)?;
        self.apply(record);
        Ok(())
    }

    /// The id of a message's body; a message not held yet gets one, and a record of its own.
    fn body<E>(
        &mut self,
        message: Arc<Message>,
        next_body: &mut BodyId,
        emit: &mut impl FnMut(&RecordV1<'_>) -> Result<(), E>,
    ) -> Result<BodyId, E> {
        let address = Arc::as_ptr(&message).addr();
        if let Some(id) = self.body_ids.get(&address) {
            return Ok(*id);
        }
        let id = *next_body;
        *next_body += 1;
        emit(&RecordV1::Body(id, BodyV1::of(&message)))?;
        self.hold(id, message);
        Ok(id)
    }

    /// Holds a body that rows are about to refer to.
    pub fn hold(&mut self, id: BodyId, message: Arc<Message>) {
        self.body_ids.insert(Arc::as_ptr(&message).addr(), id);
        self.bodies.insert(id, Body { message, rows: 0 });
    }

    /// What a page asks for and this overlay knows: messages that were queued since the
    /// checkpoint, and places that are free since.
    pub fn find(&self, fetch: &Fetch, found: &mut BTreeMap<u64, Option<FetchedMessage>>) {
        for seq in &fetch.seqs {
            match self.queue.get(&fetch.client_id, *seq) {
                Some(QueueSlot::Fresh(row) | QueueSlot::Over(row)) => {
                    let message = self.bodies.get(&row.body).map(|body| body.message.clone());
                    found.insert(*seq, message.and_then(|message| row.fetched(*seq, message)));
                }
                Some(QueueSlot::Gone) => drop(found.insert(*seq, None)),
                None if self.ended.contains(&fetch.client_id) => drop(found.insert(*seq, None)),
                Some(QueueSlot::Changed { .. }) | None => {}
            }
        }
    }

    /// Octets of memory that a body takes once it is read.
    pub fn weight_bytes(&self, id: BodyId) -> u32 {
        let weight = self.bodies.get(&id).map_or(0, |body| body.message.weight_bytes());
        u32::try_from(weight).unwrap_or(u32::MAX)
    }

    fn refer(&mut self, id: BodyId) {
        if let Some(body) = self.bodies.get_mut(&id) {
            body.rows += 1;
        }
    }

    fn let_go(&mut self, id: BodyId) {
        let hash_map::Entry::Occupied(mut body) = self.bodies.entry(id) else { return };
        body.get_mut().rows = body.get().rows.saturating_sub(1);
        if body.get().rows == 0 {
            self.body_ids.remove(&Arc::as_ptr(&body.remove().message).addr());
        }
    }

    fn let_go_slot(&mut self, slot: &QueueSlot) {
        if let QueueSlot::Fresh(row) | QueueSlot::Over(row) = slot {
            self.let_go(row.body);
        }
    }

    /// Applies one record. A `Body` is not for here: see `hold`.
    pub fn apply(&mut self, record: RecordV1<'_>) {
        match record {
            RecordV1::Body(..) => {}
            RecordV1::SessionPut(client, row) => drop(self.sessions.insert(client, Some(row))),
            RecordV1::SessionDelete(client) => self.end_session(client),
            RecordV1::SubscriptionPut(client, filter, row) => {
                self.subscriptions.insert((client, filter), Some(row));
            }
            RecordV1::SubscriptionDelete(client, filter) => {
                self.subscriptions.insert((client, filter), None);
            }
            RecordV1::Enqueue(client, seq, row) => self.enqueue(client, seq, row),
            RecordV1::Assign(client, seq, id) => {
                self.change(client, seq, |packet_id, _| *packet_id = Some(id));
            }
            RecordV1::Released(client, seq) => {
                self.change(client, seq, |_, released| *released = true);
            }
            RecordV1::Dequeue(client, seq) => self.dequeue(client, seq),
            RecordV1::ReceivedPut(client, id) => drop(self.received.insert((client, id), true)),
            RecordV1::ReceivedDelete(client, id) => drop(self.received.insert((client, id), false)),
            RecordV1::RetainedPut(topic, body) => {
                self.refer(body);
                if let Some(Some(old)) = self.retained.insert(topic, Some(body)) {
                    self.let_go(old);
                }
            }
            RecordV1::RetainedDelete(topic) => {
                if let Some(Some(old)) = self.retained.insert(topic, None) {
                    self.let_go(old);
                }
            }
            RecordV1::WillPut(client, row) => {
                self.refer(row.body);
                if let Some(Some(old)) = self.wills.insert(client, Some(row)) {
                    self.let_go(old.body);
                }
            }
            RecordV1::WillDelete(client) => {
                if let Some(Some(old)) = self.wills.insert(client, None) {
                    self.let_go(old.body);
                }
            }
        }
    }

    fn enqueue(&mut self, client: Arc<str>, seq: u64, row: QueuedV1) {
        self.refer(row.body);
        let has_ended = self.ended.contains(&client);
        let old = match self.queue.entry(client, seq) {
            // Without a trace here the place is free in the index too: no `seq` is queued twice.
            Entry::Vacant(place) => {
                place.insert(QueueSlot::Fresh(row));
                return;
            }
            Entry::Occupied(mut place) if has_ended || matches!(place.get(), QueueSlot::Fresh(_)) => {
                place.insert(QueueSlot::Fresh(row))
            }
            Entry::Occupied(mut place) => place.insert(QueueSlot::Over(row)),
        };
        self.let_go_slot(&old);
    }

    fn change(&mut self, client: Arc<str>, seq: u64, set: impl FnOnce(&mut Option<PacketId>, &mut bool)) {
        let has_ended = self.ended.contains(&client);
        let slot = match self.queue.entry(client, seq) {
            Entry::Vacant(_) if has_ended => return,
            Entry::Vacant(place) => place.insert(QueueSlot::Changed { packet_id: None, released: false }),
            Entry::Occupied(place) => place.into_mut(),
        };
        match slot {
            QueueSlot::Fresh(row) | QueueSlot::Over(row) => {
                set(&mut row.packet_id, &mut row.released);
            }
            QueueSlot::Changed { packet_id, released } => set(packet_id, released),
            QueueSlot::Gone => {}
        }
    }

    fn dequeue(&mut self, client: Arc<str>, seq: u64) {
        let has_ended = self.ended.contains(&client);
        let old = match self.queue.entry(client, seq) {
            // Nothing of it is left: the index never knew it.
            Entry::Occupied(place) if has_ended || matches!(place.get(), QueueSlot::Fresh(_)) => place.remove(),
            Entry::Occupied(mut place) => place.insert(QueueSlot::Gone),
            Entry::Vacant(_) if has_ended => return,
            Entry::Vacant(place) => {
                place.insert(QueueSlot::Gone);
                return;
            }
        };
        self.let_go_slot(&old);
    }

    fn end_session(&mut self, client: Arc<str>) {
        let filters = self.subscriptions.range((client.clone(), "".into())..);
        let filters: Vec<_> = filters.map(|(key, _)| key).take_while(|key| key.0 == client).cloned().collect();
        for key in &filters {
            self.subscriptions.remove(key);
        }
        for slot in self.queue.take(&client) {
            self.let_go_slot(&slot);
        }
        let ids = self.received.range((client.clone(), PacketId::MIN)..);
        let ids: Vec<_> = ids.map(|(key, _)| key).take_while(|key| key.0 == client).cloned().collect();
        for key in &ids {
            self.received.remove(key);
        }
        self.sessions.insert(client.clone(), None);
        self.ended.insert(client);
    }
}
