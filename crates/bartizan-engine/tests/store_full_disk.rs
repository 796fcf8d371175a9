//! A full disk, on a file system of a few MiB: nothing accepted is lost, and it passes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)] // tests

mod store_scene;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bartizan_engine::store::{Durability, Space, Store, StoreConfig};
use store_scene::*;

const DISK: &str = "12m";
const SEGMENT_BYTES: u64 = 256 * 1024;

/// A tmpfs, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None`, and the reason printed, where mounting is not permitted.
    fn mounted() -> Option<Disk> {
        let at = tempfile::tempdir().unwrap().keep();
        let options = format!("size={DISK}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        match mount {
            Ok(done) if done.status.success() => Some(Disk(at)),
            Ok(done) => skip(&at, &String::from_utf8_lossy(&done.stderr)),
            Err(error) => skip(&at, &error.to_string()),
        }
    }

    fn store(&self) -> StoreConfig {
        StoreConfig {
            segment_bytes: SEGMENT_BYTES,
            checkpoint_bytes: 4 * SEGMENT_BYTES,
            free_bytes_min: 12 * SEGMENT_BYTES,
            ..with(Durability::Os, StoreConfig::at(self.0.join("store"), 2))
        }
    }

    /// Takes all room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        path
    }
}

fn skip(at: &Path, reason: &str) -> Option<Disk> {
    println!("skipped: no file system could be mounted: {reason}");
    fs::remove_dir(at).unwrap();
    None
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
        fs::remove_dir(&self.0).unwrap();
    }
}

/// Queues messages as a shard does, asking for space before each; returns how many went in.
fn fill_with_messages(store: &Arc<dyn Store>, first: u64, payload_bytes: usize) -> u64 {
    let mut seq = first;
    while store.space() != Space::Full {
        assert!(seq < 100_000, "the disk does not fill");
        commit(store, vec![enqueue("c", seq, &message("a", &vec![seq as u8; payload_bytes]))]);
        seq += 1;
    }
    seq
}

#[test]
fn it_fills_keeps_everything_empties_and_goes_on() {
    let Some(disk) = Disk::mounted() else { return };
    let store = opened(disk.store());
    let end = fill_with_messages(&store, 1, 4_000);
    assert!(end > 500, "only {end}");

    // Acknowledgements still fit, however full it is.
    for seq in 1..=50 {
        commit(&store, vec![dequeue("c", seq)]);
    }
    drop(store);

    // A store that is full opens, and has everything.
    let store = opened(disk.store());
    let found = queued(&contents(&store));
    assert_eq!(found, (51..end).map(|seq| ("c".to_owned(), seq)).collect::<Vec<_>>());

    // It empties, and then accepts as much again.
    for seq in 51..end {
        commit(&store, vec![dequeue("c", seq)]);
    }
    let mut next = end;
    while next < end + end / 2 {
        // It may be full again for as long as a checkpoint takes to tell what has become free.
        wait_for_space(&store);
        next = fill_with_messages(&store, next, 4_000);
    }
}

#[test]
fn a_disk_filled_by_others_is_waited_for() {
    let Some(disk) = Disk::mounted() else { return };
    let store = opened(disk.store());
    commit(&store, vec![session("c")]);
    let filler = disk.fill();
    let end = fill_with_messages(&store, 1, 4_000);
    assert!(!store.committed(0).failed);
    // More than fits is accepted by nobody, but if it comes it is not acknowledged, nor lost.
    let big: Vec<_> =
        (end..end + 200).map(|seq| store.submit(0, vec![enqueue("c", seq, &message("a", &[9; 4_000]))])).collect();
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(!store.committed(0).failed);
    assert!(!store.committed(0).covers(*big.last().unwrap()));

    fs::remove_file(filler).unwrap();
    wait_for(&store, 0, *big.last().unwrap());
    wait_for_space(&store);
    drop(store);
    assert_eq!(queued(&contents(&opened(disk.store()))).len() as u64, end - 1 + 200);
}

#[test]
fn a_kill_on_a_full_disk_loses_nothing() {
    let Some(disk) = Disk::mounted() else { return };
    let store = opened(disk.store());
    // One is there before: the store may find the disk full as soon as it is.
    commit(&store, vec![session("c"), enqueue("c", 1, &message("a", b"first"))]);
    let filler = disk.fill();
    let end = fill_with_messages(&store, 2, 4_000);
    commit(&store, vec![dequeue("c", 1)]);
    // Closing writes nothing that a kill would not have left: the log is what counts.
    drop(store);
    let store = opened(disk.store());
    assert_eq!(queued(&contents(&store)).len() as u64, end - 2);
    fs::remove_file(filler).unwrap();
    wait_for_space(&store);
}
