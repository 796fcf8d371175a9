//! Seeds and past findings of the fuzz target `payload`, on the stable toolchain, and each of them cut and changed.

mod payload_checks;

use payload_checks::{check_payload, checks};

#[test]
fn the_fuzzers_corpus_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/payload");
    let checks = checks();
    let mut fitting = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is in the repository") {
        let seed = std::fs::read(entry.expect("an entry").path()).expect("a readable seed");
        fitting += check_payload(&checks, &seed);
        for at in 0..seed.len() {
            check_payload(&checks, &seed[..at]);
            for octet in [b'"', b'}', b'1', 0, 0xff] {
                let mut changed = seed.clone();
                changed[at] = octet;
                check_payload(&checks, &changed);
            }
        }
    }
    assert!(fitting >= 5, "seeds that fit: {fitting}");
}
