//! Re-authentication of an open connection (4.12.1), and the end of a credential.
//!
//! Traffic goes on while it is under way. Whoever fails it, does not finish it in time or turns
//! out to be somebody else is disconnected.

use std::sync::Arc;

use super::connect::{AUTH_TOO_LARGE, Verdict, append_auth};
use super::effects::AuthRequest;
use super::{Effects, Server, Timer};
use crate::message::Time;
use crate::policy::scope;
use crate::session::auth_exchange::{Reauthentication, Rounds, Secret};
use crate::session::{ConnectionKey, Phase, Principal};
use crate::wire::{Auth, AuthProperties, ReasonCode};

const TOO_MANY_ROUNDS: &str = "the re-authentication took too many rounds";
const ANOTHER_IDENTITY: &str = "re-authentication as another identity";
const ANOTHER_TENANT: &str = "re-authentication as a client of another tenant";
const FAILED: &str = "the re-authentication failed";

impl Server {
    /// AUTH after CONNACK: 0x19 begins, 0x18 answers a challenge, by the method of the CONNECT
    /// and no other [MQTT-4.12.1-1] [MQTT-4.12.0-5].
    pub(crate) fn on_reauthenticate(&mut self, key: ConnectionKey, auth: &Auth<'_>, now: Time, fx: &mut Effects) {
        let properties = AuthProperties::read(auth.properties);
        let Some(listener) = self.connections.get(key).map(|connection| connection.peer.listener) else { return };
        let due = self.auth_deadline(listener, now);
        let Some(open) = self.connections.get_mut(key).and_then(|connection| connection.open_mut()) else { return };
        let mut credential =
            open.credential.as_deref_mut().filter(|has| has.method.as_deref() == properties.authentication_method);
        let again = credential.as_mut().filter(|has| has.method.is_some()).map(|has| &mut has.reauthentication);
        let in_turn = match (auth.reason, again) {
            (ReasonCode::ReAuthenticate, Some(again @ None)) => {
                *again = Some(Reauthentication { rounds: Rounds::begin(), due });
                true
            }
            (ReasonCode::ContinueAuthentication, Some(Some(again))) => again.rounds.response(),
            _ => false,
        };
        if !in_turn {
            self.counters().protocol_errors.add(1);
            self.close(key, ReasonCode::ProtocolError, "AUTH by another method, or out of turn", now, fx);
            return;
        }
        self.set_auth_timer(key);
        self.ask_again(key, properties.authentication_data.map(Secret::new), fx);
    }

    /// When an authentication that begins now must be over, on this listener.
    pub(crate) fn auth_deadline(&self, listener: usize, now: Time) -> Time {
        // At most a day: a float of seconds always fits.
        let timeout_s = self.limits_of(listener).connect_timeout_s.clamp(0.001, 86_400.0);
        now.plus_ms((timeout_s * 1000.0) as u64)
    }

    fn ask_again(&mut self, key: ConnectionKey, auth_data: Option<Secret>, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let peer = &connection.peer;
        let Phase::Open(open) = &mut connection.phase else { return };
        let Some(credential) = &mut open.credential else { return };
        fx.authenticate.push(AuthRequest {
            connection: key,
            again: true,
            client_id: scope::parts(&open.publisher.client_id).1.to_owned(),
            user_name: None,
            password: None,
            auth_method: credential.method.clone(),
            auth_data,
            state: credential.reauthentication.as_mut().and_then(|again| again.rounds.take_state()),
            certificate: peer.certificate.clone(),
            channel_binding: None,
            listener: self.listeners.get(peer.listener).map_or_else(|| Arc::from(""), |rules| Arc::clone(&rules.name)),
            anonymous_allowed: false,
            address: peer.address.text(),
            version: open.version,
        });
    }

    pub(crate) fn reauthenticated(&mut self, key: ConnectionKey, verdict: Verdict, now: Time, fx: &mut Effects) {
        let Some(open) = self.connections.get_mut(key).and_then(|connection| connection.open_mut()) else { return };
        match verdict {
            // Whoever proves to be somebody else does not get this connection.
            Verdict::Allow { principal, .. } if principal.id != open.principal.id => {
                self.close(key, ReasonCode::NotAuthorized, ANOTHER_IDENTITY, now, fx);
            }
            Verdict::Allow { principal, ends_at, auth_data, .. } => {
                let credential = open.credential.get_or_insert_default();
                credential.reauthentication = None;
                credential.ends_at = ends_at;
                self.set_auth_timer(key);
                self.renew(key, principal, now, fx);
                self.send_auth(key, ReasonCode::Success, auth_data.as_deref(), now, fx);
            }
            Verdict::Continue { challenge, state } => {
                let goes_on = open.reauthentication_mut().is_some_and(|again| again.rounds.challenge(state));
                if goes_on {
                    self.send_auth(key, ReasonCode::ContinueAuthentication, Some(&challenge), now, fx);
                } else {
                    self.close(key, ReasonCode::NotAuthorized, TOO_MANY_ROUNDS, now, fx);
                }
            }
            Verdict::Deny { reason, why } => self.close_told(key, (in_disconnect(reason), FAILED), &why, now, fx),
        }
    }

    /// What is proved now replaces what was proved before: roles and attributes, and what a token narrows them
    /// to. Roles and attributes of an identity that the store knows are the store's, and in force already.
    fn renew(&mut self, key: ConnectionKey, principal: Principal, now: Time, fx: &mut Effects) {
        let Some(open) = self.connections.get(key).and_then(|connection| connection.open()) else { return };
        let (session, before) = (open.session, &open.principal);
        let is_outside = !before.managed && !principal.managed;
        if is_outside && **before == principal || !is_outside && before.narrowed_to == principal.narrowed_to {
            return;
        }
        let client_id = Arc::clone(&open.publisher.client_id);
        if is_outside && !self.is_of_its_tenant(&principal, &client_id) {
            self.close(key, ReasonCode::NotAuthorized, ANOTHER_TENANT, now, fx);
            return;
        }
        let renewed = match is_outside {
            true => principal,
            false => Principal { narrowed_to: principal.narrowed_to, ..(**before).clone() },
        };
        self.act_as(session, Arc::new(renewed), now, fx);
        self.store_session(session, now, fx);
    }

    fn send_auth(
        &mut self,
        key: ConnectionKey,
        reason: ReasonCode,
        payload: Option<&[u8]>,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Phase::Open(open) = &connection.phase else { return };
        let method = open.credential.as_ref().and_then(|credential| credential.method.as_deref()).unwrap_or_default();
        if append_auth(&mut connection.out, open.maximum_packet_size, reason, method, payload) {
            self.counters().messages_sent.add(1);
            self.mark_dirty(key, fx);
        } else {
            self.close(key, ReasonCode::PacketTooLarge, AUTH_TOO_LARGE, now, fx);
        }
    }

    /// Sees to it that a timer rings when the credential ends or its renewal must be over.
    pub(crate) fn set_auth_timer(&mut self, key: ConnectionKey) {
        let Some(open) = self.connections.get_mut(key).and_then(|connection| connection.open_mut()) else { return };
        let Some(credential) = &mut open.credential else { return };
        let due = credential.reauthentication.as_ref().map(|again| again.due);
        let Some(at) = credential.ends_at.into_iter().chain(due).min() else { return };
        if credential.timer.is_none_or(|set| at < set) {
            credential.timer = Some(at);
            self.timers.set(at, Timer::Credential(key));
        }
    }

    pub(super) fn credential_due(&mut self, key: ConnectionKey, now: Time, fx: &mut Effects) {
        let Some(open) = self.connections.get_mut(key).and_then(|connection| connection.open_mut()) else { return };
        let Some(credential) = &mut open.credential else { return };
        credential.timer = None;
        let late = credential.reauthentication.as_ref().filter(|again| again.due <= now);
        let late = late.map(|again| again.rounds.is_asked());
        if credential.ends_at.is_some_and(|at| at <= now) {
            self.close(key, ReasonCode::MaximumConnectTime, "the credential has expired", now, fx);
            return;
        }
        match late {
            // Nobody answered: fail closed (I6).
            Some(true) => self.close(key, ReasonCode::ServerBusy, "the re-authentication took too long", now, fx),
            Some(false) => self.close(key, ReasonCode::NotAuthorized, "the re-authentication took too long", now, fx),
            None => self.set_auth_timer(key),
        }
    }
}

/// The Reason Code of DISCONNECT for a refusal in words of CONNACK (tables 3-1 and 3-10).
fn in_disconnect(reason: ReasonCode) -> ReasonCode {
    use ReasonCode as R;
    match reason {
        R::UnsupportedProtocolVersion
        | R::ClientIdentifierNotValid
        | R::BadUserNameOrPassword
        | R::Banned
        | R::BadAuthenticationMethod => R::NotAuthorized,
        R::ServerUnavailable => R::ServerBusy,
        reason => reason,
    }
}
