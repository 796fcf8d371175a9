//! What is owed to a client: acknowledgements in the order of what they acknowledge, each sent once
//! what it claims is true (I3) [MQTT-4.6.0-2].

use std::collections::VecDeque;
use std::sync::Arc;

use super::rare::Sparse;
use crate::wire::{PacketId, ReasonCode};

/// Names the CONNACK, which is the first packet owed on a connection.
pub const CONNACK: u64 = 0;

/// An acknowledgement that may only be sent once what it claims is true (I3).
#[derive(Debug)]
pub struct Owed {
    /// Names it.
    pub id: u64,
    /// How many commits it waits for.
    pub waits: u32,
    /// The packet.
    pub packet: OwedPacket,
}

/// The packet of an `Owed`.
#[derive(Debug)]
pub enum OwedPacket {
    /// CONNACK, encoded. Then the Session resumes.
    Connack(Vec<u8>),
    /// PUBACK.
    Puback(PacketId, ReasonCode, Option<&'static str>),
    /// PUBREC.
    Pubrec(PacketId, ReasonCode, Option<&'static str>),
    /// PUBCOMP.
    Pubcomp(PacketId, ReasonCode),
    /// SUBACK, and the Subscriptions that want their Retained Messages.
    Suback(PacketId, Vec<ReasonCode>, Option<&'static str>, Vec<Arc<str>>),
    /// UNSUBACK.
    Unsuback(PacketId, Vec<ReasonCode>),
    /// Not known yet: it keeps its place in the order.
    Unknown,
}

impl OwedPacket {
    /// Octets of memory it takes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let held = match self {
            OwedPacket::Connack(octets) => octets.len(),
            OwedPacket::Suback(_, codes, _, retained) => {
                codes.len() + retained.iter().map(|filter| filter.len() + 32).sum::<usize>()
            }
            OwedPacket::Unsuback(_, codes) => codes.len(),
            _ => 0,
        };
        held + std::mem::size_of::<Owed>()
    }
}

/// What is owed on one connection.
#[derive(Debug, Default)]
pub struct Owing {
    queue: VecDeque<Owed>,
    bytes: usize,
}

impl Owing {
    /// True when nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Octets of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, owed: Owed) {
        self.bytes += owed.packet.weight_bytes();
        self.queue.push_back(owed);
    }

    pub(super) fn fill(&mut self, id: u64, waits: u32, packet: OwedPacket) {
        let weight = packet.weight_bytes();
        if let Some(owed) = self.get_mut(id) {
            let before = std::mem::replace(&mut owed.packet, packet).weight_bytes();
            owed.waits = waits;
            self.bytes = self.bytes.saturating_sub(before) + weight;
        }
    }

    pub(super) fn take(&mut self) -> Option<Owed> {
        let owed = self.queue.pop_front_if(|owed| owed.waits == 0)?;
        self.bytes = self.bytes.saturating_sub(owed.packet.weight_bytes());
        Some(owed)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Owed> {
        let first = self.queue.front()?.id;
        self.queue.get_mut(usize::try_from(id.checked_sub(first)?).ok()?)
    }
}

impl Sparse for Owing {
    #[inline]
    fn nothing() -> &'static Self {
        static NOTHING: Owing = Owing { queue: VecDeque::new(), bytes: 0 };
        &NOTHING
    }

    fn has_nothing(&self) -> bool {
        self.is_empty()
    }
}
