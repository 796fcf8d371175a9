//! A run of messages: warm-up, measured interval, drain, report.

use std::time::{Duration, Instant};

use mio::Events;

use crate::client::Introduction;
use crate::conditions::Conditions;
use crate::crowd::{Buffers, Crowd};
use crate::failure::Failure;
use crate::process::own_cpu_s;
use crate::progress::Progress;
use crate::report::{Latency, Report};
use crate::scenario::Traffic;
use crate::traffic::exchange::Exchange;

/// What the counters say at one moment.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    broker_cpu_s: Option<f64>,
    own_cpu_s: f64,
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
    let begun = run.mark()?;
    let mut marks = (begun, begun);
    let outcome = run.measure(&mut marks);
    let report = run.report(marks, outcome.err().map(|error| error.to_string()));
    run.exchange.crowd.leave();
    if plan.durable {
        forget(plan, conditions, progress)?;
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
    fn measure(&mut self, marks: &mut (Mark, Mark)) -> Result<(), Failure> {
        self.exchange.begin();
        self.seen.1 = Instant::now();
        self.rounds("warm-up", self.conditions.warmup, |_| false)?;
        self.exchange.tick();
        self.exchange.measured_from_ns = self.exchange.now_ns;
        self.exchange.budget = self.conditions.messages;
        *marks = (self.mark()?, self.mark()?);
        self.rounds("measured", self.conditions.duration, |exchange| {
            exchange.budget == Some(0) && exchange.is_settled()
        })?;
        marks.1 = self.mark()?;
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
            } else if now - self.seen.1 > self.conditions.stall {
                let stall = self.conditions.stall.as_secs_f64();
                return Err(Failure::Broker(format!("nothing arrived for {stall} s ({phase})")));
            }
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

    fn mark(&self) -> Result<Mark, Failure> {
        Ok(Mark {
            at: Instant::now(),
            broker_cpu_s: self.conditions.processes.cpu_s()?,
            own_cpu_s: own_cpu_s(),
            published: self.exchange.tally.published,
            delivered: self.exchange.tally.delivered,
        })
    }

    fn report(&self, (from, to): (Mark, Mark), error: Option<String>) -> Report {
        let (exchange, plan) = (&self.exchange, &self.exchange.plan);
        let mut report = Report {
            publishers: plan.publishers,
            subscribers: plan.subscribers,
            connections: plan.publishers + plan.subscribers,
            qos: Some(plan.qos),
            size: Some(plan.size),
            window: Some(exchange.window()),
            rate: plan.rate,
            messages: to.published - from.published,
            generator_cpu_s: to.own_cpu_s - from.own_cpu_s,
            latency_us: Latency::of(&exchange.latency),
            ack_latency_us: Latency::of(&exchange.ack_latency),
            tls: exchange.crowd.tls_text(),
            ..self.conditions.report("message")
        };
        let broker = to.broker_cpu_s.zip(from.broker_cpu_s).map(|(to, from)| to - from);
        report.measure(to.delivered - from.delivered, (to.at - from.at).as_secs_f64(), broker);
        report.judge(&exchange.tally, exchange.lost(), error);
        if report.ok && report.delivered == 0 {
            report.judge(&exchange.tally, exchange.lost(), Some("nothing was delivered".into()));
        }
        report
    }
}
