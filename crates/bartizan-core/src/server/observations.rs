//! What was observed of decisions: which rules are used, what is denied, what a staged policy would decide
//! otherwise, what a listener's clients do. Tables that are taken away every few seconds, each with a bound and
//! a number of what did not fit (I7).

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::message::Time;
use crate::policy::{Asked, Image, RuleId, scope};

/// Identities whose uses are kept between two looks.
pub const USERS_MAX: usize = 65_536;
/// Kinds of denials kept between two looks.
pub const DENIALS_MAX: usize = 4_096;
/// Kinds of differences kept between two looks.
pub const DIFFERENCES_MAX: usize = 4_096;
/// Kinds of what is learned, kept between two looks.
pub const LEARNED_MAX: usize = 16_384;
/// Decisions remembered as noted since the last look: a steady publisher is noted once.
const RECENT: usize = 16_384;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// To publish a message.
    Publish,
    /// A Subscription.
    Subscribe,
    /// One delivery to a Subscription.
    Receive,
    /// To leave a Will, or that it is published.
    Will,
}

/// A rule that was used by an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// Whose.
    pub identity: Arc<str>,
    /// The rule's name.
    pub rule: Arc<str>,
    /// Under which Client Identifier first.
    pub client_id: Arc<str>,
    /// The topic it was used for first.
    pub topic: Arc<str>,
    /// Whether it was used for others, or under others, as well.
    pub several: bool,
}

/// One kind of request, and how often it was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Who asked.
    pub identity: Arc<str>,
    /// Under which Client Identifier, the last time.
    pub client_id: Arc<str>,
    /// By which listener, the last time; empty where nobody is connected.
    pub listener: Arc<str>,
    /// What for.
    pub action: Action,
    /// The Topic Name, or the Topic Filter.
    pub topic: Arc<str>,
    /// The rule that decided.
    pub rule: Option<Arc<str>>,
    /// Why it was decided so.
    pub why: &'static str,
    /// The rule by which the staged policy decides.
    pub staged_rule: Option<Arc<str>>,
    /// Why the staged policy decides otherwise; empty where none is asked.
    pub staged_why: &'static str,
    /// The highest QoS.
    pub qos: u8,
    /// Whether RETAIN was set once.
    pub retain: bool,
    /// Octets of the longest payload.
    pub bytes: u64,
    /// How often it was noted: a steady publisher counts once between two looks.
    pub count: u64,
    /// When first, milliseconds since the Unix epoch.
    pub first_ms: u64,
    /// When last.
    pub last_ms: u64,
}

/// How many did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Uses of identities.
    pub uses: u64,
    /// Denials.
    pub denials: u64,
    /// Differences.
    pub differences: u64,
    /// What was to be learned.
    pub learned: u64,
}

/// Everything since the last look.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Observations {
    /// Rules used.
    pub uses: Vec<Use>,
    /// What was denied.
    pub denials: Vec<Row>,
    /// What a staged policy would decide otherwise.
    pub differences: Vec<Row>,
    /// What clients of learned listeners did.
    pub learned: Vec<Row>,
    /// What did not fit.
    pub lost: Lost,
}

/// What makes two requests of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub identity: Arc<str>,
    /// Empty where an identity's clients are not told apart.
    pub client_id: Arc<str>,
    pub action: Action,
    pub topic: Arc<str>,
    pub rule: Option<Arc<str>>,
    pub staged_rule: Option<Arc<str>>,
}

/// Who asked and how, of one request.
pub(super) struct Instance<'a> {
    pub client_id: &'a Arc<str>,
    pub listener: &'a Arc<str>,
    pub why: &'static str,
    pub staged_why: &'static str,
    pub asked: &'a Asked<'a>,
    pub now: Time,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    rows: HashMap<Kind, Row>,
    lost: u64,
}

impl Table {
    /// Notes a request, if its kind is there or one of `most` can be.
    pub(super) fn note(&mut self, most: usize, kind: Kind, seen: &Instance<'_>) {
        if self.rows.len() >= most && !self.rows.contains_key(&kind) {
            self.lost += 1;
            return;
        }
        let fresh = Row {
            identity: Arc::clone(&kind.identity),
            client_id: Arc::clone(seen.client_id),
            listener: Arc::clone(seen.listener),
            action: kind.action,
            topic: Arc::clone(&kind.topic),
            rule: kind.rule.clone(),
            why: seen.why,
            staged_rule: kind.staged_rule.clone(),
            staged_why: seen.staged_why,
            qos: 0,
            retain: false,
            bytes: 0,
            count: 0,
            first_ms: seen.now.0,
            last_ms: seen.now.0,
        };
        let row = self.rows.entry(kind).or_insert(fresh);
        row.client_id = Arc::clone(seen.client_id);
        row.listener = Arc::clone(seen.listener);
        row.qos = row.qos.max(seen.asked.qos as u8);
        row.retain |= seen.asked.retain;
        row.bytes = row.bytes.max(seen.asked.payload_bytes as u64);
        row.count = row.count.saturating_add(1);
        row.last_ms = seen.now.0;
    }

    pub(super) fn take(&mut self) -> (Vec<Row>, u64) {
        let rows = std::mem::take(&mut self.rows).into_values().collect();
        (rows, std::mem::take(&mut self.lost))
    }
}

#[derive(Debug)]
struct Used {
    rule: RuleId,
    /// With the tenant's name, where there is one.
    client_id: Arc<str>,
    topic: Arc<str>,
    several: bool,
}

/// Which rules of one image were used by whom.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// The image that numbers them.
    image: Option<Arc<Image>>,
    by_identity: HashMap<Arc<str>, Vec<Used>>,
    /// Those of images before it.
    named: Vec<Use>,
    lost: u64,
}

impl Uses {
    pub(super) fn note(
        &mut self,
        (identity, client_id): (&Arc<str>, &Arc<str>),
        image: &Arc<Image>,
        rule: RuleId,
        topic: &str,
    ) {
        if !self.image.as_ref().is_some_and(|known| Arc::ptr_eq(known, image)) {
            self.fold();
            self.image = Some(Arc::clone(image));
        }
        let first = || Used { rule, client_id: Arc::clone(client_id), topic: Arc::from(topic), several: false };
        if let Some(rules) = self.by_identity.get_mut(identity) {
            match rules.iter_mut().find(|used| used.rule == rule) {
                Some(used) => used.several |= *used.topic != *topic || used.client_id != *client_id,
                None => rules.push(first()),
            }
        } else if self.by_identity.len() + self.named.len() < USERS_MAX {
            self.by_identity.insert(Arc::clone(identity), vec![first()]);
        } else {
            self.lost += 1;
        }
    }

    fn fold(&mut self) {
        let Some(image) = self.image.take() else { return };
        for (identity, rules) in self.by_identity.drain() {
            self.named.extend(rules.into_iter().map(|Used { rule, client_id, topic, several }| {
                let (rule, client_id) = (Arc::from(image.rule_name(rule)), scope::known(&client_id));
                Use { identity: Arc::clone(&identity), rule, client_id, topic, several }
            }));
        }
    }

    pub(super) fn take(&mut self) -> (Vec<Use>, u64) {
        self.fold();
        (std::mem::take(&mut self.named), std::mem::take(&mut self.lost))
    }
}

/// What was noted since the last look, roughly: a decision that is here need not be noted again.
#[derive(Debug)]
pub(super) struct Recent(Box<[(u64, u32)]>);

impl Default for Recent {
    fn default() -> Self {
        Recent(vec![(0, 0); RECENT].into())
    }
}

impl Recent {
    /// True the first time that this is asked, a topic by its `topic_hash`; or with a longer payload than before, where
    /// that counts.
    #[inline]
    pub(super) fn is_news(
        &mut self,
        who: u64,
        (action, what): (Action, u64),
        asked: &Asked<'_>,
        bytes_count: bool,
    ) -> bool {
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let bytes = if bytes_count { u32::try_from(asked.payload_bytes).unwrap_or(u32::MAX) } else { 0 };
        let how = ((action as u64) << 3) | (u64::from(asked.retain) << 2) | (asked.qos as u64);
        let mixed = (who.wrapping_mul(SPREAD) ^ what).wrapping_add(how).wrapping_mul(SPREAD);
        let mark = (mixed ^ (mixed >> 32)) | 1;
        // The remainder is below RECENT.
        let Some(slot) = self.0.get_mut((mark >> 20) as usize % RECENT) else { return true };
        let is_known = slot.0 == mark && slot.1 >= bytes;
        if !is_known {
            *slot = (mark, bytes);
        }
        !is_known
    }

    pub(super) fn forget(&mut self) {
        self.0.fill((0, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::topic_hash;
    use crate::wire::QoS;

    fn kind(topic: &str) -> Kind {
        Kind {
            identity: Arc::from("i"),
            client_id: Arc::from(""),
            action: Action::Publish,
            topic: Arc::from(topic),
            rule: None,
            staged_rule: None,
        }
    }

    fn note(table: &mut Table, most: usize, topic: &str, asked: Asked<'_>, at: u64) {
        let (client_id, listener) = (Arc::from("c"), Arc::from("mqtts"));
        let (client_id, listener) = (&client_id, &listener);
        let seen = Instance { client_id, listener, why: "no_permit", staged_why: "", asked: &asked, now: Time(at) };
        table.note(most, kind(topic), &seen);
    }

    #[test]
    fn a_kind_is_one_row_with_the_most_of_everything() {
        let mut table = Table::default();
        note(&mut table, 9, "a", Asked::plain(QoS::AtLeastOnce, false, 7), 5);
        note(&mut table, 9, "a", Asked::plain(QoS::AtMostOnce, true, 3), 6);
        let (rows, lost) = table.take();
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.qos, row.retain, row.bytes, row.count, lost), (1, true, 7, 2, 0));
        assert_eq!((row.first_ms, row.last_ms, &*row.client_id), (5, 6, "c"));
        assert!(table.take().0.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut table = Table::default();
        for n in 0..100 {
            note(&mut table, 10, &format!("t/{n}"), Asked::plain(QoS::AtMostOnce, false, 0), n);
        }
        note(&mut table, 10, "t/0", Asked::plain(QoS::AtMostOnce, false, 0), 1);
        let (rows, lost) = table.take();
        assert_eq!((rows.len(), lost), (10, 90));
    }

    #[test]
    fn what_is_known_is_no_news_until_it_is_forgotten() {
        let mut recent = Recent::default();
        let mut ask = |who, topic, bytes, bytes_count| {
            let asked = Asked::plain(QoS::AtMostOnce, false, bytes);
            recent.is_news(who, (Action::Publish, topic_hash(topic)), &asked, bytes_count)
        };
        assert!(ask(1, "a", 1, false) && !ask(1, "a", 9, false) && ask(1, "b", 1, false));
        assert!(ask(2, "a", 1, false));
        assert!(ask(1, "a", 5, true) && !ask(1, "a", 4, true) && ask(1, "a", 6, true));
        recent.forget();
        let asked = Asked::plain(QoS::AtMostOnce, false, 1);
        assert!(recent.is_news(1, (Action::Publish, topic_hash("a")), &asked, false));
    }
}
