//! Everything stored, at start: the index as of its last checkpoint, and the log since, merged.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use bartizan_core::message::Message;
use bartizan_core::wire::PacketId;
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTableMetadata, TableDefinition, Value};

use super::effect::queued;
use super::index::{
    BODIES, IndexError, QUEUE, RECEIVED, RETAINED, SESSIONS, SUBSCRIPTIONS, WILLS, guarded, index_error,
};
use super::overlay::Overlay;
use super::places::QueueSlot;
use super::record::{BodyId, BodyV1, QueuedV2, SessionV1, SubscriptionV1, WillV1};
use super::row::{damaged, unseal};
use crate::store::port::{Loaded, SessionRecord, StoreError};

/// One thing stored, its messages by number.
pub enum Found {
    Session(SessionRecord),
    Subscription { client_id: Arc<str>, filter: Arc<str>, row: SubscriptionV1 },
    Queued { client_id: Arc<str>, seq: u64, row: QueuedV2 },
    Received { client_id: Arc<str>, packet_id: PacketId },
    Retained { body: BodyId },
    Will { client_id: Arc<str>, row: WillV1 },
}

type Visit<'a> = &'a mut dyn FnMut(Found) -> Result<(), redb::Error>;

/// What a store held when it was opened.
pub struct Startup {
    /// The index; `None` before its first checkpoint.
    pub view: Option<ReadTransaction>,
    /// What the log added.
    pub overlay: Arc<Overlay>,
    /// The index's file, for errors.
    pub path: PathBuf,
}

impl Startup {
    /// Visits everything, in the order of `Loaded`.
    pub fn visit(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError> {
        self.guarded(|| {
            let mut bodies = self.bodies()?;
            self.walk(&mut |found| {
                visit(bodies.loaded(found)?);
                Ok(())
            })
        })
    }

    /// The same without the messages that wait.
    pub fn visit_places(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError> {
        self.guarded(|| {
            let mut bodies = self.bodies()?;
            self.walk(&mut |found| {
                visit(match found {
                    Found::Queued { client_id, seq, row } if row.queued.packet_id.is_none() => {
                        Loaded::Waiting { client_id, seq, weight_bytes: row.weight_bytes }
                    }
                    found => bodies.loaded(found)?,
                });
                Ok(())
            })
        })
    }

    /// Runs a reading of the index; its errors in terms of the store.
    pub fn guarded<T>(&self, read: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
        guarded(&self.path, || read().map_err(|error| index_error(&self.path, error))).map_err(|error| match error {
            IndexError::Failed(error) => error,
            IndexError::NoSpace => StoreError::Stopped,
        })
    }

    /// Visits everything, in the order of `Loaded`, without reading messages.
    pub fn walk(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        self.sessions(visit)?;
        self.subscriptions(visit)?;
        self.queue(visit)?;
        self.received(visit)?;
        self.retained(visit)?;
        self.wills(visit)
    }

    /// About as many as `walk` visits.
    pub fn rows_about(&self) -> Result<u64, redb::Error> {
        let overlay = self.overlay.sessions.len() + self.overlay.subscriptions.len() + self.overlay.queue.len();
        let sessions = self.table(SESSIONS)?.map_or(Ok(0), |table| table.len())?;
        let subscriptions = self.table(SUBSCRIPTIONS)?.map_or(Ok(0), |table| table.len())?;
        let queue = self.table(QUEUE)?.map_or(Ok(0), |table| table.len())?;
        let retained = self.table(RETAINED)?.map_or(Ok(0), |table| table.len())?;
        Ok(overlay as u64 + sessions + subscriptions + queue + retained)
    }

    /// The messages.
    pub fn bodies(&self) -> Result<Bodies<'_>, redb::Error> {
        Ok(Bodies { table: self.table(BODIES)?, overlay: &self.overlay, seen: HashMap::new() })
    }

    /// A table, if there was ever anything in it.
    pub fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<Option<ReadOnlyTable<K, V>>, redb::Error> {
        match self.view.as_ref().map(|view| view.open_table(table)) {
            None | Some(Err(redb::TableError::TableDoesNotExist(_))) => Ok(None),
            Some(found) => Ok(Some(found?)),
        }
    }

    /// The rows of a table, each as `read` makes it; an error behind the last if some are missing.
    fn rows<K: Key + 'static, V: Value + 'static, T>(
        &self,
        name: &'static str,
        table: TableDefinition<'_, K, V>,
        read: impl for<'x> Fn(K::SelfType<'x>, V::SelfType<'x>) -> Result<T, redb::Error>,
    ) -> Result<impl Iterator<Item = Result<T, redb::Error>>, redb::Error> {
        let (range, mut missing) = match self.table(table)? {
            Some(table) => (Some(table.range::<K::SelfType<'_>>(..)?), table.len()?),
            None => (None, 0),
        };
        let mut rows = range.into_iter().flatten();
        Ok(std::iter::from_fn(move || {
            let Some(row) = rows.next() else {
                return (std::mem::take(&mut missing) != 0).then(|| Err(damaged(name, "count")));
            };
            missing = missing.wrapping_sub(1);
            Some(row.map_err(redb::Error::from).and_then(|(key, row)| read(key.value(), row.value())))
        }))
    }

    /// A row as of the index, unless the Session it hung on has ended since.
    fn unless_ended<T>(&self, client_id: &Arc<str>, row: Option<T>) -> Option<T> {
        row.filter(|_| !self.overlay.ended.contains(client_id))
    }

    fn sessions(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows("sessions", SESSIONS, |client, row| {
            Ok((Arc::<str>::from(client), unseal::<SessionV1>("sessions", &client, row)?))
        })?;
        merge(rows, changes(&self.overlay.sessions), |client, row, newer| {
            let Some(row) = newer.map_or(row, Clone::clone) else { return Ok(()) };
            let record = row.record(client.clone()).ok_or_else(|| damaged("sessions", client))?;
            visit(Found::Session(record))
        })
    }

    fn subscriptions(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows("subscriptions", SUBSCRIPTIONS, |(client, filter), row| {
            let key = (Arc::<str>::from(client), Arc::<str>::from(filter));
            Ok((key, unseal::<SubscriptionV1>("subscriptions", &(client, filter), row)?))
        })?;
        merge(rows, changes(&self.overlay.subscriptions), |(client_id, filter), row, newer| {
            let row = self.unless_ended(&client_id, row);
            match newer.map_or(row, |newer| *newer) {
                Some(row) => visit(Found::Subscription { client_id, filter, row }),
                None => Ok(()),
            }
        })
    }

    fn queue(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows("queue", QUEUE, |(client, seq), row| {
            Ok(((Arc::<str>::from(client), seq), queued((client, seq), row)?))
        })?;
        let changes = self.overlay.queue.in_order().map(|((client, seq), slot)| ((Arc::clone(client), seq), slot));
        merge(rows, changes, |(client_id, seq), row, newer| {
            let row = self.unless_ended(&client_id, row);
            match self.latest(row, newer) {
                Some(row) => visit(Found::Queued { client_id, seq, row }),
                None => Ok(()),
            }
        })
    }

    /// A queue row as of now.
    fn latest(&self, row: Option<QueuedV2>, newer: Option<&QueueSlot>) -> Option<QueuedV2> {
        match newer {
            None => row,
            Some(QueueSlot::Fresh(newer) | QueueSlot::Over(newer)) => {
                Some(QueuedV2 { queued: newer.clone(), weight_bytes: self.overlay.weight_bytes(newer.body) })
            }
            Some(QueueSlot::Changed { packet_id, released }) => {
                row.map(|row| QueuedV2 { queued: row.queued.moved_on(*packet_id, *released), ..row })
            }
            Some(QueueSlot::Gone) => None,
        }
    }

    fn received(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows("received", RECEIVED, |(client, id), row| {
            unseal::<()>("received", &(client, id), row)?;
            let packet_id = PacketId::new(id).ok_or_else(|| damaged("received", client))?;
            Ok(((Arc::<str>::from(client), packet_id), ()))
        })?;
        merge(rows, changes(&self.overlay.received), |(client_id, packet_id), row, newer| {
            let row = self.unless_ended(&client_id, row);
            match newer.map_or(row.is_some(), |newer| *newer) {
                true => visit(Found::Received { client_id, packet_id }),
                false => Ok(()),
            }
        })
    }

    fn retained(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows("retained", RETAINED, |topic, row| {
            Ok((Arc::<str>::from(topic), unseal::<BodyId>("retained", &topic, row)?))
        })?;
        merge(rows, changes(&self.overlay.retained), |_, row, newer| match newer.map_or(row, |newer| *newer) {
            Some(body) => visit(Found::Retained { body }),
            None => Ok(()),
        })
    }

    fn wills(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows("wills", WILLS, |client, row| {
            Ok((Arc::<str>::from(client), unseal::<WillV1>("wills", &client, row)?))
        })?;
        merge(rows, changes(&self.overlay.wills), |client_id, row, newer| match newer.map_or(row, |newer| *newer) {
            Some(row) => visit(Found::Will { client_id, row }),
            None => Ok(()),
        })
    }
}

/// Rows of an overlay, in the order of the index.
fn changes<K: Clone, O>(rows: &BTreeMap<K, O>) -> impl Iterator<Item = (K, &O)> {
    rows.iter().map(|(key, row)| (key.clone(), row))
}

/// Walks two sorted sequences as one: each key once, with what either has for it.
fn merge<'a, K: Ord, B, O: 'a>(
    older: impl Iterator<Item = Result<(K, B), redb::Error>>,
    newer: impl Iterator<Item = (K, &'a O)>,
    mut visit: impl FnMut(K, Option<B>, Option<&O>) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut newer = newer.peekable();
    for row in older {
        let (key, row) = row?;
        while let Some((ahead, change)) = newer.next_if(|(ahead, _)| *ahead < key) {
            visit(ahead, None, Some(change))?;
        }
        let change = newer.next_if(|(ahead, _)| *ahead == key).map(|(_, change)| change);
        visit(key, Some(row), change)?;
    }
    newer.try_for_each(|(key, change)| visit(key, None, Some(change)))
}

/// Messages: each read once, however many rows refer to it.
pub struct Bodies<'a> {
    table: Option<ReadOnlyTable<BodyId, &'static [u8]>>,
    overlay: &'a Overlay,
    seen: HashMap<BodyId, Weak<Message>>,
}

impl Bodies<'_> {
    /// A message by its number.
    pub fn message(&mut self, id: BodyId) -> Result<Arc<Message>, redb::Error> {
        if let Some(body) = self.overlay.bodies.get(&id) {
            return Ok(body.message.clone());
        }
        if let Some(message) = self.seen.get(&id).and_then(Weak::upgrade) {
            return Ok(message);
        }
        let message = body(self.table.as_ref(), id)?;
        self.seen.insert(id, Arc::downgrade(&message));
        Ok(message)
    }

    /// What a shard is given.
    pub fn loaded(&mut self, found: Found) -> Result<Loaded, redb::Error> {
        Ok(match found {
            Found::Session(record) => Loaded::Session(record),
            Found::Subscription { client_id, filter, row } => {
                let options = row.options().ok_or_else(|| damaged("subscriptions", &client_id))?;
                Loaded::Subscription { client_id, filter, options, subscription_id: row.subscription_id }
            }
            Found::Queued { client_id, seq, row: QueuedV2 { queued: row, .. } } => Loaded::Queued {
                message: self.message(row.body)?,
                qos: row.qos().ok_or_else(|| damaged("queue", &client_id))?,
                client_id,
                seq,
                retain: row.retain,
                packet_id: row.packet_id,
                released: row.released,
                subscription_ids: row.subscription_ids,
            },
            Found::Received { client_id, packet_id } => Loaded::Received { client_id, packet_id },
            Found::Retained { body } => Loaded::Retained { message: self.message(body)? },
            Found::Will { client_id, row } => {
                let will = self.message(row.body)?;
                Loaded::Will { client_id, due: row.due(), will, delay_s: row.delay_s }
            }
        })
    }
}

/// A message of the index.
pub fn body(table: Option<&ReadOnlyTable<BodyId, &'static [u8]>>, id: BodyId) -> Result<Arc<Message>, redb::Error> {
    let row = table.map(|table| table.get(id)).transpose()?.flatten();
    let row = row.ok_or_else(|| damaged("bodies", id))?;
    unseal::<BodyV1<'_>>("bodies", &id, row.value())?.message().ok_or_else(|| damaged("bodies", id))
}
