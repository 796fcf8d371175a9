//! Sessions, Retained Messages and topics, looked up for whoever asks: by the shards, a page at a time between messages,
//! and put together where it is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bartizan_core::message::{Message, Time};
use bartizan_core::policy::scope;
use bartizan_core::server::carried::Carried;
use bartizan_core::server::inspect::{HeldSubscription, SessionDetail, Sought};
use bartizan_core::server::{Effects, Server};
use bartizan_core::topic::{PageEnd, RetainedPage, TopicError, TopicFilter, TopicName};
use bartizan_core::wire::Properties;
use serde::Serialize;
use serde_json::Value;

use crate::engine::{ANSWER_MAX, Engine, EngineError, late};
use crate::mailbox::Mail;
use crate::shard::Shared;
use crate::trace::shown;

/// Done on a shard's thread between messages: it looks, and tells once what follows from it is on its way.
pub type Look = Box<dyn FnOnce(&mut Server, Time, &mut Effects) -> Box<dyn FnOnce()> + Send>;

/// Retained Messages, Topic Names and Sessions that one look goes over.
const LOOK_MESSAGES: usize = 1_024;
const LOOK_NAMES: usize = 16_384;
const LOOK_SESSIONS: usize = 4_096;
/// Messages that one answer has at most, and octets of payloads.
const MESSAGES_MAX: usize = 10_000;
const PAYLOAD_BYTES_MAX: usize = 8 << 20;
/// Topics of a tree that are told one by one.
const BRANCHES_MAX: usize = 10_000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// This is no Topic Filter.
    #[error("{0}")]
    Filter(#[from] TopicError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A page of Retained Messages.
#[derive(Debug, Default, Serialize)]
pub struct RetainedListing {
    /// In the order of their topics.
    pub messages: Vec<Value>,
    /// Ask again with this topic as `after`, if there are more.
    pub next: Option<String>,
}

/// What was removed.
#[derive(Debug, Default, Serialize)]
pub struct Cleared {
    /// How many.
    pub count: usize,
    /// Go on behind this topic, if there are more.
    pub next: Option<String>,
}

/// A page of Subscriptions.
#[derive(Debug, Default, Serialize)]
pub struct SubscriptionListing {
    /// In no order.
    pub subscriptions: Vec<HeldSubscription>,
    /// Ask again with this, if there may be more.
    pub next: Option<Place>,
}

/// Where in the Sessions of all shards: the shard, and the place there.
pub type Place = (usize, usize);

/// A topic with what is at it and below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// Retained Messages.
    pub retained: u64,
    /// Octets of their payloads.
    pub retained_bytes: u64,
    /// Subscriptions whose filter is, or goes on, like this: wildcards are levels here.
    pub subscriptions: u64,
    /// What was published while it was counted.
    #[serde(flatten)]
    pub carried: Carried,
}

/// Topics below a prefix, down to some depth.
#[derive(Debug, Default, Serialize)]
pub struct TopicTree {
    /// By topic.
    pub topics: BTreeMap<String, Branch>,
    /// What belongs to more topics than are told.
    pub left_out: Branch,
}

impl Engine {
    /// A Session, connected or away, of a tenant's client if one is named.
    ///
    /// # Errors
    /// `State` where nothing runs, or a shard does not answer in time.
    pub fn session(&self, client_id: &str, tenant: Option<&str>) -> Result<Option<SessionDetail>, EngineError> {
        let shared = self.looked_at()?;
        let whose = scope::name(tenant, client_id);
        for shard in 0..shared.mailboxes.len() {
            let whose = whose.clone();
            let found = look(&shared, shard, move |server, _, _| server.session_of(&whose))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Retained Messages that a Topic Filter matches, behind a topic, with payload and properties or without.
    ///
    /// # Errors
    /// `Filter` where it is none; `Engine` where nothing runs, or a shard does not answer in time.
    pub fn retained(
        &self,
        filter: &str,
        after: Option<&str>,
        limit: usize,
        whole: bool,
    ) -> Result<RetainedListing, InspectError> {
        TopicFilter::parse(filter)?;
        let shared = self.looked_at()?;
        let mut listing = RetainedListing { messages: Vec::new(), next: after.map(str::to_owned) };
        let limit = limit.clamp(1, MESSAGES_MAX);
        let mut octets = 0;
        loop {
            let room = (limit - listing.messages.len()).min(LOOK_MESSAGES);
            let (found, end) = page(&shared, filter, listing.next.take(), room, Server::retained_page)?;
            octets += found.iter().map(|message| message.payload().len()).sum::<usize>();
            listing.messages.extend(found.iter().map(|message| told(message, whole)));
            let PageEnd::More(name) = end else { return Ok(listing) };
            listing.next = Some(name.into());
            if listing.messages.len() >= limit || (whole && octets > PAYLOAD_BYTES_MAX) {
                return Ok(listing);
            }
        }
    }

    /// Removes Retained Messages that a Topic Filter matches, behind a topic: so many, or some more.
    ///
    /// # Errors
    /// As `retained`.
    pub fn clear_retained(&self, filter: &str, after: Option<&str>, limit: usize) -> Result<Cleared, InspectError> {
        TopicFilter::parse(filter)?;
        let shared = self.looked_at()?;
        let mut cleared = Cleared { count: 0, next: after.map(str::to_owned) };
        loop {
            let room = limit.saturating_sub(cleared.count).clamp(1, LOOK_MESSAGES);
            let (filter, after) = (filter.to_owned(), cleared.next.take());
            let (count, end) = look(&shared, 0, move |server, _, fx| {
                let Ok(filter) = TopicFilter::parse(&filter) else { return (0, PageEnd::Complete) };
                let page = RetainedPage { after: after.as_deref(), messages_max: room, visits_max: LOOK_NAMES };
                server.clear_retained_page(&filter, page, fx)
            })?;
            cleared.count += count;
            let PageEnd::More(name) = end else { return Ok(cleared) };
            cleared.next = Some(name.into());
            if cleared.count >= limit {
                return Ok(cleared);
            }
        }
    }

    /// Subscriptions of Sessions, connected or away: of at least so many, if there are, from a place on.
    ///
    /// # Errors
    /// `Filter` where `sought.topic` is no Topic Name; else as `retained`.
    pub fn subscriptions(
        &self,
        sought: &Sought,
        (shard, from): Place,
        limit: usize,
    ) -> Result<SubscriptionListing, InspectError> {
        if let Some(topic) = &sought.topic {
            TopicName::parse(topic)?;
        }
        let shared = self.looked_at()?;
        let mut listing = SubscriptionListing { subscriptions: Vec::new(), next: Some((shard, from)) };
        while let Some((shard, from)) = listing.next {
            if listing.subscriptions.len() >= limit || shard >= shared.mailboxes.len() {
                break;
            }
            let sought = sought.clone();
            let (found, more) =
                look(&shared, shard, move |server, _, _| server.subscriptions_page(&sought, from, LOOK_SESSIONS))?;
            listing.subscriptions.extend(found);
            listing.next = Some(more.map_or((shard + 1, 0), |from| (shard, from)));
        }
        listing.next = listing.next.filter(|(shard, _)| *shard < shared.mailboxes.len());
        Ok(listing)
    }

    /// Topics below a prefix, or all but the server's own, so many levels deep. With `traffic`, what they have carried
    /// since that was first asked for: two answers tell a rate.
    ///
    /// # Errors
    /// As `retained`.
    pub fn topics(&self, prefix: &str, depth: usize, traffic: bool) -> Result<TopicTree, InspectError> {
        let filter = if prefix.is_empty() { "#".to_owned() } else { format!("{prefix}/#") };
        TopicFilter::parse(&filter)?;
        let shared = self.looked_at()?;
        let levels = depth.max(1) + if prefix.is_empty() { 0 } else { prefix.split('/').count() };
        let mut tree = TopicTree::default();
        let mut after = None;
        loop {
            let (found, end) = page(&shared, &filter, after, LOOK_MESSAGES, Server::retained_page)?;
            for message in &found {
                let retained_bytes = message.payload().len() as u64;
                let what = Branch { retained: 1, retained_bytes, ..Branch::default() };
                tree.add(message.topic().as_str(), prefix, levels, what);
            }
            let PageEnd::More(name) = end else { break };
            after = Some(name.into());
        }
        for shard in 0..shared.mailboxes.len() {
            tree.add_filters(&shared, shard, prefix, levels)?;
            if traffic {
                tree.add_traffic(&shared, shard, prefix, levels)?;
            }
        }
        Ok(tree)
    }

    fn looked_at(&self) -> Result<Arc<Shared>, EngineError> {
        self.shared().ok_or(EngineError::State("the engine is not running"))
    }
}

impl TopicTree {
    fn add_filters(&mut self, shared: &Shared, shard: usize, prefix: &str, levels: usize) -> Result<(), EngineError> {
        let mut next = Some(0);
        while let Some(from) = next {
            let below = prefix.to_owned();
            let (filters, more) =
                look(shared, shard, move |server, _, _| server.filters_page(&below, from, LOOK_SESSIONS))?;
            for filter in &filters {
                self.add(filter, prefix, levels, Branch { subscriptions: 1, ..Branch::default() });
            }
            next = more;
        }
        Ok(())
    }

    fn add_traffic(&mut self, shared: &Shared, shard: usize, prefix: &str, levels: usize) -> Result<(), EngineError> {
        let traffic = look(shared, shard, |server, now, _| server.traffic(now))?;
        for (topic, carried) in &traffic.topics {
            self.add(topic, prefix, levels, Branch { carried: *carried, ..Branch::default() });
        }
        self.left_out.carried.add(traffic.others);
        Ok(())
    }

    /// Counts something at a topic, if that is below the prefix.
    fn add(&mut self, topic: &str, prefix: &str, levels: usize, what: Branch) {
        let below = prefix.is_empty()
            || topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !below {
            return;
        }
        let end = topic.match_indices('/').nth(levels.saturating_sub(1)).map_or(topic.len(), |(at, _)| at);
        let name = topic.get(..end).unwrap_or(topic);
        let is_known = self.topics.contains_key(name);
        let branch = match is_known || self.topics.len() < BRANCHES_MAX {
            true => self.topics.entry(name.to_owned()).or_default(),
            false => &mut self.left_out,
        };
        branch.retained += what.retained;
        branch.retained_bytes += what.retained_bytes;
        branch.subscriptions += what.subscriptions;
        branch.carried.add(what.carried);
    }
}

type PageOf<T> = fn(&Server, &TopicFilter<'_>, RetainedPage<'_>, Time) -> (T, PageEnd);

fn page<T: Send + Default + 'static>(
    shared: &Shared,
    filter: &str,
    after: Option<String>,
    messages_max: usize,
    page_of: PageOf<T>,
) -> Result<(T, PageEnd), EngineError> {
    let filter = filter.to_owned();
    look(shared, 0, move |server, now, _| {
        // It was one where it was asked.
        let Ok(filter) = TopicFilter::parse(&filter) else { return (T::default(), PageEnd::Complete) };
        let page = RetainedPage { after: after.as_deref(), messages_max, visits_max: LOOK_NAMES };
        page_of(server, &filter, page, now)
    })
}

/// Has a shard look at something, and waits for what it found.
fn look<T: Send + 'static>(
    shared: &Shared,
    shard: usize,
    at: impl FnOnce(&mut Server, Time, &mut Effects) -> T + Send + 'static,
) -> Result<T, EngineError> {
    let (sender, receiver) = sync_channel(1);
    let Some(mailbox) = shared.mailboxes.get(shard) else { return Err(late()) };
    mailbox.send(Mail::Look(Box::new(move |server, now, fx| {
        let found = at(server, now, fx);
        Box::new(move || {
            // Whoever waits may have given up.
            let _ = sender.try_send(found);
        })
    })));
    receiver.recv_timeout(ANSWER_MAX).map_err(|_| late())
}

fn told(message: &Arc<Message>, whole: bool) -> Value {
    let mut to = shown::Object::new();
    let (tenant, client_id) = scope::parts(&message.publisher.client_id);
    shown::put(&mut to, "topic", message.topic().as_str());
    shown::put(&mut to, "qos", message.qos as u8);
    shown::put(&mut to, "payload_bytes", message.payload().len());
    shown::put(&mut to, "identity", &*message.publisher.identity);
    shown::put(&mut to, "client_id", client_id);
    shown::put(&mut to, "tenant", tenant);
    shown::put(&mut to, "expires_at_ms", message.expires_at.map(|at| at.0));
    if whole {
        shown::payload(&mut to, message.payload());
        shown::properties(&mut to, Properties { raw: message.properties() });
    }
    Value::Object(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Branch =
        Branch { retained: 1, retained_bytes: 4, subscriptions: 0, carried: Carried { messages: 0, bytes: 0 } };

    fn counted(prefix: &str, depth: usize, topics: &[&str]) -> Vec<(String, u64)> {
        let levels = depth + if prefix.is_empty() { 0 } else { prefix.split('/').count() };
        let mut tree = TopicTree::default();
        for topic in topics {
            tree.add(topic, prefix, levels, ONE);
        }
        tree.topics.into_iter().map(|(name, branch)| (name, branch.retained)).collect()
    }

    #[test]
    fn topics_are_summed_up_at_the_level_that_is_asked_for() {
        let topics = ["a", "a/b", "a/b/c", "a/d", "ab/c", "/x", "$SYS/y"];
        let told =
            |expected: &[(&str, u64)]| expected.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(counted("", 1, &topics), told(&[("", 1), ("$SYS", 1), ("a", 4), ("ab", 1)]));
        assert_eq!(counted("a", 1, &topics), told(&[("a", 1), ("a/b", 2), ("a/d", 1)]));
        assert_eq!(counted("a", 2, &topics), told(&[("a", 1), ("a/b", 1), ("a/b/c", 1), ("a/d", 1)]));
        assert_eq!(counted("a/b", 5, &topics), told(&[("a/b", 1), ("a/b/c", 1)]));
        assert_eq!(counted("b", 1, &topics), told(&[]));
    }

    #[test]
    fn a_tree_has_a_bound_and_what_is_beyond_it_is_summed_up() {
        let mut tree = TopicTree::default();
        for number in 0..BRANCHES_MAX + 5 {
            tree.add(&number.to_string(), "", 1, ONE);
        }
        tree.add("0", "", 1, Branch { subscriptions: 2, ..Branch::default() });
        assert_eq!((tree.topics.len(), tree.left_out.retained, tree.left_out.retained_bytes), (BRANCHES_MAX, 5, 20));
        assert_eq!(tree.topics["0"], Branch { subscriptions: 2, ..ONE });
    }
}
