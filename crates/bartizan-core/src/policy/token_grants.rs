//! What a token says that its bearer may do. It narrows what the roles give and never widens it: a permit
//! counts only where the token allows the same.
//!
//! Filters of a token are texts of a stranger: they bind no variables, and a wildcard in their first level
//! reaches no `$` topic [MQTT-4.7.2-1].

use serde::{Deserialize, Serialize};

use crate::topic::{TopicError, TopicFilter, TopicName};

/// What one or more tokens allow; of several, each has to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGrants(Vec<OneToken>);

/// What one token allows: nothing, if it lists nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OneToken {
    publish: Vec<Spelt>,
    subscribe: Vec<Spelt>,
}

/// A Topic Filter that was parsed once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct Spelt(Box<str>);

impl TryFrom<String> for Spelt {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Spelt, TopicError> {
        TopicFilter::parse(&text)?;
        Ok(Spelt(text.into_boxed_str()))
    }
}

impl Spelt {
    fn filter(&self) -> TopicFilter<'_> {
        TopicFilter::assume_parsed(&self.0)
    }
}

/// What a token's grant is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAction {
    /// Publishing.
    Publish,
    /// Subscribing, and what it brings.
    Subscribe,
    /// Both.
    All,
}

impl TokenGrants {
    /// The grants of each of these tokens; `None` without any token, which narrows nothing.
    ///
    /// # Errors
    /// `TopicError` where a text is no Topic Filter.
    pub fn of(tokens: Vec<Vec<(TokenAction, String)>>) -> Result<Option<TokenGrants>, TopicError> {
        let one = |token: Vec<(TokenAction, String)>| {
            let mut grants = OneToken::default();
            for (action, text) in token {
                let filter = Spelt::try_from(text)?;
                if action != TokenAction::Subscribe {
                    grants.publish.push(filter.clone());
                }
                if action != TokenAction::Publish {
                    grants.subscribe.push(filter);
                }
            }
            Ok(grants)
        };
        let tokens: Vec<OneToken> = tokens.into_iter().map(one).collect::<Result<_, _>>()?;
        Ok((!tokens.is_empty()).then_some(TokenGrants(tokens)))
    }

    /// True if each token lets its bearer publish to this topic.
    pub(super) fn publish(&self, topic: &TopicName<'_>) -> bool {
        self.0.iter().all(|token| token.publish.iter().any(|grant| grant.filter().matches(topic)))
    }

    /// True if in each token one grant has all that this filter matches.
    pub(super) fn subscribe(&self, filter: &TopicFilter<'_>) -> bool {
        self.0.iter().all(|token| token.subscribe.iter().any(|grant| grant.filter().covers(filter)))
    }

    /// True if each token lets its bearer be sent a message of this topic.
    pub(super) fn receive(&self, topic: &TopicName<'_>) -> bool {
        self.0.iter().all(|token| token.subscribe.iter().any(|grant| grant.filter().matches(topic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(tokens: &[&[(TokenAction, &str)]]) -> TokenGrants {
        let owned = |token: &&[(TokenAction, &str)]| {
            token.iter().map(|(action, text)| (*action, (*text).to_owned())).collect::<Vec<_>>()
        };
        TokenGrants::of(tokens.iter().map(owned).collect()).unwrap().unwrap()
    }

    fn publish(grants: &TokenGrants, topic: &str) -> bool {
        grants.publish(&TopicName::parse(topic).unwrap())
    }

    fn subscribe(grants: &TokenGrants, filter: &str) -> bool {
        grants.subscribe(&TopicFilter::parse(filter).unwrap())
    }

    #[test]
    fn no_token_narrows_nothing_and_an_empty_one_allows_nothing() {
        assert_eq!(TokenGrants::of(Vec::new()).unwrap(), None);
        let nothing = grants(&[&[]]);
        assert!(!publish(&nothing, "a") && !subscribe(&nothing, "a") && !subscribe(&nothing, "#"));
    }

    #[test]
    fn an_action_is_for_itself_and_all_is_for_both() {
        let some =
            grants(&[&[(TokenAction::Publish, "p/+"), (TokenAction::Subscribe, "s/#"), (TokenAction::All, "b")]]);
        assert!(publish(&some, "p/x") && !subscribe(&some, "p/x"));
        assert!(!publish(&some, "s/x") && subscribe(&some, "s/x/+") && subscribe(&some, "s/#"));
        assert!(publish(&some, "b") && subscribe(&some, "b"));
        assert!(!subscribe(&some, "#") && !subscribe(&some, "+/x"), "wider than any grant");
        assert!(some.receive(&TopicName::parse("s/x").unwrap()) && !some.receive(&TopicName::parse("p/x").unwrap()));
    }

    #[test]
    fn of_several_tokens_each_has_to_allow() {
        let both = grants(&[&[(TokenAction::All, "a/+")], &[(TokenAction::All, "+/b")]]);
        assert!(publish(&both, "a/b") && !publish(&both, "a/c") && !publish(&both, "c/b"));
        assert!(subscribe(&both, "a/b") && !subscribe(&both, "a/+"));
        let one_is_empty = grants(&[&[(TokenAction::All, "#")], &[]]);
        assert!(!publish(&one_is_empty, "a") && !subscribe(&one_is_empty, "a"));
    }

    #[test]
    fn a_wildcard_reaches_no_dollar_topic_and_a_brace_is_a_brace() {
        let wild = grants(&[&[(TokenAction::All, "#"), (TokenAction::All, "own/{client_id}")]]);
        assert!(!subscribe(&wild, "$SYS/#") && !subscribe(&wild, "$SYS/uptime"));
        let brace = grants(&[&[(TokenAction::All, "own/{client_id}")]]);
        assert!(publish(&brace, "own/{client_id}") && !publish(&brace, "own/press-01"));
    }

    #[test]
    fn what_is_no_filter_is_refused_also_where_it_was_kept() {
        for text in ["", "a/#/b", "a+", "a\0"] {
            assert!(TokenGrants::of(vec![vec![(TokenAction::All, text.to_owned())]]).is_err(), "{text:?}");
        }
        let some = grants(&[&[(TokenAction::All, "a/#")]]);
        let kept = serde_json::to_string(&some).unwrap();
        assert_eq!(serde_json::from_str::<TokenGrants>(&kept).unwrap(), some);
        assert!(serde_json::from_str::<TokenGrants>(&kept.replace("a/#", "a/#/b")).is_err());
    }
}
