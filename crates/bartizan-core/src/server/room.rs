//! Room in tables, made before anybody connects.
//!
//! A table that grows moves, and what it moved from, and its own unused slots where they came to lie on something like
//! that, take memory for nobody. Room that nobody has used takes none where the system gives it when it is touched.

use super::Server;

/// Of more connections, tables move while they grow.
const ROOM_MAX: usize = 131_072;
/// Timers of a connection that has just come: of its CONNECT, its Keep Alive, its rest.
const TIMERS_EACH: usize = 3;

impl Server {
    /// How many connections tables have room for: as many as the listeners let in, but no more than 131,072.
    #[must_use]
    pub fn room(&self) -> usize {
        let most = self.listeners.iter().fold(0_u64, |sum, rules| sum.saturating_add(rules.limits.connections_max));
        usize::try_from(most).map_or(ROOM_MAX, |most| most.min(ROOM_MAX))
    }

    /// Makes that room for connections, each with a Session, a Subscription and its timers.
    pub fn make_room(&mut self) {
        let room = self.room();
        self.connections.reserve(room);
        self.sessions.reserve(room);
        self.index.reserve(room);
        self.timers.reserve(TIMERS_EACH * room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Time;
    use crate::server::{Common, Limits, ListenerRules};
    use crate::session::{Address, Peer};
    use std::sync::Arc;

    fn server(connections_max: &[u64]) -> Server {
        let rules = |most: &u64| {
            let limits = Arc::new(Limits { connections_max: *most, ..Limits::default() });
            ListenerRules { limits, ..ListenerRules::default() }
        };
        Server::new(0, Arc::new(Common::new(1)), connections_max.iter().map(rules).collect(), 1)
    }

    #[test]
    fn there_is_room_for_what_all_listeners_let_in_up_to_a_bound() {
        assert_eq!(server(&[]).room(), 0);
        assert_eq!(server(&[300, 20]).room(), 320);
        assert_eq!(server(&[1_000_000]).room(), ROOM_MAX);
        assert_eq!(server(&[u64::MAX, u64::MAX]).room(), ROOM_MAX);
    }

    #[test]
    fn a_table_with_room_does_not_grow() {
        let mut server = server(&[300, 20]);
        server.make_room();
        let room = server.connections.capacity();
        assert!(room >= 320);
        for _ in 0..320 {
            server.accepted(Peer { listener: 0, address: Address::Local, port: 0, certificate: None }, Time(0));
        }
        assert_eq!(server.connections.capacity(), room);
    }
}
