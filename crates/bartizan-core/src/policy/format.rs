//! The JSON form of an image and its bounds. `docs/adr/0004-policy-image.md` says why it is JSON.
//!
//! Rules are nested in their role and sources are written where they are used, so that no index
//! in the text can point nowhere.

use serde::Deserialize;

use super::limits::RoleLimits;

/// The only form this engine reads.
pub(super) const FORMAT: u32 = 1;
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
    /// A rule that no compiler writes.
    #[error("rule {rule:?}: {why}")]
    Rule {
        /// The rule's name.
        rule: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageText {
    pub format: u32,
    pub roles: Vec<RoleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleText {
    pub name: String,
    pub limits: RoleLimits,
    pub rules: Vec<RuleText>,
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
