//! A cursor over a packet's octets that never reads past their end.

use super::error::{DecodeError, malformed, protocol_error};
use super::packet::PacketId;
use super::{utf8, varint};

/// What is left of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

#[cold]
fn short() -> DecodeError {
    malformed("the packet ends inside a field (4.13)")
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader { rest: octets }
    }

    /// What has not been read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn take(&mut self, octets: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(octets).ok_or_else(short)?;
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = tail;
        Ok(*head)
    }

    /// Byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    /// Two Byte Integer (1.5.2).
    #[inline]
    pub(crate) fn two(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four Byte Integer (1.5.3).
    #[inline]
    pub(crate) fn four(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Variable Byte Integer of an MQTT 5 packet, minimal as [MQTT-1.5.5-1] asks.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let read = varint::read(self.rest)?.ok_or_else(short)?;
        if read.octets != varint::len(read.value) {
            return Err(malformed("a Variable Byte Integer is padded [MQTT-1.5.5-1]"));
        }
        self.take(read.octets)?;
        Ok(read.value)
    }

    /// Binary Data (1.5.6).
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.two()?;
        self.take(usize::from(len))
    }

    /// UTF-8 Encoded String (1.5.4).
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        utf8::parse(self.binary()?)
    }

    /// UTF-8 String Pair (1.5.7).
    pub(crate) fn pair(&mut self) -> Result<(&'a str, &'a str), DecodeError> {
        Ok((self.text()?, self.text()?))
    }

    /// A Packet Identifier, which is never zero [MQTT-2.2.1-3].
    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.two()?).ok_or_else(|| protocol_error("the Packet Identifier is zero [MQTT-2.2.1-3]"))
    }

    /// Nothing may follow.
    #[inline]
    pub(crate) fn end(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed(what)) }
    }
}
