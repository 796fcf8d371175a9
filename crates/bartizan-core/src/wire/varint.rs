//! Variable Byte Integer (1.5.5): one to four octets, seven bits each, least significant first.

use super::error::{DecodeError, malformed};

/// The largest value four octets hold: also the largest Remaining Length.
pub const MAX: u32 = 268_435_455;

/// What the front of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varint {
    /// The value.
    pub value: u32,
    /// Octets it takes here; more than `len(value)` when the encoding is padded.
    pub octets: usize,
}

/// Reads one from the front of `buf`; `None` when the buffer ends inside it.
///
/// A padded encoding is read as it stands: 3.1.1 does not forbid one, so the caller that
/// knows the version refuses it ([MQTT-1.5.5-1]).
#[inline]
pub fn read(buf: &[u8]) -> Result<Option<Varint>, DecodeError> {
    // One octet is by far the commonest length.
    if let Some(&first) = buf.first()
        && first < 0x80
    {
        return Ok(Some(Varint { value: u32::from(first), octets: 1 }));
    }
    read_long(buf)
}

fn read_long(buf: &[u8]) -> Result<Option<Varint>, DecodeError> {
    let mut value = 0u32;
    for (octets, shift, &octet) in (1..=4usize).zip([0u32, 7, 14, 21]).zip(buf).map(|((n, s), o)| (n, s, o)) {
        value |= u32::from(octet & 0x7F) << shift;
        if octet & 0x80 == 0 {
            return Ok(Some(Varint { value, octets }));
        }
    }
    if buf.len() < 4 {
        return Ok(None);
    }
    Err(malformed("a Variable Byte Integer is longer than four octets (1.5.5)"))
}

/// Octets the minimal encoding of `value` takes.
#[inline]
#[must_use]
pub fn len(value: u32) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends the minimal encoding; a value above `MAX` is written as `MAX`.
#[inline]
pub fn write(out: &mut Vec<u8>, value: u32) {
    let mut rest = value.min(MAX);
    while rest >= 0x80 {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boundary_takes_the_octets_of_table_1_1() {
        let table = [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (2_097_151, 3), (2_097_152, 4), (MAX, 4)];
        for (value, octets) in table {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out.len(), octets);
            assert_eq!(len(value), octets);
            assert_eq!(read(&out).unwrap(), Some(Varint { value, octets }));
        }
    }

    #[test]
    fn an_integer_cut_short_waits_for_more() {
        for buf in [&[][..], &[0x80], &[0x80, 0x80], &[0xFF, 0xFF, 0xFF]] {
            assert_eq!(read(buf).unwrap(), None);
        }
    }

    #[test]
    fn a_fifth_octet_is_malformed() {
        assert!(read(&[0x80, 0x80, 0x80, 0x80]).is_err());
        assert!(read(&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F]).is_err());
    }

    #[test]
    fn padding_is_visible_to_the_caller() {
        let padded = read(&[0x81, 0x00]).unwrap().unwrap();
        assert_eq!(padded, Varint { value: 1, octets: 2 });
        assert!(padded.octets > len(padded.value));
    }
}
