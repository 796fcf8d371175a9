//! An overlay's net effect on the tables of the index.

use std::collections::HashMap;

use redb::{ReadableTable, WriteTransaction};

use super::index::{BODIES, BODY_ROWS, QUEUE, RECEIVED, RETAINED, SESSIONS, SUBSCRIPTIONS, WILLS};
use super::overlay::Overlay;
use super::places::QueueSlot;
use super::record::{BodyId, BodyV1, QueuedV2, WillV1};
use super::row::{seal, unseal};

/// By how much the number of rows that refer to a body changes.
#[derive(Default)]
struct BodyRows(HashMap<BodyId, i64>);

impl BodyRows {
    fn add(&mut self, body: BodyId) {
        *self.0.entry(body).or_default() += 1;
    }

    fn remove(&mut self, body: BodyId) {
        *self.0.entry(body).or_default() -= 1;
    }

    /// Stores bodies that rows refer to, and removes those that none does any more.
    fn settle(self, write: &WriteTransaction, overlay: &Overlay) -> Result<(), redb::Error> {
        let mut bodies = write.open_table(BODIES)?;
        let mut counts = write.open_table(BODY_ROWS)?;
        // In the order of the table: its pages are then written once, and not found again and again.
        let mut changes: Vec<(BodyId, i64)> = self.0.into_iter().collect();
        changes.sort_unstable();
        for (id, change) in changes {
            let before = counts.get(id)?.map_or(Ok(0), |count| unseal::<u64>("body_rows", &id, count.value()))?;
            let after = before.saturating_add_signed(change);
            if after == 0 {
                counts.remove(id)?;
                bodies.remove(id)?;
                continue;
            }
            counts.insert(id, seal(&id, &after)?.as_slice())?;
            if let Some(body) = overlay.bodies.get(&id) {
                bodies.insert(id, seal(&id, &BodyV1::of(&body.message))?.as_slice())?;
            }
        }
        Ok(())
    }
}

/// Writes the net effect into the tables; the caller commits.
pub fn put(write: &WriteTransaction, overlay: &Overlay) -> Result<(), redb::Error> {
    let mut rows = BodyRows::default();
    end_sessions(write, overlay, &mut rows)?;
    put_sessions(write, overlay)?;
    put_queue(write, overlay, &mut rows)?;
    put_retained(write, overlay, &mut rows)?;
    put_wills(write, overlay, &mut rows)?;
    rows.settle(write, overlay)
}

fn end_sessions(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut subscriptions = write.open_table(SUBSCRIPTIONS)?;
    let mut queue = write.open_table(QUEUE)?;
    let mut received = write.open_table(RECEIVED)?;
    for client in &overlay.ended {
        let client: &str = client;
        let mut filters = Vec::new();
        for row in subscriptions.range((client, "")..)? {
            let (key, _) = row?;
            let (whose, filter) = key.value();
            if whose != client {
                break;
            }
            filters.push(filter.to_owned());
        }
        for filter in &filters {
            subscriptions.remove((client, filter.as_str()))?;
        }
        let mut damaged = None;
        queue.retain_in((client, 0)..=(client, u64::MAX), |key, row| {
            match queued(key, row) {
                Ok(row) => rows.remove(row.queued.body),
                Err(error) => drop(damaged.get_or_insert(error)),
            }
            false
        })?;
        damaged.map_or(Ok(()), Err)?;
        received.retain_in((client, 0)..=(client, u16::MAX), |_, _| false)?;
    }
    Ok(())
}

fn put_sessions(write: &WriteTransaction, overlay: &Overlay) -> Result<(), redb::Error> {
    let mut sessions = write.open_table(SESSIONS)?;
    for (client, row) in &overlay.sessions {
        match row {
            Some(row) => drop(sessions.insert(&**client, seal(&&**client, row)?.as_slice())?),
            None => drop(sessions.remove(&**client)?),
        }
    }
    let mut subscriptions = write.open_table(SUBSCRIPTIONS)?;
    for ((client, filter), row) in &overlay.subscriptions {
        let key = (&**client, &**filter);
        match row {
            Some(row) => drop(subscriptions.insert(key, seal(&key, row)?.as_slice())?),
            None => drop(subscriptions.remove(key)?),
        }
    }
    let mut received = write.open_table(RECEIVED)?;
    for ((client, packet_id), is_in_use) in &overlay.received {
        let key = (&**client, packet_id.get());
        if *is_in_use {
            received.insert(key, seal(&key, &())?.as_slice())?;
        } else {
            received.remove(key)?;
        }
    }
    Ok(())
}

/// A row of the queue.
pub fn queued(key: (&str, u64), octets: &[u8]) -> Result<QueuedV2, redb::Error> {
    unseal("queue", &key, octets)
}

fn put_queue(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut queue = write.open_table(QUEUE)?;
    for ((client, seq), slot) in overlay.queue.in_order() {
        let key = (&**client, seq);
        match slot {
            QueueSlot::Fresh(row) | QueueSlot::Over(row) => {
                rows.add(row.body);
                let row = QueuedV2 { queued: row.clone(), weight_bytes: overlay.weight_bytes(row.body) };
                if let Some(old) = queue.insert(key, seal(&key, &row)?.as_slice())? {
                    rows.remove(queued(key, old.value())?.queued.body);
                }
            }
            QueueSlot::Changed { packet_id, released } => {
                let old = queue.get(key)?.map(|old| queued(key, old.value())).transpose()?;
                let Some(row) = old else { continue };
                let row = QueuedV2 { queued: row.queued.moved_on(*packet_id, *released), ..row };
                queue.insert(key, seal(&key, &row)?.as_slice())?;
            }
            QueueSlot::Gone => {
                if let Some(old) = queue.remove(key)? {
                    rows.remove(queued(key, old.value())?.queued.body);
                }
            }
        }
    }
    Ok(())
}

fn put_retained(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut retained = write.open_table(RETAINED)?;
    for (topic, body) in &overlay.retained {
        let key = &**topic;
        let old = match body {
            Some(body) => {
                rows.add(*body);
                retained.insert(key, seal(&key, body)?.as_slice())?
            }
            None => retained.remove(key)?,
        };
        if let Some(old) = old {
            rows.remove(unseal::<BodyId>("retained", &key, old.value())?);
        }
    }
    Ok(())
}

fn put_wills(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut wills = write.open_table(WILLS)?;
    for (client, row) in &overlay.wills {
        let key = &**client;
        let old = match row {
            Some(row) => {
                rows.add(row.body);
                wills.insert(key, seal(&key, row)?.as_slice())?
            }
            None => wills.remove(key)?,
        };
        if let Some(old) = old {
            rows.remove(unseal::<WillV1>("wills", &key, old.value())?.body);
        }
    }
    Ok(())
}
