//! Connections that come and stay: what each costs the broker in memory.

use std::time::{Duration, Instant};

use bartizan_core::wire::{Packet, QoS};
use mio::Events;

use crate::client::Introduction;
use crate::conditions::Conditions;
use crate::crowd::{Buffers, Crowd};
use crate::failure::Failure;
use crate::flow::Tally;
use crate::progress::Progress;
use crate::report::{Memory, Report};
use crate::scenario::Idle;

/// Connections before the first look at memory: what a broker allocates once is not charged to the others.
pub const ALREADY_THERE: usize = 100;
/// So long nothing is said before memory is looked at: a connection that has just been admitted is not idle,
/// and a broker may need a moment to take back what it was lent.
const IDLE: Duration = Duration::from_secs(4);

/// Runs it. Memory may settle for [`IDLE`] before each look, or for the warm-up, whichever is longer.
pub fn run(plan: &Idle, conditions: &Conditions, progress: &mut Progress) -> Result<Report, Failure> {
    let mut crowd = Crowd::new(conditions.target.clone())?;
    crowd.entering_max = plan.at_once.unwrap_or(crowd.entering_max);
    let mut report = Report {
        connections: plan.connections,
        subscribers: if plan.subscribed { plan.connections } else { 0 },
        ..conditions.report("connection")
    };
    let outcome = measure(plan, conditions, &mut crowd, &mut report, progress);
    let missing = (plan.connections as u64).saturating_sub(report.delivered);
    let tally = Tally { published: plan.connections as u64, delivered: report.delivered, ..Tally::default() };
    report.messages = tally.published;
    report.judge(&tally, missing, outcome.err().map(|error| error.to_string()));
    report.tls = crowd.tls_text();
    crowd.leave();
    Ok(report)
}

fn measure(
    plan: &Idle,
    conditions: &Conditions,
    crowd: &mut Crowd,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let client = |index: usize| Introduction {
        client_id: format!("{}-{index}", conditions.target.client_id),
        filters: if plan.subscribed {
            vec![(format!("{}/i/{index:06}", conditions.target.topic), QoS::AtMostOnce)]
        } else {
            Vec::new()
        },
        ..Introduction::default()
    };
    let (patience, idle) = (conditions.stall, conditions.warmup.max(IDLE));
    crowd.admit((0..ALREADY_THERE).map(client).collect(), patience, progress)?;
    watch(crowd, idle)?;
    let before = conditions.processes.resident_bytes()?;
    let mark = conditions.processes.mark()?;
    let all = ALREADY_THERE..ALREADY_THERE + plan.connections;
    crowd.admit(all.map(client).collect(), patience, progress)?;
    let span = conditions.processes.since(&mark)?;
    report.measure(plan.connections as u64, &span);
    progress.tell(&format!("{} connections, waiting for memory to settle", plan.connections));
    watch(crowd, idle)?;
    report.memory = Memory::between(before, conditions.processes.resident_bytes()?, plan.connections as u64);
    Ok(())
}

/// Nobody may be sent anything or be thrown out meanwhile.
fn watch(crowd: &mut Crowd, duration: Duration) -> Result<(), Failure> {
    let (mut events, mut io) = (Events::with_capacity(1024), Buffers::new(0));
    let begun = Instant::now();
    while begun.elapsed() < duration {
        crowd.exchange(&mut events, &mut io, &mut |index, packet: &Packet<'_>, _| {
            Err(Failure::Broker(format!("idle connection {index} got {packet:?}")))
        })?;
    }
    Ok(())
}
