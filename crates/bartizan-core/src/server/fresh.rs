//! What an identity does, and is granted, that it was not seen doing lately. A table of marks remembers what was told:
//! it is not forgotten at a look, so that a steady plant is told once. A mark that another one has overwritten is told
//! again; who takes this keeps what is known for longer.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::observations::Action;
use crate::message::Time;
use crate::policy::{Image, RuleId, scope};
use crate::topic::topic_hash;

/// What is told at one look.
pub const FRESH_MAX: usize = 4_096;
/// Marks of a shard, of which each has one place.
const MARKS: usize = 65_536;

/// Something that was not seen lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// Who did it.
    pub identity: Arc<str>,
    /// Under which Client Identifier.
    pub client_id: Arc<str>,
    /// To publish, to subscribe, or to leave a Will.
    pub action: Action,
    /// The Topic Name, or the Topic Filter, as its client knows it.
    pub topic: Arc<str>,
    /// The rule that grants it.
    pub rule: Arc<str>,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Serialize for Fresh {
    /// An array in the order of the fields: names would be half of what is read.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Fresh { identity, client_id, action, topic, rule, at_ms } = self;
        (&**identity, &**client_id, action, &**topic, &**rule, at_ms).serialize(to)
    }
}

/// What was not seen lately, and the marks of what was.
#[derive(Debug)]
pub(super) struct News {
    marks: Box<[u64]>,
    rows: Vec<Fresh>,
    lost: u64,
}

impl Default for News {
    fn default() -> Self {
        News { marks: vec![0; MARKS].into(), rows: Vec::new(), lost: 0 }
    }
}

impl News {
    /// Notes what was granted, if it was not seen lately: an action, the hash of its whole topic, and that topic as it
    /// is shown.
    pub(super) fn note(
        &mut self,
        identity: &Arc<str>,
        client_id: &Arc<str>,
        (action, hash, topic): (Action, u64, &str),
        (image, rule): (&Image, Option<RuleId>),
        now: Time,
    ) {
        let mark = mark(identity, action, hash);
        // The remainder is below MARKS.
        let Some(slot) = self.marks.get_mut((mark >> 20) as usize % MARKS) else { return };
        if *slot == mark {
            return;
        }
        if self.rows.len() >= FRESH_MAX {
            // Without its mark it comes again.
            self.lost = self.lost.saturating_add(1);
            return;
        }
        *slot = mark;
        let (identity, client_id) = (Arc::clone(identity), scope::known(client_id));
        let rule = Arc::from(rule.map_or("", |rule| image.rule_name(rule)));
        self.rows.push(Fresh { identity, client_id, action, topic: Arc::from(topic), rule, at_ms: now.0 });
    }

    pub(super) fn take(&mut self) -> (Vec<Fresh>, u64) {
        (std::mem::take(&mut self.rows), std::mem::take(&mut self.lost))
    }
}

/// Of whom and what; never 0, which is no mark.
fn mark(identity: &str, action: Action, hash: u64) -> u64 {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let who = topic_hash(identity).wrapping_mul(SPREAD);
    let mixed = (who ^ hash).wrapping_add(action as u64).wrapping_mul(SPREAD);
    (mixed ^ (mixed >> 32)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(news: &mut News, identity: &str, action: Action, topic: &str) {
        let image = Image::load(br#"{"format":3,"roles":[]}"#).unwrap();
        news.note(&Arc::from(identity), &Arc::from("c"), (action, topic_hash(topic), topic), (&image, None), Time(5));
    }

    #[test]
    fn the_same_is_told_once_over_many_looks() {
        let mut news = News::default();
        note(&mut news, "i", Action::Publish, "a");
        note(&mut news, "i", Action::Publish, "a");
        assert_eq!(news.take().0.len(), 1);
        note(&mut news, "i", Action::Publish, "a");
        assert_eq!(news.take(), (Vec::new(), 0));
    }

    #[test]
    fn another_identity_action_or_topic_is_another() {
        let mut news = News::default();
        for (identity, action, topic) in [
            ("i", Action::Publish, "a"),
            ("j", Action::Publish, "a"),
            ("i", Action::Subscribe, "a"),
            ("i", Action::Will, "a"),
            ("i", Action::Publish, "b"),
        ] {
            note(&mut news, identity, action, topic);
        }
        let (rows, _) = news.take();
        assert_eq!(rows.len(), 5);
        let text = serde_json::to_string(&rows[2]).unwrap();
        assert_eq!(text, r#"["i","c","subscribe","a","",5]"#);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_when_it_comes_again() {
        let mut news = News::default();
        for n in 0..FRESH_MAX + 10 {
            note(&mut news, "i", Action::Publish, &format!("t/{n}"));
        }
        let (rows, lost) = news.take();
        assert_eq!((rows.len(), lost), (FRESH_MAX, 10));
        for n in FRESH_MAX..FRESH_MAX + 10 {
            note(&mut news, "i", Action::Publish, &format!("t/{n}"));
        }
        let (rows, lost) = news.take();
        assert_eq!((rows.len(), lost), (10, 0));
    }
}
