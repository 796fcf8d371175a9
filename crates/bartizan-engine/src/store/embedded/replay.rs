//! What the log says since the index's last checkpoint, read back at start.

use std::path::Path;

use super::index::Position;
use super::overlay::Overlay;
use super::record::{BodyId, RecordV1};
use super::segment::{Contents, failed, list};
use crate::store::port::StoreError;

/// The log's net effect, and where it goes on.
#[derive(Debug, Default)]
pub struct Replayed {
    /// What the index must still be told.
    pub overlay: Overlay,
    /// The next group to write.
    pub next_group: u64,
    /// The next body id to give.
    pub next_body: BodyId,
}

/// What becomes of a torn tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// It is cut: the log goes on in a new segment.
    Cut,
    /// It stays: somebody only looks.
    Leave,
}

/// Reads every segment that holds groups after `position`. What is unreadable, but for a torn
/// tail of the last one, is an error that names the place.
pub fn replay(dir: &Path, position: Position, tail: Tail) -> Result<Replayed, StoreError> {
    let segments = list(dir).map_err(|error| failed("list", dir, error))?;
    let mut replayed = Replayed { next_body: position.next_body, ..Replayed::default() };
    let mut expected = None;
    for (n, (first_group, path)) in segments.iter().enumerate() {
        let following = segments.get(n + 1).map(|(group, _)| *group);
        if following.is_some_and(|following| following <= position.group + 1) {
            continue;
        }
        let contents = Contents::read(path, *first_group)?;
        let is_gapless = match expected {
            None => *first_group <= position.group + 1,
            Some(expected) => *first_group == expected,
        };
        if !is_gapless {
            return Err(contents.damage(0, "a missing segment before the one"));
        }
        expected = Some(replayed.read(&contents, *first_group, following, (position, tail))?);
    }
    match expected {
        Some(next) if next <= position.group => Err(StoreError::Corrupt {
            path: segments.last().map_or_else(|| dir.to_owned(), |(_, path)| path.clone()),
            offset: 0,
            what: "a log that ends before the index's last checkpoint",
        }),
        next => Ok(Replayed { next_group: next.unwrap_or(position.group + 1), ..replayed }),
    }
}

impl Replayed {
    /// Applies one segment; returns the group that is to follow.
    fn read(
        &mut self,
        contents: &Contents,
        first_group: u64,
        following: Option<u64>,
        (position, tail): (Position, Tail),
    ) -> Result<u64, StoreError> {
        let (frames, end) = contents.frames();
        let next = first_group + frames.len() as u64;
        match following {
            Some(following) if following != next => {
                return Err(contents.damage(end, "an unreadable group"));
            }
            None if contents.is_damaged_at(end, next) => {
                return Err(contents.damage(end, "an unreadable group"));
            }
            Some(_) => {}
            // The rest was never promised, or never written; nothing is appended here again.
            None if tail == Tail::Cut => contents.cut(end)?,
            None => {}
        }
        for frame in frames.iter().filter(|frame| frame.group > position.group) {
            self.apply(frame.payload)
                .ok_or_else(|| contents.damage(end, "a record that cannot be, in a group before"))?;
        }
        Ok(next)
    }

    fn apply(&mut self, mut payload: &[u8]) -> Option<()> {
        while !payload.is_empty() {
            let (record, rest) = postcard::take_from_bytes::<RecordV1<'_>>(payload).ok()?;
            payload = rest;
            if let RecordV1::Body(id, body) = &record {
                self.overlay.hold(*id, body.message()?);
                self.next_body = self.next_body.max(id + 1);
            }
            self.overlay.apply(record);
        }
        Some(())
    }
}
