//! Packet Identifiers of one publisher: which are in flight, and whether their acknowledgements come as they must.

use bartizan_core::wire::PacketId;

/// Where a message in flight stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Free,
    /// PUBACK or PUBREC is awaited.
    Sent,
    /// PUBREL is sent, PUBCOMP is awaited.
    Released,
}

/// An acknowledgement that MQTT does not allow here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disorder {
    /// It acknowledges nothing.
    OfNothing,
    /// It overtook that of an earlier message [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    Overtook,
}

/// A ring of identifiers 1 to its size, used in turn.
#[derive(Clone, Debug)]
pub struct Outgoing {
    slots: Vec<Slot>,
    /// When each was sent, in nanoseconds of the run; empty if nobody asks.
    sent_at: Vec<u64>,
    /// Position of the next identifier to use, and of the next to be acknowledged first.
    head: usize,
    acknowledged: usize,
    in_flight: usize,
    window: usize,
}

impl Outgoing {
    /// At most `window` in flight.
    #[must_use]
    pub fn new(window: usize, timed: bool) -> Outgoing {
        // Twice the window: an identifier that comes back late blocks none of the next.
        let size = (window * 2).clamp(2, 65_535);
        let sent_at = if timed { vec![0; size] } else { Vec::new() };
        Outgoing { slots: vec![Slot::Free; size], sent_at, head: 0, acknowledged: 0, in_flight: 0, window }
    }

    /// How many more may be sent.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.window - self.in_flight
    }

    /// Messages in flight.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// An identifier for a message sent now; `None` if the next one is still in use.
    #[inline]
    pub fn take(&mut self, now_ns: u64) -> Option<PacketId> {
        let at = self.head;
        let slot = self.slots.get_mut(at).filter(|slot| **slot == Slot::Free)?;
        *slot = Slot::Sent;
        if let Some(sent_at) = self.sent_at.get_mut(at) {
            *sent_at = now_ns;
        }
        self.head = self.after(at);
        self.in_flight += 1;
        PacketId::new(at as u16 + 1)
    }

    /// PUBACK: when it was sent.
    #[inline]
    pub fn puback(&mut self, id: u16) -> Result<u64, Disorder> {
        let at = self.first_answer(id, Slot::Free)?;
        self.in_flight -= 1;
        Ok(self.sent_at.get(at).copied().unwrap_or(0))
    }

    /// PUBREC: PUBREL is to be sent.
    #[inline]
    pub fn pubrec(&mut self, id: u16) -> Result<(), Disorder> {
        self.first_answer(id, Slot::Released).map(drop)
    }

    /// PUBCOMP: when it was sent.
    #[inline]
    pub fn pubcomp(&mut self, id: u16) -> Result<u64, Disorder> {
        let at = usize::from(id).checked_sub(1).ok_or(Disorder::OfNothing)?;
        let slot = self.slots.get_mut(at).filter(|slot| **slot == Slot::Released).ok_or(Disorder::OfNothing)?;
        *slot = Slot::Free;
        self.in_flight -= 1;
        Ok(self.sent_at.get(at).copied().unwrap_or(0))
    }

    /// The first answer to a PUBLISH, which must come in the order of the PUBLISH packets.
    #[inline]
    fn first_answer(&mut self, id: u16, then: Slot) -> Result<usize, Disorder> {
        let at = usize::from(id).checked_sub(1).ok_or(Disorder::OfNothing)?;
        let slot = self.slots.get_mut(at).filter(|slot| **slot == Slot::Sent).ok_or(Disorder::OfNothing)?;
        *slot = then;
        if at == self.acknowledged {
            self.acknowledged = self.after(at);
            return Ok(at);
        }
        // Later ones are judged by what follows this one.
        self.acknowledged = self.after(at);
        if then == Slot::Free {
            self.in_flight -= 1;
        }
        Err(Disorder::Overtook)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(outgoing: &mut Outgoing, count: usize) -> Vec<u16> {
        (0..count).map(|_| outgoing.take(0).unwrap().get()).collect()
    }

    #[test]
    fn identifiers_go_round_and_acknowledgements_make_room() {
        let mut outgoing = Outgoing::new(3, true);
        for _ in 0..10 {
            assert_eq!(outgoing.room(), 3);
            for id in ids(&mut outgoing, 3) {
                assert_eq!(outgoing.puback(id), Ok(0));
            }
        }
        assert_eq!(outgoing.in_flight(), 0);
    }

    #[test]
    fn qos_2_is_over_with_pubcomp() {
        let mut outgoing = Outgoing::new(2, true);
        let id = outgoing.take(77).unwrap().get();
        assert_eq!(outgoing.pubcomp(id), Err(Disorder::OfNothing));
        assert_eq!(outgoing.pubrec(id), Ok(()));
        assert_eq!((outgoing.pubrec(id), outgoing.in_flight()), (Err(Disorder::OfNothing), 1));
        assert_eq!((outgoing.pubcomp(id), outgoing.in_flight()), (Ok(77), 0));
    }

    #[test]
    fn an_acknowledgement_of_nothing_and_one_that_overtakes_are_seen() {
        let mut outgoing = Outgoing::new(3, false);
        let sent = ids(&mut outgoing, 3);
        assert_eq!(outgoing.puback(sent[1]), Err(Disorder::Overtook));
        assert_eq!(outgoing.puback(sent[1]), Err(Disorder::OfNothing));
        assert_eq!(outgoing.puback(0), Err(Disorder::OfNothing));
        assert_eq!(outgoing.puback(sent[2]), Ok(0));
        assert_eq!((outgoing.puback(sent[0]), outgoing.in_flight()), (Err(Disorder::Overtook), 0));
    }
}
