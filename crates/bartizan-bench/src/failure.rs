//! Why a run did not come about, and with which code the command then ends.

use std::io;

/// Nothing was measured, or it cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The broker refused, closed, or did what MQTT does not allow: exit code 1.
    #[error("{0}")]
    Broker(String),
    /// The system refused: exit code 1.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Failure {
    /// The exit code of the command.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        if matches!(self, Failure::Usage(_)) { 2 } else { 1 }
    }

    /// Puts what was tried before what the system said.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let what = what.into();
        move |source| Failure::System { what, source }
    }
}
