//! One packet, taken down: its octets without what is secret, so that no secret is ever in a trace's buffer (I8).
//!
//! The Password of CONNECT and all Authentication Data are made zeros. Without payloads, the octets of a PUBLISH end
//! where its payload begins, and that of the Will is made zeros. What could not be read is kept without its octets, as
//! nobody knows where in it a secret would be.

use std::ops::Range;
use std::sync::Arc;

use bartizan_core::message::Time;
use bartizan_core::wire::{self, Packet, Property, Role, Version, varint};

/// Octets of one packet that are kept; the rest is only counted.
pub const OCTETS_MAX: usize = 64 * 1024;
/// What a packet weighs beside its octets.
const OVERHEAD_BYTES: usize = 128;

/// Which way it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client.
    In,
    /// To it.
    Out,
}

impl Direction {
    /// Who reads such packets.
    #[must_use]
    pub fn reader(self) -> Role {
        match self {
            Direction::In => Role::Server,
            Direction::Out => Role::Client,
        }
    }
}

/// What was taken down.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When.
    pub at: Time,
    /// The client's address and port: which connection.
    pub peer: Arc<str>,
    /// What it was.
    pub what: Passed,
}

/// A packet, the end of a connection, or a gap.
#[derive(Clone, Debug)]
pub enum Passed {
    /// One that could be read.
    Packet {
        /// Which way.
        direction: Direction,
        /// The protocol, as far as it is known.
        version: Option<Version>,
        /// Octets of the whole packet.
        len: usize,
        /// Its octets from the first on, secrets made zeros.
        octets: Vec<u8>,
    },
    /// One that could not.
    Unread {
        /// Which way.
        direction: Direction,
        /// Its first octet: type and flags.
        first: u8,
        /// Octets of it that came.
        len: usize,
        /// Why.
        why: &'static str,
    },
    /// The connection is over.
    Closed,
    /// So many found no room.
    Lost(u64),
}

impl Captured {
    /// Octets of memory, about.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        match &self.what {
            Passed::Packet { octets, .. } => octets.len() + OVERHEAD_BYTES,
            Passed::Unread { .. } | Passed::Closed => OVERHEAD_BYTES,
            // At most one between two packets that had room.
            Passed::Lost(_) => 0,
        }
    }
}

/// The packet at the front of `buf`, and how many octets it takes; none where there are none.
#[must_use]
pub fn first(
    buf: &[u8],
    direction: Direction,
    version: Option<Version>,
    with_payloads: bool,
) -> Option<(Passed, usize)> {
    let first = *buf.first()?;
    let unread = |why: &'static str| Some((Passed::Unread { direction, first, len: buf.len(), why }, buf.len()));
    let frame = match wire::frame(buf, u32::MAX) {
        Ok(Some(frame)) => frame,
        Ok(None) => return unread("it was not read to its end"),
        Err(error) => return unread(error.what),
    };
    let len = frame.len;
    let header = len - frame.body.len();
    match wire::decode(frame, direction.reader(), version) {
        Ok(packet) => {
            let secret = secrets(frame.body, &packet, with_payloads);
            let payload = if let Packet::Publish(publish) = &packet { publish.payload.len() } else { 0 };
            let kept = if with_payloads { len } else { len - payload };
            let mut octets = buf.get(..kept.min(OCTETS_MAX)).unwrap_or_default().to_vec();
            for range in secret {
                // Of what is cut off, nothing is left to hide.
                let (from, to) = ((header + range.start).min(octets.len()), (header + range.end).min(octets.len()));
                if let Some(octets) = octets.get_mut(from..to) {
                    octets.fill(0);
                }
            }
            Some((Passed::Packet { direction, version: spoken(&packet, version), len, octets }, len))
        }
        Err(error) => Some((Passed::Unread { direction, first, len, why: error.what }, len)),
    }
}

/// A CONNECT says what is spoken from there on.
fn spoken(packet: &Packet<'_>, version: Option<Version>) -> Option<Version> {
    if let Packet::Connect(connect) = packet { Some(connect.version) } else { version }
}

/// Where in the body secrets are, and the Will's payload where it is not wanted.
fn secrets(body: &[u8], packet: &Packet<'_>, with_payloads: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut hide = |secret: &[u8]| {
        // Every field of a packet is lent from its body.
        let from = secret.as_ptr().addr().saturating_sub(body.as_ptr().addr());
        found.push(from..from + secret.len());
    };
    let properties = match packet {
        Packet::Connect(connect) => {
            connect.password.into_iter().for_each(&mut hide);
            if let Some(will) = connect.will.as_ref().filter(|_| !with_payloads) {
                hide(will.payload);
            }
            connect.properties
        }
        Packet::Connack(connack) => connack.properties,
        Packet::Auth(auth) => auth.properties,
        _ => return found,
    };
    for property in properties {
        if let Property::AuthenticationData(octets) = property {
            hide(octets);
        }
    }
    found
}

/// The Client Identifier of the CONNECT at the front of `buf`, if that is one.
#[must_use]
pub fn connecting(buf: &[u8]) -> Option<&str> {
    let frame = wire::frame(buf, u32::MAX).ok()??;
    match wire::decode(frame, Role::Server, None).ok()? {
        Packet::Connect(connect) => Some(connect.client_id),
        _ => None,
    }
}

/// A packet from the octets that were kept of it: what is missing at its end is a payload's.
#[must_use]
pub fn kept(octets: &[u8], direction: Direction, version: Option<Version>) -> Option<Packet<'_>> {
    let (&first, after) = octets.split_first()?;
    let remaining = varint::read(after).ok()??;
    let body = after.get(remaining.octets..)?;
    // As long as it says that it is, in the shortest form: whether it was padded was seen when it came.
    let len = 1 + varint::len(u32::try_from(body.len()).ok()?) + body.len();
    let version = if first >> 4 == 1 { None } else { version };
    wire::decode(wire::Frame { first, body, len }, direction.reader(), version).ok()
}
