//! The JSON form of an image and its bounds. `docs/adr/0004-policy-image.md` says why it is JSON.
//!
//! Rules are nested in their role and sources are written where they are used, so that no index
//! in the text can point nowhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::contract::{Enforce, PayloadSpec};
use super::limits::RoleLimits;
use super::tenant::TenantLimits;

/// The only form this engine reads.
pub(super) const FORMAT: u32 = 3;
/// Octets of an image.
pub(super) const IMAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Rules of all roles together.
pub(super) const RULES_MAX: usize = 1_000_000;
/// Roles.
pub(super) const ROLES_MAX: usize = 100_000;
/// Levels of one pattern.
pub(super) const PATTERN_LEVELS_MAX: usize = 128;
/// Octets of a role's, a rule's or an attribute's name.
pub(super) const NAME_BYTES_MAX: usize = 4_096;
/// Different sources of values in one image: one slot each in every `Grants`.
pub(super) const SOURCES_MAX: usize = 256;
/// Different conditions in one image.
pub(super) const CONDITIONS_MAX: usize = 65_535;
/// Time windows.
pub(super) const WINDOWS_MAX: usize = 1_024;
/// Tenants.
pub(super) const TENANTS_MAX: usize = 65_536;
/// Entries of one list of a condition.
pub(super) const ENTRIES_MAX: usize = 4_096;
/// Declared topics.
pub(super) const TOPICS_MAX: usize = 100_000;
/// Different payloads that topics declare.
pub(super) const PAYLOADS_MAX: usize = 10_000;
/// Octets of one payload's schema.
pub(super) const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// Why bytes are not a policy image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Too many octets.
    #[error("the image has {0} octets, more than {IMAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// Not the JSON of an image.
    #[error("the image is not readable: {0}")]
    Syntax(String),
    /// A format of another version of the engine.
    #[error("the image has format {0}, this engine reads {FORMAT}")]
    Format(u32),
    /// More of something than the bound.
    #[error("the image has more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// Role names are not in strictly ascending order, which every compiled image has.
    #[error("roles are not sorted, or one is there twice: {0:?}")]
    RoleOrder(String),
    /// A role or a condition that no compiler writes.
    #[error("role {role:?}: {why}")]
    Role {
        /// The role's name.
        role: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A rule that no compiler writes.
    #[error("rule {rule:?}: {why}")]
    Rule {
        /// The rule's name.
        rule: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A topic that no compiler declares so.
    #[error("topic {topic:?}: {why}")]
    Topic {
        /// As the policy spells it.
        topic: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What payloads are to be cannot be checked.
    #[error("payload {at}: {why}")]
    Payload {
        /// Its place among the image's payloads.
        at: usize,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageText {
    pub format: u32,
    pub roles: Vec<RoleText>,
    /// In ascending order of name.
    #[serde(default)]
    pub windows: Vec<WindowText>,
    /// In ascending order of name.
    #[serde(default)]
    pub tenants: Vec<TenantText>,
    /// What becomes of messages to topics that are not declared; nobody looks where it does not say.
    #[serde(default)]
    pub undeclared: Option<Enforce>,
    /// The topics that the policy declares; none where it holds nobody to them.
    #[serde(default)]
    pub topics: Vec<TopicText>,
    /// What their payloads are.
    #[serde(default)]
    pub payloads: Vec<PayloadSpec>,
}

/// A tenant; its root is without the `/` behind it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantText {
    pub name: String,
    pub root: String,
    #[serde(default)]
    pub limits: TenantLimits,
}

/// A time window. Its hours are here so that they are part of the policy's name; when exactly they come is
/// worked out outside, and arrives as a `Schedule`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowText {
    pub name: String,
    /// 0 is Monday.
    pub days: Vec<u8>,
    /// Minutes since midnight.
    pub from: u16,
    pub to: u16,
    pub zone: String,
}

impl WindowText {
    pub(super) fn is_sound(&self) -> bool {
        const DAY: u16 = 24 * 60;
        let named = |text: &str| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
        named(&self.name)
            && named(&self.zone)
            && !self.days.is_empty()
            && self.days.iter().all(|day| *day < 7)
            && self.from < DAY
            && self.to <= DAY
            && self.from != self.to
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleText {
    pub name: String,
    /// Names of roles whose rules and limits are this role's as well.
    #[serde(default)]
    pub includes: Vec<String>,
    pub limits: RoleLimits,
    pub rules: Vec<RuleText>,
    /// What the control plane decides by. It stands here so that it is part of the policy's name.
    #[serde(default, rename = "client_id")]
    _client_id: Option<IgnoredAny>,
    #[serde(default, rename = "user_name")]
    _user_name: Option<IgnoredAny>,
    #[serde(default, rename = "credential_days_max")]
    _credential_days_max: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub name: String,
    pub effect: EffectText,
    pub actions: Vec<ActionText>,
    pub pattern: Vec<LevelText>,
    pub qos_max: u8,
    pub retain: bool,
    #[serde(default)]
    pub when: Option<WhenText>,
}

/// The condition of a rule; what is not there is no part of it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WhenText {
    pub attr: BTreeMap<String, Vec<String>>,
    pub listener: Option<Vec<String>>,
    /// Networks, or `local`: a Unix socket.
    pub address: Option<Vec<String>>,
    pub method: Option<Vec<String>>,
    pub strength: Option<Vec<StrengthText>>,
    pub window: Option<Vec<String>>,
    pub qos: Option<Vec<u8>>,
    pub retain: Option<bool>,
    pub payload_bytes_min: Option<u64>,
    pub payload_bytes_max: Option<u64>,
    pub content_type: Option<Vec<String>>,
    pub utf8: Option<bool>,
}

/// A declared topic.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicText {
    /// As the policy spells it.
    pub name: String,
    /// Without variables: whatever stands there is any level.
    pub pattern: Vec<LevelText>,
    #[serde(default)]
    pub enforce: Enforce,
    /// Which of the image's payloads.
    #[serde(default)]
    pub payload: Option<u32>,
    #[serde(default)]
    pub rate_per_s: Option<u32>,
    #[serde(default)]
    pub retention_s: Option<u32>,
    #[serde(default)]
    pub provenance: bool,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum StrengthText {
    Certificate,
    Mfa,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum EffectText {
    Permit,
    Forbid,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionText {
    Publish,
    Subscribe,
}

/// One level of a pattern: `{"lit": "data"}`, `{"var": "attr.site"}`, `"one"` (`+`), `"many"` (`#`).
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LevelText {
    Lit(String),
    Var(String),
    One,
    Many,
}
