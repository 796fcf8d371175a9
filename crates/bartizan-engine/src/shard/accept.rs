//! New connections: admission before anything is spent on them, then the handshake.

use std::cmp::Reverse;
use std::sync::Arc;

use bartizan_core::event::{Event, Subject, What};
use bartizan_core::message::Time;
use bartizan_core::server::bans;
use bartizan_core::session::Address;
use bartizan_core::wire::ReasonCode;
use mio::Interest;

use super::Shard;
use crate::driver::{Driver, DriverKey, Stage};
use crate::listener::{Handshake, PeerAddr, Transport};

/// Connections accepted from one listener per round.
const ACCEPTS_PER_ROUND: usize = 64;
/// How long to wait when the process can take no more connections.
const ACCEPT_AGAIN_MS: u64 = 100;

impl Shard {
    pub(super) fn accept_all(&mut self, now: Time) {
        if self.accept_again.is_some_and(|at| at <= now) {
            self.accept_again = None;
            self.accepting.fill(true);
        }
        for at in 0..self.listeners.len() {
            if self.accepting.get(at) != Some(&true) || self.drain.is_some() {
                continue;
            }
            for _ in 0..ACCEPTS_PER_ROUND {
                let Some(listener) = self.listeners.get(at) else { break };
                match listener.accept() {
                    Ok(Some((transport, peer))) => self.accepted(at, transport, peer, now),
                    Ok(None) => {
                        self.stop_accepting(at);
                        break;
                    }
                    // Out of descriptors, mostly: no edge will tell when there is one again.
                    Err(_) => {
                        self.stop_accepting(at);
                        self.accept_again = Some(now.plus_ms(ACCEPT_AGAIN_MS));
                        break;
                    }
                }
            }
        }
        if self.drain.is_some() {
            self.accepting.fill(false);
        }
    }

    fn stop_accepting(&mut self, at: usize) {
        if let Some(accepting) = self.accepting.get_mut(at) {
            *accepting = false;
        }
    }

    fn accepted(&mut self, listener: usize, transport: Transport, peer: PeerAddr, now: Time) {
        let Some(bound) = self.listeners.get(listener) else { return };
        let behind_proxy = !bound.config().proxy_protocol_from.is_empty();
        let deadline = now.plus_ms(bound.config().handshake_timeout_ms);
        let mut driver = Driver::new(transport, Stage::Handshaking(self.shared.clock.ns()), listener, Some(deadline));
        // Behind a proxy the address that counts is not known yet.
        if !behind_proxy && !self.admit(&mut driver, peer, now) {
            return;
        }
        let key = self.drivers.insert(driver);
        let Some(driver) = self.drivers.get_mut(key) else { return };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut driver.transport, key.token(), interest).is_err() {
            self.drivers.remove(key);
            return;
        }
        if behind_proxy {
            self.deadlines.push(Reverse((deadline, key)));
            // One that is no listed proxy is told so without a word of its own.
            self.queue(key);
        } else if driver.transport.is_open() {
            self.opened(key, now);
        } else {
            // Whoever says nothing costs no handshake: its first octets make it readable.
            self.deadlines.push(Reverse((deadline, key)));
        }
    }

    /// Hands a connection to core. It is read once the kernel says that there is something: its
    /// registration tells of octets that came before.
    fn opened(&mut self, key: DriverKey, now: Time) {
        let Some(driver) = self.drivers.get_mut(key) else { return };
        let connection = self.server.accepted(driver.peer(), now);
        driver.stage = Stage::Open(connection);
        driver.deadline = None;
        driver.is_readable = false;
        self.by_connection.insert(connection, key);
    }

    /// Gives a connection its place; false, and told, when a limit is met.
    fn admit(&mut self, driver: &mut Driver, peer: PeerAddr, now: Time) -> bool {
        let (Some(admission), Some(rules)) =
            (self.shared.admission.get(driver.listener), self.rules.get(driver.listener))
        else {
            return false;
        };
        if self.server.address_is_banned(peer.ip()) {
            let address = Address::from(peer.ip()).text();
            let subject =
                Subject { address: Some(address), listener: Some(Arc::clone(&rules.name)), ..Subject::default() };
            self.server.count_refused(driver.listener);
            let what = What::Refused { reason: ReasonCode::Banned.name(), why: bans::ADDRESS.to_owned() };
            self.fx.events.push(Event::new(now, subject, what));
            return false;
        }
        match admission.admit(peer.ip(), &rules.limits, now) {
            Ok(place) => {
                driver.place = Some(place);
                true
            }
            Err(refused) => {
                let address = Address::from(peer.ip()).text();
                let subject =
                    Subject { address: Some(address), listener: Some(Arc::clone(&rules.name)), ..Subject::default() };
                self.server.count_limit(refused.0);
                let what = What::LimitMet { limit: refused.0, effect: "closed before TLS" };
                self.fx.events.push(Event::new(now, subject, what));
                false
            }
        }
    }

    /// Drives the handshake on; hands the connection to core when it is done.
    pub(super) fn handshake(&mut self, key: DriverKey, now: Time) {
        let Some(driver) = self.drivers.get_mut(key) else { return };
        match driver.transport.advance() {
            // No further edge will tell of the end.
            Ok(Handshake::Pending) if driver.is_half_closed => self.queue(key),
            Ok(Handshake::Pending) => {}
            Ok(Handshake::Addressed) => {
                let peer = driver.transport.peer_addr();
                let Some(mut taken) = self.drivers.remove(key) else { return };
                // The key changes, and with it the token: register anew.
                let _ = self.poll.registry().deregister(&mut taken.transport);
                if self.admit(&mut taken, peer, now) {
                    self.readmit(taken, now);
                }
            }
            Ok(Handshake::Done) => {
                self.time_handshake(key);
                self.opened(key, now);
                if let Some(driver) = self.drivers.get_mut(key) {
                    // What came with the end of the handshake may be here already.
                    driver.is_readable = true;
                }
                self.read(key, now);
            }
            Err(error) => self.handshake_failed(key, &error.to_string(), now),
        }
    }

    fn readmit(&mut self, driver: Driver, now: Time) {
        let deadline = driver.deadline.unwrap_or(now);
        let key = self.drivers.insert(driver);
        let Some(driver) = self.drivers.get_mut(key) else { return };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut driver.transport, key.token(), interest).is_err() {
            self.drivers.remove(key);
            return;
        }
        driver.is_ready = false;
        self.deadlines.push(Reverse((deadline, key)));
        self.queue(key);
    }

    pub(super) fn handshake_failed(&mut self, key: DriverKey, why: &str, now: Time) {
        let Some(driver) = self.drivers.get_mut(key) else { return };
        let subject = Subject {
            address: Some(driver.peer().address.text()),
            listener: self.rules.get(driver.listener).map(|rules| Arc::clone(&rules.name)),
            ..Subject::default()
        };
        let what = What::Refused { reason: "Handshake failed", why: why.to_owned() };
        self.fx.events.push(Event::new(now, subject, what));
        driver.transport.close();
        self.drop_driver(key);
    }

    /// Ends what core does not know yet: whoever has not said CONNECT is told nothing, and waited for no longer.
    pub(super) fn drop_strangers(&mut self) {
        let strangers = self.drivers.iter().filter(|(_, driver)| matches!(driver.stage, Stage::Handshaking(_)));
        for key in strangers.map(|(key, _)| key).collect::<Vec<_>>() {
            self.drop_driver(key);
        }
    }

    /// Ends what core does not know yet of addresses that are banned from now on. What a proxy has not told the
    /// address of is looked at when it does.
    pub(super) fn drop_banned(&mut self) {
        let is_met = |driver: &Driver| {
            let is_known = matches!(driver.stage, Stage::Handshaking(_)) && driver.place.is_some();
            is_known && self.server.address_is_banned(driver.peer().address.ip())
        };
        let met: Vec<_> = self.drivers.iter().filter(|(_, driver)| is_met(driver)).map(|(key, _)| key).collect();
        met.into_iter().for_each(|key| self.drop_driver(key));
    }

    /// Closes the socket.
    pub(super) fn drop_driver(&mut self, key: DriverKey) {
        // Nobody else holds the descriptor, so closing it takes it out of the poll too.
        let Some(mut driver) = self.drivers.remove(key) else { return };
        self.tidying.begin();
        if driver.is_cut {
            driver.transport.abort();
        }
        if let Stage::Open(connection) = driver.stage {
            self.connecting.remove(&connection);
            self.by_connection.remove(connection);
            self.server.forget(connection);
            if self.taps.are_set() {
                self.tap_closed(connection);
            }
        }
    }
}
