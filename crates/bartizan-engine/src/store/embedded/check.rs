//! `check`: reads the log and the index whole, and names every place that is not as written.
//!
//! A start stops at the first damage. Here the reading goes on behind it, so that one run tells
//! what a copy must bring back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use redb::ReadableTable;
use serde::Serialize;

use super::index::{BODY_ROWS, Position};
use super::load::{Found, Startup};
use super::record::BodyId;
use super::row::{damaged, unseal};
use super::segment::{Contents, HEADER_BYTES, failed, list};
use super::still::Still;
use crate::store::port::StoreError;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the names are those of the field
pub struct Report {
    pub sessions: u64,
    pub subscriptions: u64,
    pub queued: u64,
    pub in_flight: u64,
    pub received: u64,
    pub retained: u64,
    pub wills: u64,
    /// Messages that any of these hold, each once.
    pub messages: u64,
    pub segments: Vec<SegmentReport>,
    pub index_bytes: u64,
    /// Empty: the store is what was written.
    pub damage: Vec<Damage>,
}

/// One segment of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct SegmentReport {
    pub file: String,
    pub bytes: u64,
    pub groups: u64,
    /// The index has all of it: it goes with the next checkpoint.
    pub is_in_index: bool,
    /// Something was being written when the process died. It was never acknowledged; a start cuts it.
    pub torn_tail_at: Option<u64>,
}

/// A place that is not as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Damage {
    pub file: PathBuf,
    pub offset: Option<u64>,
    pub what: String,
}

impl From<StoreError> for Damage {
    fn from(error: StoreError) -> Damage {
        match error {
            StoreError::Corrupt { path, offset, what } => {
                Damage { file: path, offset: Some(offset), what: what.into() }
            }
            StoreError::Index { path, reason } => Damage { file: path, offset: None, what: reason },
            StoreError::Format { ref path, .. } | StoreError::Io { ref path, .. } => {
                Damage { file: path.clone(), offset: None, what: error.to_string() }
            }
            other => Damage { file: PathBuf::new(), offset: None, what: other.to_string() },
        }
    }
}

/// Checks the store in a directory. Nothing is changed but what every opening settles: a
/// transaction that a killed process left in the index.
///
/// # Errors
/// `Missing`, `InUse`, or the system refuses; damage is in the report.
pub fn check(dir: &Path, mut tell: impl FnMut(&'static str, u64, u64)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let still = match Still::without_log(dir) {
        Err(error @ (StoreError::Index { .. } | StoreError::Corrupt { .. } | StoreError::Format { .. })) => {
            report.damage.push(error.into());
            log(dir, None, &mut report, &mut tell)?;
            return Ok(report);
        }
        opened => opened?,
    };
    let position = still.position()?;
    log(dir, Some(position), &mut report, &mut tell)?;
    let is_log_whole = report.damage.is_empty();
    drop(still);
    // With the log merged in where it can be read, else the index alone.
    let still = if is_log_whole { Still::open(dir) } else { Still::without_log(dir) };
    match still {
        Ok(still) => index(still.startup(), still.rows(), is_log_whole, &mut report, &mut tell),
        Err(error) => report.damage.push(error.into()),
    }
    Ok(report)
}

fn log(
    dir: &Path,
    position: Option<Position>,
    report: &mut Report,
    tell: &mut impl FnMut(&'static str, u64, u64),
) -> Result<(), StoreError> {
    let segments = list(dir).map_err(|error| failed("list", dir, error))?;
    for (n, (first_group, path)) in segments.iter().enumerate() {
        tell("log segments", n as u64, segments.len() as u64);
        let following = segments.get(n + 1).map(|(group, _)| *group);
        let is_in_index =
            position.is_some_and(|position| following.is_some_and(|following| following <= position.group + 1));
        match Contents::read(path, *first_group) {
            Ok(contents) => segment(&contents, *first_group, (following, is_in_index), report),
            Err(error) => report.damage.push(error.into()),
        }
    }
    tell("log segments", segments.len() as u64, segments.len() as u64);
    Ok(())
}

/// One segment: its frames, and behind every unreadable place those that can be read again.
fn segment(contents: &Contents, first_group: u64, (following, is_in_index): (Option<u64>, bool), report: &mut Report) {
    let mut found = SegmentReport {
        file: contents.file_name(),
        bytes: contents.len() as u64,
        groups: 0,
        is_in_index,
        torn_tail_at: None,
    };
    let (mut at, mut expected) = (HEADER_BYTES, first_group);
    loop {
        let (groups, end) = contents.readable(at, expected);
        found.groups += groups;
        expected += groups;
        let is_short = following.is_some_and(|following| following != expected);
        if !is_short && !contents.is_damaged_at(end, expected) {
            found.torn_tail_at = (following.is_none() && contents.is_torn_at(end, expected)).then_some(end as u64);
            break;
        }
        report.damage.push(contents.damage(end, "an unreadable group").into());
        let Some(next) = contents.next_frame(end, expected) else { break };
        (at, expected) = next;
    }
    report.segments.push(found);
}

/// Every row of the index, merged with the log's, and every message that one refers to.
fn index(
    startup: &Startup,
    rows: u64,
    is_log_whole: bool,
    report: &mut Report,
    tell: &mut impl FnMut(&'static str, u64, u64),
) {
    report.index_bytes = startup.path.metadata().map_or(0, |found| found.len());
    let mut uses: HashMap<BodyId, u64> = HashMap::new();
    let mut damage = Vec::new();
    let mut done = 0;
    let walked = startup.guarded(|| {
        let mut bodies = startup.bodies()?;
        startup.walk(&mut |found| {
            done += 1;
            tell("rows", done.min(rows), rows);
            if let Some(body) = report.count(&found) {
                let seen = uses.entry(body).or_default();
                *seen += 1;
                // Each message once; the next one may be whole.
                if *seen == 1
                    && let Err(error) = bodies.message(body)
                {
                    damage.push(error);
                }
            }
            Ok(())
        })
    });
    report.messages = uses.len() as u64;
    report.damage.extend(walked.err().map(Damage::from));
    for error in damage {
        let told = startup.guarded(|| Err::<(), _>(error));
        report.damage.extend(told.err().map(Damage::from));
    }
    // The counts are of the index alone: the log may have added and taken away.
    if is_log_whole && startup.overlay.is_empty() && report.damage.is_empty() {
        report.damage.extend(counts(startup, &uses).err().map(Damage::from));
    }
}

/// How many rows refer to a message is written down as well: a wrong number would one day take
/// the message away from those that still need it.
fn counts(startup: &Startup, uses: &HashMap<BodyId, u64>) -> Result<(), StoreError> {
    startup.guarded(|| {
        let Some(table) = startup.table(BODY_ROWS)? else { return Ok(()) };
        for row in table.iter()? {
            let (id, count) = row?;
            let id = id.value();
            if unseal::<u64>("body_rows", &id, count.value())? != uses.get(&id).copied().unwrap_or_default() {
                return Err(damaged("body_rows", id));
            }
        }
        Ok(())
    })
}

impl Report {
    /// Counts one thing; the message that it refers to.
    fn count(&mut self, found: &Found) -> Option<BodyId> {
        match found {
            Found::Session(_) => self.sessions += 1,
            Found::Subscription { .. } => self.subscriptions += 1,
            Found::Queued { row, .. } => {
                match row.queued.packet_id {
                    Some(_) => self.in_flight += 1,
                    None => self.queued += 1,
                }
                return Some(row.queued.body);
            }
            Found::Received { .. } => self.received += 1,
            Found::Retained { body } => {
                self.retained += 1;
                return Some(*body);
            }
            Found::Will { row, .. } => {
                self.wills += 1;
                return Some(row.body);
            }
        }
        None
    }
}
