//! Rows of the index: what a row says, then a checksum of its key and of that.
//!
//! redb looks at its own checksums only when it repairs a file. A disk that gives back other
//! octets than it was given must be found out by whoever reads them, and named.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

const SUM_BYTES: usize = 4;

/// What a row stands under: its part of the checksum, and its name for people.
pub trait RowKey {
    /// The checksum of the key.
    fn sum(&self) -> u32;
    /// How an error names the row.
    fn name(&self) -> String;
}

fn sum_of(parts: &[&[u8]]) -> u32 {
    // The length of each part too: ("a", "bc") is not ("ab", "c").
    parts.iter().fold(0, |sum, part| {
        let length = (part.len() as u64).to_le_bytes();
        crc32c::crc32c_append(crc32c::crc32c_append(sum, &length), part)
    })
}

impl RowKey for &str {
    fn sum(&self) -> u32 {
        sum_of(&[self.as_bytes()])
    }

    fn name(&self) -> String {
        format!("{self:?}")
    }
}

impl RowKey for u64 {
    fn sum(&self) -> u32 {
        sum_of(&[&self.to_le_bytes()])
    }

    fn name(&self) -> String {
        self.to_string()
    }
}

impl RowKey for (&str, &str) {
    fn sum(&self) -> u32 {
        sum_of(&[self.0.as_bytes(), self.1.as_bytes()])
    }

    fn name(&self) -> String {
        format!("{:?} {:?}", self.0, self.1)
    }
}

impl RowKey for (&str, u64) {
    fn sum(&self) -> u32 {
        sum_of(&[self.0.as_bytes(), &self.1.to_le_bytes()])
    }

    fn name(&self) -> String {
        format!("{:?} {}", self.0, self.1)
    }
}

impl RowKey for (&str, u16) {
    fn sum(&self) -> u32 {
        sum_of(&[self.0.as_bytes(), &self.1.to_le_bytes()])
    }

    fn name(&self) -> String {
        format!("{:?} {}", self.0, self.1)
    }
}

/// The octets of a row.
pub fn seal(key: &impl RowKey, row: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    let mut octets = postcard::to_stdvec(row).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
    let sum = crc32c::crc32c_append(key.sum(), &octets);
    octets.extend_from_slice(&sum.to_le_bytes());
    Ok(octets)
}

/// What a row of this table says; an error that names it if its octets are not those written.
pub fn unseal<'a, T: Deserialize<'a>>(table: &str, key: &impl RowKey, octets: &'a [u8]) -> Result<T, redb::Error> {
    let damaged = || damaged(table, key.name());
    let (row, sum) =
        octets.len().checked_sub(SUM_BYTES).and_then(|at| octets.split_at_checked(at)).ok_or_else(damaged)?;
    if crc32c::crc32c_append(key.sum(), row).to_le_bytes() != sum {
        return Err(damaged());
    }
    postcard::from_bytes(row).map_err(|_| damaged())
}

/// What is said of a row that is not as it was written.
pub fn damaged(table: &str, row: impl Display) -> redb::Error {
    redb::Error::Corrupted(format!("row {row} of {table} is not what was written; restore a copy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_row_is_found_and_the_row_is_named() {
        let key = ("client", 7_u64);
        let sealed = seal(&key, &(300_u32, "payload")).unwrap();
        assert_eq!(unseal::<(u32, &str)>("queue", &key, &sealed).unwrap(), (300, "payload"));
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let told = unseal::<(u32, &str)>("queue", &key, &other).unwrap_err().to_string();
            assert!(told.contains(r#"row "client" 7 of queue"#), "{told}");
        }
    }

    #[test]
    fn a_row_under_another_key_is_not_taken_for_it() {
        let sealed = seal(&("a", "bc"), &1_u8).unwrap();
        assert!(unseal::<u8>("t", &("a", "bc"), &sealed).is_ok());
        assert!(unseal::<u8>("t", &("ab", "c"), &sealed).is_err());
        assert!(unseal::<u8>("t", &"a", &sealed).is_err());
    }

    #[test]
    fn a_row_too_short_for_a_checksum_is_damage() {
        assert!(unseal::<u8>("t", &1_u64, &[1, 2]).is_err());
    }
}
