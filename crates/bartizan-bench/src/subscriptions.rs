//! Many Subscriptions: how fast they are made, what each costs in memory, and messages of which each matches one.
//!
//! A quarter of the filters is exact, a quarter ends in `+`, a quarter has `+` in the middle, a quarter ends in `#`.
//! Every topic matches exactly one of them, and no topic comes again before all others: no cache of routes helps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bartizan_core::wire::encode::{self, PublishHead};
use bartizan_core::wire::{Packet, PacketId, Publish, QoS};
use mio::Events;

use crate::client::{self, Introduction};
use crate::conditions::Conditions;
use crate::crowd::{Buffers, Crowd, lost, not_expected};
use crate::failure::Failure;
use crate::flow::Tally;
use crate::process::Span;
use crate::progress::Progress;
use crate::report::{Memory, Report, Setup};
use crate::scenario::Subscriptions;
use crate::stamp::{Stamp, Stamper};

/// Filters of one SUBSCRIBE.
const FILTERS: usize = 100;
/// A step through all topics that visits each once: a prime above any number of them that is tried.
const STRIDE: u64 = 1_000_000_007;

struct Index<'a> {
    conditions: &'a Conditions,
    plan: Subscriptions,
    crowd: Crowd,
    stamper: Stamper,
    tally: Tally,
    /// Sequence number of the next message.
    next: u64,
    /// Of the messages from the oldest on its way: has it arrived?
    arrived: VecDeque<bool>,
    /// Of each subscriber, one past the latest it got.
    latest: Vec<u64>,
}

/// Runs it. The publisher is the last client.
pub fn run(plan: &Subscriptions, conditions: &Conditions, progress: &mut Progress) -> Result<Report, Failure> {
    let mut crowd = Crowd::new(conditions.target.clone())?;
    let client_id = |index| format!("{}-{index}", conditions.target.client_id);
    let client = |index| Introduction { client_id: client_id(index), ..Introduction::default() };
    crowd.admit((0..=plan.subscribers).map(client).collect(), conditions.stall, progress)?;
    let mut index = Index {
        conditions,
        plan: *plan,
        crowd,
        stamper: Stamper::new(conditions.nonce, plan.size),
        tally: Tally::default(),
        next: 0,
        arrived: VecDeque::new(),
        latest: vec![0; plan.subscribers],
    };
    let mut report = Report {
        publishers: 1,
        subscribers: plan.subscribers,
        connections: plan.subscribers + 1,
        qos: Some(0),
        size: Some(plan.size),
        window: Some(plan.window),
        ..conditions.report("match")
    };
    let outcome = index.measure(&mut report, progress);
    let missing = index.arrived.iter().filter(|arrived| !**arrived).count() as u64;
    report.judge(&index.tally, missing, outcome.err().map(|error| error.to_string()));
    report.tls = index.crowd.tls_text();
    index.crowd.leave();
    Ok(report)
}

/// The topic with this number.
fn topic(prefix: &str, number: usize) -> String {
    format!("{prefix}/s/{:03}/{number:06}/m", number / 1000)
}

/// The filter that matches the topic with this number, and no other.
fn filter(prefix: &str, number: usize) -> String {
    match number % 4 {
        0 => topic(prefix, number),
        1 => format!("{prefix}/s/{:03}/{number:06}/+", number / 1000),
        2 => format!("{prefix}/s/+/{number:06}/m"),
        _ => format!("{prefix}/s/{:03}/{number:06}/#", number / 1000),
    }
}

impl Index<'_> {
    fn measure(&mut self, report: &mut Report, progress: &mut Progress) -> Result<(), Failure> {
        let processes = &self.conditions.processes;
        let before = processes.resident_bytes()?;
        let mark = processes.mark()?;
        self.subscribe(progress)?;
        let count = self.plan.subscriptions as u64;
        report.setup = Some(Setup::of("subscription", count, &processes.since(&mark)?));
        report.memory = Memory::between(before, processes.resident_bytes()?, count);
        self.publish("warm-up", self.conditions.warmup, u64::MAX, progress)?;
        let (before, most) = (self.tally, self.conditions.messages.unwrap_or(u64::MAX));
        let (outcome, span) = self
            .publish("measured", self.conditions.duration, most, progress)
            .map_or_else(|error| (Err(error), Span::default()), |span| (Ok(()), span));
        report.messages = self.tally.published - before.published;
        report.measure(self.tally.delivered - before.delivered, &span);
        outcome?;
        self.publish("drain", Duration::MAX, 0, progress).map(drop)
    }

    /// One SUBSCRIBE of each client at a time.
    fn subscribe(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let (mut events, mut io) = (Events::with_capacity(1024), Buffers::new(0));
        let (clients, all) = (self.plan.subscribers, self.plan.subscriptions);
        let target = self.conditions.target.clone();
        let mut asked: Vec<usize> = (0..clients).collect();
        // The next of a client's numbers are its own index and every `clients`-th after it.
        let ask = |next: &mut usize, out: &mut Vec<u8>| {
            let numbers = (*next..all).step_by(clients).take(FILTERS);
            let filters: Vec<_> = numbers.map(|n| (filter(&target.topic, n), QoS::AtMostOnce)).collect();
            *next += filters.len() * clients;
            if !filters.is_empty() {
                client::subscribe(out, &target, PacketId::MIN, &filters);
            }
        };
        for (index, (next, client)) in asked.iter_mut().zip(&mut self.crowd.clients).enumerate() {
            ask(next, &mut client.out);
            client.flush().map_err(lost(index))?;
        }
        let (mut granted, mut moved) = (0, Instant::now());
        while granted < all {
            self.crowd.exchange(&mut events, &mut io, &mut |index, packet, out| {
                let Packet::Suback(suback) = packet else { return Err(not_expected(packet)) };
                if suback.codes.iter().any(|code| *code != 0) {
                    return Err(not_expected(packet));
                }
                granted += suback.codes.len();
                moved = Instant::now();
                if let Some(next) = asked.get_mut(index) {
                    ask(next, out);
                }
                Ok(())
            })?;
            self.conditions.patience(moved)?;
            if progress.is_due(Instant::now()) {
                progress.tell(&format!("{} of {all} Subscriptions", granted));
            }
        }
        Ok(())
    }

    /// Messages for so long, at most so many; none means: until all have arrived.
    fn publish(
        &mut self,
        phase: &str,
        duration: Duration,
        mut most: u64,
        progress: &mut Progress,
    ) -> Result<Span, Failure> {
        let (mut events, mut io) = (Events::with_capacity(1024), Buffers::new(self.plan.size));
        let (mark, begun, drains) = (self.conditions.processes.mark()?, Instant::now(), most == 0);
        let (mut moved, mut shown) = ((self.tally.delivered, begun), self.tally.delivered);
        while begun.elapsed() < duration && !((drains || most == 0) && self.arrived.is_empty()) {
            most -= self.fill(most)?;
            let mut tally = std::mem::take(&mut self.tally);
            let (arrived, latest, next) = (&mut self.arrived, &mut self.latest, self.next);
            let check = Check { plan: &self.plan, stamper: &self.stamper, prefix: &self.conditions.target.topic, next };
            let outcome = self.crowd.exchange(&mut events, &mut io, &mut |index, packet, _| {
                let Packet::Publish(publish) = packet else { return Err(not_expected(packet)) };
                check.take(index, publish, arrived, latest, &mut tally);
                Ok(())
            });
            self.tally = tally;
            outcome?;
            let now = Instant::now();
            if self.tally.delivered != moved.0 {
                moved = (self.tally.delivered, now);
            }
            self.conditions.patience(moved.1)?;
            if progress.is_due(now) {
                progress.tell(&format!("subscriptions {phase}: {} matches in the last second", moved.0 - shown));
                shown = moved.0;
            }
        }
        self.conditions.processes.since(&mark)
    }

    /// As many as the window and `most` allow; how many it was.
    fn fill(&mut self, most: u64) -> Result<u64, Failure> {
        let count = ((self.plan.window - self.arrived.len().min(self.plan.window)) as u64).min(most);
        let Some(client) = self.crowd.clients.last_mut() else { return Ok(0) };
        for _ in 0..count {
            let stamp = Stamp { publisher: 0, sequence: self.next };
            let topic = topic(&self.conditions.target.topic, number(self.next, self.plan.subscriptions));
            let head = PublishHead { topic: &topic, ..PublishHead::default() };
            encode::publish(&mut client.out, self.conditions.target.version, &head, &self.stamper.payload(stamp));
            self.next += 1;
            self.arrived.push_back(false);
        }
        self.tally.published += count;
        client.flush().map_err(lost(self.plan.subscribers))?;
        Ok(count)
    }
}

/// The topic of a message.
fn number(sequence: u64, subscriptions: usize) -> usize {
    (sequence.wrapping_mul(STRIDE) % subscriptions as u64) as usize
}

/// What a message is held against.
struct Check<'a> {
    plan: &'a Subscriptions,
    stamper: &'a Stamper,
    prefix: &'a str,
    next: u64,
}

impl Check<'_> {
    fn take(
        &self,
        client: usize,
        publish: &Publish<'_>,
        arrived: &mut VecDeque<bool>,
        latest: &mut [u64],
        tally: &mut Tally,
    ) {
        tally.wrong_qos += u64::from(publish.qos != QoS::AtMostOnce);
        tally.protocol_errors += u64::from(publish.retain);
        let stamp = self.stamper.read(publish.payload).filter(|stamp| stamp.sequence < self.next);
        let Some(sequence) = stamp.filter(|_| self.stamper.is_whole(publish.payload)).map(|stamp| stamp.sequence)
        else {
            tally.corrupt += 1;
            return;
        };
        let number = number(sequence, self.plan.subscriptions);
        if number % self.plan.subscribers != client || topic(self.prefix, number) != publish.topic {
            tally.corrupt += 1;
            return;
        }
        let oldest = self.next - arrived.len() as u64;
        let place = sequence.checked_sub(oldest).and_then(|at| arrived.get_mut(at as usize));
        match place.filter(|place| !**place) {
            None => tally.duplicated += 1,
            Some(place) => {
                *place = true;
                tally.delivered += 1;
                if let Some(latest) = latest.get_mut(client) {
                    tally.reordered += u64::from(sequence < *latest);
                    *latest = (*latest).max(sequence + 1);
                }
            }
        }
        while arrived.front() == Some(&true) {
            arrived.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::topic::{TopicFilter, TopicName};

    use super::*;

    #[test]
    fn every_topic_matches_its_own_filter_and_no_other() {
        let topics: Vec<String> = (0..120).map(|n| topic("b", n * 37)).collect();
        let filters: Vec<String> = (0..120).map(|n| filter("b", n * 37)).collect();
        for (at, topic) in topics.iter().enumerate() {
            let name = TopicName::parse(topic).unwrap();
            let matching = filters.iter().map(|filter| TopicFilter::parse(filter).unwrap().matches(&name));
            assert_eq!(matching.enumerate().filter(|(_, yes)| *yes).map(|(at, _)| at).collect::<Vec<_>>(), [at]);
        }
    }

    #[test]
    fn the_walk_visits_every_topic_once() {
        for count in [1, 10, 1000, 1_000_000] {
            let mut seen = vec![false; count];
            for sequence in 0..count as u64 {
                seen[number(sequence, count)] = true;
            }
            assert!(seen.iter().all(|seen| *seen), "{count}");
        }
    }
}
