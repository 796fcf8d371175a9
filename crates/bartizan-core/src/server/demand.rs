//! How durable a batch must be: as durable as the strictest listener asks of those that wait for it.

use super::{AckRef, Deferred, Server};
use crate::durable::Durability;
use crate::session::{ConnectionKey, SessionKey};

impl Server {
    /// What a batch owes to those that wait for it; `None` when nobody does.
    #[must_use]
    pub fn demand(&self, waiting: &[Deferred]) -> Option<Durability> {
        let asked = waiting.iter().map(|deferred| match deferred {
            Deferred::Owed(connection, _) => self.durability_of(*connection),
            Deferred::Confirm(acks) => acks.first().durability(),
            Deferred::Publish(session, _) | Deferred::Release(session, _) => self.durability_for(*session),
        });
        asked.max()
    }

    /// What the listener of a connection promises; the most where it is not known any more.
    pub(crate) fn durability_of(&self, connection: ConnectionKey) -> Durability {
        let listener = self.connections.get(connection).map(|connection| connection.peer.listener);
        listener.and_then(|listener| self.listeners.get(listener)).map_or(Durability::Fsync, |rules| rules.durability)
    }

    /// The same for a Session, by the connection it is on.
    fn durability_for(&self, session: SessionKey) -> Durability {
        let connection = self.sessions.get(session).and_then(|session| session.connection);
        connection.map_or(Durability::Fsync, |connection| self.durability_of(connection))
    }
}

impl AckRef {
    /// What the listener promises on which the acknowledgement will go.
    #[must_use]
    pub fn durability(&self) -> Durability {
        match self {
            AckRef::Owed { durability, .. }
            | AckRef::Receipt { durability, .. }
            | AckRef::Relayed { durability, .. } => *durability,
            // A message that changes hands must be safe in the new ones before the old let go.
            AckRef::Handed { .. } => Durability::Fsync,
        }
    }
}
