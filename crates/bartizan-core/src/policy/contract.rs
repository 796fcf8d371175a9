//! What a policy declares of its topics: what a message must be, once a rule permits it.
//!
//! Of the declarations that mean a topic the most specific holds, and it alone. What payloads are made of core does
//! not know: `PayloadCheck` is a port, and whoever loads an image hands in who can make one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;

use super::bind::Grants;
use super::format::{ImageError, NAME_BYTES_MAX, PAYLOADS_MAX, SCHEMA_BYTES_MAX, TOPICS_MAX, TopicText};
use super::image::{Image, RuleId, free_pattern};
use super::pattern::PatternLevel;
use super::tree::{Entry, RuleTree};
use crate::topic::TopicName;

/// What becomes of a message that is not as the policy declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforce {
    /// It is counted, and goes on.
    #[default]
    Off,
    /// It is told and counted, and goes on.
    Warn,
    /// It is told, counted and refused.
    Reject,
}

impl Enforce {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Enforce::Off => "off",
            Enforce::Warn => "warn",
            Enforce::Reject => "reject",
        }
    }
}

/// What payloads are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadFormat {
    /// JSON (RFC 8259), by a JSON Schema if there is one.
    Json,
    /// UTF-8, by a regular expression if there is one.
    Text,
    /// Anything.
    Bytes,
    /// A protobuf message.
    Protobuf,
    /// A payload of Sparkplug B.
    Sparkplug,
}

/// What a policy says about payloads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadSpec {
    /// What they are made of.
    pub format: PayloadFormat,
    /// The text of the JSON Schema or of the `.proto`.
    #[serde(default)]
    pub schema: Option<String>,
    /// The protobuf message's full name.
    #[serde(default, rename = "type")]
    pub type_name: Option<String>,
    /// The regular expression that a text matches as a whole.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Octets at most.
    #[serde(default)]
    pub bytes_max: Option<u64>,
}

/// A payload does not fit. The text says which part of the policy it breaks, and nothing of the payload (I8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit(pub String);

/// Checks payloads.
pub trait PayloadCheck: fmt::Debug + Send + Sync {
    /// Whether a payload fits.
    ///
    /// # Errors
    /// `Misfit` says what does not.
    fn check(&self, payload: &[u8]) -> Result<(), Misfit>;
}

/// Makes checks, once, when an image is loaded.
pub trait PayloadCompiler {
    /// The check for this.
    ///
    /// # Errors
    /// What is wrong with the schema, in words.
    fn compile(&self, spec: &PayloadSpec) -> Result<Box<dyn PayloadCheck>, String>;
}

/// For images without payloads.
pub(super) struct NoCompiler;

impl PayloadCompiler for NoCompiler {
    fn compile(&self, _: &PayloadSpec) -> Result<Box<dyn PayloadCheck>, String> {
        Err("nobody is here to check payloads".into())
    }
}

/// A declared topic of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicId(u32);

/// What is declared of a topic.
#[derive(Debug)]
pub struct Declared {
    /// As the policy spells it.
    pub name: Box<str>,
    /// What becomes of messages that are not so.
    pub enforce: Enforce,
    /// Messages per second of one client at most.
    pub rate_per_s: Option<u32>,
    /// Seconds after which a message is of no use: its Message Expiry Interval is at most that.
    pub retention_s: Option<u32>,
    /// Its messages say whose they are, in the server's words.
    pub provenance: bool,
    payload: Option<u32>,
}

/// What is left to be looked at when a message was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Its topic is not declared.
    Undeclared(Enforce),
    /// Its topic is declared, and something is asked of its messages.
    Declared(TopicId),
}

/// What is left to be looked at in messages to a topic that rules admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// By the policy in force.
    pub duty: Option<Duty>,
    /// By a staged one.
    pub staged: Option<StagedDuty>,
}

/// A staged policy whose rules permit the message too, and what it asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedDuty(pub Option<Duty>);

/// How a message is not as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Its topic is not declared.
    Topic,
    /// Its payload does not fit.
    Payload,
    /// It came too soon after others.
    Rate,
}

impl Broken {
    /// Why a policy refuses such a message, beside the words of `Why`.
    #[must_use]
    pub const fn as_why(self) -> &'static str {
        match self {
            Broken::Topic => "topic_undeclared",
            Broken::Payload => "payload_misfit",
            Broken::Rate => "rate_exceeded",
        }
    }

    /// Its name, as events spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Broken::Topic => "topic",
            Broken::Payload => "payload",
            Broken::Rate => "rate",
        }
    }
}

/// A message is not as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// How.
    pub broken: Broken,
    /// What becomes of it.
    pub enforce: Enforce,
    /// The declaration, if there is one.
    pub declared: Option<TopicId>,
    /// In words, without anything of the payload.
    pub why: Cow<'static, str>,
}

/// The declared topics of an image.
#[derive(Debug, Default)]
pub(super) struct Contract {
    /// What becomes of messages to topics that are not declared; `None`: nobody looks.
    undeclared: Option<Enforce>,
    /// False where no message is looked at.
    asks: bool,
    /// True where some topic's messages say whose they are.
    has_provenance: bool,
    topics: Box<[Declared]>,
    payloads: Box<[Box<dyn PayloadCheck>]>,
    tree: RuleTree,
}

impl Contract {
    pub(super) fn load(
        undeclared: Option<Enforce>,
        topics: Vec<TopicText>,
        payloads: Vec<PayloadSpec>,
        compiler: &dyn PayloadCompiler,
    ) -> Result<Contract, ImageError> {
        if topics.len() > TOPICS_MAX {
            return Err(ImageError::TooMany { what: "topics", max: TOPICS_MAX });
        }
        if payloads.len() > PAYLOADS_MAX {
            return Err(ImageError::TooMany { what: "payloads", max: PAYLOADS_MAX });
        }
        let payloads = payloads.iter().enumerate().map(|(at, spec)| compile(at, spec, compiler));
        let payloads = payloads.collect::<Result<Box<[_]>, _>>()?;
        let mut patterns: Vec<Box<[PatternLevel]>> = Vec::with_capacity(topics.len());
        let mut declared: Vec<Declared> = Vec::with_capacity(topics.len());
        let mut known: HashSet<Box<[PatternLevel]>> = HashSet::new();
        for topic in topics {
            let wrong = |why| ImageError::Topic { topic: topic.name.chars().take(256).collect(), why };
            let pattern = free_pattern(&topic.pattern).map_err(wrong)?;
            if !known.insert(pattern.clone()) {
                return Err(wrong("it is there twice"));
            }
            if topic.name.is_empty() || topic.name.len() > NAME_BYTES_MAX {
                return Err(wrong("its name is empty or too long"));
            }
            if topic.payload.is_some_and(|at| at as usize >= payloads.len()) {
                return Err(wrong("it has a payload that is not there"));
            }
            if topic.rate_per_s == Some(0) || topic.retention_s == Some(0) {
                return Err(wrong("a rate or a retention of nothing"));
            }
            patterns.push(pattern);
            let name = topic.name.into();
            let (enforce, payload) = (topic.enforce, topic.payload);
            let TopicText { rate_per_s, retention_s, provenance, .. } = topic;
            declared.push(Declared { name, enforce, rate_per_s, retention_s, provenance, payload });
        }
        // At most `TOPICS_MAX`.
        let entry = |at: usize| Entry { rule: RuleId(at as u32), is_forbid: false, condition: None };
        let tree = RuleTree::new(patterns.iter().enumerate().map(|(at, pattern)| (entry(at), &pattern[..])));
        let asks = undeclared.is_some() || declared.iter().any(|declared| !declared.asks_nothing());
        let has_provenance = declared.iter().any(|declared| declared.provenance);
        Ok(Contract { undeclared, asks, has_provenance, topics: declared.into(), payloads, tree })
    }
}

fn compile(at: usize, spec: &PayloadSpec, compiler: &dyn PayloadCompiler) -> Result<Box<dyn PayloadCheck>, ImageError> {
    let wrong = |why: String| ImageError::Payload { at, why };
    if spec.schema.as_ref().is_some_and(|schema| schema.len() > SCHEMA_BYTES_MAX) {
        return Err(wrong(format!("its schema has more than {SCHEMA_BYTES_MAX} octets")));
    }
    compiler.compile(spec).map_err(wrong)
}

impl Declared {
    fn asks_nothing(&self) -> bool {
        self.payload.is_none() && self.rate_per_s.is_none() && self.retention_s.is_none() && !self.provenance
    }
}

impl Grants {
    /// What a message of this principal to this topic is to be looked at for; a tenant's as its clients see it.
    #[must_use]
    pub fn duty(&self, topic: &TopicName<'_>) -> Option<Duty> {
        self.image().duty(&TopicName::assume_parsed(self.shown(topic.as_str())))
    }
}

impl Breach {
    /// True if the message is refused for it.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.enforce == Enforce::Reject
    }
}

impl Image {
    /// True if it asks anything of any message.
    #[must_use]
    pub fn asks_of_messages(&self) -> bool {
        self.contract.asks
    }

    /// True if messages to some topic say whose they are.
    #[inline]
    #[must_use]
    pub fn has_provenance(&self) -> bool {
        self.contract.has_provenance
    }

    /// True if a message with this duty says whose it is.
    #[must_use]
    pub fn asks_provenance(&self, duty: Duty) -> bool {
        matches!(duty, Duty::Declared(id) if self.declared(id).is_some_and(|declared| declared.provenance))
    }

    /// True if a message with this duty can be refused.
    #[must_use]
    pub fn may_refuse(&self, duty: Duty) -> bool {
        let enforce = match duty {
            Duty::Undeclared(enforce) => enforce,
            Duty::Declared(id) => self.declared(id).map_or(Enforce::Off, |declared| declared.enforce),
        };
        enforce == Enforce::Reject
    }

    /// The key of the policy by which such a message is refused, as its author would look for it.
    #[must_use]
    pub fn breached_key(&self, breach: &Breach) -> String {
        let name = breach.declared.and_then(|id| self.declared(id)).map(|declared| &declared.name);
        match (name, breach.broken) {
            (Some(name), Broken::Rate) => format!("topics.\"{name}\".rate_per_s"),
            (Some(name), _) => format!("topics.\"{name}\".payload"),
            (None, _) => "contract.enforce".to_owned(),
        }
    }

    /// What a message to this topic is to be looked at for; `None` where there is nothing.
    #[must_use]
    pub fn duty(&self, topic: &TopicName<'_>) -> Option<Duty> {
        let contract = &self.contract;
        // Topics that begin with `$` are the server's own.
        if !contract.asks || topic.is_dollar() {
            return None;
        }
        let Some(found) = contract.tree.most_specific(topic.as_str()) else {
            return contract.undeclared.map(Duty::Undeclared);
        };
        let id = TopicId(found.0);
        self.declared(id).is_some_and(|declared| !declared.asks_nothing()).then_some(Duty::Declared(id))
    }

    /// The declaration that holds for this topic, whether or not it asks for anything.
    #[must_use]
    pub fn declaration(&self, topic: &TopicName<'_>) -> Option<&Declared> {
        self.contract.tree.most_specific(topic.as_str()).and_then(|found| self.declared(TopicId(found.0)))
    }

    /// A declared topic.
    #[must_use]
    pub fn declared(&self, topic: TopicId) -> Option<&Declared> {
        self.contract.topics.get(topic.0 as usize)
    }

    /// How a message with this duty and this payload is not as declared, if it is not. Rates are not looked at:
    /// whoever keeps count of messages does that.
    #[must_use]
    pub fn breach(&self, duty: Duty, payload: &[u8]) -> Option<Breach> {
        let id = match duty {
            Duty::Undeclared(enforce) => {
                let why = "the policy declares no such topic".into();
                return Some(Breach { broken: Broken::Topic, enforce, declared: None, why });
            }
            Duty::Declared(id) => id,
        };
        let declared = self.declared(id)?;
        let check = declared.payload.and_then(|at| self.contract.payloads.get(at as usize))?;
        let Misfit(why) = check.check(payload).err()?;
        Some(Breach { broken: Broken::Payload, enforce: declared.enforce, declared: Some(id), why: why.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: &str = r#"{"format":3,"roles":[],"undeclared":"warn","topics":[
        {"name":"plain","pattern":[{"lit":"plain"}],"enforce":"reject"},
        {"name":"slow","pattern":[{"lit":"slow"}],"enforce":"reject","rate_per_s":1},
        {"name":"told","pattern":[{"lit":"told"}],"provenance":true}]}"#;

    fn duty(image: &Image, topic: &str) -> Option<Duty> {
        image.duty(&TopicName::parse(topic).unwrap())
    }

    #[test]
    fn every_word_is_spelt_as_policies_and_events_spell_it() {
        assert_eq!([Enforce::Off, Enforce::Warn, Enforce::Reject].map(Enforce::as_str), ["off", "warn", "reject"]);
        let ways = [Broken::Topic, Broken::Payload, Broken::Rate];
        assert_eq!(ways.map(Broken::as_str), ["topic", "payload", "rate"]);
        assert_eq!(ways.map(Broken::as_why), ["topic_undeclared", "payload_misfit", "rate_exceeded"]);
    }

    #[test]
    fn a_message_is_held_to_its_own_declaration_and_to_no_other() {
        let image = Image::load(TOPICS.as_bytes()).unwrap();
        let (slow, told) = (duty(&image, "slow").unwrap(), duty(&image, "told").unwrap());
        assert_eq!((duty(&image, "plain"), duty(&image, "$SYS/a")), (None, None));
        assert_eq!(duty(&image, "other"), Some(Duty::Undeclared(Enforce::Warn)));
        assert_eq!((image.may_refuse(slow), image.may_refuse(told)), (true, false));
        assert_eq!(
            [Enforce::Warn, Enforce::Reject].map(|enforce| image.may_refuse(Duty::Undeclared(enforce))),
            [false, true]
        );
        assert_eq!((image.asks_provenance(slow), image.asks_provenance(told)), (false, true));
        assert!(!image.asks_provenance(Duty::Undeclared(Enforce::Reject)));
        assert!(image.has_provenance() && image.asks_of_messages());
        let image = Image::load(TOPICS.replace(r#","provenance":true"#, "").as_bytes()).unwrap();
        assert!(!image.has_provenance() && image.asks_of_messages());
        let nothing = TOPICS
            .replace(r#","provenance":true"#, "")
            .replace(r#","rate_per_s":1"#, "")
            .replace(r#""undeclared":"warn","#, "");
        assert!(!Image::load(nothing.as_bytes()).unwrap().asks_of_messages());
    }
}
