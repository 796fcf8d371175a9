//! A Network Connection: awaiting CONNECT, authenticating, open, or closed.
//!
//! Only `Open` has a principal and a Session, so nothing before CONNACK can publish.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slotmap::new_key_type;

use super::alias::{InboundAliases, OutboundAliases};
use super::auth_exchange::{AuthExchange, Reauthentication};
use super::owing::{Owed, OwedPacket, Owing};
use super::principal::Principal;
use super::rare::Rare;
use super::session::SessionKey;
use super::will::Will;
use crate::limits::TokenBucket;
use crate::message::{Publisher, Time};
use crate::policy::{Grants, TopicId};
use crate::wire::Version;

new_key_type! {
    /// Names a Network Connection of this shard; never reused for another one.
    pub struct ConnectionKey;
}

/// What TLS proved about the peer. Core never sees X.509.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerIdentity {
    /// Subject Common Name.
    pub common_name: Option<String>,
    /// Subject Alternative Names: DNS.
    pub san_dns: Vec<String>,
    /// Subject Alternative Names: URI.
    pub san_uri: Vec<String>,
    /// Subject Alternative Names: email.
    pub san_email: Vec<String>,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint_sha256: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Issuer's distinguished name.
    pub issuer: Box<str>,
    /// End of validity, seconds since the Unix epoch.
    pub not_after_s: i64,
    /// DER of what the client sent, its own certificate first: only where the listener needs it, and for
    /// the authenticators alone.
    #[serde(skip)]
    pub chain: Option<Box<Vec<Box<[u8]>>>>,
}

/// Where a connection comes from. It is text only where somebody reads it: a hundred thousand
/// connections need no hundred thousand strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// By TCP.
    Ip(IpAddr),
    /// By a Unix socket.
    Local,
}

impl Address {
    /// The IP address, if it came by one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Local => None,
        }
    }

    /// As text, for events and those who authenticate.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::from(self.to_string())
    }
}

impl From<Option<IpAddr>> for Address {
    fn from(address: Option<IpAddr>) -> Address {
        address.map_or(Address::Local, Address::Ip)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(to),
            Address::Local => to.write_str("local"),
        }
    }
}

/// Who is at the other end, as far as the transport knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Index of the listener it came in by.
    pub listener: usize,
    /// Its address.
    pub address: Address,
    /// Its port; 0 where there is none.
    pub port: u16,
    /// What its certificate proves.
    pub certificate: Option<Arc<PeerIdentity>>,
}

/// A Network Connection.
#[derive(Debug)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: Peer,
    /// How far it has come.
    pub phase: Phase,
    /// Octets to be written. The driver takes them from here.
    pub out: Vec<u8>,
    /// True while it stands in the list of connections with octets to write.
    pub is_dirty: bool,
    /// When it was accepted.
    pub opened_at: Time,
    /// When the last packet came.
    pub last_seen: Time,
    /// Input is left unread until what it led to has been sent or is durable.
    pub is_stalled: bool,
    /// Input is left unread until then: it came faster than its limits allow.
    pub paused_until: Option<Time>,
    /// The Client Identifier, as soon as its CONNECT is read, and the identity, once it is proved;
    /// what is not known yet is empty.
    pub who: Option<Arc<Publisher>>,
    /// The client's Maximum Packet Size, as soon as its CONNECT is read.
    pub maximum_packet_size: u32,
    /// Whether it may have something to give back.
    pub heat: Heat,
    /// Packets and octets, for `bartizan clients`.
    pub traffic: Traffic,
}

/// Whether a connection may have something to give back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heat {
    /// It has nothing.
    #[default]
    Cold,
    /// A timer runs; there was no traffic since it was set.
    Warm,
    /// A timer runs; there was.
    Hot,
}

/// What went over a connection.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Traffic {
    /// PUBLISH packets received.
    pub messages_in: u64,
    /// PUBLISH packets sent.
    pub messages_out: u64,
    /// Octets received.
    pub bytes_in: u64,
    /// Octets sent.
    pub bytes_out: u64,
    /// Messages not sent: over a limit of the client or of its queue.
    pub dropped: u64,
}

/// How far a Network Connection has come.
#[derive(Debug)]
pub enum Phase {
    /// Nothing but CONNECT is accepted [MQTT-3.1.0-1].
    AwaitConnect,
    /// CONNECT came; an answer is awaited, from the authenticators or by AUTH from the client.
    Authenticating(Box<AuthExchange>),
    /// CONNACK 0x00 is sent or owed.
    Open(Box<Open>),
    /// On its way to the shard of its Session; what it sent behind CONNECT goes with it.
    Moving,
    /// Nothing is read any more; what is owed is still written.
    Closed,
}

/// What exists only on an accepted connection.
#[derive(Debug)]
pub struct Open {
    /// Its Session.
    pub session: SessionKey,
    /// Who it acts for.
    pub principal: Arc<Principal>,
    /// What the policy grants, under the present epoch.
    pub grants: Arc<Grants>,
    /// Identity and Client Identifier of the connection, as they go with each message.
    pub publisher: Arc<Publisher>,
    /// The protocol it speaks.
    pub version: Version,
    /// False until CONNACK is written: nothing else may be sent before.
    pub is_live: bool,
    /// True when the Session was there before: CONNACK said Session Present.
    pub is_resumed: bool,
    /// Keep Alive in force, seconds; 0 is off.
    pub keep_alive_s: u16,
    /// The client's Receive Maximum, bounded by the listener's `inflight_max`.
    pub receive_maximum: u16,
    /// Our Receive Maximum.
    pub inbound_maximum: u16,
    /// QoS 1 and 2 messages received and not yet acknowledged to the end.
    pub inbound_open: u16,
    /// Our Maximum Packet Size.
    pub packet_bytes_max: u32,
    /// The client's Maximum Packet Size.
    pub maximum_packet_size: u32,
    /// Octets of its tenant's root, the `/` behind it among them; 0 for a client of none.
    pub root_len: u16,
    /// Where what it does is counted, if it did anything lately (`server::activity`); else the place of another.
    pub row: u32,
    /// False when the client wants no reason strings (3.1.2.11.7).
    pub problem_information: bool,
    /// Aliases the client has set.
    pub aliases_in: InboundAliases,
    /// Aliases we have set.
    pub aliases_out: OutboundAliases,
    /// The Will, while the connection is open.
    pub will: Option<Box<Will>>,
    /// Acknowledgements owed, in the order of what they acknowledge [MQTT-4.6.0-2].
    pub owed: Rare<Owing>,
    /// Names the next entry of `owed`.
    pub next_owed: u64,
    /// How much it publishes; none while it has not published for a while.
    pub rates: Option<Box<Rates>>,
    /// What ends, or is to be renewed; none where the credential lasts and has no method.
    pub credential: Option<Box<Credential>>,
}

/// What a client's publishing is measured with.
#[derive(Debug)]
pub struct Rates {
    /// Messages per second.
    pub messages: Option<TokenBucket>,
    /// Octets of messages per second.
    pub octets: Option<TokenBucket>,
    /// Since when, and how much of that time, its reading was paused; none while it keeps its rates.
    pub excess: Option<Excess>,
    /// Messages per second to topics whose declaration bounds them.
    pub topics: Vec<(TopicId, TokenBucket)>,
}

impl Rates {
    /// False when nothing is measured.
    #[must_use]
    pub fn are_limited(&self) -> bool {
        self.messages.is_some() || self.octets.is_some()
    }

    /// True when they may be forgotten and made anew without anyone noticing.
    #[must_use]
    pub fn is_full(&mut self, now: Time) -> bool {
        let buckets = [&mut self.messages, &mut self.octets];
        buckets.into_iter().flatten().all(|bucket| bucket.is_full(now))
            && self.topics.iter_mut().all(|(_, bucket)| bucket.is_full(now))
    }
}

/// The credential of a connection, where it ends or can be renewed (4.12.1).
#[derive(Debug, Default)]
pub struct Credential {
    /// The Authentication Method of the CONNECT packet.
    pub method: Option<Arc<str>>,
    /// A re-authentication under way.
    pub reauthentication: Option<Reauthentication>,
    /// When the credential ends: the connection ends with it.
    pub ends_at: Option<Time>,
    /// When the next timer of the credential or its re-authentication rings. One is enough: a
    /// client that re-authenticates all the time piles up none.
    pub timer: Option<Time>,
}

/// How long a client has been faster than its rates.
#[derive(Clone, Copy, Debug)]
pub struct Excess {
    /// When reading was paused for the first time.
    pub since: Time,
    /// Milliseconds of pauses since then.
    pub paused_ms: u64,
}

impl Connection {
    /// A connection just accepted.
    #[must_use]
    pub fn new(peer: Peer, now: Time) -> Connection {
        Connection {
            peer,
            phase: Phase::AwaitConnect,
            out: Vec::new(),
            is_dirty: false,
            opened_at: now,
            last_seen: now,
            is_stalled: false,
            paused_until: None,
            who: None,
            maximum_packet_size: u32::MAX,
            heat: Heat::default(),
            traffic: Traffic::default(),
        }
    }

    /// Octets were appended to `out`: it goes on the list, unless it stands there already.
    pub fn mark_dirty(&mut self, key: ConnectionKey, dirty: &mut Vec<ConnectionKey>) {
        if !self.is_dirty {
            self.is_dirty = true;
            dirty.push(key);
        }
    }

    /// What exists once it is open.
    pub fn open(&self) -> Option<&Open> {
        match &self.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        }
    }

    /// What exists once it is open.
    pub fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        }
    }
}

impl Open {
    /// The re-authentication under way.
    #[must_use]
    pub fn reauthentication(&self) -> Option<&Reauthentication> {
        self.credential.as_ref()?.reauthentication.as_ref()
    }

    /// The same, to be changed.
    pub fn reauthentication_mut(&mut self) -> Option<&mut Reauthentication> {
        self.credential.as_mut()?.reauthentication.as_mut()
    }

    /// Owes a packet that waits for so many commits.
    pub fn owe(&mut self, waits: u32, packet: OwedPacket) -> u64 {
        let id = self.next_owed;
        self.next_owed += 1;
        self.owed.push(Owed { id, waits, packet });
        id
    }

    /// Says what an `Unknown` is, and for how many commits it waits.
    pub fn fill_owed(&mut self, id: u64, waits: u32, packet: OwedPacket) {
        if let Some(owing) = self.owed.held() {
            owing.fill(id, waits, packet);
        }
    }

    /// Takes the first one, if it waits for nothing.
    pub fn take_owed(&mut self) -> Option<Owed> {
        let owed = self.owed.held()?.take()?;
        if matches!(owed.packet, OwedPacket::Connack(_) | OwedPacket::Suback(..) | OwedPacket::Unsuback(..)) {
            // Mostly the last one for a long time.
            self.owed.rest();
        }
        Some(owed)
    }

    /// The entry of this name.
    pub fn owed_mut(&mut self, id: u64) -> Option<&mut Owed> {
        self.owed.held()?.get_mut(id)
    }
}
