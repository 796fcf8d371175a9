//! Connections that come and go: TCP, TLS if asked for, CONNECT, CONNACK, DISCONNECT, and the next in its place.

use std::io;
use std::time::{Duration, Instant};

use bartizan_core::wire::{Packet, Properties, ReasonCode, Role, decode, encode, frame};
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use rustls::HandshakeKind;

use crate::client::{Client, Introduction};
use crate::conditions::Conditions;
use crate::crowd::{Buffers, PACKET_BYTES_MAX, lost, not_expected, not_mqtt};
use crate::failure::Failure;
use crate::flow::Tally;
use crate::link::Link;
use crate::progress::Progress;
use crate::report::{Latency, Report};
use crate::scenario::Churn;
use crate::target::Target;

/// Ports that were used a moment ago are refused; so many others are tried.
const PORTS_TRIED: u64 = 20;

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Connections that got their CONNACK.
    done: u64,
    /// Of these, with a resumed TLS handshake.
    resumed: u64,
}

struct Turnstile<'a> {
    conditions: &'a Conditions,
    target: Target,
    poll: Poll,
    places: Vec<(Client, Instant)>,
    opened: u64,
    count: Count,
    latency: Histogram<u64>,
    last: Instant,
    tls: Option<String>,
}

/// Runs it.
pub fn run(plan: &Churn, conditions: &Conditions, progress: &mut Progress) -> Result<Report, Failure> {
    if plan.resumed.is_some() && conditions.target.tls.is_none() {
        return Err(Failure::Usage("handshakes need --tls --ca FILE".into()));
    }
    let resumes = plan.resumed.unwrap_or(false);
    let latency = Histogram::new_with_bounds(1, 3_600_000_000_000, 3);
    let mut turnstile = Turnstile {
        conditions,
        target: conditions.target.resuming(resumes)?,
        poll: Poll::new().map_err(Failure::system("epoll"))?,
        places: Vec::new(),
        opened: 0,
        count: Count::default(),
        latency: latency.map_err(|error| Failure::Usage(error.to_string()))?,
        last: Instant::now(),
        tls: None,
    };
    for place in 0..plan.connections {
        let opened = turnstile.open(place)?;
        turnstile.places.push(opened);
    }
    let mut report = Report { connections: plan.connections, ..conditions.report("connection") };
    let outcome = turnstile.measure(&mut report, progress);
    let error = outcome.err().map(|error| error.to_string()).or_else(|| {
        let wrong = report.resumed.filter(|resumed| resumes && *resumed != report.delivered);
        wrong.map(|resumed| format!("only {resumed} of {} handshakes were resumed", report.delivered))
    });
    report.tls = turnstile.tls.take();
    report.latency_us = Latency::of(&turnstile.latency);
    let done = turnstile.count.done;
    report.messages = report.delivered;
    report.judge(&Tally { published: done, delivered: done, ..Tally::default() }, 0, error);
    Ok(report)
}

impl Turnstile<'_> {
    fn measure(&mut self, report: &mut Report, progress: &mut Progress) -> Result<(), Failure> {
        self.rounds("warm-up", self.conditions.warmup, u64::MAX, progress)?;
        self.latency.reset();
        let (mark, before) = (self.conditions.processes.mark()?, self.count);
        let most = self.conditions.messages.map_or(u64::MAX, |more| before.done + more);
        let outcome = self.rounds("measured", self.conditions.duration, most, progress);
        report.measure(self.count.done - before.done, &self.conditions.processes.since(&mark)?);
        report.resumed = self.target.tls.is_some().then(|| self.count.resumed - before.resumed);
        outcome
    }

    fn rounds(&mut self, phase: &str, duration: Duration, most: u64, progress: &mut Progress) -> Result<(), Failure> {
        let (mut events, mut io) = (Events::with_capacity(1024), Buffers::new(0));
        let (begun, mut shown) = (Instant::now(), self.count.done);
        while begun.elapsed() < duration && self.count.done < most {
            match self.poll.poll(&mut events, Some(Duration::from_millis(100))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Failure::system("epoll")(error));
                }
                _ => {}
            }
            for event in &events {
                self.serve(event.token().0, event.is_writable(), event.is_readable(), &mut io)?;
            }
            let now = Instant::now();
            self.conditions.patience(self.last)?;
            if progress.is_due(now) {
                let (name, done) = (&self.conditions.scenario, self.count.done);
                progress.tell(&format!("{name} {phase}: {} connections in the last second", done - shown));
                shown = done;
            }
        }
        Ok(())
    }

    fn open(&mut self, place: usize) -> Result<(Client, Instant), Failure> {
        let mut tried = 0;
        let link = loop {
            self.opened += 1;
            tried += 1;
            match Link::open(&self.target, self.target.source_in_turn(self.opened)) {
                Ok(link) => break link,
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && tried < PORTS_TRIED => {}
                Err(error) => return Err(Failure::system("a connection cannot be opened")(error)),
            }
        };
        let mut client = Client::new(link);
        let client_id = format!("{}-{place}", self.target.client_id);
        client.connect(&self.target, &Introduction { client_id, ..Introduction::default() })?;
        self.poll
            .registry()
            .register(client.link.source(), Token(place), Interest::READABLE | Interest::WRITABLE)
            .map_err(Failure::system("epoll"))?;
        Ok((client, Instant::now()))
    }

    fn serve(&mut self, place: usize, writable: bool, readable: bool, io: &mut Buffers) -> Result<(), Failure> {
        let Some((client, _)) = self.places.get_mut(place) else { return Ok(()) };
        if writable {
            client.link.connected().map_err(lost(place))?;
            client.flush().map_err(lost(place))?;
        }
        if readable && self.read(place, io)? {
            self.done(place)?;
            return self.replace(place);
        }
        Ok(())
    }

    /// True once CONNACK is there.
    fn read(&mut self, place: usize, io: &mut Buffers) -> Result<bool, Failure> {
        let Some((client, _)) = self.places.get_mut(place) else { return Ok(false) };
        while let Some(got) = client.receive(&mut io.plain, &mut io.scratch).map_err(lost(place))? {
            let bytes = io.plain.get(..got.len).unwrap_or_default();
            let Some(found) = frame(bytes, PACKET_BYTES_MAX).map_err(|error| not_mqtt(&error))? else {
                client.keep(bytes);
                continue;
            };
            match decode(found, Role::Client, Some(self.target.version)).map_err(|error| not_mqtt(&error))? {
                Packet::Connack(connack) if connack.reason == ReasonCode::Success => {
                    return client.admitted(&connack).map(|()| true);
                }
                Packet::Auth(auth) => client.proceed(&auth)?,
                other => return Err(not_expected(&other)),
            }
            client.keep(bytes.get(found.len..).unwrap_or_default());
        }
        // An exchange may go on, and TLS may have had to answer before it could pass on CONNECT.
        client.flush().map_err(lost(place))?;
        Ok(false)
    }

    /// It is counted, and says DISCONNECT.
    fn done(&mut self, place: usize) -> Result<(), Failure> {
        let Some((client, begun)) = self.places.get_mut(place) else { return Ok(()) };
        self.last = Instant::now();
        self.latency.saturating_record(((self.last - *begun).as_nanos() as u64).max(1));
        self.count.resumed += u64::from(client.link.handshake() == Some(HandshakeKind::Resumed));
        self.count.done += 1;
        if self.tls.is_none() {
            self.tls = client.link.tls_text();
        }
        encode::client_disconnect(&mut client.out, self.target.version, ReasonCode::Success, Properties::default());
        client.flush().map_err(lost(place))?;
        client.link.close_notify();
        client.link.push().map(drop).map_err(lost(place))
    }

    fn replace(&mut self, place: usize) -> Result<(), Failure> {
        let opened = self.open(place)?;
        if let Some(old) = self.places.get_mut(place) {
            *old = opened;
        }
        Ok(())
    }
}
