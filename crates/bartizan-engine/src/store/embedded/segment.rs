//! Log segments: preallocated files of frames.
//!
//! ```text
//! segment: magic 8 | format u32 | salt u32 | first group u64 | crc32c u32 | zero 4
//! frame:   magic 4 | payload length u32 | group u64 | synced u64 | crc32c u32 | zero 4 | payload
//! ```
//! Integers are little-endian, frames start at multiples of 8. A frame is one group of batches:
//! its checksum covers salt, header and payload, so a group is there whole or not at all, and a
//! payload that imitates a frame does not pass for one.
//!
//! `synced` is the last group known to be on the disk when the frame was written. It tells a
//! torn tail, which a power cut may leave and which promised nothing, from damage to what was
//! promised: if a readable frame says that the unreadable one was on the disk, it is damage.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::store::port::StoreError;

const SEGMENT_MAGIC: &[u8; 8] = b"BZTNWAL\n";
const FRAME_MAGIC: &[u8; 4] = b"grp1";
const FORMAT: u32 = 1;
/// Length of either header.
pub const HEADER_BYTES: usize = 32;
const SALT_OFFSET: u64 = 12;
const ALIGNMENT: usize = 8;

/// The segment being written.
pub struct Segment {
    file: File,
    /// Its file, for errors.
    pub path: PathBuf,
    /// The first group it has or will have.
    pub first_group: u64,
    salt: u32,
    end: u64,
    size: u64,
}

/// Makes a file of `size` zero octets, all of them allocated, under its name only once it is so.
pub fn allocate(dir: &Path, name: &str, size: u64) -> io::Result<()> {
    let unfinished = dir.join(format!("{name}.new"));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let allocated = fill(&file, size).and_then(|()| file.sync_all());
    drop(file);
    if let Err(error) = allocated {
        // What was taken must be given back: others need the room more.
        std::fs::remove_file(&unfinished)?;
        return Err(error);
    }
    std::fs::rename(&unfinished, dir.join(name))?;
    sync_dir(dir)
}

fn fill(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = vec![0; 64 * 1024];
            let mut at = 0;
            while at < size {
                let some = zeros.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
                file.write_all_at(zeros.get(..some).unwrap_or_default(), at)?;
                at += some as u64;
            }
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// What is free for this process where this directory is.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Makes renames and removals in a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The file name of the segment that begins with this group.
pub fn file_name(first_group: u64) -> String {
    format!("{first_group:020}.wal")
}

/// The segments in a directory by the group in their name, in order.
pub fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let group = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".wal")?.parse().ok());
        if let Some(group) = group {
            found.push((group, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Segment {
    /// Turns an allocated file into the segment that begins with `first_group`.
    pub fn begin(dir: &Path, allocated: &str, first_group: u64, salt: u32) -> io::Result<Segment> {
        let from = dir.join(allocated);
        let file = OpenOptions::new().read(true).write(true).open(&from)?;
        let size = file.metadata()?.len();
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(SEGMENT_MAGIC);
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&salt.to_le_bytes());
        header.extend_from_slice(&first_group.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        header.resize(HEADER_BYTES, 0);
        file.write_all_at(&header, 0)?;
        file.sync_data()?;
        let path = dir.join(file_name(first_group));
        std::fs::rename(&from, &path)?;
        sync_dir(dir)?;
        Ok(Segment { file, path, first_group, salt, end: HEADER_BYTES as u64, size })
    }

    /// True if a group with so long a payload fits.
    pub fn has_room(&self, payload_bytes: usize) -> bool {
        self.size.saturating_sub(self.end) >= (HEADER_BYTES + payload_bytes + ALIGNMENT) as u64
    }

    /// Writes one group. `frame` is `HEADER_BYTES` of anything, then the payload.
    pub fn append(&mut self, frame: &mut [u8], group: u64, synced: u64) -> io::Result<()> {
        let payload = u32::try_from(frame.len().saturating_sub(HEADER_BYTES))
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "a group is at most 4 GiB"))?;
        if self.size.saturating_sub(self.end) < frame.len() as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a group is longer than foreseen"));
        }
        let (header, body) = frame.split_at_mut_checked(HEADER_BYTES).unwrap_or_default();
        let mut fields = Vec::with_capacity(HEADER_BYTES);
        fields.extend_from_slice(FRAME_MAGIC);
        fields.extend_from_slice(&payload.to_le_bytes());
        fields.extend_from_slice(&group.to_le_bytes());
        fields.extend_from_slice(&synced.to_le_bytes());
        fields.extend_from_slice(&checksum(self.salt, &fields, body).to_le_bytes());
        fields.resize(HEADER_BYTES, 0);
        header.copy_from_slice(&fields);
        self.file.write_all_at(frame, self.end)?;
        self.end += frame.len().next_multiple_of(ALIGNMENT) as u64;
        Ok(())
    }

    /// Waits until everything written is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The same segment on another file, to see what a failing disk does.
    #[cfg(test)]
    pub fn put_on(&mut self, file: File) {
        self.file = file;
    }
}

fn checksum(salt: u32, fields: &[u8], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), fields);
    crc32c::crc32c_append(crc, payload)
}

/// A segment read back.
pub struct Contents {
    path: PathBuf,
    octets: Vec<u8>,
    salt: u32,
    first_group: u64,
}

/// A frame read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its group.
    pub group: u64,
    /// The last group known to be on the disk when it was written.
    pub synced: u64,
    /// Its records.
    pub payload: &'a [u8],
    /// Where the next frame starts.
    next: usize,
}

impl Contents {
    /// Reads a segment and checks its header, which was on the disk before its name was.
    pub fn read(path: &Path, first_group: u64) -> Result<Contents, StoreError> {
        let octets = std::fs::read(path).map_err(|error| failed("read", path, error))?;
        let contents = Contents { path: path.to_owned(), octets, salt: 0, first_group };
        let header = contents.octets.get(..HEADER_BYTES).unwrap_or_default();
        let format = number(header, 8).unwrap_or_default();
        let sum = number(header, 24).zip(header.get(..24));
        if header.get(..8) != Some(SEGMENT_MAGIC)
            || sum.is_none_or(|(sum, fields)| crc32c::crc32c(fields) != sum)
            || long(header, 16) != Some(first_group)
        {
            return Err(contents.damage(0, "an unreadable segment header"));
        }
        if format > FORMAT {
            let (path, found) = (contents.path, format);
            return Err(StoreError::Format { path, found, supported: FORMAT });
        }
        let salt = number(header, SALT_OFFSET as usize).unwrap_or_default();
        Ok(Contents { salt, ..contents })
    }

    /// The frames from the start to the first unreadable place, and that place.
    pub fn frames(&self) -> (Vec<Frame<'_>>, usize) {
        let mut frames = Vec::new();
        let end = self.each_frame(HEADER_BYTES, self.first_group, |frame| frames.push(frame));
        (frames, end)
    }

    /// Goes over the frames from `at`, the first of which is this group; where they end.
    fn each_frame<'a>(&'a self, mut at: usize, mut expected: u64, mut visit: impl FnMut(Frame<'a>)) -> usize {
        while let Some(frame) = self.frame_at(at).filter(|frame| frame.group == expected) {
            at = frame.next;
            expected += 1;
            visit(frame);
        }
        at
    }

    /// Says whether what is unreadable at `at` had been promised: group `missing` was on the disk.
    pub fn is_damaged_at(&self, at: usize, missing: u64) -> bool {
        (at..self.octets.len())
            .step_by(ALIGNMENT)
            .filter_map(|place| self.frame_at(place))
            .any(|later| later.group >= missing && later.synced >= missing)
    }

    /// How many groups can be read from `at` on, the first being `expected`, and where that ends.
    pub fn readable(&self, at: usize, expected: u64) -> (u64, usize) {
        let mut groups = 0;
        let end = self.each_frame(at, expected, |_| groups += 1);
        (groups, end)
    }

    /// The next place behind `at` where a group after `expected` can be read, and that group.
    pub fn next_frame(&self, at: usize, expected: u64) -> Option<(usize, u64)> {
        let places = (at..self.octets.len()).step_by(ALIGNMENT);
        places.filter_map(|place| Some((place, self.frame_at(place)?.group))).find(|(_, group)| *group > expected)
    }

    /// True if a group was being written here. What a segment held before it was written again has
    /// older groups, and is no tail of anything.
    pub fn is_torn_at(&self, at: usize, expected: u64) -> bool {
        let header = self.octets.get(at..).unwrap_or_default();
        header.get(..4) == Some(FRAME_MAGIC) && long(header, 8).is_some_and(|group| group >= expected)
    }

    /// Its length.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Its file, without the directory.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn frame_at(&self, at: usize) -> Option<Frame<'_>> {
        let header = self.octets.get(at..at.checked_add(HEADER_BYTES)?)?;
        if header.get(..4) != Some(FRAME_MAGIC) {
            return None;
        }
        let length = number(header, 4)? as usize;
        let start = at + HEADER_BYTES;
        let payload = self.octets.get(start..start.checked_add(length)?)?;
        if checksum(self.salt, header.get(..24)?, payload) != number(header, 24)? {
            return None;
        }
        let next = (start + length).next_multiple_of(ALIGNMENT);
        Some(Frame { group: long(header, 8)?, synced: long(header, 16)?, payload, next })
    }

    /// The error that names this segment and a place in it.
    pub fn damage(&self, at: usize, what: &'static str) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), offset: at as u64, what }
    }

    /// Cuts the file where its readable frames end.
    pub fn cut(&self, at: usize) -> Result<(), StoreError> {
        let cut = OpenOptions::new().write(true).open(&self.path).and_then(|file| {
            file.set_len(at as u64)?;
            file.sync_all()
        });
        cut.map_err(|error| failed("cut", &self.path, error))
    }
}

/// An error of the operating system, in terms of the store.
pub fn failed(doing: &'static str, path: &Path, error: io::Error) -> StoreError {
    StoreError::Io { doing, path: path.to_owned(), source: error.into() }
}

fn number(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

fn long(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}
