//! All publishers and subscribers of a run, and one round of its loop: read, fill, send.

use std::time::{Duration, Instant};

use bartizan_core::wire::QoS;
use hdrhistogram::Histogram;
use mio::Events;

use crate::client::Introduction;
use crate::conditions::Conditions;
use crate::crowd::{Buffers, Crowd, lost};
use crate::failure::Failure;
use crate::flow::{Flow, Tally};
use crate::id_set::IdSet;
use crate::progress::Progress;
use crate::scenario::{Topology, Traffic};
use crate::stamp::Stamper;
use crate::traffic::frames::Layout;
use crate::traffic::publisher::Publisher;

/// A publisher whose socket takes no more is not filled beyond this.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Waits shorter than this are spun: epoll counts in milliseconds.
const SPIN: Duration = Duration::from_millis(2);

/// When messages of the open loop are due.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Nanoseconds between two messages of the run.
    pub gap_ns: f64,
    /// When the first is due, in nanoseconds of the run.
    pub origin_ns: u64,
}

/// The clients of a run and what became of every message. Subscribers are the first clients, publishers follow.
#[derive(Debug)]
pub struct Exchange {
    pub crowd: Crowd,
    pub plan: Traffic,
    pub layout: Layout,
    pub topics: Vec<String>,
    pub publishers: Vec<Publisher>,
    /// Of each publisher, one per receiver.
    pub flows: Vec<Flow>,
    /// Of each subscriber, identifiers between PUBLISH and PUBREL.
    pub unreleased: Vec<IdSet>,
    pub tally: Tally,
    pub latency: Histogram<u64>,
    pub ack_latency: Histogram<u64>,
    /// Messages due before this are warm-up.
    pub measured_from_ns: u64,
    /// Messages that may still be sent; `None`: as many as there is time for.
    pub budget: Option<u64>,
    pub now_ns: u64,
    /// Why the run cannot be finished.
    pub(super) listed: Vec<usize>,
    pub(super) unsent: Vec<usize>,
    begun: Instant,
    pace: Option<Pace>,
    window: u64,
}

impl Exchange {
    /// Connects and subscribes everybody.
    pub fn open(plan: &Traffic, conditions: &Conditions, progress: &mut Progress) -> Result<Exchange, Failure> {
        let target = &conditions.target;
        let qos = QoS::from_bits(plan.qos).unwrap_or_default();
        let topics = topics(plan, &target.topic);
        let mut crowd = Crowd::new(target.clone())?;
        crowd.admit(introductions(plan, conditions, &topics, qos), conditions.stall, progress)?;
        let window = if plan.qos == 0 { plan.window } else { plan.window.min(crowd.receive_maximum.into()) };
        let (begun, receivers) = (Instant::now(), plan.receivers());
        let histogram = || Histogram::new_with_bounds(1, 3_600_000_000_000, 3);
        let histogram = || histogram().map_err(|error| Failure::Usage(error.to_string()));
        Ok(Exchange {
            layout: Layout::new(target.version, qos, Stamper::new(conditions.nonce, plan.size), &topics),
            publishers: (0..plan.publishers).map(|_| Publisher::new(receivers, window, plan.qos > 0)).collect(),
            flows: vec![Flow::default(); plan.publishers * receivers],
            unreleased: vec![IdSet::default(); plan.subscribers],
            tally: Tally::default(),
            latency: histogram()?,
            ack_latency: histogram()?,
            measured_from_ns: u64::MAX,
            budget: None,
            now_ns: 0,
            listed: Vec::new(),
            unsent: Vec::new(),
            begun,
            pace: plan.rate.map(|rate| Pace { gap_ns: 1e9 * receivers as f64 / rate, origin_ns: 0 }),
            window: window as u64,
            topics,
            plan: plan.clone(),
            crowd,
        })
    }

    /// The window in force: the broker's Receive Maximum may have narrowed it.
    pub fn window(&self) -> usize {
        self.window as usize
    }

    /// From now on messages are sent.
    pub fn begin(&mut self) {
        self.tick();
        if let Some(pace) = &mut self.pace {
            pace.origin_ns = self.now_ns;
        }
        self.list_all();
    }

    /// Everybody may have room.
    pub fn list_all(&mut self) {
        self.listed = (0..self.publishers.len()).collect();
        for publisher in &mut self.publishers {
            publisher.listed = true;
        }
    }

    /// No more messages are sent.
    pub fn stop(&mut self) {
        self.budget = Some(0);
    }

    /// Everything sent has arrived and is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.publishers.iter().all(Publisher::is_settled)
    }

    /// Over all flows, what never came.
    pub fn lost(&self) -> u64 {
        let receivers = self.plan.receivers();
        let of = |(publisher, flows): (&Publisher, &[Flow])| -> u64 {
            flows.iter().map(|flow| flow.lost(publisher.next)).sum()
        };
        self.publishers.iter().zip(self.flows.chunks(receivers.max(1))).map(of).sum()
    }

    /// Reads the clock.
    #[inline]
    pub fn tick(&mut self) {
        self.now_ns = self.begun.elapsed().as_nanos() as u64;
    }

    /// One round: waits, reads whoever has something, fills whoever has room, sends.
    pub fn round(&mut self, events: &mut Events, io: &mut Buffers) -> Result<(), Failure> {
        let timeout = self.patience();
        self.crowd.poll_once(events, timeout)?;
        for event in &*events {
            let index = event.token().0;
            if event.is_writable() && self.crowd.clients.get(index).is_some_and(|client| client.waiting() > 0) {
                self.unsent.push(index);
            }
            if event.is_readable() {
                self.read(index, io)?;
            }
        }
        self.tick();
        if self.pace.is_some() {
            self.fill_due()
        } else {
            self.fill_listed()
        }
        self.flush()
    }

    fn patience(&self) -> Duration {
        let Some(pace) = self.pace.filter(|_| self.budget != Some(0)) else { return Duration::from_millis(100) };
        let sent: u64 = self.publishers.iter().map(|publisher| publisher.next).sum();
        let due = pace.origin_ns + (sent as f64 * pace.gap_ns) as u64;
        let wait = Duration::from_nanos(due.saturating_sub(self.now_ns));
        if wait < SPIN { Duration::ZERO } else { (wait - SPIN).min(Duration::from_millis(100)) }
    }

    /// Closed loop: those whose window has opened.
    fn fill_listed(&mut self) {
        let mut listed = std::mem::take(&mut self.listed);
        for index in listed.drain(..) {
            let Some(publisher) = self.publishers.get_mut(index) else { continue };
            publisher.listed = false;
            let room = self.window.saturating_sub(publisher.ahead());
            self.fill(index, room);
        }
        self.listed = listed;
    }

    /// Open loop: what is due by now.
    fn fill_due(&mut self) {
        let Some(pace) = self.pace else { return };
        let due = ((self.now_ns - pace.origin_ns) as f64 / pace.gap_ns) as u64 + 1;
        let publishers = self.publishers.len() as u64;
        for index in 0..self.publishers.len() {
            let share = (due + publishers - 1 - index as u64) / publishers;
            let sent = self.publishers.get(index).map_or(share, |publisher| publisher.next);
            self.fill(index, share.saturating_sub(sent));
        }
    }

    fn fill(&mut self, index: usize, most: u64) {
        let Some(publisher) = self.publishers.get_mut(index) else { return };
        let at = self.plan.subscribers + index;
        let Some(client) = self.crowd.clients.get_mut(at).filter(|client| client.waiting() < WAITING_BYTES_MAX) else {
            return;
        };
        let acknowledged = if self.plan.qos == 0 { u64::MAX } else { publisher.outgoing.room() as u64 };
        let count = most.min(acknowledged).min(self.budget.unwrap_or(u64::MAX));
        if count == 0 {
            return;
        }
        let (next, now) = (publisher.next, self.now_ns);
        let sent = self.layout.append(&mut client.out, index as u32, next, count, &mut publisher.outgoing, now);
        publisher.next += sent;
        self.tally.published += sent;
        self.budget = self.budget.map(|budget| budget - sent);
        self.unsent.push(at);
    }

    fn flush(&mut self) -> Result<(), Failure> {
        for index in self.unsent.drain(..) {
            if let Some(client) = self.crowd.clients.get_mut(index) {
                client.flush().map_err(lost(index))?;
            }
        }
        Ok(())
    }

    /// When this message should have been sent, in the open loop.
    #[inline]
    pub fn due_ns(&self, publisher: usize, sequence: u64) -> Option<u64> {
        let pace = self.pace?;
        let position = sequence * self.publishers.len() as u64 + publisher as u64;
        Some(pace.origin_ns + (position as f64 * pace.gap_ns) as u64)
    }
}

/// One topic per publisher, all of one length.
fn topics(plan: &Traffic, prefix: &str) -> Vec<String> {
    let digits = plan.publishers.saturating_sub(1).to_string().len();
    let of = |index: usize| match plan.topology {
        Topology::Shared => format!("{prefix}/all"),
        Topology::Pairs => format!("{prefix}/p/{index:0digits$}"),
        Topology::Wildcard => format!("{prefix}/m/{index:0digits$}/state"),
    };
    (0..plan.publishers).map(of).collect()
}

fn introductions(plan: &Traffic, conditions: &Conditions, topics: &[String], qos: QoS) -> Vec<Introduction> {
    let target = &conditions.target;
    let name = |index: usize| format!("{}-{index}", target.client_id);
    let filter = |index: usize| match plan.topology {
        Topology::Shared => format!("{}/all", target.topic),
        Topology::Pairs => topics.get(index).cloned().unwrap_or_default(),
        Topology::Wildcard => format!("{}/m/+/state", target.topic),
    };
    let subscriber = |index: usize| Introduction {
        client_id: name(index),
        durable: plan.durable,
        filters: vec![(filter(index), qos)],
    };
    let publisher = |index: usize| Introduction { client_id: name(index), ..Introduction::default() };
    let subscribers = (0..plan.subscribers).map(subscriber);
    subscribers.chain((plan.subscribers..plan.subscribers + plan.publishers).map(publisher)).collect()
}
