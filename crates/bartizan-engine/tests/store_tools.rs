//! `check`, `export`, `import` and `compact` on stores as a broker leaves them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

mod store_scene;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bartizan_core::message::Time;
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions};
use bartizan_engine::store::tools::StoreTool;
use bartizan_engine::store::{Loaded, Mutation, StoreError};
use store_scene::*;

/// One of everything, and more than one of what may be shared.
fn everything() -> Vec<Mutation> {
    let (shared, will) = (message("a/b", b"shared"), message("will/c", &[0, 255, 128]));
    let id = |n| PacketId::new(n).unwrap();
    let options =
        SubscriptionOptions { qos: QoS::ExactlyOnce, no_local: true, retain_as_published: true, retain_handling: 2 };
    let mut made = vec![session("c"), session("d")];
    made.push(Mutation::SubscriptionPut {
        client_id: "c".into(),
        filter: "$share/g/a/#".into(),
        options,
        subscription_id: Some(7),
    });
    for (client, seq) in [("c", 1), ("c", 2), ("d", 1)] {
        made.push(enqueue(client, seq, &shared));
    }
    made.push(enqueue("d", 2, &message("a/c", b"alone")));
    made.push(Mutation::Assign { client_id: "c".into(), seq: 1, packet_id: id(9) });
    made.push(Mutation::Released { client_id: "c".into(), seq: 1 });
    made.push(Mutation::ReceivedPut { client_id: "c".into(), packet_id: id(300) });
    made.push(Mutation::RetainedPut { message: shared });
    made.push(Mutation::WillPut { client_id: "c".into(), due: Some(Time(5)), will, delay_s: 30 });
    made
}

/// A closed store; with `checkpoint`, part of it in the index.
fn made(dir: &Path, checkpoint: bool) -> Vec<Loaded> {
    let store = opened(log_only(dir));
    commit(&store, everything());
    drop(store);
    if checkpoint {
        // The checkpoint at a start takes over what the log says.
        let store = opened(log_only(dir));
        commit(&store, vec![enqueue("c", 3, &message("later", b"in the log"))]);
        until("a checkpoint", || segments(dir).len() == 1);
        drop(store);
    }
    contents(&opened(log_only(dir)))
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "wal")).collect()
}

fn export(dir: &Path) -> String {
    let file = dir.with_extension("jsonl");
    StoreTool::at(dir).export(&file).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::read_to_string(file).unwrap()
}

#[test]
fn what_is_exported_and_imported_is_what_was_there() {
    for checkpoint in [false, true] {
        let parent = tempfile::tempdir().unwrap();
        let (from, to) = (parent.path().join("from"), parent.path().join("to"));
        let before = made(&from, checkpoint);
        let file = parent.path().join("export");
        let out = StoreTool::at(&from).export(&file).unwrap();
        let tool = StoreTool::at(&to);
        assert_eq!(tool.import(&file).unwrap(), out);
        let (_, done, of) = tool.progress().get();
        assert_eq!((done, of), (file.metadata().unwrap().len(), file.metadata().unwrap().len()));
        assert_eq!((out.sessions, out.subscriptions, out.received, out.retained, out.wills), (2, 1, 1, 1, 1));
        assert_eq!(out.queued, 4 + u64::from(checkpoint));
        assert_eq!(out.messages, 3 + u64::from(checkpoint), "a shared message goes out once");
        assert!(contents(&opened(log_only(&to))) == before);
        assert_eq!(contents(&opened(log_only(&from))), before, "and the first store is as it was");
        let left: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}

#[test]
fn an_export_that_is_not_whole_imports_nothing_and_names_the_line() {
    let parent = tempfile::tempdir().unwrap();
    made(&parent.path().join("from"), true);
    let text = export(&parent.path().join("from"));
    let lines: Vec<&str> = text.lines().collect();
    let without =
        |n: usize| lines.iter().enumerate().filter(move |(at, _)| *at != n).map(|(_, line)| format!("{line}\n"));
    let at = |word: &str| lines.iter().position(|line| line.contains(word)).unwrap();
    let mut cases: BTreeMap<&str, String> = BTreeMap::new();
    cases.insert("without its last line", without(lines.len() - 1).collect());
    cases.insert("`store` is the first line", without(0).collect());
    cases.insert("are not those that were written", text.replace("\"delay_s\":30", "\"delay_s\":31"));
    cases.insert("there is no message", without(at("{\"message\":{")).collect());
    cases.insert("has no Session above", without(at("{\"session\":{")).collect());
    cases.insert("a second Session", text.replacen(lines[1], &[lines[1], lines[1]].join("\n"), 1));
    cases.insert("something behind `end`", format!("{text}{}\n", lines[1]));
    cases.insert("expected", text[..text.len() / 2].to_owned());
    cases.insert("unknown variant", text.replace("\"retained\"", "\"other\""));
    for (said, text) in cases {
        let (file, to) = (parent.path().join("bad"), parent.path().join("to"));
        fs::write(&file, text).unwrap();
        let error = StoreTool::at(&to).import(&file).unwrap_err().to_string();
        let said = if said == "expected" { "line" } else { said };
        assert!(error.contains(said) && error.contains("nothing was imported"), "{said}: {error}");
        assert!(!to.exists() && !parent.path().join("to.importing").exists(), "{said}");
    }
}

#[test]
fn a_later_format_of_an_export_is_not_guessed_at() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "{\"store\":{\"format\":2}}\n{\"end\":{\"lines\":1,\"crc32c\":0}}\n").unwrap();
    let error = StoreTool::at(&parent.path().join("to")).import(&file).unwrap_err();
    assert!(matches!(error, StoreError::Format { found: 2, supported: 1, .. }), "{error}");
}

#[test]
fn import_takes_the_place_of_an_empty_store_and_of_no_other() {
    let parent = tempfile::tempdir().unwrap();
    let (from, to) = (parent.path().join("from"), parent.path().join("to"));
    let before = made(&from, false);
    export(&from);
    let file = from.with_extension("jsonl");
    drop(opened(log_only(&to)));
    StoreTool::at(&to).import(&file).unwrap();
    assert!(contents(&opened(log_only(&to))) == before);
    let error = StoreTool::at(&to).import(&file).unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
    assert!(contents(&opened(log_only(&to))) == before);
}

#[test]
fn a_store_in_use_is_left_alone_and_its_user_named() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    let _store = opened(log_only(&dir));
    let tool = StoreTool::at(&dir);
    let nowhere = parent.path().join("file");
    let errors = [
        tool.check().map(drop).unwrap_err(),
        tool.export(&nowhere).map(drop).unwrap_err(),
        tool.compact().map(drop).unwrap_err(),
        tool.import(&nowhere).map(drop).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    }
    assert!(!nowhere.exists());
}

#[test]
fn where_no_store_is_none_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let tool = StoreTool::at(parent.path());
    let errors = [tool.check().map(drop).unwrap_err(), tool.compact().map(drop).unwrap_err()];
    for error in errors {
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn check_counts_what_is_there_and_changes_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    made(&dir, true);
    let log: Vec<_> = segments(&dir).iter().map(|path| fs::read(path).unwrap()).collect();
    for _ in 0..2 {
        let report = StoreTool::at(&dir).check().unwrap();
        assert_eq!(report.damage, []);
        assert_eq!((report.sessions, report.subscriptions, report.queued, report.in_flight), (2, 1, 4, 1));
        assert_eq!((report.received, report.retained, report.wills, report.messages), (1, 1, 1, 4));
        assert!(report.index_bytes > 0 && !report.segments.is_empty());
    }
    assert_eq!(segments(&dir).iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), log);
}

#[test]
fn check_names_every_damaged_group_and_goes_on_behind_it() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    let store = opened(log_only(&dir));
    for seq in 1..=8 {
        commit(&store, vec![enqueue("c", seq, &message("a", &[7; 100]))]);
    }
    drop(store);
    let segment = segments(&dir).pop().unwrap();
    let mut octets = fs::read(&segment).unwrap();
    let frames: Vec<_> = (0..octets.len()).step_by(8).filter(|at| octets[*at..].starts_with(b"grp1")).collect();
    for n in [1, 4] {
        octets[frames[n] + 50] ^= 1;
    }
    fs::write(&segment, &octets).unwrap();
    let report = StoreTool::at(&dir).check().unwrap();
    let places: Vec<_> = report.damage.iter().map(|damage| (damage.file.clone(), damage.offset)).collect();
    assert_eq!(places, [(segment.clone(), Some(frames[1] as u64)), (segment, Some(frames[4] as u64))]);
    assert_eq!(report.segments[0].groups, 6);
}

#[test]
fn a_torn_tail_is_told_and_is_no_damage() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    made(&dir, false);
    let store = opened(log_only(&dir));
    commit(&store, vec![session("e")]);
    commit(&store, vec![session("f")]);
    drop(store);
    let segment = segments(&dir).into_iter().max().unwrap();
    let mut octets = fs::read(&segment).unwrap();
    let last = (0..octets.len()).step_by(8).rfind(|at| octets[*at..].starts_with(b"grp1")).unwrap();
    octets[last + 40] ^= 1;
    fs::write(&segment, &octets).unwrap();
    let report = StoreTool::at(&dir).check().unwrap();
    assert_eq!(report.damage, []);
    assert_eq!(report.segments.last().unwrap().torn_tail_at, Some(last as u64));
    assert_eq!(fs::read(&segment).unwrap(), octets, "check only looks");
}

/// A store whose contents are all in the index.
fn indexed(dir: &Path) -> Vec<Loaded> {
    let store = opened(small(dir));
    commit(&store, everything());
    for seq in 100..400 {
        commit(&store, vec![enqueue("d", seq, &message("fill", &vec![seq as u8; 300]))]);
    }
    drop(store);
    let store = opened(log_only(dir));
    let found = contents(&store);
    until("a checkpoint", || segments(dir).len() == 1);
    drop(store);
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn load_all(dir: &Path) -> Result<Vec<Loaded>, StoreError> {
    let store = bartizan_engine::store::open(log_only(dir), std::sync::Arc::new(|_| {}))?;
    let mut found = Vec::new();
    store.load(&mut |loaded| found.push(loaded))?;
    Ok(found)
}

#[test]
fn a_flipped_bit_anywhere_in_the_index_is_told_or_does_not_matter() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    let before = indexed(&whole);
    let octets = fs::read(whole.join("index.redb")).unwrap();
    let (mut told, mut named) = (0, 0);
    for n in 0..160_u64 {
        // Spread over the file, wherever something is written.
        let mut at = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 13) as usize % octets.len();
        while octets[at] == 0 {
            at = (at + 1) % octets.len();
        }
        let dir = parent.path().join(format!("flipped-{n}"));
        copy(&whole, &dir);
        let mut other = octets.clone();
        other[at] ^= 1 << (n % 8);
        fs::write(dir.join("index.redb"), other).unwrap();
        match load_all(&dir) {
            Ok(found) => assert!(found == before, "a flip at {at} changed what is there, in silence"),
            Err(error) => {
                told += 1;
                named += usize::from(error.to_string().contains("row "));
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(told > 20 && named > 10, "{told} told, {named} of them by row");
}

#[test]
fn check_finds_the_damaged_row_of_the_index() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    indexed(&dir);
    let index = dir.join("index.redb");
    let mut octets = fs::read(&index).unwrap();
    let places: Vec<_> = (0..octets.len() - 5).filter(|at| octets[*at..].starts_with(b"alone")).collect();
    for at in places {
        octets[at] ^= 1;
    }
    fs::write(&index, octets).unwrap();
    let report = StoreTool::at(&dir).check().unwrap();
    assert_eq!(report.damage.len(), 1, "{:?}", report.damage);
    assert_eq!(report.damage[0].file, index);
    assert!(report.damage[0].what.contains("of bodies is not what was written"), "{:?}", report.damage);
    let error = StoreTool::at(&dir).export(&parent.path().join("file")).unwrap_err();
    assert!(error.to_string().contains("of bodies"), "{error}");
}

#[test]
fn compacting_gives_room_back_and_keeps_everything() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    let store = opened(small(&dir));
    for seq in 1..=200 {
        commit(&store, vec![enqueue("c", seq, &message("a", &vec![7; 20_000]))]);
    }
    drop(store);
    let store = opened(small(&dir));
    commit(&store, (2..=200).map(|seq| dequeue("c", seq)).collect());
    drop(store);
    let before = contents(&opened(small(&dir)));
    let compacted = StoreTool::at(&dir).compact().unwrap();
    assert!(compacted.bytes_after < compacted.bytes_before / 2, "{compacted:?}");
    assert!(contents(&opened(small(&dir))) == before);
}
