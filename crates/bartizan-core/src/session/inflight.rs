//! The outgoing window of QoS 1 and 2 messages: a ring by Packet Identifier.
//!
//! Identifiers are handed out in order and acknowledged nearly in order, so the slot of an
//! identifier is its distance from the oldest one: no map, no search. A slot acknowledged out
//! of order stays as `Done` until those before it are done. A client that leaves one
//! unacknowledged while `SPAN` others pass has it set aside: the ring goes on without it, and
//! its identifier is not handed out again [MQTT-2.2.1-4].

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::Message;
use crate::wire::{PacketId, QoS};

/// How far the newest identifier may run ahead of the oldest one in the ring.
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
    /// connection, or after PUBREC), and where the store alone has it while the client is away.
    pub message: Option<Arc<Message>>,
    /// Subscription Identifiers of the delivery.
    pub subscription_ids: Box<[u32]>,
    /// The Shared Subscription it came by, as its full filter.
    pub group: Option<Arc<str>>,
}

impl Slot {
    /// True without a message that is still to be sent. Of a stored Session the store has it.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.message.is_none() && matches!(self.phase, Phase::Assigned | Phase::Publish)
    }
}

/// The window.
#[derive(Debug)]
pub struct Inflight {
    ring: VecDeque<Slot>,
    /// Identifier of the ring's first slot, 1 to 65,535.
    base: u16,
    /// Unacknowledged ones that the ring went on without, oldest first.
    aside: Vec<(PacketId, Slot)>,
    live: usize,
    on_wire: usize,
}

impl Default for Inflight {
    fn default() -> Self {
        Inflight::new()
    }
}

/// What stands where nothing awaits an acknowledgement.
pub(super) fn done() -> Slot {
    Slot {
        seq: 0,
        qos: QoS::AtLeastOnce,
        retain: false,
        phase: Phase::Done,
        on_wire: false,
        sent_before: false,
        message: None,
        subscription_ids: Box::default(),
        group: None,
    }
}

fn advance(id: u16, by: usize) -> u16 {
    let zero_based = (usize::from(id) - 1 + by) % 65_535;
    // Less than 65,535, so it fits.
    u16::try_from(zero_based + 1).unwrap_or(1)
}

impl Inflight {
    /// A window that nothing went through.
    #[must_use]
    pub const fn new() -> Inflight {
        Inflight { ring: VecDeque::new(), base: 1, aside: Vec::new(), live: 0, on_wire: 0 }
    }

    /// True while it is as new. One that was used goes on with its Packet Identifiers, so that a
    /// late second acknowledgement is not taken for one of the next message.
    pub(super) fn is_unused(&self) -> bool {
        self.base == 1 && self.ring.is_empty() && self.aside.is_empty()
    }

    /// An empty ring keeps no room.
    pub(super) fn give_back(&mut self) {
        if self.ring.is_empty() {
            self.ring = VecDeque::new();
        }
    }

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
        self.live < 65_535 - SPAN
    }

    /// Hands the next identifier to a message. `None` when none is free.
    pub fn push(&mut self, slot: Slot) -> Option<PacketId> {
        if !self.has_identifier() {
            return None;
        }
        if self.ring.len() >= SPAN {
            self.set_aside();
        }
        let mut id = PacketId::new(advance(self.base, self.ring.len()))?;
        while self.aside.iter().any(|(taken, _)| *taken == id) {
            self.ring.push_back(done());
            id = PacketId::new(advance(self.base, self.ring.len()))?;
        }
        self.on_wire += usize::from(slot.on_wire);
        self.ring.push_back(slot);
        self.live += 1;
        Some(id)
    }

    /// Takes the oldest message out of the ring, which then begins behind it.
    fn set_aside(&mut self) {
        if let (Some(id), Some(slot)) = (PacketId::new(self.base), self.ring.pop_front()) {
            self.base = advance(self.base, 1);
            self.aside.push((id, slot));
            self.trim();
        }
    }

    fn trim(&mut self) {
        while self.ring.front().is_some_and(|slot| slot.phase == Phase::Done) {
            self.ring.pop_front();
            self.base = advance(self.base, 1);
        }
    }

    /// Puts back a message with the identifier it had before a restart. Calls come in the
    /// order in which identifiers were handed out; gaps between them are acknowledged ones.
    /// False when the identifier is taken.
    pub fn restore(&mut self, id: PacketId, slot: Slot) -> bool {
        if self.get_mut(id).is_some() || !self.has_identifier() {
            return false;
        }
        // Those that the ring had gone on without, it leaves behind again.
        while !self.ring.is_empty() && self.distance(id) >= SPAN {
            self.set_aside();
        }
        if self.ring.is_empty() {
            self.base = id.get();
        }
        let index = self.distance(id);
        if index < self.ring.len() {
            return false;
        }
        while self.ring.len() < index {
            self.ring.push_back(done());
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
        if let Some(at) = self.aside.iter().position(|(taken, _)| *taken == id) {
            return self.aside.get_mut(at).map(|(_, slot)| slot);
        }
        let index = self.distance(id);
        self.ring.get_mut(index).filter(|slot| slot.phase != Phase::Done)
    }

    /// The unacknowledged message of an identifier, and the identifier is free again.
    pub fn finish(&mut self, id: PacketId) -> Option<Slot> {
        self.finish_if(id, |_| true)
    }

    /// The same, if it is what is expected.
    pub fn finish_if(&mut self, id: PacketId, expected: impl Fn(&Slot) -> bool) -> Option<Slot> {
        let finished = match self.aside.iter().position(|(taken, _)| *taken == id) {
            Some(at) if self.aside.get(at).is_some_and(|(_, slot)| expected(slot)) => self.aside.remove(at).1,
            Some(_) => return None,
            None => {
                let slot = self.get_mut(id).filter(|slot| expected(slot))?;
                std::mem::replace(slot, done())
            }
        };
        self.live -= 1;
        self.on_wire -= usize::from(finished.on_wire);
        self.trim();
        Some(finished)
    }

    /// Unacknowledged messages with their identifiers, oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut Slot)> {
        let base = self.base;
        let ring = self
            .ring
            .iter_mut()
            .enumerate()
            .filter(|(_, slot)| slot.phase != Phase::Done)
            .filter_map(move |(index, slot)| Some((PacketId::new(advance(base, index))?, slot)));
        self.aside.iter_mut().map(|(id, slot)| (*id, slot)).chain(ring)
    }

    /// Lets go of the messages of a client that is away: the store has them. What may have to be
    /// given to another member of a Shared Subscription stays.
    pub fn set_messages_aside(&mut self) {
        for (_, slot) in self.iter_mut().filter(|(_, slot)| slot.group.is_none()) {
            slot.message = None;
        }
    }

    /// True when the store alone has one of the messages, where the Session is stored.
    #[must_use]
    pub fn has_bare(&self) -> bool {
        self.ring.iter().any(Slot::is_bare) || self.aside.iter().any(|(_, slot)| slot.is_bare())
    }

    /// The places of so many of them, oldest first.
    pub fn bare(&mut self, most: usize) -> Vec<u64> {
        self.iter_mut().filter(|(_, slot)| slot.is_bare()).map(|(_, slot)| slot.seq).take(most).collect()
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
        for slot in self.ring.iter_mut().chain(self.aside.iter_mut().map(|(_, slot)| slot)) {
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
    fn a_message_in_flight_takes_sixty_four_octets_at_most_beside_itself() {
        assert!(std::mem::size_of::<Slot>() <= 64, "{}", std::mem::size_of::<Slot>());
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
    fn an_identifier_that_is_never_acknowledged_is_not_handed_out_again() {
        let mut window = Inflight::default();
        let first = window.push(slot(0)).unwrap();
        for seq in 1..200_000 {
            let id = window.push(slot(seq)).unwrap();
            assert_ne!(id, first);
            assert_eq!(window.finish(id).unwrap().seq, seq);
        }
        assert_eq!(window.iter_mut().map(|(id, slot)| (id, slot.seq)).collect::<Vec<_>>(), [(first, 0)]);
        assert_eq!((window.len(), window.on_wire()), (1, 1));
        assert_eq!(window.finish(first).unwrap().seq, 0);
        assert!(window.is_empty() && window.finish(first).is_none());
    }

    #[test]
    fn a_client_that_acknowledges_nothing_stops_its_own_window() {
        let mut window = Inflight::default();
        let handed_out = (0..).take_while(|seq| window.push(slot(*seq)).is_some()).count();
        assert_eq!(handed_out, 65_535 - SPAN);
        let ids: Vec<_> = window.iter_mut().map(|(id, _)| id).collect();
        assert!(ids.iter().enumerate().all(|(at, id)| usize::from(id.get()) == at + 1));
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

    #[test]
    fn a_window_with_one_set_aside_is_restored_whole() {
        let mut before = Inflight::default();
        let mut kept = Vec::new();
        for seq in 0..70_000 {
            let id = before.push(slot(seq)).unwrap();
            // The first one, and a handful at the end, after identifiers have wrapped.
            if seq == 0 || seq > 69_995 { kept.push((id, seq)) } else { before.finish(id).map(drop).unwrap() }
        }
        let mut after = Inflight::default();
        for (id, seq) in &kept {
            assert!(after.restore(*id, Slot { on_wire: false, ..slot(*seq) }), "{id}");
        }
        assert_eq!(after.len(), before.len());
        assert_eq!(after.push(slot(70_000)), before.push(slot(70_000)));
        for (id, seq) in kept {
            assert_eq!(after.finish(id).map(|slot| slot.seq), Some(seq));
        }
    }
}
