//! What one shard tells another. Values that own what they hold: they cross threads.

use std::sync::Arc;

use crate::durable::Durability;
use crate::message::{Message, Time};
use crate::policy::Authorized;
use crate::session::auth_exchange::ConnectRequest;
use crate::session::{ConnectionKey, Peer, Principal, SessionKey};
use crate::wire::PacketId;

slotmap::new_key_type! {
    /// Names a `Relay` of a shard.
    pub struct RelayKey;
}

/// An acknowledgement that another shard waits to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckRef {
    /// A packet owed on a connection.
    Owed {
        /// The shard that owes it.
        shard: usize,
        /// On which connection.
        connection: ConnectionKey,
        /// Which one.
        owed: u64,
        /// What it promises.
        durability: Durability,
    },
    /// A QoS 2 message that a Session has received.
    Receipt {
        /// The shard of the Session.
        shard: usize,
        /// The Session.
        session: SessionKey,
        /// The Packet Identifier.
        packet_id: PacketId,
        /// Tells it from an earlier one of the same identifier.
        nonce: u64,
        /// What its acknowledgement promises.
        durability: Durability,
    },
    /// A message of a Shared Subscription that a disconnected member still holds.
    Handed {
        /// The shard of the member.
        shard: usize,
        /// The member.
        session: SessionKey,
        /// The message's place in its queue.
        seq: u64,
    },
    /// A message that a shard was sent, and has sent on to members of its groups.
    Relayed {
        /// That shard.
        shard: usize,
        /// What it waits for.
        relay: RelayKey,
        /// What the acknowledgement behind it promises.
        durability: Durability,
    },
}

/// A message that came from another shard and went on from here to members of Shared
/// Subscriptions elsewhere: whoever waits is told once all of them have it safe.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// Who waits.
    pub ack: AckRef,
    /// For how many.
    pub waits: u32,
}

impl AckRef {
    /// The shard that waits.
    #[must_use]
    pub fn shard(&self) -> usize {
        match self {
            AckRef::Owed { shard, .. }
            | AckRef::Receipt { shard, .. }
            | AckRef::Handed { shard, .. }
            | AckRef::Relayed { shard, .. } => *shard,
        }
    }
}

/// A member of a Shared Subscription.
#[derive(Clone, Debug)]
pub struct Member {
    /// The shard of its Session.
    pub shard: usize,
    /// Its Session.
    pub session: SessionKey,
    /// True while its connection is open.
    pub is_online: bool,
    /// True when its Session outlives its connection.
    pub is_stored: bool,
}

/// One shard to another.
#[derive(Debug)]
pub enum Forward {
    /// An admitted message for whoever here subscribes to its topic.
    Publish(Authorized<Arc<Message>>, Option<AckRef>),
    /// A message for one member of a Shared Subscription.
    ToMember {
        /// The member's Session.
        session: SessionKey,
        /// True when it was connected as far as the group's home knew.
        was_online: bool,
        /// The group, as its full filter.
        group: Arc<str>,
        /// The message.
        message: Arc<Message>,
        /// Who waits for it to be safe.
        ack: Option<AckRef>,
    },
    /// A message that comes back to its group's home: the member is gone, or never was there.
    ToGroup {
        /// The group, as its full filter.
        group: Arc<str>,
        /// The message.
        message: Arc<Message>,
        /// Who waits for it to be safe.
        ack: Option<AckRef>,
        /// The member that must not get it again.
        except: (usize, SessionKey),
    },
    /// A Session joins a group, or changes how.
    Join {
        /// The group, as its full filter.
        group: Arc<str>,
        /// The member.
        member: Member,
        /// The SUBACK that waits.
        ack: Option<AckRef>,
    },
    /// A Session leaves a group.
    Leave {
        /// The group, as its full filter.
        group: Arc<str>,
        /// The shard of the Session.
        shard: usize,
        /// The Session.
        session: SessionKey,
        /// The UNSUBACK that waits.
        ack: Option<AckRef>,
    },
    /// What a client publishes meets a full path here: it is to be read more slowly.
    Hold(Arc<str>),
    /// A message is safe where it was sent.
    Confirm(AckRef),
    /// A connection whose Session lives here. Its transport comes with it, outside core.
    Adopt(Box<Adoption>),
}

impl Forward {
    /// Octets of memory, about.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let message = match self {
            Forward::Publish(message, _) => message.weight_bytes(),
            Forward::ToMember { message, .. } | Forward::ToGroup { message, .. } => message.weight_bytes(),
            _ => 0,
        };
        std::mem::size_of::<Forward>() + message
    }
}

/// A connection that was accepted elsewhere, ready to be opened here.
#[derive(Debug)]
pub struct Adoption {
    /// Who is at the other end.
    pub peer: Peer,
    /// When it was accepted.
    pub opened_at: Time,
    /// What it asked for, its Client Identifier final.
    pub connect: ConnectRequest,
    /// True when the server chose the Client Identifier.
    pub assigned: bool,
    /// Who it is.
    pub principal: Arc<Principal>,
    /// When its credential ends.
    pub ends_at: Option<Time>,
    /// Authentication Data for the CONNACK.
    pub auth_data: Option<Vec<u8>>,
}
