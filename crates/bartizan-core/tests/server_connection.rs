//! The corpus of the fuzz target `connection`, and a stretch of what fuzzing would try.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]
#![allow(clippy::print_stdout, reason = "what runs is shown when it fails")]

mod connection_checks;
mod server_world;

use connection_checks::check_connection;
use proptest::prelude::*;
use server_world::Dice;

#[test]
fn nothing_in_the_corpus_harms_the_neighbour() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/connection");
    let mut inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 10);
    for input in inputs {
        println!("{}", input.display());
        check_connection(&std::fs::read(input).unwrap());
    }
}

/// Records of a script: a step, what it asks for, and packets that nearly are ones.
fn script(dice: &mut Dice) -> Vec<u8> {
    let mut octets = vec![u8::try_from(dice.below(2)).unwrap(), 5, 0];
    octets.extend((0..6).map(|_| u8::try_from(dice.below(256)).unwrap()));
    for _ in 0..dice.below(40) {
        let packet = packet(dice);
        octets.extend([u8::try_from(dice.below(12)).unwrap(), u8::try_from(dice.below(2)).unwrap()]);
        octets.push(u8::try_from(packet.len()).unwrap());
        octets.extend(packet);
    }
    octets
}

fn packet(dice: &mut Dice) -> Vec<u8> {
    const FIRST: [u8; 12] = [0x30, 0x32, 0x34, 0x3C, 0x33, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0];
    const BODY: [&[u8]; 9] = [
        b"\x00\x01w\x00\x05",
        b"\x00\x01w\x00\x05\x00x",
        b"\x00\x00\x00\x05\x03\x23\x00\x01x",
        b"\x00\x01w\x00\x06\x03\x23\x00\x01x",
        b"\x00\x05",
        b"\x00\x05\x00\x00\x01w\x02",
        b"\x00\x06\x00\x00\x01#\x01",
        b"\x00\x07\x00\x00\x0a$share/g/w\x02",
        b"",
    ];
    let body = BODY[dice.below(BODY.len())];
    let mut octets = vec![FIRST[dice.below(FIRST.len())], u8::try_from(body.len()).unwrap()];
    octets.extend(body);
    if dice.once_in(20) {
        let at = dice.below(octets.len());
        octets[at] = u8::try_from(dice.below(256)).unwrap();
    }
    octets
}

proptest! {
    // What fails is a seed or octets to be put into the corpus, not into a file of proptest's.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_script_harms_the_neighbour(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        for _ in 0..4 {
            check_connection(&script(&mut dice));
        }
    }

    #[test]
    fn no_octets_harm_the_neighbour(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        check_connection(&octets);
    }
}
