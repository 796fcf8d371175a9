//! The field types of 1.5, and the fixed header of 2.1.

use crate::wire::packet::Properties;
use crate::wire::{Version, varint};

/// Byte.
#[inline]
pub(crate) fn byte(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

/// Two Byte Integer.
#[inline]
pub(crate) fn two(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Four Byte Integer.
#[inline]
pub(crate) fn four(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Variable Byte Integer.
#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, value: u32) {
    varint::write(out, value);
}

/// Binary Data; what is beyond 65,535 octets is cut.
#[inline]
pub(crate) fn binary(out: &mut Vec<u8>, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    two(out, len);
    out.extend_from_slice(value.get(..usize::from(len)).unwrap_or(value));
}

/// UTF-8 Encoded String; what is beyond 65,535 octets is cut at a character.
#[inline]
pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    binary(out, fitting(value).as_bytes());
}

/// As much of `value` as a UTF-8 Encoded String can hold.
#[inline]
pub(crate) fn fitting(value: &str) -> &str {
    value.get(..value.floor_char_boundary(usize::from(u16::MAX))).unwrap_or(value)
}

/// UTF-8 String Pair.
pub(crate) fn pair(out: &mut Vec<u8>, (name, value): (&str, &str)) {
    text(out, name);
    text(out, value);
}

/// Octets of a property block with its length, in this version: none before 5.0.
#[inline]
pub(crate) fn block_len(version: Version, octets: usize) -> usize {
    if version.is_v5() { varint::len(saturated(octets)) + octets } else { 0 }
}

/// A property block with its length; nothing before 5.0.
#[inline]
pub(crate) fn block(out: &mut Vec<u8>, version: Version, properties: Properties<'_>) {
    if version.is_v5() {
        varint(out, saturated(properties.raw.len()));
        out.extend_from_slice(properties.raw);
    }
}

#[inline]
pub(crate) fn saturated(octets: usize) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX)
}

/// The fixed header. False, and nothing written, if the protocol has no length for `remaining`.
#[inline]
#[must_use]
pub(crate) fn header(out: &mut Vec<u8>, first: u8, remaining: usize) -> bool {
    let fits = remaining <= varint::MAX as usize;
    if fits {
        out.reserve(remaining + 5);
        out.push(first);
        varint::write(out, saturated(remaining));
    }
    fits
}
