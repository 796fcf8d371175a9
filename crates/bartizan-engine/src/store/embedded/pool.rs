//! Segments that the index has taken over, kept to be written again.
//!
//! Their blocks have been written before, so a sync writes data alone; those of a file that is only
//! allocated must be entered into the file system's journal first, which a quarter of each sync goes to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::SPARE;

const PREFIX: &str = "free-";
/// A checkpoint's worth of them, with the default sizes.
const KEPT_MAX: usize = 4;

/// Keeps a segment, or removes it where enough are kept.
pub fn give(dir: &Path, segment: &Path, first_group: u64, size: u64) -> io::Result<()> {
    let is_whole = segment.metadata()?.len() == size;
    if is_whole && !dir.join(SPARE).exists() {
        fs::rename(segment, dir.join(SPARE))
    } else if is_whole && list(dir)?.len() < KEPT_MAX {
        fs::rename(segment, dir.join(format!("{PREFIX}{first_group:020}")))
    } else {
        fs::remove_file(segment)
    }
}

/// Makes one of this size the spare; false if there is none.
pub fn take(dir: &Path, size: u64) -> io::Result<bool> {
    for kept in list(dir)? {
        // Another size was made under other settings.
        if kept.metadata()?.len() == size {
            fs::rename(kept, dir.join(SPARE))?;
            return Ok(true);
        }
        fs::remove_file(kept)?;
    }
    Ok(false)
}

/// Removes all of them: somebody needs the room more.
pub fn clear(dir: &Path) -> io::Result<()> {
    list(dir)?.into_iter().try_for_each(fs::remove_file)
}

fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    let is_kept = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    paths.filter(|path| path.as_ref().map_or(true, is_kept)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(dir: &Path, group: u64, size: usize) -> PathBuf {
        let path = dir.join(format!("{group}.wal"));
        fs::write(&path, vec![1; size]).unwrap();
        path
    }

    #[test]
    fn so_many_are_kept_and_no_more_and_each_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        for group in 0..10 {
            give(dir.path(), &segment(dir.path(), group, 100), group, 100).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1 + KEPT_MAX);
        for _ in 0..KEPT_MAX {
            fs::remove_file(dir.path().join(SPARE)).unwrap();
            assert!(take(dir.path(), 100).unwrap() && dir.path().join(SPARE).exists());
        }
        fs::remove_file(dir.path().join(SPARE)).unwrap();
        assert!(!take(dir.path(), 100).unwrap());
    }

    #[test]
    fn another_size_is_not_kept_and_not_used() {
        let dir = tempfile::tempdir().unwrap();
        give(dir.path(), &segment(dir.path(), 1, 99), 1, 100).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        give(dir.path(), &segment(dir.path(), 1, 100), 1, 100).unwrap();
        give(dir.path(), &segment(dir.path(), 2, 100), 2, 100).unwrap();
        assert!(!take(dir.path(), 200).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn all_go_where_room_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        for group in 0..4 {
            give(dir.path(), &segment(dir.path(), group, 100), group, 100).unwrap();
        }
        clear(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the spare is not theirs");
    }
}
