//! Commands that clients publish to the broker itself: a bounded lane that all shards share.
//!
//! Only a rule that spells their topic permits one. It is acknowledged once it is in the lane, and goes nowhere else:
//! not routed, not retained and not stored, for there may be passwords in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::publish::refusal;
use super::{Effects, Server};
use crate::event::{Event, Subject, What};
use crate::message::{Publisher, Time};
use crate::policy::{Asked, Authorized, CONTROL_TOPIC, Why};
use crate::session::ConnectionKey;
use crate::session::auth_exchange::Secret;
use crate::session::owing::OwedPacket;
use crate::topic::TopicName;
use crate::wire::{Property, Publish, QoS, ReasonCode};

/// Commands that wait at most.
pub const CONTROL_REQUESTS_MAX: usize = 256;
/// Octets of them at most.
pub const CONTROL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A command, and whose it is.
#[derive(Clone, Debug)]
pub struct Command {
    /// Where it was published.
    pub topic: &'static str,
    /// What it says.
    pub payload: Secret,
    /// Who sent it.
    pub publisher: Arc<Publisher>,
    /// Correlation Data.
    pub correlation: Option<Secret>,
    /// Response Topic: nothing is published there, as the policy was not asked about it.
    pub response_topic: Option<Box<str>>,
    qos: QoS,
    retain: bool,
}

/// Why a command is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Nobody empties the lane.
    Closed,
    /// This limit is met.
    Full(&'static str),
}

/// What is answered to a command.
#[derive(Clone, Debug)]
pub struct Reply {
    /// To this client alone; without one to all who are subscribed to its topic.
    pub client_id: Option<Box<str>>,
    /// Its Topic Name.
    pub topic: Box<str>,
    /// What it says.
    pub payload: Box<[u8]>,
}

/// Commands that wait for whoever carries them out.
#[derive(Debug, Default)]
pub struct CommandLane {
    inner: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    is_open: bool,
    commands: VecDeque<Command>,
    bytes: usize,
}

impl Command {
    fn of(publish: &Publish<'_>, publisher: &Arc<Publisher>) -> Command {
        let (mut correlation, mut response_topic) = (None, None);
        for property in publish.properties {
            match property {
                Property::CorrelationData(octets) => correlation = Some(Secret::new(octets)),
                Property::ResponseTopic(topic) => response_topic = Some(Box::from(topic)),
                _ => {}
            }
        }
        Command {
            topic: CONTROL_TOPIC,
            payload: Secret::new(publish.payload),
            publisher: Arc::clone(publisher),
            correlation,
            response_topic,
            qos: publish.qos,
            retain: publish.retain,
        }
    }

    fn weight_bytes(&self) -> usize {
        let correlation = self.correlation.as_ref().map_or(0, |octets| octets.expose().len());
        self.payload.expose().len() + correlation + self.response_topic.as_ref().map_or(0, |topic| topic.len())
    }
}

impl CommandLane {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody empties it.
    pub fn open(&self) {
        self.waiting().is_open = true;
    }

    /// Puts a command behind the others.
    ///
    /// # Errors
    /// `NotTaken`; then it is not in it.
    pub fn put(&self, command: Command) -> Result<(), NotTaken> {
        let mut waiting = self.waiting();
        if !waiting.is_open {
            return Err(NotTaken::Closed);
        }
        if waiting.commands.len() >= CONTROL_REQUESTS_MAX {
            return Err(NotTaken::Full("control_requests_max"));
        }
        let bytes = waiting.bytes.saturating_add(command.weight_bytes());
        if bytes > CONTROL_BYTES_MAX {
            return Err(NotTaken::Full("control_bytes_max"));
        }
        waiting.bytes = bytes;
        waiting.commands.push_back(command);
        Ok(())
    }

    /// Takes at most so many, oldest first.
    #[must_use]
    pub fn take(&self, limit: usize) -> Vec<Command> {
        let mut waiting = self.waiting();
        let count = limit.min(waiting.commands.len());
        let taken: Vec<Command> = waiting.commands.drain(..count).collect();
        let bytes: usize = taken.iter().map(Command::weight_bytes).sum();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        taken
    }

    fn is_empty(&self) -> bool {
        self.waiting().commands.is_empty()
    }

    fn retain(&self, keeps: impl FnMut(&Command) -> bool) {
        let mut waiting = self.waiting();
        waiting.commands.retain(keeps);
        waiting.bytes = waiting.commands.iter().map(Command::weight_bytes).sum();
    }
}

impl Server {
    /// A command that the policy permits. RETAIN asks for nothing: none is ever kept.
    #[cold]
    #[inline(never)]
    pub(super) fn on_command(
        &mut self,
        key: ConnectionKey,
        publish: &Authorized<Publish<'_>>,
        publisher: &Arc<Publisher>,
        now: Time,
        fx: &mut Effects,
    ) {
        match self.common.commands().put(Command::of(publish, publisher)) {
            Ok(()) => {
                fx.has_commands = true;
                self.acknowledge_command(key, publish, now, fx);
            }
            Err(NotTaken::Closed) => {
                self.counters().denied.add(1);
                self.tell(key, now, denied(None, Why::ServerTopic), fx);
                self.deny(key, publish, ReasonCode::NotAuthorized, "commands are not taken by MQTT here", now, fx);
            }
            Err(NotTaken::Full(limit)) if publish.packet_id.is_none() => {
                self.counters().publish_dropped.add(1);
                self.limit_met(key, limit, "message dropped", now, fx);
            }
            Err(NotTaken::Full(limit)) => {
                let rejection = refusal(ReasonCode::QuotaExceeded, "too many commands wait").by(limit);
                self.reject(key, publish, &rejection, now, fx);
            }
        }
    }

    fn acknowledge_command(&mut self, key: ConnectionKey, publish: &Publish<'_>, now: Time, fx: &mut Effects) {
        let Some(id) = publish.packet_id else { return };
        if publish.qos == QoS::ExactlyOnce {
            self.receive_command(key, id, now, fx);
        } else {
            self.owe(key, OwedPacket::Puback(id, ReasonCode::Success, None), 0, false, now, fx);
        }
    }

    /// Policy or identities have changed: a command that waits stays one while its sender may still send it. Each
    /// shard decides about those whose clients are at home there.
    pub(super) fn decide_commands_again(&mut self, now: Time, fx: &mut Effects) {
        let common = Arc::clone(&self.common);
        if common.commands().is_empty() {
            return;
        }
        common.commands().retain(|command| {
            self.home_of(&command.publisher.client_id) != self.shard || self.may_still_send(command, now, fx)
        });
    }

    fn may_still_send(&mut self, command: &Command, now: Time, fx: &mut Effects) -> bool {
        let who = &command.publisher;
        let session = self.by_client_id.get(&who.client_id).and_then(|key| self.sessions.get(*key));
        let grants = match session.filter(|session| session.principal.id == who.identity) {
            Some(session) => Arc::clone(&session.grants),
            None => self.grants_of(who),
        };
        let asked = Asked::plain(command.qos, command.retain, command.payload.expose().len());
        let decision = grants.publish(&TopicName::assume_parsed(CONTROL_TOPIC), &asked);
        if decision.allow {
            return true;
        }
        self.counters().denied.add(1);
        let rule = decision.rule.map(|rule| grants.image().rule_name(rule).to_owned());
        let subject = Subject::of_client(&who.identity, &who.client_id);
        fx.events.push(Event::new(now, subject, denied(rule, decision.why)));
        false
    }
}

fn denied(rule: Option<String>, why: Why) -> What {
    What::Denied { action: "publish", topic: CONTROL_TOPIC.to_owned(), rule, why: why.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(octets: usize) -> Command {
        Command {
            topic: CONTROL_TOPIC,
            payload: Secret::new(&vec![b'x'; octets]),
            publisher: Arc::new(Publisher { identity: Arc::from("i"), client_id: Arc::from("c") }),
            correlation: Some(Secret::new(b"12")),
            response_topic: Some(Box::from("abc")),
            qos: QoS::AtLeastOnce,
            retain: false,
        }
    }

    #[test]
    fn a_lane_that_nobody_empties_takes_nothing() {
        let lane = CommandLane::default();
        assert_eq!(lane.put(command(1)), Err(NotTaken::Closed));
        assert!(lane.is_empty());
    }

    #[test]
    fn commands_are_bounded_in_number_and_octets_until_they_are_taken() {
        let lane = CommandLane::default();
        lane.open();
        for _ in 0..CONTROL_REQUESTS_MAX {
            assert_eq!(lane.put(command(1)), Ok(()));
        }
        assert_eq!(lane.put(command(1)), Err(NotTaken::Full("control_requests_max")));
        assert_eq!(lane.take(CONTROL_REQUESTS_MAX + 1).len(), CONTROL_REQUESTS_MAX);
        // Five octets are beside the payload.
        assert_eq!(lane.put(command(CONTROL_BYTES_MAX - 4)), Err(NotTaken::Full("control_bytes_max")));
        assert_eq!(lane.put(command(CONTROL_BYTES_MAX - 5)), Ok(()));
        assert_eq!(lane.put(command(0)), Err(NotTaken::Full("control_bytes_max")));
        lane.retain(|_| false);
        assert_eq!(lane.put(command(CONTROL_BYTES_MAX - 5)), Ok(()));
    }

    #[test]
    fn what_a_command_says_is_in_no_log() {
        assert!(!format!("{:?}", command(3)).contains("xxx"));
    }
}
