//! Seeds and past findings of the fuzz target `policy_image`, on the stable toolchain.

mod policy_checks;

use policy_checks::check_policy_image;

#[test]
fn the_fuzzers_corpus_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/policy_image");
    let (mut images, mut others) = (0, 0);
    for entry in std::fs::read_dir(corpus).expect("the corpus is in the repository") {
        let input = std::fs::read(entry.expect("an entry").path()).expect("a readable seed");
        if check_policy_image(&input) { images += 1 } else { others += 1 }
    }
    assert!(images >= 5, "seeds reach past the loader: {images}");
    assert!(others >= 5, "seeds that the loader refuses: {others}");
}

#[test]
fn an_image_cut_or_changed_anywhere_is_refused_or_still_sound() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/policy_image/press");
    let seed = std::fs::read(corpus).expect("the seed is in the repository");
    for at in 0..seed.len() {
        check_policy_image(&seed[..at]);
        for octet in [b'"', b'}', b'1', b'+', b'$', 0] {
            let mut changed = seed.clone();
            changed[at] = octet;
            check_policy_image(&changed);
        }
    }
}
