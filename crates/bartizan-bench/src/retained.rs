//! Retained Messages: what each costs in memory, and how fast all of them reach whoever subscribes to all.

use std::time::Instant;

use bartizan_core::wire::encode::{self, PublishHead};
use bartizan_core::wire::{Packet, PacketId, Publish, QoS};
use mio::Events;

use crate::client::{self, Introduction};
use crate::conditions::Conditions;
use crate::crowd::{Buffers, Crowd, lost, not_expected};
use crate::failure::Failure;
use crate::flow::Tally;
use crate::outgoing::Outgoing;
use crate::progress::Progress;
use crate::report::{Memory, Report, Setup};
use crate::scenario::Retained;
use crate::stamp::{Stamp, Stamper};

/// Unacknowledged messages while they are stored.
const WINDOW: usize = 100;
/// The broker stores the first of them before memory is looked at.
const ALREADY_THERE: usize = 100;

struct Library<'a> {
    conditions: &'a Conditions,
    plan: Retained,
    stamper: Stamper,
    tally: Tally,
    lost: u64,
}

/// Runs it: stores, measures memory, subscribes again and again until the time is over, and clears what it stored.
pub fn run(plan: &Retained, conditions: &Conditions, progress: &mut Progress) -> Result<Report, Failure> {
    let stamper = Stamper::new(conditions.nonce, plan.size);
    let mut library = Library { conditions, plan: *plan, stamper, tally: Tally::default(), lost: 0 };
    let mut report = Report {
        publishers: 1,
        subscribers: 1,
        connections: 2,
        qos: Some(0),
        size: Some(plan.size),
        ..conditions.report("message")
    };
    let outcome = library.measure(&mut report, progress);
    let cleared = library.store(0..plan.messages + ALREADY_THERE, true, progress);
    let error = outcome.and(cleared).err().map(|error| error.to_string());
    report.judge(&library.tally, library.lost, error);
    Ok(report)
}

impl Library<'_> {
    fn measure(&mut self, report: &mut Report, progress: &mut Progress) -> Result<(), Failure> {
        let (processes, count) = (&self.conditions.processes, self.plan.messages);
        let stored = ALREADY_THERE..ALREADY_THERE + count;
        self.store(0..ALREADY_THERE, false, progress)?;
        let before = processes.resident_bytes()?;
        let mark = processes.mark()?;
        self.store(stored, false, progress)?;
        report.setup = Some(Setup::of("message", count as u64, &processes.since(&mark)?));
        report.memory = Memory::between(before, processes.resident_bytes()?, count as u64);
        let (mark, begun, delivered) = (processes.mark()?, Instant::now(), self.tally.delivered);
        let mut times = 0;
        while times == 0 || begun.elapsed() < self.conditions.duration {
            self.fetch()?;
            times += 1;
            if progress.is_due(Instant::now()) {
                progress.tell(&format!("{} fetched {times} times", self.conditions.scenario));
            }
        }
        report.messages = (count + ALREADY_THERE) as u64 * times;
        report.measure(self.tally.delivered - delivered, &processes.since(&mark)?);
        Ok(())
    }

    /// 27 octets with the topic prefix `bench`.
    fn topic(&self, index: usize) -> String {
        format!("{}/r/site-{:03}/dev-{:06}", self.conditions.target.topic, index / 1000 % 1000, index)
    }

    /// Stores these messages, or clears them.
    fn store(&self, range: std::ops::Range<usize>, clears: bool, progress: &mut Progress) -> Result<(), Failure> {
        let target = &self.conditions.target;
        let mut crowd = Crowd::new(target.clone())?;
        let client_id = format!("{}-0", target.client_id);
        let writer = Introduction { client_id, ..Introduction::default() };
        crowd.admit(vec![writer], self.conditions.stall, progress)?;
        let (mut events, mut io) = (Events::with_capacity(8), Buffers::new(0));
        let mut outgoing = Outgoing::new(WINDOW.min(crowd.receive_maximum.into()), false);
        let (mut next, mut moved) = (range.start, Instant::now());
        while next < range.end || outgoing.in_flight() > 0 {
            let Some(client) = crowd.clients.first_mut() else { return Ok(()) };
            while next < range.end && outgoing.room() > 0 {
                let Some(id) = outgoing.take(0) else { break };
                let stamp = Stamp { publisher: 0, sequence: next as u64 };
                let payload = if clears { Vec::new() } else { self.stamper.payload(stamp) };
                let (qos, topic) = (QoS::AtLeastOnce, self.topic(next));
                let head = PublishHead { qos, retain: true, packet_id: Some(id), topic: &topic, ..Default::default() };
                encode::publish(&mut client.out, target.version, &head, &payload);
                next += 1;
            }
            client.flush().map_err(lost(0))?;
            crowd.exchange(&mut events, &mut io, &mut |_, packet, _| match packet {
                Packet::Puback(ack) if ack.reason.as_u8() < 0x80 => {
                    moved = Instant::now();
                    outgoing.puback(ack.packet_id.get()).map(drop).map_err(|_| not_expected(packet))
                }
                other => Err(not_expected(other)),
            })?;
            self.conditions.patience(moved)?;
            if progress.is_due(Instant::now()) {
                let verb = if clears { "cleared" } else { "stored" };
                progress.tell(&format!("{} {verb} {next} of {}", self.conditions.scenario, range.end));
            }
        }
        crowd.leave();
        Ok(())
    }

    /// Subscribes to all, and gets each once.
    fn fetch(&mut self) -> Result<(), Failure> {
        let (target, stall) = (&self.conditions.target, self.conditions.stall);
        let mut crowd = Crowd::new(target.clone())?;
        let reader = Introduction { client_id: format!("{}-1", target.client_id), ..Introduction::default() };
        crowd.admit(vec![reader], stall, &mut Progress::new(true))?;
        if let Some(client) = crowd.clients.first_mut() {
            let filter = (format!("{}/r/#", target.topic), QoS::AtMostOnce);
            client::subscribe(&mut client.out, target, PacketId::MIN, &[filter]);
            client.flush().map_err(lost(0))?;
        }
        let (mut events, mut io) = (Events::with_capacity(8), Buffers::new(self.plan.size));
        let mut missing = vec![true; self.plan.messages + ALREADY_THERE];
        let (mut left, mut moved) = (missing.len() as u64, Instant::now());
        self.tally.published += left;
        while left > 0 {
            crowd.exchange(&mut events, &mut io, &mut |_, packet, _| {
                moved = Instant::now();
                match packet {
                    Packet::Publish(publish) => left -= u64::from(self.take(publish, &mut missing)),
                    Packet::Suback(suback) if suback.codes == [0] => {}
                    other => return Err(not_expected(other)),
                }
                Ok(())
            })?;
            if moved.elapsed() > stall {
                self.lost += left;
                return self.conditions.patience(moved);
            }
        }
        crowd.leave();
        Ok(())
    }

    /// True if it is one that was missing.
    fn take(&mut self, publish: &Publish<'_>, missing: &mut [bool]) -> bool {
        self.tally.wrong_qos += u64::from(publish.qos != QoS::AtMostOnce);
        // What was there before the Subscription comes with RETAIN [MQTT-3.3.1-8].
        self.tally.protocol_errors += u64::from(!publish.retain);
        let stamp = self.stamper.read(publish.payload).filter(|_| self.stamper.is_whole(publish.payload));
        let found = stamp.map(|stamp| stamp.sequence as usize).filter(|index| self.topic(*index) == publish.topic);
        let Some(place) = found.and_then(|index| missing.get_mut(index)) else {
            self.tally.corrupt += 1;
            return false;
        };
        let is_new = std::mem::take(place);
        self.tally.delivered += u64::from(is_new);
        self.tally.duplicated += u64::from(!is_new);
        is_new
    }
}
