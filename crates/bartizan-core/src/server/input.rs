//! Bytes -> packets -> the right handler.

use super::activity::more;
use super::pressure::{HELD_BYTES, Pressure};
use super::{Effects, Server};
use crate::message::Time;
use crate::session::{ConnectionKey, Phase};
use crate::wire::encode::AckKind;
use crate::wire::{self, Ack, DecodeError, Packet, ReasonCode, Role, Version};

/// Octets of memory that acknowledgements owed to one connection may take before its next packet
/// is handled; a 3.1.1 client knows no Receive Maximum.
const OWED_BYTES_MAX: usize = 512 * 1024;

/// By what a packet is read.
struct Terms {
    version: Option<Version>,
    packet_bytes_max: u32,
    property_bytes_max: usize,
    is_open: bool,
}

impl Server {
    /// Handles the packets at the front of `buf`. Returns how many octets are done with; the
    /// rest comes again with more behind it, or once the connection is named in `fx.resumed`.
    pub fn input(&mut self, key: ConnectionKey, buf: &[u8], now: Time, fx: &mut Effects) -> usize {
        let (mut done, mut read_ahead) = (0, 0);
        let mut most = self.may_take(key, now);
        self.speech.begin();
        self.pressure = Pressure::None;
        while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
            if done >= read_ahead {
                read_ahead = done + self.read_ahead(rest);
            }
            let Some(taken) = self.packet(key, rest, now, fx) else { break };
            match self.pressure {
                Pressure::None => {}
                Pressure::Unwritten => {
                    // What is waiting is written first; then the rest.
                    done += taken;
                    fx.is_urgent = true;
                    fx.resumed.push(key);
                    break;
                }
                Pressure::Full => most = most.min(done + HELD_BYTES),
            }
            done += taken;
            if done >= most {
                break;
            }
        }
        // Part of a packet that nothing was done with waits for the rest of it.
        if done > 0 && most < usize::MAX {
            self.hold(key, now);
        }
        self.speech.begin();
        if done > 0 {
            self.counters().bytes_received.add(done as u64);
            if let Some(connection) = self.connections.get_mut(key) {
                connection.traffic.bytes_in += done as u64;
                connection.last_seen = now;
                super::rest::warm(connection, key, &mut self.timers, now);
            }
        }
        done
    }

    /// By what the next packet of a connection is read. `Err` says what to do instead: leave it
    /// unread (`None`), or drop all there is.
    #[inline]
    fn terms(&mut self, key: ConnectionKey, octets: usize) -> Result<Terms, Option<usize>> {
        let connection = self.connections.get_mut(key).ok_or(None)?;
        if connection.paused_until.is_some() {
            return Err(None);
        }
        let limits = self.listeners.get(connection.peer.listener).map(|rules| &rules.limits);
        // While nobody is known yet, little is kept for anybody.
        let before_connack = limits.map_or(0, |limits| limits.packet_bytes_max.min(limits.connect_bytes_max));
        let is_open = connection.open().is_some();
        let (version, packet_bytes_max, ready) = match &connection.phase {
            Phase::Open(open) => {
                let out_max = limits.map_or(0, |limits| limits.out_buffer_bytes_max as usize);
                if has_enough(connection.out.len(), out_max, open.owed.bytes()) {
                    connection.is_stalled = true;
                    return Err(None);
                }
                // Packets that a client sends behind its CONNECT wait for the CONNACK.
                (Some(open.version), open.packet_bytes_max, open.is_live)
            }
            Phase::AwaitConnect => (None, before_connack, true),
            Phase::Authenticating(exchange) => {
                (Some(exchange.connect.version), before_connack, !exchange.rounds.is_asked())
            }
            Phase::Moving => return Err(None),
            Phase::Closed => return Err(Some(octets)),
        };
        let property_bytes_max = limits.map_or(0, |limits| limits.property_bytes_max) as usize;
        if ready { Ok(Terms { version, packet_bytes_max, property_bytes_max, is_open }) } else { Err(None) }
    }

    /// One packet. `None` when none is complete or none may be handled now.
    fn packet(&mut self, key: ConnectionKey, buf: &[u8], now: Time, fx: &mut Effects) -> Option<usize> {
        let Terms { version, packet_bytes_max, property_bytes_max, is_open } = match self.terms(key, buf.len()) {
            Ok(terms) => terms,
            Err(done) => return done,
        };
        if is_open && let Some((kind, packet_id)) = wire::short_ack(buf) {
            self.counters().messages_received.add(1);
            self.acknowledged(key, kind, &Ack::success(packet_id), now, fx);
            return Some(wire::SHORT_ACK_LEN);
        }
        let frame = match wire::frame(buf, packet_bytes_max) {
            Ok(Some(frame)) => frame,
            Ok(None) => return None,
            Err(error) => {
                if error.reason == ReasonCode::PacketTooLarge {
                    let limit = match self.connections.get(key).and_then(|connection| connection.open()) {
                        Some(_) => "packet_bytes_max",
                        None => "connect_bytes_max",
                    };
                    self.limit_met(key, limit, "disconnected", now, fx);
                }
                self.bad_packet(key, &error, now, fx);
                return Some(buf.len());
            }
        };
        let taken = frame.len;
        match wire::decode(frame, Role::Server, version) {
            Ok(packet) if packet.property_bytes() > property_bytes_max => {
                self.limit_met(key, "property_bytes_max", "disconnected", now, fx);
                let version = version.or(Some(Version::V5));
                self.bad_packet(key, &too_many_properties().spoken(version), now, fx);
            }
            Ok(packet) => {
                self.counters().messages_received.add(1);
                match is_open {
                    true => self.handle_open(key, packet, now, fx),
                    false => self.handle(key, packet, now, fx),
                }
            }
            Err(error) => self.bad_packet(key, &error, now, fx),
        }
        Some(taken)
    }

    /// True while a client has been sent, or is owed, as much as may wait for it: what it asks
    /// for on top of that is read once it has taken some (I7).
    fn must_wait(&self, key: ConnectionKey) -> bool {
        let Some(connection) = self.connections.get(key) else { return false };
        let Some(open) = connection.open() else { return false };
        has_enough(connection.out.len(), self.out_buffer_bytes_max(connection.peer.listener), open.owed.bytes())
    }

    /// Lets a connection go on whose input waited, if nothing holds it any more.
    pub(crate) fn unstall(&mut self, key: ConnectionKey, fx: &mut Effects) {
        if self.connections.get(key).is_some_and(|connection| connection.is_stalled) && !self.must_wait(key) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.is_stalled = false;
            }
            fx.resumed.push(key);
        }
    }

    /// A packet of a client that is not connected yet.
    fn handle(&mut self, key: ConnectionKey, packet: Packet<'_>, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get(key) else { return };
        match (&connection.phase, packet) {
            (Phase::AwaitConnect, Packet::Connect(connect)) => self.on_connect(key, &connect, now, fx),
            (Phase::AwaitConnect, _) => {
                self.counters().protocol_errors.add(1);
                self.refuse(key, None, "the first packet was not CONNECT [MQTT-3.1.0-1]", now, fx);
            }
            (Phase::Authenticating(_), Packet::Auth(auth)) => self.on_auth_response(key, &auth, now, fx),
            (Phase::Authenticating(_), Packet::Disconnect(_)) => {
                self.refuse(key, None, "the client gave up while authenticating", now, fx);
            }
            (Phase::Authenticating(_), _) => {
                self.refuse(
                    key,
                    Some(ReasonCode::ProtocolError),
                    "only AUTH or DISCONNECT may follow while authenticating [MQTT-3.1.2-30]",
                    now,
                    fx,
                );
            }
            (Phase::Open(_) | Phase::Moving | Phase::Closed, _) => {}
        }
    }

    fn handle_open(&mut self, key: ConnectionKey, packet: Packet<'_>, now: Time, fx: &mut Effects) {
        match packet {
            Packet::Publish(publish) => self.on_publish(key, &publish, now, fx),
            Packet::Puback(ack) => self.acknowledged(key, AckKind::Puback, &ack, now, fx),
            Packet::Pubrec(ack) => self.acknowledged(key, AckKind::Pubrec, &ack, now, fx),
            Packet::Pubrel(ack) => self.acknowledged(key, AckKind::Pubrel, &ack, now, fx),
            Packet::Pubcomp(ack) => self.acknowledged(key, AckKind::Pubcomp, &ack, now, fx),
            Packet::Subscribe(subscribe) => self.on_subscribe(key, &subscribe, now, fx),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(key, &unsubscribe, now, fx),
            Packet::Pingreq => {
                if let Some(connection) = self.connections.get_mut(key) {
                    wire::encode::pingresp(&mut connection.out);
                    connection.mark_dirty(key, &mut fx.dirty);
                }
                self.count_activity(key, |counts| more(&mut counts.pings, 1));
                self.counters().messages_sent.add(1);
            }
            Packet::Disconnect(disconnect) => self.on_disconnect(key, &disconnect, now, fx),
            Packet::Auth(auth) => self.on_reauthenticate(key, &auth, now, fx),
            // A second CONNECT is a Protocol Error [MQTT-3.1.0-2]; the rest a server sends only.
            Packet::Connect(_) | Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                self.counters().protocol_errors.add(1);
                self.close(key, ReasonCode::ProtocolError, "a packet that a client may not send now", now, fx);
            }
        }
    }

    /// A packet that breaks the protocol: the Reason Code it calls for, then close (4.13.1).
    fn bad_packet(&mut self, key: ConnectionKey, error: &DecodeError, now: Time, fx: &mut Effects) {
        self.counters().protocol_errors.add(1);
        let Some(connection) = self.connections.get(key) else { return };
        match &connection.phase {
            Phase::Open(_) => self.close(key, error.reason, error.what, now, fx),
            Phase::Authenticating(_) => self.refuse(key, Some(error.reason), error.what, now, fx),
            Phase::AwaitConnect => self.refuse_unread(key, error, now, fx),
            Phase::Moving | Phase::Closed => {}
        }
    }
}

/// True where as much waits for a client as may.
fn has_enough(out: usize, out_max: usize, owed_bytes: usize) -> bool {
    out > out_max || owed_bytes > OWED_BYTES_MAX
}

/// Only 5.0 has properties, so the peer speaks it.
fn too_many_properties() -> DecodeError {
    DecodeError::new(ReasonCode::PacketTooLarge, "more octets of properties than property_bytes_max")
}
