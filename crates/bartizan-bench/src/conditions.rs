//! What holds for a run whatever its scenario: which broker, how long, and whose CPU is counted.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process::Processes;
use crate::report::{Report, SCHEMA};
use crate::target::Target;

/// The conditions of a run.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// As the scenario is called.
    pub scenario: String,
    /// Whatever the caller wants to find again in the report.
    pub label: String,
    /// The broker.
    pub target: Target,
    /// Its processes.
    pub processes: Processes,
    /// Before anything is counted.
    pub warmup: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// How many messages, connections or the like end it earlier.
    pub messages: Option<u64>,
    /// Without any progress for so long the run has failed.
    pub stall: Duration,
    /// Tells this run's messages from those of any other.
    pub nonce: u64,
}

impl Conditions {
    /// A failure if nothing has moved since `moved` for too long.
    pub fn patience(&self, moved: Instant) -> Result<(), Failure> {
        if moved.elapsed() <= self.stall {
            return Ok(());
        }
        Err(Failure::Broker(format!("nothing arrived for {} s", self.stall.as_secs_f64())))
    }

    /// A report with what is known before the run.
    #[must_use]
    pub fn report(&self, unit: &'static str) -> Report {
        Report {
            schema: SCHEMA,
            scenario: self.scenario.clone(),
            label: self.label.clone(),
            mqtt: self.target.version_text().to_owned(),
            unit,
            ..Report::default()
        }
    }
}
