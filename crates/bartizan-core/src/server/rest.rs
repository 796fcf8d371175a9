//! A connection at rest gives back what it needs only while it is busy: most of a hundred thousand
//! connections say nothing most of the time.
//!
//! Buffers live on as long as there is traffic, so that a busy connection allocates nothing: after
//! a second without any, one timer finds them.

use super::{Server, Timer, Timers};
use crate::message::Time;
use crate::session::connection::Heat;
use crate::session::{Connection, ConnectionKey};

/// Without traffic for as long, a connection is at rest; for twice as long at most it is not found so.
const REST_AFTER_MS: u64 = 1_000;

/// There was traffic on a connection.
#[inline]
pub(super) fn warm(connection: &mut Connection, key: ConnectionKey, timers: &mut Timers, now: Time) {
    if std::mem::replace(&mut connection.heat, Heat::Hot) == Heat::Cold {
        timers.set(now.plus_ms(REST_AFTER_MS), Timer::Rest(key));
    }
}

impl Server {
    /// Whether connections have come to rest since this was asked.
    pub fn take_rested(&mut self) -> bool {
        std::mem::take(&mut self.has_rested)
    }

    pub(super) fn rest_due(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.heat == Heat::Hot {
            connection.heat = Heat::Warm;
            self.timers.set(now.plus_ms(REST_AFTER_MS), Timer::Rest(key));
            return;
        }
        connection.heat = Heat::Cold;
        self.has_rested = true;
        if connection.out.is_empty() {
            connection.out = Vec::new();
        }
        let Some(open) = connection.open_mut() else { return };
        open.owed.rest();
        open.rates.take_if(|rates| rates.is_full(now));
        if let Some(session) = self.sessions.get_mut(open.session) {
            session.rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Common, Effects, ListenerRules};
    use crate::session::{Address, Peer};
    use std::sync::Arc;

    #[test]
    fn a_buffer_lasts_as_long_as_the_traffic_and_a_second_more() {
        let mut server = Server::new(0, Arc::new(Common::new(1)), vec![ListenerRules::default()], 1);
        let mut fx = Effects::default();
        let peer = Peer { listener: 0, address: Address::Local, port: 0, certificate: None };
        let key = server.accepted(peer, Time(0));
        let room = |server: &Server| server.connections.get(key).map(|connection| connection.out.capacity());
        server.out(key).unwrap().reserve(100);
        for second in 0..3 {
            server.written(key, 1, Time(second * 1_000 + 500), &mut fx);
            server.tick(Time((second + 1) * 1_000), &mut fx);
            assert!(room(&server) >= Some(100), "second {second}");
        }
        server.tick(Time(4_500), &mut fx);
        assert_eq!(room(&server), Some(0));
        assert!(server.take_rested() && !server.take_rested());
        server.out(key).unwrap().extend_from_slice(b"what waits is not lost");
        server.written(key, 1, Time(5_000), &mut fx);
        server.tick(Time(6_000), &mut fx);
        server.tick(Time(7_000), &mut fx);
        assert_eq!(server.out(key).unwrap(), b"what waits is not lost");
    }
}
