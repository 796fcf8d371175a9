//! A run of messages: warm-up, measured interval, drain, report.

use std::time::{Duration, Instant};

use mio::Events;

use crate::client::Introduction;
use crate::conditions::Conditions;
use crate::crowd::{Buffers, Crowd};
use crate::failure::Failure;
use crate::process::Span;
use crate::progress::Progress;
use crate::report::{Latency, Report};
use crate::scenario::Traffic;
use crate::traffic::exchange::Exchange;

/// The measured interval.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    span: Span,
    published: u64,
    delivered: u64,
}

/// The loop and what watches it.
struct Run<'a> {
    conditions: &'a Conditions,
    exchange: Exchange,
    progress: &'a mut Progress,
    events: Events,
    io: Buffers,
    /// Deliveries and acknowledgements at the last look, and when they last changed.
    seen: (u64, Instant),
    /// Deliveries when progress was last shown.
    shown: u64,
}

/// Runs it. Whatever goes wrong once clients are connected is in the report.
pub fn run(plan: &Traffic, conditions: &Conditions, progress: &mut Progress) -> Result<Report, Failure> {
    if plan.durable {
        forget(plan, conditions, progress)?;
    }
    let exchange = Exchange::open(plan, conditions, progress)?;
    let io = Buffers::new(exchange.layout.len());
    let events = Events::with_capacity(1024);
    let mut run = Run { conditions, exchange, progress, events, io, seen: (0, Instant::now()), shown: 0 };
    let mut measured = Measured::default();
    let outcome = run.measure(&mut measured);
    let report = run.report(&measured, outcome.err().map(|error| error.to_string()));
    run.exchange.crowd.leave();
    // What is measured stays measured if a broker is too far behind to end Sessions in time.
    if plan.durable
        && let Err(failure) = forget(plan, conditions, progress)
    {
        progress.tell(&format!("the Sessions of this run were not ended: {failure}"));
    }
    Ok(report)
}

/// Ends Sessions of this or an earlier run.
fn forget(plan: &Traffic, conditions: &Conditions, progress: &mut Progress) -> Result<(), Failure> {
    let name = |index| format!("{}-{index}", conditions.target.client_id);
    let clean = |index| Introduction { client_id: name(index), ..Introduction::default() };
    let mut crowd = Crowd::new(conditions.target.clone())?;
    crowd.admit((0..plan.subscribers).map(clean).collect(), conditions.stall, progress)?;
    crowd.leave();
    Ok(())
}

impl Run<'_> {
    fn measure(&mut self, measured: &mut Measured) -> Result<(), Failure> {
        self.exchange.begin();
        self.seen.1 = Instant::now();
        self.rounds("warm-up", self.conditions.warmup, |_| false)?;
        self.exchange.tick();
        self.exchange.measured_from_ns = self.exchange.now_ns;
        self.exchange.budget = self.conditions.messages;
        let (mark, before) = (self.conditions.processes.mark()?, self.exchange.tally);
        let outcome = self.rounds("measured", self.conditions.duration, |exchange| {
            exchange.budget == Some(0) && exchange.is_settled()
        });
        *measured = Measured {
            span: self.conditions.processes.since(&mark)?,
            published: self.exchange.tally.published - before.published,
            delivered: self.exchange.tally.delivered - before.delivered,
        };
        outcome?;
        self.exchange.stop();
        self.rounds("drain", Duration::MAX, Exchange::is_settled)
    }

    /// Rounds until the time is over or `done` says so; an error if nothing moves.
    fn rounds(&mut self, phase: &str, duration: Duration, done: impl Fn(&Exchange) -> bool) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < duration && !done(&self.exchange) {
            self.exchange.round(&mut self.events, &mut self.io)?;
            let now = Instant::now();
            let moved = self.exchange.tally.delivered + self.exchange.tally.acknowledged;
            if moved != self.seen.0 {
                self.seen = (moved, now);
            }
            self.conditions.patience(self.seen.1)?;
            if self.progress.is_due(now) {
                self.show(phase, now - begun, duration);
            }
        }
        Ok(())
    }

    fn show(&mut self, phase: &str, elapsed: Duration, duration: Duration) {
        let tally = &self.exchange.tally;
        let of = if duration == Duration::MAX { String::new() } else { format!("/{:.0}", duration.as_secs_f64()) };
        let sound = if tally.is_sound() { "sound" } else { "WRONG" };
        self.progress.tell(&format!(
            "{} {phase} {:.0}{of} s: {} deliveries in the last second, {sound}",
            self.conditions.scenario,
            elapsed.as_secs_f64(),
            tally.delivered - self.shown,
        ));
        self.shown = tally.delivered;
    }

    fn report(&self, measured: &Measured, error: Option<String>) -> Report {
        let (exchange, plan) = (&self.exchange, &self.exchange.plan);
        let mut report = Report {
            publishers: plan.publishers,
            subscribers: plan.subscribers,
            connections: plan.publishers + plan.subscribers,
            qos: Some(plan.qos),
            size: Some(plan.size),
            window: Some(exchange.window()),
            rate: plan.rate,
            messages: measured.published,
            latency_us: Latency::of(&exchange.latency),
            ack_latency_us: Latency::of(&exchange.ack_latency),
            tls: exchange.crowd.tls_text(),
            ..self.conditions.report("message")
        };
        report.measure(measured.delivered, &measured.span);
        report.judge(&exchange.tally, exchange.lost(), error);
        if report.ok && report.delivered == 0 {
            report.judge(&exchange.tally, exchange.lost(), Some("nothing was delivered".into()));
        }
        report
    }
}
