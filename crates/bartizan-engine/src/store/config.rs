//! Where the store is, what `committed` means there, and how large its parts grow.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::durable::Durability as Promise;
use serde::{Deserialize, Serialize};

use super::port::StoreError;

/// What has happened to a batch by the time it counts as committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// It is on the disk (`fdatasync`): it outlives a power cut.
    #[default]
    Fsync,
    /// It is with the operating system, and on the disk within so many milliseconds: it
    /// outlives the process; a power cut may take the last interval.
    Interval(u32),
    /// It is with the operating system, which writes it when it likes.
    Os,
}

/// Settings of the embedded store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Its directory; made with mode 0700 if missing.
    pub path: PathBuf,
    /// Number of lanes: one per shard.
    pub lanes: usize,
    /// What `committed` means.
    #[serde(default)]
    pub durability: Durability,
    /// Time until what nobody waits for, or only under `interval`, is on the disk.
    #[serde(default = "default_interval_ms")]
    pub interval_ms: u32,
    /// Size to which a log segment is preallocated. Three are kept: in use, spare, reserve.
    #[serde(default = "default_segment_bytes")]
    pub segment_bytes: u64,
    /// A checkpoint is taken after so much log.
    #[serde(default = "default_checkpoint_bytes")]
    pub checkpoint_bytes: u64,
    /// And at the latest after so long, if anything changed.
    #[serde(default = "default_checkpoint_interval_s")]
    pub checkpoint_interval_s: u32,
    /// The disk counts as full when less than this is free beyond what the next checkpoints need.
    #[serde(default = "default_free_bytes_min")]
    pub free_bytes_min: u64,
    /// Submitted and not yet committed: above it `space` is `Busy`.
    #[serde(default = "default_backlog_bytes_max")]
    pub backlog_bytes_max: usize,
    /// Memory the index may use to cache its pages.
    #[serde(default = "default_cache_bytes")]
    pub cache_bytes: usize,
}

/// A segment is never smaller.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
const MIB: u64 = 1024 * 1024;

fn default_interval_ms() -> u32 {
    100
}

fn default_segment_bytes() -> u64 {
    16 * MIB
}

fn default_checkpoint_bytes() -> u64 {
    64 * MIB
}

fn default_checkpoint_interval_s() -> u32 {
    60
}

fn default_free_bytes_min() -> u64 {
    64 * MIB
}

fn default_backlog_bytes_max() -> usize {
    64 * 1024 * 1024
}

fn default_cache_bytes() -> usize {
    16 * 1024 * 1024
}

impl From<Durability> for Promise {
    fn from(durability: Durability) -> Promise {
        match durability {
            Durability::Fsync => Promise::Fsync,
            Durability::Interval(_) => Promise::Interval,
            Durability::Os => Promise::Os,
        }
    }
}

impl StoreConfig {
    /// The defaults, in this directory.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>, lanes: usize) -> StoreConfig {
        StoreConfig {
            path: path.into(),
            lanes,
            durability: Durability::default(),
            interval_ms: default_interval_ms(),
            segment_bytes: default_segment_bytes(),
            checkpoint_bytes: default_checkpoint_bytes(),
            checkpoint_interval_s: default_checkpoint_interval_s(),
            free_bytes_min: default_free_bytes_min(),
            backlog_bytes_max: default_backlog_bytes_max(),
            cache_bytes: default_cache_bytes(),
        }
    }

    /// How long what is written may wait for the disk, where that is bounded.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let ms = match self.durability {
            Durability::Interval(ms) => ms,
            Durability::Fsync | Durability::Os => self.interval_ms,
        };
        Duration::from_millis(ms.into())
    }

    /// Refuses settings that could not work.
    ///
    /// # Errors
    /// Names the setting.
    pub fn validate(&self) -> Result<(), StoreError> {
        let refuse = |setting, reason| Err(StoreError::Config { setting, reason });
        if self.lanes == 0 {
            return refuse("lanes", "there must be one at least");
        }
        if self.segment_bytes < SEGMENT_BYTES_MIN {
            return refuse("segment_bytes", "must be 65536 at least");
        }
        if self.checkpoint_bytes < self.segment_bytes {
            return refuse("checkpoint_bytes", "must not be below segment_bytes");
        }
        if self.checkpoint_interval_s == 0 {
            return refuse("checkpoint_interval_s", "must be 1 at least");
        }
        if self.durability == Durability::Interval(0) {
            return refuse("durability", "an interval of 0 ms is `fsync`");
        }
        Ok(())
    }
}
