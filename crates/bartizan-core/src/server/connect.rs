//! CONNECT, AUTH and the authenticators' verdict (3.1, 3.15, 4.12).

use std::sync::Arc;

use super::effects::{AuthRequest, Closed, Means};
use super::{Adoption, Effects, Server};
use crate::event::What;
use crate::message::{Message, Publisher, Time};
use crate::session::auth_exchange::{AuthExchange, ConnectRequest, Secret};
use crate::session::{ConnectionKey, Peer, Phase, Principal, Will};
use crate::topic::TopicName;
use crate::wire::encode::{self, AuthTail, ConnackProperties};
use crate::wire::{
    Auth, AuthProperties, Connect, ConnectProperties, DecodeError, ReasonCode, Version, WillProperties, forwardable,
};

/// What the authenticators say.
#[derive(Debug)]
pub enum Verdict {
    /// It is this principal.
    Allow {
        /// Who.
        principal: Principal,
        /// The Client Identifier, where the server chooses it or the identity binds it.
        client_id: Option<String>,
        /// When the credential ends.
        ends_at: Option<Time>,
        /// Authentication Data to go with the answer.
        auth_data: Option<Vec<u8>>,
    },
    /// The exchange goes on by AUTH 0x18.
    Continue {
        /// Authentication Data for the client.
        challenge: Vec<u8>,
        /// What the authenticators want back with the client's answer.
        state: Option<Secret>,
    },
    /// No.
    Deny {
        /// The Reason Code.
        reason: ReasonCode,
        /// Why, for the log; the client is not told more than the code.
        why: String,
    },
}

/// The longest name of an identity, and so the most heads of a Client Identifier worth a look.
const NAME_CHARS_MAX: usize = 128;

type Refusal = (ReasonCode, &'static str);

impl Server {
    pub(crate) fn on_connect(&mut self, key: ConnectionKey, connect: &Connect<'_>, now: Time, fx: &mut Effects) {
        if let Some(connection) = self.connections.get_mut(key) {
            let properties = ConnectProperties::read(connect.properties);
            fx.connects.push((key, Means::Presented(presented(connect, &properties, &connection.peer))));
            connection.maximum_packet_size = properties.maximum_packet_size.unwrap_or(u32::MAX);
            let who =
                Publisher { identity: Arc::clone(&self.nobody.identity), client_id: Arc::from(connect.client_id) };
            connection.who = Some(Arc::new(who));
        }
        let request = match self.read_connect(key, connect) {
            Ok(request) => request,
            Err((reason, why)) => {
                self.refuse_as(key, connect.version, reason, why, now, fx);
                return;
            }
        };
        let Some(connection) = self.connections.get_mut(key) else { return };
        let peer = connection.peer.clone();
        let rules = self.listeners.get(peer.listener);
        let anonymous_allowed = rules.is_some_and(|rules| rules.anonymous);
        let ignored = rules.is_some_and(|rules| rules.ignores_credentials);
        let has_credential = (!ignored && (request.user_name.is_some() || request.password.is_some()))
            || request.auth_method.is_some()
            || peer.certificate.is_some();
        let client_id = request.client_id.clone();
        connection.phase = Phase::Authenticating(Box::new(AuthExchange::new(request)));
        if anonymous_allowed && !has_credential {
            if self.belongs_to_an_identity(&client_id) {
                let why = "the Client Identifier is in the namespace of an identity";
                self.refuse(key, Some(ReasonCode::NotAuthorized), why, now, fx);
                return;
            }
            let principal = Principal::anonymous();
            self.verdict(key, Verdict::Allow { principal, client_id: None, ends_at: None, auth_data: None }, now, fx);
            return;
        }
        self.ask(key, fx);
    }

    /// True where a Client Identifier is an identity's name, or its name, `-` and more: it is
    /// kept for whoever proves to be that identity.
    fn belongs_to_an_identity(&self, client_id: &str) -> bool {
        let heads = client_id.match_indices('-').filter_map(|(at, _)| client_id.get(..at));
        heads.take(NAME_CHARS_MAX).chain([client_id]).any(|name| self.identities.contains(name))
    }

    /// Puts the question of an exchange to the authenticators.
    fn ask(&mut self, key: ConnectionKey, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Phase::Authenticating(exchange) = &mut connection.phase else { return };
        let state = exchange.rounds.take_state();
        let connect = &exchange.connect;
        let rules = self.listeners.get(connection.peer.listener);
        fx.authenticate.push(AuthRequest {
            connection: key,
            again: false,
            client_id: connect.client_id.clone(),
            user_name: connect.user_name.clone(),
            password: connect.password.clone(),
            auth_method: connect.auth_method.clone(),
            auth_data: connect.auth_data.clone(),
            state,
            certificate: connection.peer.certificate.clone(),
            channel_binding: None,
            listener: rules.map_or_else(|| Arc::from(""), |rules| Arc::clone(&rules.name)),
            anonymous_allowed: rules.is_some_and(|rules| rules.anonymous),
            address: connection.peer.address.text(),
            version: connect.version,
        });
    }

    /// What a CONNECT asks for, as far as it can be told without knowing who asks.
    fn read_connect(&self, key: ConnectionKey, connect: &Connect<'_>) -> Result<ConnectRequest, Refusal> {
        use ReasonCode as R;
        let listener = self.connections.get(key).map_or(0, |c| c.peer.listener);
        let rules = self.listeners.get(listener).ok_or((R::ServerUnavailable, "no such listener"))?;
        let limits = &rules.limits;
        if !rules.versions.contains(&connect.version) {
            return Err((R::UnsupportedProtocolVersion, "this listener does not speak that version"));
        }
        if self.is_draining {
            return Err((R::ServerShuttingDown, "the server is shutting down"));
        }
        if let Some(why) = self.banned_stranger(key, connect.client_id) {
            return Err((R::Banned, why));
        }
        if connect.client_id.is_empty() && !connect.clean_start && !connect.version.is_v5() {
            return Err((R::ClientIdentifierNotValid, "an empty Client Identifier needs Clean Session [MQTT-3.1.3-8]"));
        }
        if connect.version == Version::V31 && !(1..=23).contains(&connect.client_id.chars().count()) {
            return Err((R::ClientIdentifierNotValid, "MQTT 3.1 wants a Client Identifier of 1 to 23 characters"));
        }
        let properties = ConnectProperties::read(connect.properties);
        let will = connect.will.as_ref().map(|will| self.read_will(will, limits)).transpose()?;
        let session_expiry_s = match connect.version {
            Version::V5 => properties.session_expiry_s,
            _ if connect.clean_start => 0,
            _ => u32::MAX,
        };
        Ok(ConnectRequest {
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive_s: connect.keep_alive_s,
            client_id: connect.client_id.to_owned(),
            user_name: connect.user_name.map(str::to_owned),
            password: connect.password.map(Secret::new),
            will,
            session_expiry_s,
            receive_maximum: properties.receive_maximum,
            maximum_packet_size: properties.maximum_packet_size.unwrap_or(u32::MAX),
            topic_alias_maximum: properties.topic_alias_maximum,
            request_response_information: properties.request_response_information,
            problem_information: properties.request_problem_information,
            auth_method: properties.authentication_method.map(Arc::from),
            auth_data: properties.authentication_data.map(Secret::new),
        })
    }

    fn read_will(&self, will: &crate::wire::Will<'_>, limits: &super::Limits) -> Result<Will, Refusal> {
        let topic = TopicName::parse(will.topic)
            .map_err(|_| (ReasonCode::TopicNameInvalid, "the Will Topic is not a Topic Name"))?;
        if will.topic.len() > limits.topic_bytes_max as usize || topic.level_count() > limits.topic_levels_max as usize
        {
            return Err((ReasonCode::TopicNameInvalid, "the Will Topic is longer or deeper than the limits"));
        }
        let properties = WillProperties::read(will.properties);
        if properties.payload_format_utf8 && std::str::from_utf8(will.payload).is_err() {
            return Err((ReasonCode::PayloadFormatInvalid, "the Will Payload is not the UTF-8 it says it is"));
        }
        let mut scratch = Vec::new();
        let forwarded = forwardable(will.properties, &mut scratch);
        let nobody = Arc::clone(&self.nobody);
        Ok(Will {
            message: Arc::new(Message::new(&topic, forwarded, will.payload, will.qos, will.retain, None, nobody)),
            expiry_s: properties.message_expiry_s,
            delay_s: properties.delay_s.min(limits.will_delay_max_s),
        })
    }

    /// The authenticators have answered. An answer to what is not asked any more is dropped.
    pub fn verdict(&mut self, key: ConnectionKey, verdict: Verdict, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match &mut connection.phase {
            Phase::Authenticating(exchange) if exchange.rounds.is_asked() => {}
            Phase::Open(open) if open.reauthentication().is_some_and(|again| again.rounds.is_asked()) => {
                self.reauthenticated(key, verdict, now, fx);
                return;
            }
            _ => return,
        }
        match verdict {
            Verdict::Allow { principal, client_id, ends_at, auth_data } => {
                self.allow(key, principal, client_id, (ends_at, auth_data), now, fx);
            }
            Verdict::Continue { challenge, state } => self.challenge(key, &challenge, state, now, fx),
            Verdict::Deny { reason, why } => self.refuse_told(key, reason, &why, now, fx),
        }
    }

    fn challenge(&mut self, key: ConnectionKey, data: &[u8], state: Option<Secret>, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Phase::Authenticating(exchange) = &mut connection.phase else { return };
        let method = exchange.connect.auth_method.clone();
        let most = exchange.connect.maximum_packet_size;
        let Some(method) = method.filter(|_| exchange.rounds.challenge(state)) else {
            self.refuse(key, Some(ReasonCode::NotAuthorized), "the authentication took too many rounds", now, fx);
            return;
        };
        if !append_auth(&mut connection.out, most, ReasonCode::ContinueAuthentication, &method, Some(data)) {
            self.refuse(key, Some(ReasonCode::PacketTooLarge), AUTH_TOO_LARGE, now, fx);
            return;
        }
        self.counters().messages_sent.add(1);
        self.mark_dirty(key, fx);
        fx.resumed.push(key);
    }

    pub(crate) fn on_auth_response(&mut self, key: ConnectionKey, auth: &Auth<'_>, now: Time, fx: &mut Effects) {
        let properties = AuthProperties::read(auth.properties);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Phase::Authenticating(exchange) = &mut connection.phase else { return };
        let in_turn =
            exchange.response(properties.authentication_method) && auth.reason == ReasonCode::ContinueAuthentication;
        if !in_turn {
            self.refuse(key, Some(ReasonCode::ProtocolError), "AUTH out of turn or by another method", now, fx);
            return;
        }
        exchange.connect.auth_data = properties.authentication_data.map(Secret::new);
        self.ask(key, fx);
    }

    fn allow(
        &mut self,
        key: ConnectionKey,
        principal: Principal,
        client_id: Option<String>,
        (ends_at, auth_data): (Option<Time>, Option<Vec<u8>>),
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Phase::Authenticating(exchange) = std::mem::replace(&mut connection.phase, Phase::AwaitConnect) else {
            return;
        };
        let mut connect = exchange.connect;
        connect.password = None;
        connect.auth_data = None;
        let assigned = connect.client_id.is_empty();
        if let Some(bound) = client_id {
            connect.client_id = bound;
        }
        let (peer, opened_at) = (connection.peer.clone(), connection.opened_at);
        if connect.client_id.is_empty() {
            connect.client_id = self.assign_client_id(&principal);
        }
        connect.client_id = self.scoped_client_id(&principal, connect.client_id);
        let home = self.home_of(&connect.client_id);
        let principal = self.shared_principal(principal);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let adoption = Box::new(Adoption { peer, opened_at, connect, assigned, principal, ends_at, auth_data });
        if home == self.shard {
            self.open(key, *adoption, now, fx);
        } else {
            // The engine forgets it once it has moved the socket: until then its key is taken.
            connection.phase = Phase::Moving;
            fx.moves.push((key, home, adoption));
        }
    }

    /// A Client Identifier nobody uses [MQTT-3.1.3-7]: the identity's name and 64 bits.
    fn assign_client_id(&mut self, principal: &Principal) -> String {
        loop {
            // SplitMix64 over a seed from outside: unique is what matters, and the Session's
            // owner is checked anyway (I11).
            self.entropy = self.entropy.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.entropy;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let id = format!("{}-{:016x}", principal.id, z ^ (z >> 31));
            if !self.by_client_id.contains_key(id.as_str()) {
                return id;
            }
        }
    }

    /// Refuses a CONNECT that is being decided; `None` closes without a word.
    pub(crate) fn refuse(
        &mut self,
        key: ConnectionKey,
        reason: Option<ReasonCode>,
        why: &str,
        now: Time,
        fx: &mut Effects,
    ) {
        match (reason, self.connections.get(key).map(|connection| &connection.phase)) {
            (Some(reason), Some(Phase::Authenticating(exchange))) => {
                let version = exchange.connect.version;
                self.refuse_as(key, version, reason, why, now, fx);
            }
            _ => self.end_refused(key, "Unspecified error", why, now, fx),
        }
    }

    /// Refuses with a code and no words for the client: what an authenticator knows stays here.
    fn refuse_told(&mut self, key: ConnectionKey, reason: ReasonCode, why: &str, now: Time, fx: &mut Effects) {
        let Some(Phase::Authenticating(exchange)) = self.connections.get(key).map(|connection| &connection.phase)
        else {
            return;
        };
        let version = exchange.connect.version;
        self.write_connack(key, version, reason, None, fx);
        self.end_refused(key, reason.name(), why, now, fx);
    }

    /// A CONNECT that could not be read.
    pub(crate) fn refuse_unread(&mut self, key: ConnectionKey, error: &DecodeError, now: Time, fx: &mut Effects) {
        match error.version {
            Some(version) if version.is_v5() || error.reason == ReasonCode::UnsupportedProtocolVersion => {
                self.refuse_as(key, version, error.reason, error.what, now, fx);
            }
            _ => self.end_refused(key, error.reason.name(), error.what, now, fx),
        }
    }

    /// Refuses with CONNACK. 3.1.1 has codes for a few reasons only; for the rest it is closed
    /// without a word, as for any packet that breaks the protocol.
    pub(crate) fn refuse_as(
        &mut self,
        key: ConnectionKey,
        version: Version,
        reason: ReasonCode,
        why: &str,
        now: Time,
        fx: &mut Effects,
    ) {
        if version.is_v5() || has_v3_code(reason) {
            self.write_connack(key, version, reason, Some(why), fx);
        }
        self.end_refused(key, reason.name(), why, now, fx);
    }

    fn write_connack(
        &mut self,
        key: ConnectionKey,
        version: Version,
        reason: ReasonCode,
        why: Option<&str>,
        fx: &mut Effects,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let most = match &connection.phase {
            Phase::Authenticating(exchange) => exchange.connect.maximum_packet_size,
            _ => connection.maximum_packet_size,
        };
        let fits = append_within(&mut connection.out, most, why, |out, reason_string| {
            let properties = ConnackProperties { reason_string, ..ConnackProperties::default() };
            encode::connack(out, version, false, reason, &properties);
        });
        if fits {
            fx.connacks.push((key, false));
            self.counters().messages_sent.add(1);
            self.mark_dirty(key, fx);
        }
    }

    fn end_refused(&mut self, key: ConnectionKey, reason: &'static str, why: &str, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.phase = Phase::Closed;
        let listener = connection.peer.listener;
        self.count_refused(listener);
        self.tell(key, now, What::Refused { reason, why: why.to_owned() }, fx);
        fx.closed.push(Closed { connection: key, by_client: false, is_cut: false });
    }

    /// The QoS of a Will, for its decision.
    pub(crate) fn will_permitted(grants: &crate::policy::Grants, will: &Will) -> crate::policy::Decision {
        grants.will(&will.message.topic(), &crate::policy::Asked::from(&*will.message))
    }
}

/// What a CONNECT brings as a proof, of which nobody knows yet whether it proves anything.
fn presented(connect: &Connect<'_>, properties: &ConnectProperties<'_>, peer: &Peer) -> &'static str {
    if properties.authentication_method.is_some() {
        return "exchange";
    }
    match (connect.password, &peer.certificate) {
        (Some(_), _) => "password",
        (None, Some(_)) => "certificate",
        (None, None) => "none",
    }
}

/// Reasons for which 3.1.1 has a Connect Return Code (3.1.1, 3.2.2.3).
fn has_v3_code(reason: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(
        reason,
        R::UnsupportedProtocolVersion
            | R::ClientIdentifierNotValid
            | R::BadUserNameOrPassword
            | R::NotAuthorized
            | R::Banned
            | R::ServerUnavailable
            | R::ServerBusy
            | R::ServerShuttingDown
            | R::QuotaExceeded
            | R::ConnectionRateExceeded
    )
}

/// Why an exchange ends whose next AUTH the client would not take.
pub(crate) const AUTH_TOO_LARGE: &str = "the authentication needs a packet larger than the client takes";

/// Appends AUTH. It carries no Reason String and no User Property, so nothing could be left out of
/// it [MQTT-3.15.2-2] [MQTT-3.15.2-3]: false, and nothing appended, when it is too large.
pub(crate) fn append_auth(
    out: &mut Vec<u8>,
    most: u32,
    reason: ReasonCode,
    method: &str,
    payload: Option<&[u8]>,
) -> bool {
    // Cut data would prove nothing.
    payload.is_none_or(|data| u16::try_from(data.len()).is_ok())
        && append_within(out, most, None, |out, reason_string| {
            encode::auth(out, reason, &AuthTail { method, payload, reason_string });
        })
}

/// Appends a packet that fits the client's Maximum Packet Size, without its reason string if
/// need be [MQTT-3.2.2-19]. False, and nothing appended, when even that is too large.
pub(crate) fn append_within(
    out: &mut Vec<u8>,
    most: u32,
    text: Option<&str>,
    encode: impl Fn(&mut Vec<u8>, Option<&str>),
) -> bool {
    let start = out.len();
    for text in [text, None] {
        encode(out, text);
        if out.len() - start <= most as usize {
            return true;
        }
        out.truncate(start);
    }
    false
}
