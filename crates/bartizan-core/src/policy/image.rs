//! The policy image: loaded once, strictly and within bounds, so that no decision can fail.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::condition::{Condition, MessageCondition, OpenWindows, Place, StrengthWord};
use super::contract::{Contract, NoCompiler, PayloadCompiler};
use super::format::{
    ActionText, CONDITIONS_MAX, ENTRIES_MAX, EffectText, FORMAT, IMAGE_BYTES_MAX, ImageError, ImageText, LevelText,
    NAME_BYTES_MAX, PATTERN_LEVELS_MAX, ROLES_MAX, RULES_MAX, RoleText, RuleText, SOURCES_MAX, StrengthText,
    WINDOWS_MAX, WhenText, WindowText,
};
use super::limits::RoleLimits;
use super::network::Network;
use super::pattern::{PatternLevel, is_literal_level, is_of_server};
use super::tenant::{self, Tenant};
use crate::wire::QoS;

/// The image of a policy that has no roles: what holds before any policy is there (I6).
const DENY_ALL: &[u8] = br#"{"format":3,"roles":[]}"#;

/// A rule of an image; `Image::rule_name` says its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(super) u32);

/// A compiled policy. Immutable; shared by an `Arc`, swapped whole.
#[derive(Debug)]
pub struct Image {
    digest: Box<str>,
    pub(super) sources: Box<[Source]>,
    pub(super) rules: Box<[Rule]>,
    /// In ascending order of name.
    pub(super) roles: Box<[Role]>,
    pub(super) conditions: Box<[Condition]>,
    /// In ascending order.
    windows: Box<[Box<str>]>,
    /// In ascending order of name.
    tenants: Box<[Arc<Tenant>]>,
    pub(super) contract: Contract,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    ClientId,
    Identity,
    Attribute(Box<str>),
}

#[derive(Debug)]
pub(super) struct Rule {
    pub name: Box<str>,
    pub pattern: Box<[PatternLevel]>,
    /// A permit's highest QoS of a PUBLISH.
    pub qos_max: QoS,
    /// True if a permit lets a PUBLISH carry RETAIN.
    pub retain: bool,
    /// The index of its condition.
    pub condition: Option<u16>,
}

/// The rules of one role by what they are asked for, each list in the order of the text.
#[derive(Debug)]
pub(super) struct Role {
    pub name: Box<str>,
    /// Indexes of the roles that are part of it.
    pub includes: Box<[u32]>,
    pub limits: RoleLimits,
    pub publish: Effects,
    pub subscribe: Effects,
}

#[derive(Debug, Default)]
pub(super) struct Effects {
    pub permit: Vec<RuleId>,
    pub forbid: Vec<RuleId>,
}

impl Image {
    /// Reads an image that the policy compiler wrote, and that holds no payload to a format.
    ///
    /// # Errors
    /// As `load_with`.
    pub fn load(bytes: &[u8]) -> Result<Image, ImageError> {
        Image::load_with(bytes, &NoCompiler)
    }

    /// Reads an image that the policy compiler wrote.
    ///
    /// # Errors
    /// Anything the compiler does not write is refused, and what `payloads` cannot check: an image is
    /// loaded whole or not at all.
    pub fn load_with(bytes: &[u8], payloads: &dyn PayloadCompiler) -> Result<Image, ImageError> {
        if bytes.len() > IMAGE_BYTES_MAX {
            return Err(ImageError::TooLarge(bytes.len()));
        }
        let text: ImageText = serde_json::from_slice(bytes).map_err(|e| ImageError::Syntax(e.to_string()))?;
        if text.format != FORMAT {
            return Err(ImageError::Format(text.format));
        }
        if text.roles.len() > ROLES_MAX {
            return Err(ImageError::TooMany { what: "roles", max: ROLES_MAX });
        }
        let names: Vec<&str> = text.roles.iter().map(|role| role.name.as_str()).collect();
        if let Some((_, late)) = names.iter().zip(names.iter().skip(1)).find(|(a, b)| a >= b) {
            return Err(ImageError::RoleOrder(late.chars().take(64).collect()));
        }
        let contract = Contract::load(text.undeclared, text.topics, text.payloads, payloads)?;
        let mut loader = Loader::new(&text.windows)?;
        let includes = text.roles.iter().map(|role| included(role, &names)).collect::<Result<Vec<_>, _>>()?;
        let roles = text.roles.into_iter().zip(includes);
        let roles = roles.map(|(role, includes)| loader.role(role, includes)).collect::<Result<Box<[Role]>, _>>()?;
        Ok(Image {
            digest: digest(bytes),
            sources: loader.sources.into(),
            rules: loader.rules.into(),
            roles,
            conditions: loader.conditions.into(),
            windows: loader.windows,
            tenants: tenant::load(text.tenants)?,
            contract,
        })
    }

    /// The image that grants nothing to anybody.
    #[must_use]
    pub fn deny_all() -> Image {
        Image {
            digest: digest(DENY_ALL),
            sources: Box::default(),
            rules: Box::default(),
            roles: Box::default(),
            conditions: Box::default(),
            windows: Box::default(),
            tenants: Box::default(),
            contract: Contract::default(),
        }
    }

    /// SHA-256 of the image's bytes, in lower-case hexadecimal: the name of this policy.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The stable name of a rule: where in the policy's text it stands.
    #[must_use]
    pub fn rule_name(&self, rule: RuleId) -> &str {
        self.rule(rule).map_or("", |rule| &rule.name)
    }

    /// Names of the time windows, in ascending order: that of `OpenWindows`.
    pub fn windows(&self) -> impl Iterator<Item = &str> {
        self.windows.iter().map(|name| &**name)
    }

    /// The tenant of this name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Arc<Tenant>> {
        let at = self.tenants.binary_search_by(|tenant| (*tenant.name).cmp(name)).ok()?;
        self.tenants.get(at)
    }

    /// False where no tenant is declared: then nobody is one's client, whatever an identity says.
    #[must_use]
    pub fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    pub(super) fn rule(&self, rule: RuleId) -> Option<&Rule> {
        self.rules.get(rule.0 as usize)
    }

    /// The index of a role; a role that the policy does not name grants nothing.
    pub(super) fn role_index(&self, name: &str) -> Option<u32> {
        let index = self.roles.binary_search_by(|role| (*role.name).cmp(name)).ok()?;
        u32::try_from(index).ok()
    }

    /// Grants for an identity without roles, for what no principal stands behind.
    #[must_use]
    pub fn no_grants(self: &Arc<Self>) -> super::bind::Grants {
        self.bind(&super::bind::Identity::default(), &OpenWindows::default())
    }
}

fn digest(bytes: &[u8]) -> Box<str> {
    Sha256::digest(bytes).iter().map(|octet| format!("{octet:02x}")).collect::<String>().into()
}

/// Where the roles stand that are part of this one.
fn included(role: &RoleText, names: &[&str]) -> Result<Box<[u32]>, ImageError> {
    let wrong = |why| ImageError::Role { role: role.name.chars().take(256).collect(), why };
    let place = |name: &String| {
        let at = names.binary_search(&name.as_str()).map_err(|_| wrong("it includes a role that is not there"))?;
        u32::try_from(at).map_err(|_| wrong("too many roles"))
    };
    role.includes.iter().map(place).collect()
}

/// Collects what roles share: the rules in one row, each source and each condition once.
#[derive(Default)]
struct Loader {
    rules: Vec<Rule>,
    sources: Vec<Source>,
    slots: HashMap<Source, u16>,
    conditions: Vec<Condition>,
    numbers: HashMap<Condition, u16>,
    windows: Box<[Box<str>]>,
}

impl Loader {
    fn new(windows: &[WindowText]) -> Result<Loader, ImageError> {
        if windows.len() > WINDOWS_MAX {
            return Err(ImageError::TooMany { what: "windows", max: WINDOWS_MAX });
        }
        let is_sorted = windows.iter().zip(windows.iter().skip(1)).all(|(a, b)| a.name < b.name);
        if !is_sorted || !windows.iter().all(WindowText::is_sound) {
            return Err(ImageError::Syntax("the windows are not sorted, or one is none".into()));
        }
        let names = windows.iter().map(|window| Box::from(window.name.as_str()));
        Ok(Loader { windows: names.collect(), ..Loader::default() })
    }

    fn role(&mut self, text: RoleText, includes: Box<[u32]>) -> Result<Role, ImageError> {
        if text.name.is_empty() || text.name.len() > NAME_BYTES_MAX {
            return Err(ImageError::RoleOrder(text.name.chars().take(64).collect()));
        }
        let mut role = Role {
            name: text.name.into(),
            includes,
            limits: text.limits,
            publish: Effects::default(),
            subscribe: Effects::default(),
        };
        for rule in text.rules {
            self.rule(rule, &mut role)?;
        }
        Ok(role)
    }

    fn rule(&mut self, text: RuleText, role: &mut Role) -> Result<(), ImageError> {
        let wrong = |why| ImageError::Rule { rule: text.name.chars().take(256).collect(), why };
        if self.rules.len() >= RULES_MAX {
            return Err(ImageError::TooMany { what: "rules", max: RULES_MAX });
        }
        let id = u32::try_from(self.rules.len()).map_err(|_| wrong("too many rules"))?;
        if text.name.is_empty() || text.name.len() > NAME_BYTES_MAX {
            return Err(wrong("its name is empty or too long"));
        }
        let qos_max = QoS::from_bits(text.qos_max).ok_or_else(|| wrong("qos_max is not 0, 1 or 2"))?;
        let forbid = text.effect == EffectText::Forbid;
        if forbid && (qos_max != QoS::ExactlyOnce || !text.retain) {
            return Err(wrong("a forbid has neither qos_max nor retain"));
        }
        let publish = text.actions.contains(&ActionText::Publish);
        let subscribe = text.actions.contains(&ActionText::Subscribe);
        if text.actions.len() != usize::from(publish) + usize::from(subscribe) || text.actions.is_empty() {
            return Err(wrong("its actions are not one or two different ones"));
        }
        let pattern = self.pattern(&text.pattern).map_err(wrong)?;
        if publish && !forbid && is_of_server(&pattern) {
            return Err(wrong("a topic that begins with $ cannot be published to by a client"));
        }
        for (wanted, effects) in [(publish, &mut role.publish), (subscribe, &mut role.subscribe)] {
            if wanted {
                let list = if forbid { &mut effects.forbid } else { &mut effects.permit };
                list.push(RuleId(id));
            }
        }
        let condition = text.when.map(|when| self.condition(when, publish && !subscribe)).transpose();
        let condition = condition.map_err(wrong)?.flatten();
        self.rules.push(Rule { name: text.name.into(), pattern, qos_max, retain: text.retain, condition });
        Ok(())
    }

    /// The number of a condition; `None` if it holds always.
    fn condition(&mut self, text: WhenText, is_publish_only: bool) -> Result<Option<u16>, &'static str> {
        let condition = condition(text, &self.windows)?;
        if !condition.message.is_empty() && !is_publish_only {
            return Err("only a rule about publishing alone can ask for properties of the message");
        }
        if condition == Condition::default() {
            return Ok(None);
        }
        if let Some(number) = self.numbers.get(&condition) {
            return Ok(Some(*number));
        }
        if self.conditions.len() >= CONDITIONS_MAX {
            return Err("too many different conditions");
        }
        let number = u16::try_from(self.conditions.len()).map_err(|_| "too many different conditions")?;
        self.conditions.push(condition.clone());
        self.numbers.insert(condition, number);
        Ok(Some(number))
    }

    fn pattern(&mut self, levels: &[LevelText]) -> Result<Box<[PatternLevel]>, &'static str> {
        if levels.is_empty() || levels.len() > PATTERN_LEVELS_MAX {
            return Err("its pattern has no level, or too many");
        }
        let last = levels.len() - 1;
        let level = |(at, level): (usize, &LevelText)| match level {
            LevelText::Var(source) => self.source(source).map(PatternLevel::Value),
            _ => free_level(level, at == 0, at == last),
        };
        levels.iter().enumerate().map(level).collect()
    }

    fn source(&mut self, text: &str) -> Result<u16, &'static str> {
        let source = match text {
            "client_id" => Source::ClientId,
            "identity" => Source::Identity,
            _ => match text.strip_prefix("attr.") {
                Some(name) if !name.is_empty() && name.len() <= NAME_BYTES_MAX => Source::Attribute(name.into()),
                _ => return Err("a variable has no source of that name"),
            },
        };
        if let Some(slot) = self.slots.get(&source) {
            return Ok(*slot);
        }
        if self.sources.len() >= SOURCES_MAX {
            return Err("too many different sources of values");
        }
        let slot = u16::try_from(self.sources.len()).map_err(|_| "too many different sources of values")?;
        self.sources.push(source.clone());
        self.slots.insert(source, slot);
        Ok(slot)
    }
}

/// The pattern of a declared topic, which nobody's values go into.
pub(super) fn free_pattern(levels: &[LevelText]) -> Result<Box<[PatternLevel]>, &'static str> {
    if levels.is_empty() || levels.len() > PATTERN_LEVELS_MAX {
        return Err("its pattern has no level, or too many");
    }
    levels.iter().enumerate().map(|(at, level)| free_level(level, at == 0, at + 1 == levels.len())).collect()
}

fn free_level(level: &LevelText, is_first: bool, is_last: bool) -> Result<PatternLevel, &'static str> {
    match level {
        LevelText::Many if !is_last => Err("# is not the last level"),
        LevelText::Many => Ok(PatternLevel::Many),
        LevelText::One => Ok(PatternLevel::One),
        LevelText::Lit(text) if !is_literal_level(text) => Err("a level holds / + # or NUL"),
        LevelText::Lit(text) if is_first && text == "$share" => Err("$share is not a level of a topic"),
        LevelText::Lit(text) => Ok(PatternLevel::Literal(text.as_str().into())),
        LevelText::Var(_) => Err("a declared topic has no variables"),
    }
}

/// The condition of its text.
fn condition(text: WhenText, windows: &[Box<str>]) -> Result<Condition, &'static str> {
    let place = |text: &String| match text.as_str() {
        "local" => Ok(Place::Local),
        text => Network::parse(text).map(Place::Network).ok_or("an address is no network"),
    };
    let window = |name: &String| {
        let at = windows.binary_search_by(|window| (**window).cmp(name.as_str()));
        at.ok().and_then(|at| u16::try_from(at).ok()).ok_or("a window of that name is not there")
    };
    let strength = |word: &StrengthText| {
        Ok(match word {
            StrengthText::Certificate => StrengthWord::Certificate,
            StrengthText::Mfa => StrengthWord::Mfa,
        })
    };
    let attribute = |(name, values): (String, Vec<String>)| Ok((name.into(), words(values)?));
    let payload = match (text.payload_bytes_min, text.payload_bytes_max) {
        (None, None) => None,
        (min, max) => Some(min.unwrap_or(0)..=max.unwrap_or(u64::MAX)),
    };
    if payload.as_ref().is_some_and(std::ops::RangeInclusive::is_empty) {
        return Err("payload_bytes_min is above payload_bytes_max");
    }
    Ok(Condition {
        attributes: text.attr.into_iter().map(attribute).collect::<Result<_, &'static str>>()?,
        listeners: text.listener.map(words).transpose()?,
        places: list(text.address, place)?,
        methods: text.method.map(words).transpose()?,
        strengths: list(text.strength, strength)?,
        windows: list(text.window, window)?,
        message: MessageCondition {
            qos: text.qos.map(qos_bits).transpose()?,
            retain: text.retain,
            payload_bytes: payload,
            content_types: text.content_type.map(words).transpose()?,
            is_utf8: text.utf8,
        },
    })
}

fn list<T, U>(
    entries: Option<Vec<T>>,
    parse: impl Fn(&T) -> Result<U, &'static str>,
) -> Result<Option<Vec<U>>, &'static str> {
    let bounded = |entries: Vec<T>| match entries.len() {
        1..=ENTRIES_MAX => entries.iter().map(&parse).collect(),
        _ => Err("a list of a condition is empty or too long"),
    };
    entries.map(bounded).transpose()
}

fn words(entries: Vec<String>) -> Result<Vec<Box<str>>, &'static str> {
    list(Some(entries), |word: &String| Ok(Box::from(word.as_str()))).map(Option::unwrap_or_default)
}

fn qos_bits(levels: Vec<u8>) -> Result<u8, &'static str> {
    let bit = |bits: u8, level: u8| (level <= 2).then(|| bits | 1 << level);
    levels.into_iter().try_fold(0, bit).filter(|bits| *bits != 0).ok_or("qos is not 0, 1 or 2")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str =
        r#"{"name":"r","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"a"}],"qos_max":2,"retain":true}"#;

    fn image(rule: &str) -> String {
        format!(r#"{{"format":3,"roles":[{{"name":"x","limits":{{}},"rules":[{rule}]}}]}}"#)
    }

    fn refused(text: &str) -> ImageError {
        Image::load(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn an_image_is_named_by_the_digest_of_its_bytes() {
        let loaded = Image::load(DENY_ALL).unwrap();
        assert_eq!(loaded.digest(), Image::deny_all().digest());
        assert_eq!(loaded.digest(), "fb7b17c5176b960c77d136e3a6398e8981b701a52dea89e61447b793c05e50b2");
        assert_ne!(Image::load(image(RULE).as_bytes()).unwrap().digest(), loaded.digest());
    }

    #[test]
    fn another_format_an_unknown_key_and_a_torn_text_are_refused() {
        assert_eq!(refused(r#"{"format":2,"roles":[]}"#), ImageError::Format(2));
        assert!(matches!(refused(r#"{"format":3,"roles":[],"when":1}"#), ImageError::Syntax(_)));
        assert!(matches!(refused(r#"{"format":3,"roles":["#), ImageError::Syntax(_)));
        assert!(matches!(refused(&image(&RULE.replace("retain", "retained"))), ImageError::Syntax(_)));
        assert!(matches!(refused(&"[".repeat(100_000)), ImageError::Syntax(_)));
    }

    #[test]
    fn roles_out_of_order_or_twice_are_refused() {
        let role = |name: &str| format!(r#"{{"name":"{name}","limits":{{}},"rules":[]}}"#);
        for (first, second) in [("b", "a"), ("a", "a")] {
            let text = format!(r#"{{"format":3,"roles":[{},{}]}}"#, role(first), role(second));
            assert!(matches!(refused(&text), ImageError::RoleOrder(_)), "{text}");
        }
    }

    #[test]
    fn no_image_lets_a_client_publish_to_a_dollar_topic_but_that_of_commands() {
        let rule = |pattern: &str| RULE.replace("subscribe", "publish").replace(r#"{"lit":"a"}"#, pattern);
        let commands = r#"{"lit":"$CONTROL"},{"lit":"dynamic-security"},{"lit":"v1"}"#;
        for other in [r#"{"lit":"$SYS"}"#, r#"{"lit":"$CONTROL"},"many""#, &commands.replace("v1", "v2")] {
            assert!(matches!(refused(&image(&rule(other))), ImageError::Rule { .. }));
        }
        assert!(Image::load(image(&rule(commands)).as_bytes()).is_ok());
    }
}
