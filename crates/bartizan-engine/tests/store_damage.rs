//! What the embedded store does with files that are not as it left them, and with a second opener.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)] // tests

mod store_scene;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bartizan_engine::store::{Durability, StoreError};
use store_scene::*;

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "wal")).collect();
    found.sort();
    found
}

/// The places in a segment where frames start.
fn frames(segment: &Path) -> Vec<usize> {
    let octets = fs::read(segment).unwrap();
    (0..octets.len()).step_by(8).filter(|at| octets[*at..].starts_with(b"grp1")).collect()
}

fn overwrite(path: &Path, at: usize, octets: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(octets, at as u64).unwrap();
}

fn flip(path: &Path, at: usize) {
    let octet = fs::read(path).unwrap()[at];
    overwrite(path, at, &[octet ^ 0x10]);
}

/// A closed store whose log is `groups` frames of about `bytes`, not yet in the index.
fn written(dir: &Path, groups: u64, bytes: usize, durability: Durability) {
    let store = opened(with(durability, log_only(dir)));
    for seq in 1..=groups {
        commit(&store, vec![enqueue("c", seq, &message("a", &vec![7; bytes]))]);
    }
}

fn seqs_after_reopening(dir: &Path) -> Vec<u64> {
    let store = opened(log_only(dir));
    queued(&contents(&store)).into_iter().map(|(_, seq)| seq).collect()
}

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 5, 100, Durability::Fsync);
    let segment = segments(dir.path()).pop().unwrap();
    let whole = fs::read(&segment).unwrap();
    let last = *frames(&segment).last().unwrap();
    for torn_at in [0, 1, 4, 8, 20, 31, 32, 33, 100, 150] {
        // As the index is at group 0 in each round, so must the rest of the directory be.
        let round = tempfile::tempdir().unwrap();
        for file in ["index.redb", "spare"] {
            fs::copy(dir.path().join(file), round.path().join(file)).unwrap();
        }
        let segment = round.path().join(segment.file_name().unwrap());
        fs::write(&segment, &whole).unwrap();
        overwrite(&segment, last + torn_at, &vec![0; whole.len() - last - torn_at]);
        assert_eq!(seqs_after_reopening(round.path()), [1, 2, 3, 4], "torn at {torn_at}");
        // And it goes on from there.
        let store = opened(log_only(round.path()));
        commit(&store, vec![enqueue("c", 9, &message("a", b""))]);
        drop(store);
        assert_eq!(seqs_after_reopening(round.path()), [1, 2, 3, 4, 9], "torn at {torn_at}");
    }
}

#[test]
fn an_unreadable_group_before_the_tail_is_told_and_not_skipped() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 5, 100, Durability::Fsync);
    let segment = segments(dir.path()).pop().unwrap();
    let places = frames(&segment);
    for (damaged, at) in [(places[1], places[1] + 50), (places[2], places[2] + 9), (places[0], places[0])] {
        flip(&segment, at);
        for _ in 0..2 {
            let StoreError::Corrupt { path, offset, .. } = refused(log_only(dir.path())) else { panic!() };
            assert_eq!((path, offset), (segment.clone(), damaged as u64));
        }
        flip(&segment, at);
    }
    assert_eq!(seqs_after_reopening(dir.path()), [1, 2, 3, 4, 5]);
}

#[test]
fn a_sector_of_zeros_before_the_tail_is_damage_too() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 5, 2_000, Durability::Fsync);
    let segment = segments(dir.path()).pop().unwrap();
    let second = frames(&segment)[1];
    overwrite(&segment, second, &[0; 512]);
    let StoreError::Corrupt { offset, .. } = refused(log_only(dir.path())) else { panic!() };
    assert_eq!(offset, second as u64);
}

#[test]
fn what_was_never_promised_may_be_lost_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 5, 100, Durability::Os);
    let segment = segments(dir.path()).pop().unwrap();
    // A power cut may keep later groups and lose earlier ones, none of them having been synced.
    let third = frames(&segment)[2];
    flip(&segment, third + 40);
    assert_eq!(seqs_after_reopening(dir.path()), [1, 2]);
}

#[test]
fn a_payload_that_looks_like_a_frame_is_none() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 2, 100, Durability::Fsync);
    let imitation = fs::read(segments(dir.path()).pop().unwrap()).unwrap();
    let other = tempfile::tempdir().unwrap();
    let store = opened(log_only(other.path()));
    // Every alignment, so that one of them falls where frames may start.
    for shift in 0..8 {
        let payload = [&vec![0; shift][..], &imitation[..2_000]].concat();
        commit(&store, vec![enqueue("c", shift as u64, &message("a", &payload))]);
    }
    drop(store);
    let segment = segments(other.path()).pop().unwrap();
    let octets = fs::read(&segment).unwrap();
    let torn = (0..octets.len()).rfind(|at| octets[*at..].starts_with(b"grp1")).unwrap();
    flip(&segment, torn + 1);
    assert!(matches!(open_again(other.path()), Ok(7 | 8)));
}

fn open_again(dir: &Path) -> Result<usize, StoreError> {
    let store = bartizan_engine::store::open(log_only(dir), std::sync::Arc::new(|_| {}))?;
    Ok(queued(&contents(&store)).len())
}

#[test]
fn damage_and_gaps_in_older_segments_are_told() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 40, 8_000, Durability::Fsync);
    let all = segments(dir.path());
    assert!(all.len() >= 4, "{all:?}");

    let last_of_first = *frames(&all[0]).last().unwrap();
    flip(&all[0], last_of_first + 40);
    let StoreError::Corrupt { path, offset, .. } = refused(log_only(dir.path())) else { panic!() };
    assert_eq!((&path, offset), (&all[0], last_of_first as u64));
    flip(&all[0], last_of_first + 40);

    flip(&all[2], 17);
    let StoreError::Corrupt { path, offset: 0, .. } = refused(log_only(dir.path())) else { panic!() };
    assert_eq!(path, all[2]);
    flip(&all[2], 17);

    for missing in [0, 1] {
        let aside = dir.path().join("aside");
        fs::rename(&all[missing], &aside).unwrap();
        assert!(matches!(refused(log_only(dir.path())), StoreError::Corrupt { .. }));
        fs::rename(&aside, &all[missing]).unwrap();
    }
    assert_eq!(seqs_after_reopening(dir.path()), (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_later_format_is_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 1, 10, Durability::Fsync);
    let segment = segments(dir.path()).pop().unwrap();
    let mut header = fs::read(&segment).unwrap()[..24].to_vec();
    header[8] = 2;
    overwrite(&segment, 0, &header);
    overwrite(&segment, 24, &crc32c::crc32c(&header).to_le_bytes());
    let StoreError::Format { found: 2, supported: 1, .. } = refused(log_only(dir.path())) else { panic!() };
}

#[test]
fn a_damaged_index_is_told() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 1, 10, Durability::Fsync);
    overwrite(&dir.path().join("index.redb"), 0, &[0x5A; 512]);
    let StoreError::Index { path, .. } = refused(log_only(dir.path())) else { panic!() };
    assert!(path.ends_with("index.redb"));
}

#[test]
fn one_store_has_one_opener() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(log_only(dir.path()));
    let error = refused(log_only(dir.path()));
    assert!(matches!(error, StoreError::InUse { .. }));
    assert!(error.to_string().contains(&format!("in use by process {}", std::process::id())), "{error}");
    drop(store);
    opened(log_only(dir.path()));
}

#[test]
fn nobody_else_may_read_it() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("new").join("store");
    written(&dir, 3, 10, Durability::Fsync);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}

#[test]
fn a_setting_that_cannot_work_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = log_only(dir.path());
    config.segment_bytes = 1;
    assert!(refused(config).to_string().contains("segment_bytes"));
    let config = with(Durability::Interval(0), log_only(dir.path()));
    assert!(refused(config).to_string().contains("durability"));
}

#[test]
fn what_an_interrupted_process_was_making_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["spare.new", "large", "large.new", "reserve.new"] {
        fs::write(dir.path().join(name), b"half").unwrap();
    }
    // A spare of other settings does not stay in the way.
    fs::write(dir.path().join("spare"), vec![0; 100]).unwrap();
    written(dir.path(), 40, 8_000, Durability::Fsync);
    assert_eq!(seqs_after_reopening(dir.path()).len(), 40);
    for name in ["spare.new", "large", "large.new", "reserve.new"] {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
}
