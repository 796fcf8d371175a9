//! A store -> lines, in the order that `import` needs: what is referred to comes first.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use bartizan_core::message::Message;

use super::line::{FORMAT, Line, MessageLine, QueuedLine, SessionLine, SubscriptionLine};
use super::{Counts, Progress};
use crate::store::embedded::failed;
use crate::store::embedded::still::{Shared, Still};
use crate::store::port::{Loaded, StoreError};

/// Writes every line. The file is for its owner only: it holds what clients sent.
pub fn export(still: &Still, path: &Path, progress: &Progress) -> Result<Counts, StoreError> {
    let cannot = |error| failed("write", path, error);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(cannot)?;
    let mut out = Out { to: BufWriter::with_capacity(1 << 20, file), path, lines: 0, crc32c: 0 };
    let (mut counts, mut written, mut done) = (Counts::default(), HashSet::new(), 0);
    let rows = still.rows();
    out.line(&Line::Store { format: FORMAT })?;
    still.visit::<StoreError>(&mut |loaded, shared| {
        done += 1;
        if done % 512 == 0 {
            progress.tell("rows", done.min(rows), rows);
        }
        if let (Some(message), Some(Shared { id, uses })) = (message_of(&loaded), shared)
            && written.insert(id)
        {
            counts.messages += 1;
            out.line(&Line::Message(MessageLine::of(id, uses, message)))?;
        }
        match counts.line(loaded, shared.map_or(0, |shared| shared.id)) {
            Some(line) => out.line(&line),
            None => Ok(()),
        }
    })?;
    let (lines, crc32c) = (out.lines, out.crc32c);
    out.line(&Line::End { lines, crc32c })?;
    let file = out.to.into_inner().map_err(|error| cannot(error.into_error()))?;
    // A pipe or a terminal has nothing to sync.
    if file.metadata().map_err(cannot)?.is_file() {
        file.sync_all().map_err(cannot)?;
    }
    progress.tell("rows", rows, rows);
    Ok(counts)
}

fn message_of(loaded: &Loaded) -> Option<&Arc<Message>> {
    match loaded {
        Loaded::Queued { message, .. } | Loaded::Retained { message } => Some(message),
        Loaded::Will { will, .. } => Some(will),
        Loaded::Session(_) | Loaded::Subscription { .. } | Loaded::Waiting { .. } | Loaded::Received { .. } => None,
    }
}

impl Counts {
    /// The line of one thing, counted; none for a place without its message, which `visit` never gives.
    fn line(&mut self, loaded: Loaded, message: u64) -> Option<Line> {
        Some(match loaded {
            Loaded::Waiting { .. } => return None,
            Loaded::Session(record) => {
                self.sessions += 1;
                Line::Session(SessionLine::of(record))
            }
            Loaded::Subscription { client_id, filter, options, subscription_id } => {
                self.subscriptions += 1;
                Line::Subscription(SubscriptionLine::of(client_id, filter, options, subscription_id))
            }
            Loaded::Queued { client_id, seq, qos, retain, subscription_ids, packet_id, released, .. } => {
                self.queued += 1;
                let qos = qos as u8;
                Line::Queued(QueuedLine { client_id, seq, message, qos, retain, subscription_ids, packet_id, released })
            }
            Loaded::Received { client_id, packet_id } => {
                self.received += 1;
                Line::Received { client_id, packet_id }
            }
            Loaded::Retained { .. } => {
                self.retained += 1;
                Line::Retained { message }
            }
            Loaded::Will { client_id, due, delay_s, .. } => {
                self.wills += 1;
                Line::Will { client_id, message, due_ms: due.map(|at| at.0), delay_s }
            }
        })
    }
}

/// The file, with what `end` will say of it.
struct Out<'a, W: Write> {
    to: W,
    path: &'a Path,
    lines: u64,
    crc32c: u32,
}

impl<W: Write> Out<'_, W> {
    fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec(line).map_err(|error| failed("write", self.path, error.into()))?;
        text.push(b'\n');
        self.lines += 1;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &text);
        self.to.write_all(&text).map_err(|error| failed("write", self.path, error))
    }
}
