//! What a run says on standard output: one line of JSON, its fields stable within a schema.

use std::io::{self, Write};

use serde::Serialize;

use crate::flow::Tally;
use crate::process::Span;

/// The schema of these lines.
pub const SCHEMA: u32 = 1;

/// One run. `docs/reference/bench.md` says what each field means.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub schema: u32,
    pub scenario: String,
    pub label: String,
    pub mqtt: String,
    pub tls: Option<String>,
    pub publishers: usize,
    pub subscribers: usize,
    pub connections: usize,
    pub qos: Option<u8>,
    pub size: Option<usize>,
    pub window: Option<usize>,
    pub rate: Option<f64>,
    /// What `delivered` counts.
    pub unit: &'static str,
    pub messages: u64,
    pub delivered: u64,
    pub seconds: f64,
    pub per_s: f64,
    pub broker_cpu_s: Option<f64>,
    pub per_cpu_s: Option<f64>,
    pub generator_cpu_s: f64,
    pub total_messages: u64,
    pub total_delivered: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupt: u64,
    pub wrong_qos: u64,
    pub protocol_errors: u64,
    pub latency_us: Option<Latency>,
    pub ack_latency_us: Option<Latency>,
    pub memory: Option<Memory>,
    pub setup: Option<Setup>,
    pub resumed: Option<u64>,
    pub ok: bool,
    pub error: Option<String>,
}

/// A distribution, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Resident memory of the broker's processes, in octets.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    pub before_bytes: f64,
    pub after_bytes: f64,
    /// Connections, messages or Subscriptions between the two.
    pub count: u64,
    pub each_bytes: f64,
}

/// What was done before the measured interval, where that is a figure of its own.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Setup {
    /// What `count` counts.
    pub unit: &'static str,
    pub count: u64,
    pub seconds: f64,
    pub per_s: f64,
    pub broker_cpu_s: Option<f64>,
    pub per_cpu_s: Option<f64>,
}

impl Latency {
    /// Of a histogram in nanoseconds; `None` if it is empty.
    #[must_use]
    pub fn of(histogram: &hdrhistogram::Histogram<u64>) -> Option<Latency> {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Latency {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(histogram.max()),
        })
    }
}

impl Memory {
    /// `None` unless both were measured.
    #[must_use]
    pub fn between(before: Option<f64>, after: Option<f64>, count: u64) -> Option<Memory> {
        let (before_bytes, after_bytes) = (before?, after?);
        Some(Memory {
            before_bytes,
            after_bytes,
            count,
            each_bytes: (after_bytes - before_bytes) / count.max(1) as f64,
        })
    }
}

impl Setup {
    /// So many of `unit` in that time.
    #[must_use]
    pub fn of(unit: &'static str, count: u64, span: &Span) -> Setup {
        Setup {
            unit,
            count,
            seconds: span.seconds,
            per_s: per(count, span.seconds).unwrap_or(0.0),
            broker_cpu_s: span.broker_cpu_s,
            per_cpu_s: span.broker_cpu_s.and_then(|cpu| per(count, cpu)),
        }
    }
}

impl Report {
    /// Takes what went wrong, and with it whether the run counts.
    pub fn judge(&mut self, tally: &Tally, lost: u64, error: Option<String>) {
        self.total_messages = tally.published;
        self.total_delivered = tally.delivered;
        self.lost = lost;
        self.duplicated = tally.duplicated;
        self.reordered = tally.reordered;
        self.corrupt = tally.corrupt;
        self.wrong_qos = tally.wrong_qos;
        self.protocol_errors = tally.protocol_errors;
        self.ok = error.is_none() && lost == 0 && tally.is_sound();
        self.error = error;
    }

    /// Takes what was done in how long, and for how much of the broker's CPU.
    pub fn measure(&mut self, delivered: u64, span: &Span) {
        self.delivered = delivered;
        self.seconds = span.seconds;
        self.per_s = per(delivered, span.seconds).unwrap_or(0.0);
        self.broker_cpu_s = span.broker_cpu_s;
        self.per_cpu_s = span.broker_cpu_s.and_then(|cpu| per(delivered, cpu));
        self.generator_cpu_s = span.own_cpu_s;
    }

    /// Writes the line.
    pub fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, self)?;
        writeln!(out)?;
        out.flush()
    }
}

fn micros(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}

fn per(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}
