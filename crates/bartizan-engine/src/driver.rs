//! One connection: its transport, what was read and not yet handled, where it stands.

use std::io;

use bartizan_core::message::Time;
use bartizan_core::session::{Address, ConnectionKey, Peer, PeerIdentity};
use mio::Token;
use slotmap::{Key, KeyData, new_key_type};

use crate::admission::Place;
use crate::listener::{PeerAddr, Transport};

new_key_type! {
    /// Names a connection's driver; never reused for another one.
    pub struct DriverKey;
}

/// A busy connection keeps room for as much.
const BURST_BYTES: usize = 256 * 1024;

/// Tokens below this are not connections.
const FIRST_TOKEN: usize = 1 << 16;

impl DriverKey {
    /// As mio sees it. The generation is in it: an event of a closed connection finds nobody.
    #[must_use]
    pub fn token(self) -> Token {
        let bits = usize::try_from(self.data().as_ffi()).unwrap_or(usize::MAX);
        Token(bits.wrapping_add(FIRST_TOKEN))
    }

    /// Back from mio.
    #[must_use]
    pub fn of(token: Token) -> DriverKey {
        DriverKey::from(KeyData::from_ffi(token.0.wrapping_sub(FIRST_TOKEN) as u64))
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// PROXY header, TLS, WebSocket upgrade: since then, in nanoseconds of the clock.
    Handshaking(u64),
    /// Core knows it.
    Open(ConnectionKey),
    /// Core has forgotten it; what is written still goes out.
    Closing,
    /// The sending half has ended; what comes is thrown away.
    Lingering,
}

/// One connection.
pub struct Driver {
    /// Its byte stream.
    pub transport: Transport,
    /// Where it stands.
    pub stage: Stage,
    /// Index of its listener.
    pub listener: usize,
    /// Its place among those admitted; none until its address is known.
    pub place: Option<Place>,
    /// Octets that wait. While core knows it: read and not handled, part of a packet or packets that
    /// must wait. Once it is closing: what is still to be said.
    pub pending: Vec<u8>,
    /// When it must have got further.
    pub deadline: Option<Time>,
    /// The socket may have more to read.
    pub is_readable: bool,
    /// The socket took less than offered: wait for it.
    pub is_blocked: bool,
    /// The peer has ended its half; what it sent before is still to be read.
    pub is_half_closed: bool,
    /// The end was read.
    pub is_ended: bool,
    /// It stands in the list of those to be looked at.
    pub is_ready: bool,
    /// What the kernel still holds for it is not to arrive.
    pub is_cut: bool,
    /// Octets thrown away while lingering.
    pub discarded: u32,
}

impl Driver {
    /// A connection just accepted, or just moved here.
    #[must_use]
    pub fn new(transport: Transport, stage: Stage, listener: usize, deadline: Option<Time>) -> Driver {
        Driver {
            transport,
            stage,
            listener,
            place: None,
            pending: Vec::new(),
            deadline,
            is_readable: true,
            is_blocked: false,
            is_half_closed: false,
            is_ended: false,
            is_ready: false,
            is_cut: false,
            discarded: 0,
        }
    }

    /// Writes from the front of `out` as far as the socket takes it. Returns how much it took.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        let mut written = 0;
        self.is_blocked = false;
        while let Some(rest) = out.get(written..).filter(|rest| !rest.is_empty()) {
            match self.transport.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => written += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if written == out.len() {
            out.clear();
            // Core takes an idle connection's memory back; a large burst's is not kept even so long.
            if out.capacity() > BURST_BYTES {
                out.shrink_to(4_096);
            }
        } else {
            out.drain(..written);
        }
        if self.transport.wants_write() {
            match self.transport.flush() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Who is at the other end, for core.
    #[must_use]
    pub fn peer(&self) -> Peer {
        let (address, port) = match self.transport.peer_addr() {
            PeerAddr::Ip(address) => (Address::Ip(address.ip()), address.port()),
            PeerAddr::Unix => (Address::Local, 0),
        };
        let certificate = self.transport.peer_identity().map(|identity| {
            let hex = identity.fingerprint_sha256.iter().map(|octet| format!("{octet:02x}")).collect();
            std::sync::Arc::new(PeerIdentity {
                common_name: identity.common_name.clone(),
                san_dns: identity.san_dns.clone(),
                san_uri: identity.san_uri.clone(),
                san_email: identity.san_email.clone(),
                fingerprint_sha256: hex,
                serial: identity.serial_hex.clone(),
                issuer: identity.issuer.as_str().into(),
                not_after_s: identity.not_after_unix_s,
                chain: self.transport.peer_chain().map(Box::new),
            })
        });
        Peer { listener: self.listener, address, port, certificate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn a_connection_that_says_nothing_takes_three_cache_lines() {
        assert!(std::mem::size_of::<Driver>() <= 184, "{}", std::mem::size_of::<Driver>());
    }

    #[test]
    fn a_token_names_one_connection_for_ever() {
        let mut drivers: SlotMap<DriverKey, ()> = SlotMap::with_key();
        let first = drivers.insert(());
        drivers.remove(first);
        let second = drivers.insert(());
        assert_ne!(first.token(), second.token());
        assert_eq!(DriverKey::of(second.token()), second);
        assert!(!drivers.contains_key(DriverKey::of(first.token())));
        assert!(second.token().0 >= FIRST_TOKEN);
    }
}
