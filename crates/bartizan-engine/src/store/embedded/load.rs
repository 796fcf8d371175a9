//! Everything stored, at start: the index as of its last checkpoint, and the log since, merged.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use bartizan_core::message::Message;
use bartizan_core::wire::PacketId;
use redb::{Key, ReadOnlyTable, ReadTransaction, TableDefinition, Value};

use super::index::{
    BODIES, IndexError, QUEUE, RECEIVED, RETAINED, SESSIONS, SUBSCRIPTIONS, WILLS, damaged, decode, index_error,
};
use super::overlay::{Overlay, QueueSlot};
use super::record::{BodyId, BodyV1, QueuedV1, SessionV1, SubscriptionV1, WillV1};
use crate::store::port::{Loaded, StoreError};

type Visit<'a> = &'a mut dyn FnMut(Loaded);

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
    pub fn visit(&self, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut bodies = Bodies {
            table: self.table(BODIES).map_err(|error| self.error(error))?,
            overlay: &self.overlay,
            seen: HashMap::new(),
        };
        self.sessions(visit)
            .and_then(|()| self.subscriptions(visit))
            .and_then(|()| self.queue(&mut bodies, visit))
            .and_then(|()| self.received(visit))
            .and_then(|()| self.retained(&mut bodies, visit))
            .and_then(|()| self.wills(&mut bodies, visit))
            .map_err(|error| self.error(error))
    }

    fn error(&self, error: redb::Error) -> StoreError {
        match index_error(&self.path, error) {
            IndexError::Failed(error) => error,
            IndexError::NoSpace => StoreError::Stopped,
        }
    }

    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<Option<ReadOnlyTable<K, V>>, redb::Error> {
        match self.view.as_ref().map(|view| view.open_table(table)) {
            None | Some(Err(redb::TableError::TableDoesNotExist(_))) => Ok(None),
            Some(found) => Ok(Some(found?)),
        }
    }

    /// The rows of a table, each as `read` makes it.
    fn rows<K: Key + 'static, V: Value + 'static, T>(
        &self,
        table: TableDefinition<'_, K, V>,
        read: impl for<'x> Fn(K::SelfType<'x>, V::SelfType<'x>) -> Result<T, redb::Error>,
    ) -> Result<impl Iterator<Item = Result<T, redb::Error>>, redb::Error> {
        let range = match self.table(table)? {
            Some(table) => Some(table.range::<K::SelfType<'_>>(..)?),
            None => None,
        };
        Ok(range.into_iter().flatten().map(move |row| {
            let (key, row) = row?;
            read(key.value(), row.value())
        }))
    }

    /// A row as of the index, unless the Session it hung on has ended since.
    fn unless_ended<T>(&self, client_id: &Arc<str>, row: Option<T>) -> Option<T> {
        row.filter(|_| !self.overlay.ended.contains(client_id))
    }

    fn sessions(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows(SESSIONS, |client, row| Ok((Arc::<str>::from(client), decode::<SessionV1>(row)?)))?;
        merge(rows, &self.overlay.sessions, |client, row, newer| {
            if let Some(row) = newer.map_or(row, Clone::clone) {
                visit(Loaded::Session(row.record(client).ok_or_else(damaged)?));
            }
            Ok(())
        })
    }

    fn subscriptions(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows(SUBSCRIPTIONS, |(client, filter), row| {
            let key = (Arc::<str>::from(client), Arc::<str>::from(filter));
            Ok((key, decode::<SubscriptionV1>(row)?))
        })?;
        merge(rows, &self.overlay.subscriptions, |(client_id, filter), row, newer| {
            let row = self.unless_ended(&client_id, row);
            let Some(row) = newer.map_or(row, |newer| *newer) else {
                return Ok(());
            };
            let options = row.options().ok_or_else(damaged)?;
            let subscription_id = row.subscription_id;
            visit(Loaded::Subscription { client_id, filter, options, subscription_id });
            Ok(())
        })
    }

    fn queue(&self, bodies: &mut Bodies<'_>, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows =
            self.rows(QUEUE, |(client, seq), row| Ok(((Arc::<str>::from(client), seq), decode::<QueuedV1>(row)?)))?;
        merge(rows, &self.overlay.queue, |(client_id, seq), row, newer| {
            let row = self.unless_ended(&client_id, row);
            let Some(row) = latest(row, newer) else {
                return Ok(());
            };
            visit(Loaded::Queued {
                client_id,
                seq,
                message: bodies.message(row.body)?,
                qos: row.qos().ok_or_else(damaged)?,
                retain: row.retain,
                packet_id: row.packet_id,
                released: row.released,
                subscription_ids: row.subscription_ids,
            });
            Ok(())
        })
    }

    fn received(&self, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows(RECEIVED, |(client, packet_id), ()| {
            let packet_id = PacketId::new(packet_id).ok_or_else(damaged)?;
            Ok(((Arc::<str>::from(client), packet_id), ()))
        })?;
        merge(rows, &self.overlay.received, |(client_id, packet_id), row, newer| {
            let row = self.unless_ended(&client_id, row);
            if newer.map_or(row.is_some(), |newer| *newer) {
                visit(Loaded::Received { client_id, packet_id });
            }
            Ok(())
        })
    }

    fn retained(&self, bodies: &mut Bodies<'_>, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows(RETAINED, |topic, body| Ok((Arc::<str>::from(topic), body)))?;
        merge(rows, &self.overlay.retained, |_, row, newer| {
            if let Some(body) = newer.map_or(row, |newer| *newer) {
                visit(Loaded::Retained { message: bodies.message(body)? });
            }
            Ok(())
        })
    }

    fn wills(&self, bodies: &mut Bodies<'_>, visit: Visit<'_>) -> Result<(), redb::Error> {
        let rows = self.rows(WILLS, |client, row| Ok((Arc::<str>::from(client), decode::<WillV1>(row)?)))?;
        merge(rows, &self.overlay.wills, |client_id, row, newer| {
            let Some(row) = newer.map_or(row, |newer| *newer) else {
                return Ok(());
            };
            let will = bodies.message(row.body)?;
            visit(Loaded::Will { client_id, due: row.due(), will, delay_s: row.delay_s });
            Ok(())
        })
    }
}

/// A queue row as of now.
fn latest(row: Option<QueuedV1>, newer: Option<&QueueSlot>) -> Option<QueuedV1> {
    match newer {
        None => row,
        Some(QueueSlot::Fresh(newer) | QueueSlot::Over(newer)) => Some(newer.clone()),
        Some(QueueSlot::Changed { packet_id, released }) => row.map(|row| row.moved_on(*packet_id, *released)),
        Some(QueueSlot::Gone) => None,
    }
}

/// Walks two sorted sequences as one: each key once, with what either has for it.
fn merge<K: Ord + Clone, B, O>(
    older: impl Iterator<Item = Result<(K, B), redb::Error>>,
    newer: &std::collections::BTreeMap<K, O>,
    mut visit: impl FnMut(K, Option<B>, Option<&O>) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut newer = newer.iter().peekable();
    for row in older {
        let (key, row) = row?;
        while let Some((ahead, change)) = newer.next_if(|(ahead, _)| **ahead < key) {
            visit(ahead.clone(), None, Some(change))?;
        }
        let change = newer.next_if(|(ahead, _)| **ahead == key).map(|(_, change)| change);
        visit(key, Some(row), change)?;
    }
    newer.try_for_each(|(key, change)| visit(key.clone(), None, Some(change)))
}

/// Message bodies: each read once, however many rows refer to it.
struct Bodies<'a> {
    table: Option<ReadOnlyTable<BodyId, &'static [u8]>>,
    overlay: &'a Overlay,
    seen: HashMap<BodyId, Weak<Message>>,
}

impl Bodies<'_> {
    fn message(&mut self, id: BodyId) -> Result<Arc<Message>, redb::Error> {
        if let Some(body) = self.overlay.bodies.get(&id) {
            return Ok(body.message.clone());
        }
        if let Some(message) = self.seen.get(&id).and_then(Weak::upgrade) {
            return Ok(message);
        }
        let row = self.table.as_ref().map(|table| table.get(id)).transpose()?.flatten();
        let row = row.ok_or_else(damaged)?;
        let message = decode::<BodyV1<'_>>(row.value())?.message().ok_or_else(damaged)?;
        self.seen.insert(id, Arc::downgrade(&message));
        Ok(message)
    }
}
