//! One client of the relay: its connection and the identifiers in flight to it.

use std::io::{self, ErrorKind};

use bartizan_core::topic::TopicFilterBuf;
use bartizan_core::wire::{PacketId, QoS, Version};

use crate::id_set::IdSet;
use crate::link::{Got, Link};

/// A client.
#[derive(Debug)]
pub struct Peer {
    link: Link,
    partial: Vec<u8>,
    /// Packets to be sent.
    pub out: Vec<u8>,
    sent: usize,
    /// Known from its CONNECT on.
    pub version: Option<Version>,
    /// What it subscribed to.
    pub subscriptions: Vec<(TopicFilterBuf, QoS)>,
    /// Identifiers sent to it and not acknowledged to the end.
    pub in_flight: IdSet,
    /// Identifiers of QoS 2 from it and not released.
    pub unreleased: IdSet,
    last_id: u16,
    /// A delivery held back until after the next: only of a faulty relay.
    pub held: Option<Vec<u8>>,
}

impl Peer {
    /// Before its CONNECT.
    pub fn new(link: Link) -> Peer {
        Peer {
            link,
            partial: Vec::new(),
            out: Vec::new(),
            sent: 0,
            version: None,
            subscriptions: Vec::new(),
            in_flight: IdSet::default(),
            unreleased: IdSet::default(),
            last_id: 0,
            held: None,
        }
    }

    /// The next identifier that is free.
    #[inline]
    pub fn next_id(&mut self) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.in_flight.insert(self.last_id) {
                return PacketId::new(self.last_id);
            }
        }
        None
    }

    /// Octets filled behind what was left over, and whether there may be more; `None`: nothing there.
    pub fn receive(&mut self, buffer: &mut Vec<u8>, scratch: &mut [u8]) -> io::Result<Option<Got>> {
        let kept = self.partial.len();
        if buffer.len() < kept * 2 {
            buffer.resize(kept * 2, 0);
        }
        let (front, room) = buffer.split_at_mut_checked(kept).ok_or(ErrorKind::InvalidData)?;
        let Some(got) = self.link.receive(room, scratch)? else { return Ok(None) };
        front.copy_from_slice(&self.partial);
        self.partial.clear();
        Ok(Some(Got { len: kept + got.len, more: got.more }))
    }

    /// Keeps the front of a packet until its end arrives.
    pub fn keep(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
    }

    /// Sends what can be sent.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some(left) = self.out.get(self.sent..).filter(|left| !left.is_empty()) {
            match self.link.send(left)? {
                0 => return Ok(()),
                len => self.sent += len,
            }
        }
        self.out.clear();
        self.sent = 0;
        self.link.push().map(drop)
    }
}
