//! What a person sees on standard error while a run goes on.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// One line per second, over itself on a terminal; nothing if quiet.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    terminal: bool,
    next: Instant,
    open_line: bool,
}

const EVERY: Duration = Duration::from_secs(1);

impl Progress {
    /// On standard error, unless `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Progress {
        let terminal = io::stderr().is_terminal();
        Progress { shown: !quiet, terminal, next: Instant::now() + EVERY, open_line: false }
    }

    /// True once a second.
    #[inline]
    pub fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + EVERY;
        self.shown
    }

    /// Clients are coming in.
    pub fn entering(&mut self, ready: usize, wanted: usize) {
        if self.is_due(Instant::now()) {
            self.tell(&format!("{ready} of {wanted} connected"));
        }
    }

    /// Shows this line now.
    pub fn tell(&mut self, line: &str) {
        if !self.shown {
            return;
        }
        // A closed standard error is no reason to stop measuring.
        let mut out = io::stderr().lock();
        let _ = if self.terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _ = out.flush();
        self.open_line = self.terminal;
    }

    /// Leaves the line that was written over.
    pub fn end(&mut self) {
        if self.open_line {
            let _ = writeln!(io::stderr().lock());
            self.open_line = false;
        }
    }
}
