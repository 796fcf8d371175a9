//! An index of format 1 becomes one of format 2: every row sealed, every queued message weighed.
//!
//! One transaction: after a crash in between it is of format 1 still, and begun again.

use redb::{Database, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;

use super::index::{BODIES, BODY_ROWS, FORMAT, NUMBERS, QUEUE, RECEIVED, RETAINED, SESSIONS, SUBSCRIPTIONS, WILLS};
use super::record::{BodyId, BodyV1, QueuedV1, QueuedV2, SessionV1, SubscriptionV1, WillV1};
use super::row::{damaged, seal};

const SESSIONS_1: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions.v1");
const SUBSCRIPTIONS_1: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("subscriptions.v1");
const QUEUE_1: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("queue.v1");
const RECEIVED_1: TableDefinition<'_, (&str, u16), ()> = TableDefinition::new("received.v1");
const RETAINED_1: TableDefinition<'_, &str, BodyId> = TableDefinition::new("retained.v1");
const WILLS_1: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("wills.v1");
const BODIES_1: TableDefinition<'_, BodyId, &[u8]> = TableDefinition::new("bodies.v1");
const BODY_ROWS_1: TableDefinition<'_, BodyId, u64> = TableDefinition::new("body_rows.v1");

/// Brings an index of format 1 up to this one.
pub fn from_1(database: &Database) -> Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    write.set_quick_repair(true);
    named::<SessionV1>(&write, SESSIONS_1, SESSIONS, "sessions")?;
    named::<WillV1>(&write, WILLS_1, WILLS, "wills")?;
    subscriptions(&write)?;
    queue(&write)?;
    received(&write)?;
    retained(&write)?;
    bodies(&write)?;
    write.open_table(NUMBERS)?.insert("format", u64::from(FORMAT))?;
    write.delete_table(SESSIONS_1)?;
    write.delete_table(WILLS_1)?;
    write.delete_table(SUBSCRIPTIONS_1)?;
    write.delete_table(QUEUE_1)?;
    write.delete_table(RECEIVED_1)?;
    write.delete_table(RETAINED_1)?;
    write.delete_table(BODIES_1)?;
    write.delete_table(BODY_ROWS_1)?;
    write.commit()?;
    Ok(())
}

fn read<'a, T: serde::Deserialize<'a>>(table: &str, row: &'a [u8]) -> Result<T, redb::Error> {
    postcard::from_bytes(row).map_err(|_| damaged(table, "of format 1"))
}

/// A table whose rows stand under one name.
fn named<T: Serialize + for<'x> serde::Deserialize<'x>>(
    write: &WriteTransaction,
    from: TableDefinition<'_, &'static str, &'static [u8]>,
    to: TableDefinition<'_, &'static str, &'static [u8]>,
    name: &str,
) -> Result<(), redb::Error> {
    let (old, mut new) = (write.open_table(from)?, write.open_table(to)?);
    for found in old.iter()? {
        let (key, row) = found?;
        let key = key.value();
        new.insert(key, seal(&key, &read::<T>(name, row.value())?)?.as_slice())?;
    }
    Ok(())
}

fn subscriptions(write: &WriteTransaction) -> Result<(), redb::Error> {
    let (old, mut new) = (write.open_table(SUBSCRIPTIONS_1)?, write.open_table(SUBSCRIPTIONS)?);
    for found in old.iter()? {
        let (key, row) = found?;
        let key = key.value();
        new.insert(key, seal(&key, &read::<SubscriptionV1>("subscriptions", row.value())?)?.as_slice())?;
    }
    Ok(())
}

fn queue(write: &WriteTransaction) -> Result<(), redb::Error> {
    let (old, mut new) = (write.open_table(QUEUE_1)?, write.open_table(QUEUE)?);
    let bodies = write.open_table(BODIES_1)?;
    for found in old.iter()? {
        let (key, row) = found?;
        let key = key.value();
        let queued: QueuedV1 = read("queue", row.value())?;
        let body = bodies.get(queued.body)?.ok_or_else(|| damaged("bodies", queued.body))?;
        let message = read::<BodyV1<'_>>("bodies", body.value())?.message();
        let weight = message.ok_or_else(|| damaged("bodies", queued.body))?.weight_bytes();
        let row = QueuedV2 { queued, weight_bytes: u32::try_from(weight).unwrap_or(u32::MAX) };
        new.insert(key, seal(&key, &row)?.as_slice())?;
    }
    Ok(())
}

fn received(write: &WriteTransaction) -> Result<(), redb::Error> {
    let (old, mut new) = (write.open_table(RECEIVED_1)?, write.open_table(RECEIVED)?);
    for found in old.iter()? {
        let (key, ()) = found.map(|(key, row)| (key, row.value()))?;
        let key = key.value();
        new.insert(key, seal(&key, &())?.as_slice())?;
    }
    Ok(())
}

fn retained(write: &WriteTransaction) -> Result<(), redb::Error> {
    let (old, mut new) = (write.open_table(RETAINED_1)?, write.open_table(RETAINED)?);
    for found in old.iter()? {
        let (key, body) = found?;
        let key = key.value();
        new.insert(key, seal(&key, &body.value())?.as_slice())?;
    }
    Ok(())
}

fn bodies(write: &WriteTransaction) -> Result<(), redb::Error> {
    let (old, mut new) = (write.open_table(BODIES_1)?, write.open_table(BODIES)?);
    for found in old.iter()? {
        let (id, body) = found?;
        let id = id.value();
        new.insert(id, seal(&id, &read::<BodyV1<'_>>("bodies", body.value())?)?.as_slice())?;
    }
    let (old, mut new) = (write.open_table(BODY_ROWS_1)?, write.open_table(BODY_ROWS)?);
    for found in old.iter()? {
        let (id, rows) = found?;
        let id = id.value();
        new.insert(id, seal(&id, &rows.value())?.as_slice())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_core::message::{Message, Publisher};
    use bartizan_core::topic::TopicName;
    use bartizan_core::wire::QoS;
    use serde::Serialize;

    use super::super::index::Index;
    use super::super::load::Startup;
    use super::*;
    use crate::store::port::Loaded;

    fn plain(row: &impl Serialize) -> Vec<u8> {
        postcard::to_stdvec(row).unwrap()
    }

    fn message() -> Message {
        let publisher = Arc::new(Publisher { identity: "i".into(), client_id: "p".into() });
        Message::new(&TopicName::parse("a/b").unwrap(), b"", b"pay", QoS::AtLeastOnce, true, None, publisher)
    }

    /// An index as a program of format 1 left it: one queued message that is retained as well.
    fn of_format_1(path: &std::path::Path) {
        let database = Database::create(path).unwrap();
        let write = database.begin_write().unwrap();
        let queued = QueuedV1::new(4, QoS::AtLeastOnce, false, [3].into(), None);
        write.open_table(QUEUE_1).unwrap().insert(("c", 7), plain(&queued).as_slice()).unwrap();
        write.open_table(BODIES_1).unwrap().insert(4, plain(&BodyV1::of(&message())).as_slice()).unwrap();
        write.open_table(BODY_ROWS_1).unwrap().insert(4, 2).unwrap();
        write.open_table(RETAINED_1).unwrap().insert("a/b", 4).unwrap();
        write.open_table(RECEIVED_1).unwrap().insert(("c", 9), ()).unwrap();
        write.open_table(SESSIONS_1).unwrap();
        write.open_table(SUBSCRIPTIONS_1).unwrap();
        write.open_table(WILLS_1).unwrap();
        let mut numbers = write.open_table(NUMBERS).unwrap();
        for (name, number) in [("format", 1), ("group", 12), ("next_body", 5)] {
            numbers.insert(name, number).unwrap();
        }
        drop(numbers);
        write.commit().unwrap();
    }

    #[test]
    fn an_index_of_format_1_is_read_and_becomes_one_of_format_2() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.redb");
        of_format_1(&path);
        for _ in 0..2 {
            // It stays open while its rows are read.
            let index = Index::open(&path, 1 << 20).unwrap();
            let (position, view) = index.view().unwrap();
            assert_eq!((position.group, position.next_body), (12, 5));
            let startup = Startup { view, overlay: Arc::default(), path: path.clone() };
            let mut found = Vec::new();
            startup.visit(&mut |loaded| found.push(loaded)).unwrap();
            let [
                Loaded::Queued { seq: 7, message: queued, .. },
                Loaded::Received { .. },
                Loaded::Retained { message: kept },
            ] = &found[..]
            else {
                panic!("{found:?}")
            };
            assert_eq!((&**queued, &**kept), (&message(), &message()));
        }
    }
}
