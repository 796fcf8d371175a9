//! The outgoing window of QoS 1 and 2 messages: a ring by Packet Identifier.
//!
//! Identifiers are handed out in order and acknowledged nearly in order, so the slot of an
//! identifier is its distance from the oldest one: no map, no search. A slot acknowledged out
//! of order stays as `Done` until those before it are done, which bounds the ring: it never
//! spans more than `SPAN` identifiers, and the window waits when a client leaves the oldest
//! unacknowledged that long.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::Message;
use crate::wire::{PacketId, QoS};

/// How far the newest identifier may run ahead of the oldest unacknowledged one.
const SPAN: usize = 32_768;

/// Where a message of the window stands (4.3.2, 4.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its identifier is not durable yet: nothing may be sent.
    Assigned,
    /// PUBLISH is due or sent; PUBACK or PUBREC is awaited.
    Publish,
    /// PUBREC came; the release is not durable yet.
    Releasing,
    /// PUBREL is due or sent; PUBCOMP is awaited.
    Release,
    /// Acknowledged, or given up.
    Done,
}

/// One message of the window.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Position in the Session's queue, as the store knows it.
    pub seq: u64,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Where it stands.
    pub phase: Phase,
    /// True when PUBLISH or PUBREL of the phase went out on the present connection.
    pub on_wire: bool,
    /// True when PUBLISH went out before, on whatever connection: the next one is a DUP.
    pub sent_before: bool,
    /// The message; `None` where nothing can ever be sent again (a Session that ends with its
    /// connection, or after PUBREC).
    pub message: Option<Arc<Message>>,
    /// Subscription Identifiers of the delivery.
    pub subscription_ids: Box<[u32]>,
    /// The Shared Subscription it came by, as its full filter.
    pub group: Option<Arc<str>>,
}

/// The window.
#[derive(Debug)]
pub struct Inflight {
    ring: VecDeque<Slot>,
    /// Identifier of the ring's first slot, 1 to 65,535.
    base: u16,
    live: usize,
    on_wire: usize,
}

impl Default for Inflight {
    fn default() -> Self {
        Inflight { ring: VecDeque::new(), base: 1, live: 0, on_wire: 0 }
    }
}

fn advance(id: u16, by: usize) -> u16 {
    let zero_based = (usize::from(id) - 1 + by) % 65_535;
    // Less than 65,535, so it fits.
    u16::try_from(zero_based + 1).unwrap_or(1)
}

impl Inflight {
    /// Messages not yet acknowledged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// True when nothing awaits an acknowledgement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// True when another identifier may be handed out.
    #[must_use]
    pub fn has_identifier(&self) -> bool {
        self.ring.len() < SPAN
    }

    /// Hands the next identifier to a message. `None` when none is free.
    pub fn push(&mut self, slot: Slot) -> Option<PacketId> {
        if !self.has_identifier() {
            return None;
        }
        let id = PacketId::new(advance(self.base, self.ring.len()))?;
        self.on_wire += usize::from(slot.on_wire);
        self.ring.push_back(slot);
        self.live += 1;
        Some(id)
    }

    /// Puts back a message with the identifier it had before a restart. Calls come in the
    /// order in which identifiers were handed out; gaps between them are acknowledged ones.
    /// False when the identifier lies too far ahead to have been in one window with the first.
    pub fn restore(&mut self, id: PacketId, slot: Slot) -> bool {
        if self.ring.is_empty() {
            self.base = id.get();
        }
        let index = self.distance(id);
        if index < self.ring.len() || index >= SPAN {
            return false;
        }
        while self.ring.len() < index {
            self.ring.push_back(Slot {
                seq: 0,
                qos: QoS::AtLeastOnce,
                retain: false,
                phase: Phase::Done,
                on_wire: false,
                sent_before: false,
                message: None,
                subscription_ids: Box::default(),
                group: None,
            });
        }
        self.ring.push_back(slot);
        self.live += 1;
        true
    }

    fn distance(&self, id: PacketId) -> usize {
        (usize::from(id.get()) + 65_535 - usize::from(self.base)) % 65_535
    }

    /// The unacknowledged message of an identifier.
    pub fn get_mut(&mut self, id: PacketId) -> Option<&mut Slot> {
        let index = self.distance(id);
        self.ring.get_mut(index).filter(|slot| slot.phase != Phase::Done)
    }

    /// The unacknowledged message of an identifier, and the identifier is free again.
    pub fn finish(&mut self, id: PacketId) -> Option<Slot> {
        let slot = self.get_mut(id)?;
        let done = Slot { message: slot.message.take(), group: slot.group.take(), ..slot.clone() };
        slot.phase = Phase::Done;
        self.live -= 1;
        self.on_wire -= usize::from(done.on_wire);
        while self.ring.front().is_some_and(|slot| slot.phase == Phase::Done) {
            self.ring.pop_front();
            self.base = advance(self.base, 1);
        }
        Some(done)
    }

    /// Unacknowledged messages with their identifiers, oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut Slot)> {
        let base = self.base;
        self.ring
            .iter_mut()
            .enumerate()
            .filter(|(_, slot)| slot.phase != Phase::Done)
            .filter_map(move |(index, slot)| Some((PacketId::new(advance(base, index))?, slot)))
    }

    /// Messages that occupy the client's Receive Maximum on the present connection.
    #[must_use]
    pub fn on_wire(&self) -> usize {
        self.on_wire
    }

    /// The message goes out on the present connection, from here on counted by `on_wire`.
    pub fn mark_on_wire(&mut self, id: PacketId) {
        if let Some(slot) = self.get_mut(id) {
            let was = std::mem::replace(&mut slot.on_wire, true);
            self.on_wire += usize::from(!was);
        }
    }

    /// A new connection: nothing of the window has been sent on it.
    pub fn connection_ended(&mut self) {
        self.on_wire = 0;
        for slot in &mut self.ring {
            slot.on_wire = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(seq: u64) -> Slot {
        Slot {
            seq,
            qos: QoS::AtLeastOnce,
            retain: false,
            phase: Phase::Publish,
            on_wire: true,
            sent_before: false,
            message: None,
            subscription_ids: Box::default(),
            group: None,
        }
    }

    #[test]
    fn identifiers_run_in_order_wrap_after_65535_and_are_never_zero() {
        let mut window = Inflight::default();
        for seq in 0..140_000_u64 {
            let id = window.push(slot(seq)).unwrap();
            assert_eq!(u64::from(id.get()), seq % 65_535 + 1);
            assert_eq!(window.finish(id).unwrap().seq, seq);
        }
        assert!(window.is_empty());
    }

    #[test]
    fn acknowledgement_out_of_order_frees_its_own_message_only() {
        let mut window = Inflight::default();
        let ids: Vec<_> = (0..3).map(|seq| window.push(slot(seq)).unwrap()).collect();
        assert_eq!(window.finish(ids[1]).unwrap().seq, 1);
        assert!(window.finish(ids[1]).is_none());
        assert_eq!(window.len(), 2);
        assert_eq!(window.iter_mut().map(|(id, _)| id).collect::<Vec<_>>(), [ids[0], ids[2]]);
    }

    #[test]
    fn a_client_that_never_acknowledges_the_oldest_stops_its_own_window() {
        let mut window = Inflight::default();
        let first = window.push(slot(0)).unwrap();
        let mut handed_out = 1;
        while let Some(id) = window.push(slot(handed_out)) {
            window.finish(id).unwrap();
            handed_out += 1;
        }
        assert_eq!(handed_out as usize, SPAN);
        window.finish(first).unwrap();
        assert!(window.push(slot(handed_out)).is_some());
    }

    #[test]
    fn a_restored_window_keeps_identifiers_and_goes_on_behind_them() {
        let mut window = Inflight::default();
        let id = |n| PacketId::new(n).unwrap();
        assert!(window.restore(id(65_534), slot(1)));
        assert!(window.restore(id(2), slot(2)));
        assert!(!window.restore(id(1), slot(3)));
        assert_eq!(window.len(), 2);
        assert_eq!(window.push(slot(4)), Some(id(3)));
        assert_eq!(window.finish(id(2)).unwrap().seq, 2);
        assert_eq!(window.finish(id(1)).map(|slot| slot.seq), None);
    }
}
