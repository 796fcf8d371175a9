//! What the server wants done: the sink that the engine hands in and empties (decision 2).
//!
//! All vectors are reused from round to round. `mutations` of one round are one batch of the
//! store; `deferred` is what may happen once that batch is durable (I3).

use std::sync::Arc;

use super::forwards::Forwards;
use super::remote::{Acks, Adoption};
use crate::durable::{Fetch, Mutation};
use crate::event::Event;
use crate::session::auth_exchange::Secret;
use crate::session::{ConnectionKey, PeerIdentity, SessionKey};
use crate::wire::{PacketId, Version};

/// The sink.
#[derive(Debug, Default)]
pub struct Effects {
    /// Connections with octets to write.
    pub dirty: Vec<ConnectionKey>,
    /// Connections to close once their octets are written.
    pub closed: Vec<Closed>,
    /// Connections whose unread input may be handled now.
    pub resumed: Vec<ConnectionKey>,
    /// Questions for the authenticators.
    pub authenticate: Vec<AuthRequest>,
    /// What happened.
    pub events: Vec<Event>,
    /// What the store must keep: one batch.
    pub mutations: Vec<Mutation>,
    /// What may happen once the batch is durable.
    pub deferred: Vec<Deferred>,
    /// Queued messages that the store is to bring back: asked for behind the batch.
    pub fetches: Vec<Fetch>,
    /// CONNECTs that were read, and then proved. For whoever times them.
    pub connects: Vec<(ConnectionKey, Means)>,
    /// CONNACKs among the octets to write, and whether they let the client in.
    pub connacks: Vec<(ConnectionKey, bool)>,
    /// Messages for other shards.
    pub forwards: Forwards,
    /// Connections whose Session lives on another shard.
    pub moves: Vec<(ConnectionKey, usize, Box<Adoption>)>,
    /// A command has come: whoever carries them out is to be told.
    pub has_commands: bool,
    /// Octets wait that should be written before more is read.
    pub is_urgent: bool,
}

/// A connection to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Which.
    pub connection: ConnectionKey,
    /// The client has said DISCONNECT, behind which it sends nothing [MQTT-3.14.4-2]: there is no
    /// last word of ours that it could miss.
    pub by_client: bool,
    /// Whoever it was must not get what was sent before, as far as that can still be kept from him.
    pub is_cut: bool,
}

/// What waits for a batch to be durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Deferred {
    /// One wait of an acknowledgement is over.
    Owed(ConnectionKey, u64),
    /// A PUBLISH of QoS 2 may go out: its Packet Identifier is durable.
    Publish(SessionKey, PacketId),
    /// A PUBREL may go out: the release is durable.
    Release(SessionKey, PacketId),
    /// Another shard may be told that its messages are safe here.
    Confirm(Acks),
}

/// A question for the authenticators.
#[derive(Clone, Debug)]
pub struct AuthRequest {
    /// The connection that waits.
    pub connection: ConnectionKey,
    /// True after CONNACK: the client re-authenticates (4.12.1).
    pub again: bool,
    /// The Client Identifier; empty asks for an assigned one.
    pub client_id: String,
    /// The User Name.
    pub user_name: Option<String>,
    /// The Password.
    pub password: Option<Secret>,
    /// The Authentication Method.
    pub auth_method: Option<Arc<str>>,
    /// The Authentication Data.
    pub auth_data: Option<Secret>,
    /// What the authenticators wanted back with the answer to their challenge.
    pub state: Option<Secret>,
    /// What TLS proved.
    pub certificate: Option<Arc<PeerIdentity>>,
    /// What names the TLS connection to both its ends and to nobody else (RFC 9266). Whoever has the socket
    /// puts it here.
    pub channel_binding: Option<Secret>,
    /// The listener's name.
    pub listener: Arc<str>,
    /// True when the listener admits clients without a credential.
    pub anonymous_allowed: bool,
    /// Where it comes from.
    pub address: Arc<str>,
    /// The protocol.
    pub version: Version,
}

/// By what means a CONNECT is let in.
#[derive(Debug)]
pub enum Means {
    /// What came as a proof: "password", "certificate", "exchange" or "none".
    Presented(&'static str),
    /// The method that proved it.
    Proved(Arc<str>),
}

impl Means {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Means::Presented(name) => name,
            Means::Proved(name) => name,
        }
    }
}

impl Effects {
    /// True when nothing is left to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dirty.is_empty()
            && self.closed.is_empty()
            && self.resumed.is_empty()
            && self.authenticate.is_empty()
            && self.events.is_empty()
            && self.mutations.is_empty()
            && self.deferred.is_empty()
            && self.fetches.is_empty()
            && self.forwards.is_empty()
            && self.moves.is_empty()
    }
}
