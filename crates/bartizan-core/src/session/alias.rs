//! Topic Aliases (3.3.2.3.4), both ways. An alias lives as long as its Network Connection.

use std::collections::HashMap;

/// Aliases that the client has set: index is alias - 1.
#[allow(clippy::box_collection, reason = "eight octets where there is none, which is nearly always")]
#[derive(Debug, Default)]
pub struct InboundAliases {
    /// Mostly there are none.
    topics: Option<Box<Vec<Option<Box<str>>>>>,
    maximum: u16,
}

impl InboundAliases {
    /// Accepts aliases 1 to `maximum`.
    #[must_use]
    pub fn new(maximum: u16) -> InboundAliases {
        InboundAliases { topics: None, maximum }
    }

    /// True when the server's Topic Alias Maximum admits this alias [MQTT-3.3.2-9].
    #[must_use]
    pub fn admits(&self, alias: u16) -> bool {
        alias != 0 && alias <= self.maximum
    }

    /// Maps an admitted alias to a Topic Name, replacing an earlier one.
    pub fn set(&mut self, alias: u16, topic: &str) {
        let index = usize::from(alias).saturating_sub(1);
        let topics = self.topics.get_or_insert_default();
        if topics.len() <= index {
            topics.resize(index + 1, None);
        }
        if let Some(slot) = topics.get_mut(index)
            && slot.as_deref() != Some(topic)
        {
            *slot = Some(topic.into());
        }
    }

    /// The Topic Name an alias stands for.
    #[must_use]
    pub fn get(&self, alias: u16) -> Option<&str> {
        self.topics.as_ref()?.get(usize::from(alias).checked_sub(1)?)?.as_deref()
    }
}

/// Aliases that the server has set towards a client that allows them.
#[allow(clippy::box_collection, reason = "eight octets where there is none, which is nearly always")]
#[derive(Debug, Default)]
pub struct OutboundAliases {
    /// Mostly there are none.
    aliases: Option<Box<HashMap<Box<str>, u16>>>,
    maximum: u16,
}

/// How a topic goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// By name alone.
    Name,
    /// By name, and this alias now stands for it.
    Introduce(u16),
    /// By alias alone.
    Alias(u16),
}

impl OutboundAliases {
    /// Uses aliases 1 to `maximum`: the client's Topic Alias Maximum, bounded by ours [MQTT-3.1.2-26].
    #[must_use]
    pub fn new(maximum: u16) -> OutboundAliases {
        OutboundAliases { aliases: None, maximum }
    }

    /// How this topic would go out now. Nothing is remembered before `introduced`.
    #[must_use]
    pub fn outbound(&self, topic: &str) -> Outbound {
        if self.maximum == 0 {
            return Outbound::Name;
        }
        let aliases = self.aliases.as_ref();
        if let Some(alias) = aliases.and_then(|aliases| aliases.get(topic)) {
            return Outbound::Alias(*alias);
        }
        match u16::try_from(aliases.map_or(0, |aliases| aliases.len()) + 1) {
            Ok(next) if next <= self.maximum => Outbound::Introduce(next),
            _ => Outbound::Name,
        }
    }

    /// Remembers an alias that has been sent with its name.
    pub fn introduced(&mut self, topic: &str, alias: u16) {
        self.aliases.get_or_insert_default().insert(topic.into(), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stands_for_the_latest_topic_it_was_set_to() {
        let mut aliases = InboundAliases::new(2);
        aliases.set(2, "a");
        aliases.set(2, "b");
        assert_eq!(aliases.get(2), Some("b"));
        assert_eq!(aliases.get(1), None);
        assert!(!aliases.admits(3) && !aliases.admits(0));
    }

    #[test]
    fn outward_aliases_are_introduced_once_and_never_beyond_the_maximum() {
        let mut aliases = OutboundAliases::new(1);
        assert_eq!(aliases.outbound("a"), Outbound::Introduce(1));
        aliases.introduced("a", 1);
        assert_eq!(aliases.outbound("a"), Outbound::Alias(1));
        assert_eq!(aliases.outbound("b"), Outbound::Name);
        assert_eq!(OutboundAliases::new(0).outbound("a"), Outbound::Name);
    }
}
