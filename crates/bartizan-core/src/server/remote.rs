//! What one shard tells another. Values that own what they hold: they cross threads.

use std::sync::Arc;

use crate::durable::Durability;
use crate::message::{Message, Time};
use crate::parcel::{Carried, Parcel, Place};
use crate::policy::Authorized;
use crate::session::auth_exchange::ConnectRequest;
use crate::session::{ConnectionKey, Peer, Principal, SessionKey};
use crate::wire::{PacketId, Publish};

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

    /// The one so many after this one, where they are numbered.
    fn plus(self, more: u32) -> Option<AckRef> {
        match self {
            ack if more == 0 => Some(ack),
            AckRef::Owed { shard, connection, owed, durability } => {
                let owed = owed.checked_add(u64::from(more))?;
                Some(AckRef::Owed { shard, connection, owed, durability })
            }
            AckRef::Receipt { shard, session, packet_id, nonce, durability } => {
                let packet_id = PacketId::new(packet_id.get().checked_add(u16::try_from(more).ok()?)?)?;
                let nonce = nonce.checked_add(u64::from(more))?;
                Some(AckRef::Receipt { shard, session, packet_id, nonce, durability })
            }
            AckRef::Handed { .. } | AckRef::Relayed { .. } => None,
        }
    }
}

/// Acknowledgements in a row, as those of messages that one client published in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acks {
    first: AckRef,
    count: u32,
}

impl From<AckRef> for Acks {
    fn from(first: AckRef) -> Acks {
        Acks { first, count: 1 }
    }
}

impl Acks {
    /// The first one.
    #[must_use]
    pub fn first(&self) -> AckRef {
        self.first
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The shard that waits.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.first.shard()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, at: u32) -> Option<AckRef> {
        if at < self.count { self.first.plus(at) } else { None }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = AckRef> {
        let acks = *self;
        (0..self.count).filter_map(move |at| acks.get(at))
    }

    /// Puts others behind these. False, and nothing is done, when they are not the next ones.
    pub fn append(&mut self, next: &Acks) -> bool {
        let is_next = self.first.plus(self.count) == Some(next.first);
        if is_next {
            self.count += next.count;
        }
        is_next
    }
}

/// Messages for whoever on a shard subscribes to them, and who waits for them to be safe.
#[derive(Debug)]
pub struct Shipment {
    parcel: Authorized<Parcel>,
    place: Place,
    /// Acknowledgements in a row, and the message that the first of each row waits for.
    acks: Vec<(u32, Acks)>,
    /// Rows that no message still to be read belongs to.
    acks_passed: usize,
}

impl Shipment {
    /// One that begins with a message that waits alone; `None` when that is too large.
    pub(crate) fn begun(alone: &Forward) -> Option<Shipment> {
        let Forward::Publish(message, ack) = alone else { return None };
        if !Carried::of(message).fits() {
            return None;
        }
        let mut shipment = Shipment {
            parcel: Authorized::<Parcel>::of(message),
            place: Place::default(),
            acks: Vec::new(),
            acks_passed: 0,
        };
        shipment.acks.extend(ack.map(|ack| (0, Acks::from(ack))));
        Some(shipment)
    }

    /// Copies an admitted message in, behind the others.
    pub(crate) fn add(&mut self, admitted: &Authorized<Publish<'_>>, message: &Carried<'_>, ack: Option<AckRef>) {
        if let Some(ack) = ack {
            let at = self.parcel.count();
            let last = self.acks.last_mut().filter(|(from, acks)| from + acks.count == at);
            if !last.is_some_and(|(_, acks)| acks.append(&Acks::from(ack))) {
                self.acks.push((at, Acks::from(ack)));
            }
        }
        self.parcel.add(admitted, message);
    }

    /// Takes the next message.
    pub(crate) fn next(&mut self) -> Option<(Carried<'_>, Option<AckRef>)> {
        let at = self.place.index;
        let message = self.parcel.next(&mut self.place)?;
        while self.acks.get(self.acks_passed).is_some_and(|(from, acks)| from + acks.count <= at) {
            self.acks_passed += 1;
        }
        let ack = self.acks.get(self.acks_passed).and_then(|(from, acks)| acks.get(at.checked_sub(*from)?));
        Some((message, ack))
    }

    /// True when the next message should go into another one.
    pub(crate) fn is_full(&self) -> bool {
        self.parcel.is_full()
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
    /// Admitted messages for whoever here subscribes to their topics.
    Messages(Box<Shipment>),
    /// A message of its own: too large to be copied, or the server's own.
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
    /// Messages are safe where they were sent.
    Confirm(Acks),
    /// A connection whose Session lives here. Its transport comes with it, outside core.
    Adopt(Box<Adoption>),
}

impl Forward {
    /// Messages in it, which take their time; anything else counts as one.
    #[must_use]
    pub fn messages(&self) -> usize {
        match self {
            Forward::Messages(shipment) => shipment.parcel.count() as usize,
            _ => 1,
        }
    }

    /// Octets of memory, about.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let message = match self {
            Forward::Messages(shipment) => size_of::<Shipment>() + shipment.parcel.weight_bytes(),
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
