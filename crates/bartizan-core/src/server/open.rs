//! A Session opened, resumed or taken over, and the CONNACK that says so.

use std::sync::Arc;

use super::contract::answer;
use super::observe::Asker;
use super::tenants::rooted_will;
use super::{Adoption, Effects, Limits, Means, Server, Timer};
use crate::durable::{Mutation, SessionRecord};
use crate::event::What;
use crate::message::{Publisher, Time};
use crate::policy::{Grants, scope};
use crate::session::alias::{InboundAliases, OutboundAliases};
use crate::session::auth_exchange::ConnectRequest;
use crate::session::connection::Credential;
use crate::session::owing::OwedPacket;
use crate::session::rare::Rare;
use crate::session::{Connection, ConnectionKey, Open, Phase, Principal, Session, SessionKey, Will};
use crate::wire::ReasonCode;
use crate::wire::encode::{self, ConnackProperties};

/// The longest packet the protocol allows: one, four and 268,435,455 octets (2.1.4).
const PACKET_BYTES_MAX: u32 = 268_435_460;

impl Server {
    /// A connection from another shard, whose Session lives here.
    pub fn adopt(&mut self, adoption: Adoption, now: Time, fx: &mut Effects) -> ConnectionKey {
        let mut connection = Connection::new(adoption.peer.clone(), adoption.opened_at);
        connection.last_seen = now;
        let key = self.connections.insert(connection);
        self.open(key, adoption, now, fx);
        key
    }

    /// Opens an authenticated connection: its Session, then CONNACK.
    pub(crate) fn open(&mut self, key: ConnectionKey, adoption: Adoption, now: Time, fx: &mut Effects) {
        let Adoption { mut connect, assigned, principal, ends_at, auth_data, .. } = adoption;
        fx.connects.push((key, Means::Proved(Arc::clone(&principal.method))));
        let before = fx.mutations.len();
        let version = connect.version;
        let principal = match self.may_still(key, principal, &connect.client_id) {
            Ok(principal) => principal,
            Err((reason, why)) => {
                self.refuse_as(key, version, reason, why, now, fx);
                return;
            }
        };
        let who = self.who(key, &principal, &connect.client_id);
        let client_id = Arc::clone(&who.client_id);
        let grants = self.bind(&principal, &client_id, Some(key));
        if let Some(connection) = self.connections.get_mut(key) {
            connection.who = Some(Arc::clone(&who));
            connection.maximum_packet_size = connect.maximum_packet_size;
        }
        let listener = self.connections.get(key).map_or(0, |c| c.peer.listener);
        let limits = self.limits_of(listener).for_roles(grants.limits());
        if let Err((reason, why)) = self.may_open(key, &mut connect, &principal, &grants, &limits, now, fx) {
            self.refuse_as(key, version, reason, why, now, fx);
            return;
        }
        // The one that is taken over makes room. Asked first: a CONNECT that is refused ends nothing.
        // `anonymous` is nobody: its clients are not one another's.
        let most = if principal.is_anonymous() { u64::MAX } else { limits.connections_per_identity_max };
        let room = most.saturating_add(u64::from(self.is_connected(&client_id)));
        if !self.common.admit_connection(&principal.id, room) {
            self.limit_met(key, "connections_per_identity_max", "refused", now, fx);
            self.refuse_as(key, version, ReasonCode::QuotaExceeded, "too many connections of this identity", now, fx);
            return;
        }
        if let Err(limit) = self.admit_to_tenant(grants.tenant(), &client_id) {
            self.common.release_connection(&principal.id);
            self.limit_met(key, limit, "refused", now, fx);
            self.refuse_as(key, version, ReasonCode::QuotaExceeded, "too many connections of this tenant", now, fx);
            return;
        }
        let (session, present) = self.claim_session(&connect, &client_id, &principal, now, fx);
        let session = match session {
            Some(session) => session,
            None => self.make_session(&client_id, &principal, &grants),
        };
        let open = make_open(session, &connect, who, &principal, &grants, &limits, ends_at);
        let open = Open { is_resumed: present, ..open };
        let connack = self.connack(&connect, &open, &limits, (present, assigned, auth_data.as_deref()), listener);
        self.attach(key, session, open, &connect, &limits, now, fx);
        if present {
            self.sweep_session(session, now, fx);
        }
        // CONNACK says what became of the Session of before: not before the store says it too.
        let after_commit = fx.mutations.len() > before;
        let waits = u32::from(self.resumes_window(session, fx));
        self.welcome(key, connack, present, (waits, after_commit), now, fx);
    }

    /// The principal as it is known now, unless something came in between while it was authenticated, or while its
    /// connection moved here.
    fn may_still(
        &self,
        key: ConnectionKey,
        principal: Arc<Principal>,
        client_id: &str,
    ) -> Result<Arc<Principal>, (ReasonCode, &'static str)> {
        if let Some(why) = self.banned(key, &principal.id, client_id) {
            return Err((ReasonCode::Banned, why));
        }
        let not_enabled = (ReasonCode::NotAuthorized, "the identity is not enabled");
        let principal = self.as_known(principal).ok_or(not_enabled)?;
        match self.is_of_its_tenant(&principal, client_id) {
            true => Ok(principal),
            // Undeclared, or another one since it was authenticated.
            false => Err((ReasonCode::NotAuthorized, "the tenant of the identity is not declared")),
        }
    }

    /// Identity and Client Identifier; the latter is kept once, from its CONNECT on.
    fn who(&self, key: ConnectionKey, principal: &Principal, client_id: &str) -> Arc<Publisher> {
        let known = self.connections.get(key).and_then(|connection| connection.who.as_ref());
        let client_id = match known.filter(|known| *known.client_id == *client_id) {
            Some(known) => Arc::clone(&known.client_id),
            None => Arc::from(client_id),
        };
        Arc::new(Publisher { identity: Arc::clone(&principal.id), client_id })
    }

    /// The principal as it is known now: a change may have come while it was authenticated, or
    /// while its connection moved here (I12). `None` where it is unknown or disabled by now.
    pub(crate) fn as_known(&self, principal: Arc<Principal>) -> Option<Arc<Principal>> {
        if !principal.managed {
            return Some(principal);
        }
        let known = self.identities.get(&principal.id)?;
        Some(Arc::new(principal.proved_as_before((**known).clone())))
    }

    pub(super) fn is_connected(&self, client_id: &str) -> bool {
        let session = self.by_client_id.get(client_id).and_then(|key| self.sessions.get(*key));
        session.is_some_and(|session| session.connection.is_some())
    }

    /// Whether a proved principal may have what it asks for. The names it asks by are whole from here on.
    #[allow(clippy::too_many_arguments)]
    fn may_open(
        &mut self,
        key: ConnectionKey,
        connect: &mut ConnectRequest,
        principal: &Arc<Principal>,
        grants: &Arc<Grants>,
        limits: &Limits,
        now: Time,
        fx: &mut Effects,
    ) -> Result<(), (ReasonCode, &'static str)> {
        // A Session belongs to the identity that made it (I11).
        if let Some(session) = self.by_client_id.get(connect.client_id.as_str()).and_then(|key| self.sessions.get(*key))
            && session.principal.id != principal.id
            && !session.aside.has_ended
        {
            return Err((ReasonCode::NotAuthorized, "the Client Identifier belongs to another identity"));
        }
        if let Some(tenant) = grants.tenant()
            && let Some(will) = connect.will.take()
        {
            let will = rooted_will(will, tenant, limits).map_err(|why| (ReasonCode::TopicNameInvalid, why))?;
            connect.will = Some(will);
        }
        let Some(will) = &connect.will else { return Ok(()) };
        let decision = Self::will_permitted(grants, will);
        self.observe_will((key, principal, grants), &connect.client_id, &will.message, decision, now);
        if decision.allow {
            let breach = self.breach_by_will(grants, &will.message, || self.subject_of(key), now, fx);
            let Some(breach) = breach else { return Ok(()) };
            let asker = Asker::connecting(key, principal, grants, &connect.client_id);
            self.note_breach_by_will(&asker, &will.message, &breach, now);
            let (reason, why) = answer(breach.broken);
            // 3.1.1 has no words for it (3.2.2.3).
            return Err((if connect.version.is_v5() { reason } else { ReasonCode::NotAuthorized }, why));
        }
        self.counters().denied.add(1);
        let what = What::Denied {
            action: "will",
            topic: grants.shown(will.message.topic().as_str()).to_owned(),
            rule: decision.rule.map(|rule| grants.image().rule_name(rule).to_owned()),
            why: decision.why.as_str(),
        };
        self.tell(key, now, what, fx);
        Err((ReasonCode::NotAuthorized, "the policy does not permit this Will"))
    }

    /// The Session of a Client Identifier, its old connection ended; none where there is none
    /// or Clean Start discards it. And whether Session Present is to be told [MQTT-3.2.2-2].
    fn claim_session(
        &mut self,
        connect: &ConnectRequest,
        client_id: &Arc<str>,
        principal: &Principal,
        now: Time,
        fx: &mut Effects,
    ) -> (Option<SessionKey>, bool) {
        let Some(key) = self.by_client_id.get(client_id).copied() else { return (None, false) };
        if let Some(old) = self.sessions.get(key).and_then(|session| session.connection) {
            let why = "another connection took the Session over";
            self.close_with(
                old,
                ReasonCode::SessionTakenOver,
                why,
                super::close::WillFate::TakenOver(connect.clean_start),
                now,
                fx,
            );
        }
        // The end of its connection may have ended the Session too.
        let Some(session) = self.sessions.get(key) else { return (None, false) };
        if !session.aside.has_ended {
            debug_assert_eq!(session.principal.id, principal.id);
            if !connect.clean_start {
                return (Some(key), true);
            }
            self.end_session(key, now, fx);
        }
        // One that leaves something to others goes on as the new one.
        let begins_anew = self.sessions.get_mut(key).map(|session| session.aside.has_ended = false);
        (begins_anew.map(|()| key), false)
    }

    fn make_session(&mut self, client_id: &Arc<str>, principal: &Arc<Principal>, grants: &Arc<Grants>) -> SessionKey {
        let session = Session::new(Arc::clone(client_id), Arc::clone(principal), Arc::clone(grants));
        let key = self.sessions.insert(session);
        self.by_client_id.insert(Arc::clone(client_id), key);
        self.counters().sessions.add(1);
        key
    }

    /// Joins connection and Session.
    #[allow(clippy::too_many_arguments)]
    fn attach(
        &mut self,
        key: ConnectionKey,
        session_key: SessionKey,
        open: Open,
        connect: &ConnectRequest,
        limits: &Limits,
        now: Time,
        fx: &mut Effects,
    ) {
        self.forget_staged(session_key);
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        if session.pending_will.take().is_some() && session.stored {
            // Resumed within the Will Delay: the Will is not sent [MQTT-3.1.3-9].
            fx.mutations.push(Mutation::WillDelete { client_id: Arc::clone(&session.client_id) });
        }
        session.connection = Some(key);
        session.ends_at = None;
        session.version = connect.version;
        session.principal = Arc::clone(&open.principal);
        session.grants = Arc::clone(&open.grants);
        session.expiry_s = connect.session_expiry_s.min(limits.session_expiry_max_s);
        session.queued_messages_max = limits.queued_messages_max as usize;
        session.queued_bytes_max = usize::try_from(limits.queued_bytes_max).unwrap_or(usize::MAX);
        session.connection_ended();
        if open.keep_alive_s > 0 {
            self.timers.set(now.plus_ms(u64::from(open.keep_alive_s) * 1500), Timer::KeepAlive(key));
        }
        if let Some(connection) = self.connections.get_mut(key) {
            self.common.population().join(connection.peer.listener, &open.principal.roles);
            connection.phase = Phase::Open(Box::new(open));
        }
        self.set_auth_timer(key);
        self.store_session(session_key, now, fx);
        self.tell_groups(session_key, fx);
        let counters = self.counters();
        counters.clients_connected.add(1);
        counters.connects_accepted.add(1);
    }

    /// Puts the Session's record into the store, takes it out, or leaves it out, as its expiry
    /// says: a Session that ends with its connection has nothing to outlive it.
    pub(crate) fn store_session(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        // One with messages set aside is kept until it has them; its record says that it ends.
        if session.is_transient() && session.aside.is_empty() && !session.inflight.has_bare() {
            if std::mem::take(&mut session.stored) {
                fx.mutations.push(Mutation::SessionDelete { client_id: Arc::clone(&session.client_id) });
                fx.mutations.push(Mutation::WillDelete { client_id: Arc::clone(&session.client_id) });
            }
            return;
        }
        let is_new = !std::mem::replace(&mut session.stored, true);
        let will = session
            .connection
            .and_then(|key| self.connections.get(key))
            .and_then(|connection| connection.open())
            .and_then(|open| open.will.as_deref().cloned());
        let pending = session.pending_will.as_ref().map(|pending| &pending.will);
        let will_expiry_s = will.as_ref().or(pending).and_then(|will| will.expiry_s);
        fx.mutations.push(Mutation::SessionPut(SessionRecord {
            client_id: Arc::clone(&session.client_id),
            identity: Arc::clone(&session.principal.id),
            version: session.version,
            session_expiry_s: session.expiry_s,
            disconnected_at: session.connection.is_none().then_some(now),
            state: super::restore::state_of(&session.principal, will_expiry_s),
        }));
        if let Some(will) = will {
            fx.mutations.push(Mutation::WillPut {
                client_id: Arc::clone(&session.client_id),
                due: None,
                will: will.message,
                delay_s: will.delay_s,
            });
        }
        if is_new {
            self.store_contents(key, fx);
        }
    }

    /// What a Session holds already when it becomes one that outlives its connection.
    fn store_contents(&self, key: SessionKey, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        for (filter, subscription) in session.subscriptions.iter() {
            fx.mutations.push(Mutation::SubscriptionPut {
                client_id: Arc::clone(&session.client_id),
                filter: Arc::clone(filter),
                options: subscription.options,
                subscription_id: subscription.id.map(std::num::NonZeroU32::get),
            });
        }
    }

    fn welcome(
        &mut self,
        key: ConnectionKey,
        connack: Vec<u8>,
        session_present: bool,
        (waits, after_commit): (u32, bool),
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(open) = connection.open() else { return };
        let what = What::Connected {
            method: Arc::clone(&open.principal.method),
            version: open.version,
            transport: self.listeners.get(connection.peer.listener).map_or("", |rules| rules.transport),
            session_present,
            keep_alive_s: open.keep_alive_s,
        };
        self.tell(key, now, what, fx);
        self.owe(key, OwedPacket::Connack(connack), waits, after_commit, now, fx);
    }

    fn connack(
        &self,
        connect: &ConnectRequest,
        open: &Open,
        limits: &Limits,
        (present, assigned, auth_data): (bool, bool, Option<&[u8]>),
        listener: usize,
    ) -> Vec<u8> {
        let expiry_s = connect.session_expiry_s.min(limits.session_expiry_max_s);
        let (_, client_id) = scope::parts(&open.publisher.client_id);
        let response_information = self
            .listeners
            .get(listener)
            .and_then(|rules| rules.response_information.as_ref())
            .filter(|_| connect.request_response_information)
            .map(|template| template.replace("{client_id}", client_id));
        let properties = ConnackProperties {
            session_expiry_s: (expiry_s != connect.session_expiry_s).then_some(expiry_s),
            receive_maximum: (limits.receive_max < u16::MAX).then_some(limits.receive_max),
            maximum_packet_size: (limits.packet_bytes_max < PACKET_BYTES_MAX).then_some(limits.packet_bytes_max),
            assigned_client_id: assigned.then_some(client_id),
            topic_alias_maximum: (limits.topic_alias_max > 0).then_some(limits.topic_alias_max),
            server_keep_alive_s: (open.keep_alive_s != connect.keep_alive_s).then_some(open.keep_alive_s),
            response_information: response_information.as_deref(),
            authentication_method: connect.auth_method.as_deref(),
            authentication_data: auth_data,
            ..ConnackProperties::default()
        };
        let mut octets = Vec::new();
        encode::connack(&mut octets, connect.version, present, ReasonCode::Success, &properties);
        octets
    }
}

#[allow(clippy::too_many_arguments)]
fn make_open(
    session: SessionKey,
    connect: &ConnectRequest,
    publisher: Arc<Publisher>,
    principal: &Arc<Principal>,
    grants: &Arc<Grants>,
    limits: &Limits,
    ends_at: Option<Time>,
) -> Open {
    let will = connect
        .will
        .clone()
        .map(|will| Will { message: Arc::new(will.message.published_by(Arc::clone(&publisher))), ..will });
    let credential = (connect.auth_method.is_some() || ends_at.is_some())
        .then(|| Box::new(Credential { method: connect.auth_method.clone(), ends_at, ..Credential::default() }));
    Open {
        session,
        principal: Arc::clone(principal),
        grants: Arc::clone(grants),
        publisher,
        version: connect.version,
        is_live: false,
        is_resumed: false,
        keep_alive_s: keep_alive_in_force(connect, limits),
        receive_maximum: connect.receive_maximum.min(limits.inflight_max).max(1),
        inbound_maximum: limits.receive_max,
        inbound_open: 0,
        packet_bytes_max: limits.packet_bytes_max,
        maximum_packet_size: connect.maximum_packet_size,
        root_len: grants.root_len(),
        row: 0,
        problem_information: connect.problem_information,
        aliases_in: InboundAliases::new(limits.topic_alias_max),
        aliases_out: OutboundAliases::new(connect.topic_alias_maximum.min(limits.topic_alias_max)),
        will: will.map(Box::new),
        owed: Rare::default(),
        next_owed: 0,
        rates: None,
        credential,
    }
}

/// The Keep Alive we hold the client to. MQTT 5 lets the server choose (3.2.2.3.14); a 3.1.1
/// client cannot be told, so it may be given more time than it asked for, never less.
fn keep_alive_in_force(connect: &ConnectRequest, limits: &Limits) -> u16 {
    if !connect.version.is_v5() {
        return match connect.keep_alive_s {
            0 => 0,
            asked => asked.max(limits.keep_alive_min_s),
        };
    }
    let most = if limits.keep_alive_max_s == 0 { u16::MAX } else { limits.keep_alive_max_s };
    match connect.keep_alive_s {
        0 => limits.keep_alive_max_s,
        asked => asked.max(limits.keep_alive_min_s).min(most),
    }
}
