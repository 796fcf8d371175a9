//! Some identities change, under the policy that is in force; those of them that are revoked lose all they have (I12).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::roster::Roster;
use super::{Effects, Server};
use crate::durable::Mutation;
use crate::message::{Publisher, Time};
use crate::policy::scope;
use crate::session::SessionKey;
use crate::topic::TopicName;
use crate::wire::ReasonCode;

/// A change of identities alone.
#[derive(Clone)]
pub struct Update {
    /// Every identity that may connect, as it is from now on.
    pub identities: Arc<Roster>,
    /// Names of those that changed, or are gone.
    pub changed: Arc<HashSet<Arc<str>>>,
    /// Fingerprints of their revoked certificates.
    pub revoked: Arc<HashSet<String>>,
    /// Those of them whose Sessions end, however they are connected.
    pub endings: Arc<HashMap<Arc<str>, Ending>>,
    /// The epoch it opens.
    pub epoch: u64,
}

/// How the Sessions of an identity end.
#[derive(Clone, Debug)]
pub struct Ending {
    /// What a 5.0 client is told.
    pub reason: ReasonCode,
    /// Why, for the client and the log.
    pub why: Arc<str>,
}

/// A Session that ended, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Whose it was.
    pub identity: Arc<str>,
    /// Its Client Identifier.
    pub client_id: Arc<str>,
    /// The tenant whose client it was.
    pub tenant: Option<Arc<str>>,
    /// A connection was cut.
    pub was_connected: bool,
    /// Subscriptions removed.
    pub subscriptions: usize,
    /// Messages that waited for it, dropped.
    pub queued: usize,
    /// Messages sent and not yet acknowledged, dropped.
    pub inflight: usize,
    /// A Will was suppressed.
    pub had_will: bool,
}

impl Server {
    /// Puts it into force on this shard. What ended is told.
    pub fn update(&mut self, update: &Update, now: Time, fx: &mut Effects) -> Vec<Ended> {
        self.identities = Arc::clone(&update.identities);
        self.epoch = update.epoch;
        self.publishers.retain(|publisher: &Arc<Publisher>, _| !update.changed.contains(&publisher.identity));
        self.observe_anew(now);
        let is_touched = |key: &SessionKey| {
            self.sessions.get(*key).is_some_and(|session| update.changed.contains(&session.principal.id))
        };
        let sessions: Vec<SessionKey> = self.sessions.keys().filter(is_touched).collect();
        let mut ended = Vec::new();
        for key in sessions {
            let ending = self.sessions.get(key).and_then(|session| update.endings.get(&session.principal.id));
            match ending {
                Some(ending) => ended.extend(self.end_for_good(key, ending, now, fx)),
                None => self.refresh(key, &update.revoked, now, fx),
            }
        }
        self.decide_commands_again(now, fx);
        self.tell_applied(now, fx);
        ended
    }

    /// Ends the Session of a Client Identifier, with that of its tenant before it (`scope`), as one of a revoked
    /// identity ends; `None` where there is none here. Whose it was may connect again, and begins anew.
    pub fn discard(&mut self, client_id: &str, now: Time, fx: &mut Effects) -> Option<Ended> {
        let key = self.by_client_id.get(client_id).copied()?;
        let why = Arc::from("the Session was discarded by an administrator");
        self.end_for_good(key, &Ending { reason: ReasonCode::AdministrativeAction, why }, now, fx)
    }

    /// Ends a Session with all that is in it, and its connection with all that is still to be written to it.
    fn end_for_good(&mut self, key: SessionKey, ending: &Ending, now: Time, fx: &mut Effects) -> Option<Ended> {
        let session = self.sessions.get(key)?;
        let connection = session.connection;
        let open = connection.and_then(|key| self.connections.get(key)).and_then(|connection| connection.open());
        let ended = Ended {
            identity: Arc::clone(&session.principal.id),
            client_id: scope::known(&session.client_id),
            tenant: scope::tenant(&session.client_id).map(Arc::from),
            was_connected: connection.is_some(),
            subscriptions: session.subscriptions.len(),
            queued: session.queued(),
            inflight: session.inflight.len(),
            had_will: session.pending_will.is_some() || open.is_some_and(|open| open.will.is_some()),
        };
        if let Some(connection) = connection {
            self.cut_off(connection, ending.reason, &ending.why, now, fx);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.pending_will = None;
            self.forget_will(key, fx);
            self.end_session(key, now, fx);
        }
        Some(ended)
    }

    /// Removes the Retained Messages that these identities published; how many there were. Nobody is told: who
    /// subscribes from now on is not sent them.
    pub fn clear_retained_of(&self, identities: &HashSet<Arc<str>>, fx: &mut Effects) -> usize {
        let mut retained = self.common.retained_mut();
        let theirs = retained.store.iter().filter(|(_, message)| identities.contains(&message.publisher.identity));
        let topics: Vec<Arc<str>> = theirs.map(|(name, _)| Arc::from(name.as_str())).collect();
        for topic in &topics {
            let Some(old) = TopicName::parse(topic).ok().and_then(|name| retained.store.remove(&name)) else {
                continue;
            };
            retained.release(&old);
            fx.mutations.push(Mutation::RetainedDelete { topic: Arc::clone(topic) });
        }
        topics.len()
    }
}
