//! What happened, for logs, metrics and detectors. Values only: no event carries a payload,
//! a password or a key (I8).

use std::sync::Arc;

use serde::Serialize;

use crate::message::Time;
use crate::policy::scope;
use crate::wire::Version;

/// Who a thing happened to, as far as it was known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Subject {
    /// The proved identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Arc<str>>,
    /// The Client Identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Arc<str>>,
    /// Where the connection came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Arc<str>>,
    /// The listener's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Arc<str>>,
    /// The tenant, where it is one's client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Arc<str>>,
}

impl Subject {
    /// A client that may have no connection; `client_id` is that of its Session.
    #[must_use]
    pub fn of_client(identity: &Arc<str>, client_id: &Arc<str>) -> Subject {
        Subject {
            identity: Some(Arc::clone(identity)),
            client_id: Some(scope::known(client_id)),
            tenant: scope::tenant(client_id).map(Arc::from),
            ..Subject::default()
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// To whom.
    #[serde(flatten)]
    pub subject: Subject,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// CONNACK 0x00.
    Connected {
        /// How the identity was proved.
        method: Arc<str>,
        /// The protocol.
        version: Version,
        /// "mqtts", "wss" ...
        transport: &'static str,
        /// True when a Session was resumed.
        session_present: bool,
        /// Keep Alive in force, seconds.
        keep_alive_s: u16,
    },
    /// A connection was not accepted.
    Refused {
        /// Name of the Reason Code.
        reason: &'static str,
        /// What was wrong, in words.
        why: String,
    },
    /// An accepted connection ended.
    Disconnected {
        /// Name of the Reason Code.
        reason: &'static str,
        /// "client", "server" or "transport".
        by: &'static str,
        /// What was wrong, in words; empty when nothing was.
        why: String,
    },
    /// The policy refused an action.
    Denied {
        /// "publish", "subscribe", "will" or "receive".
        action: &'static str,
        /// The Topic Name or Topic Filter.
        topic: String,
        /// The rule that forbids, if one does.
        rule: Option<String>,
        /// Why: no rule permits, or one forbids.
        why: &'static str,
    },
    /// A message is not as the policy declares its topic.
    ContractBroken {
        /// How: "topic", "payload" or "rate".
        broken: &'static str,
        /// The Topic Name.
        topic: String,
        /// The declaration, as the policy spells it; none for an undeclared topic.
        declared: Option<String>,
        /// In words, with nothing of the payload.
        why: String,
        /// "warned" or "refused".
        effect: &'static str,
    },
    /// A limit was met.
    LimitMet {
        /// Its setting's name.
        limit: &'static str,
        /// What the server did about it.
        effect: &'static str,
    },
    /// A Subscription lost its permission.
    SubscriptionRemoved {
        /// Its full Topic Filter.
        filter: Arc<str>,
        /// Messages dropped from the queue with it.
        dropped_messages: u64,
    },
    /// A policy took effect on a shard.
    PolicyApplied {
        /// The epoch it opened.
        epoch: u64,
        /// Its digest.
        digest: String,
    },
    /// Time windows of the policy opened or closed: what hangs on them was decided again.
    WindowsChanged {
        /// Names of those that opened.
        opened: Vec<String>,
        /// Names of those that closed.
        closed: Vec<String>,
    },
    /// Many alike within a second, told once.
    Repeated {
        /// The kind: "refused", "denied" ...
        kind: &'static str,
        /// What all of them are about: a reason, an action or a limit; empty where there is none.
        about: &'static str,
        /// How many.
        count: u64,
        /// Over how many milliseconds.
        within_ms: u64,
    },
    /// The store failed: nothing of QoS 1 or 2 is accepted any more.
    StoreFailed {
        /// What it says.
        why: String,
    },
}

impl What {
    /// The kind's name, as in `event`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            What::Connected { .. } => "connected",
            What::Refused { .. } => "refused",
            What::Disconnected { .. } => "disconnected",
            What::Denied { .. } => "denied",
            What::ContractBroken { .. } => "contract_broken",
            What::LimitMet { .. } => "limit_met",
            What::SubscriptionRemoved { .. } => "subscription_removed",
            What::PolicyApplied { .. } => "policy_applied",
            What::WindowsChanged { .. } => "windows_changed",
            What::Repeated { .. } => "repeated",
            What::StoreFailed { .. } => "store_failed",
        }
    }
}

impl Event {
    /// An event of now.
    #[must_use]
    pub fn new(now: Time, subject: Subject, what: What) -> Event {
        Event { at_ms: now.0, subject, what }
    }
}
