//! Every packet of every version survives being written and read; any octets at all do no harm.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod wire_checks;
mod wire_samples;

use bartizan_core::wire::{Packet, decode, encode, frame};
use proptest::prelude::*;
use wire_checks::{check_decode, check_properties, replay};
use wire_samples::sample;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_back(sample in sample()) {
        let packet = sample.packet();
        let mut octets = Vec::new();
        encode::packet(&mut octets, sample.version, &packet);
        let known = if matches!(packet, Packet::Connect(_)) { None } else { Some(sample.version) };
        for cut in 0..octets.len() {
            prop_assert_eq!(frame(&octets[..cut], u32::MAX).unwrap(), None);
        }
        let framed = frame(&octets, u32::MAX).unwrap().unwrap();
        prop_assert_eq!(decode(framed, sample.role, known).unwrap(), packet);
    }

    #[test]
    fn arbitrary_octets_do_no_harm(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        check_decode(&octets);
        check_properties(&octets);
    }
}

#[test]
fn the_fuzz_corpora_hold() {
    assert!(replay("decode", check_decode) >= 20);
    assert!(replay("properties", check_properties) >= 20);
}
