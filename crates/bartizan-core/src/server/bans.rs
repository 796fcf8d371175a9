//! Who may not connect, whatever proves it: by identity, certificate, Client Identifier or address.
//!
//! What is banned by its address is closed before TLS (`address_is_banned`), by its certificate or Client Identifier
//! before anybody is asked who it is, by its identity once that is proved. Who is connected is cut when it is banned.
//! Its Session stays, for as long as it would without the connection; a Will of it is published no more.

use core::net::IpAddr;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::close::WillFate;
use super::{Effects, Server};
use crate::message::Time;
use crate::policy::network::{Network, Networks};
use crate::policy::scope;
use crate::session::{Connection, ConnectionKey, Peer, Phase};
use crate::wire::ReasonCode;

/// Everything that is banned.
#[derive(Debug, Default)]
pub struct Bans {
    identities: HashSet<String>,
    client_ids: HashSet<String>,
    /// Serial numbers, as `PeerIdentity` has them, with the issuers that gave them; an empty one is any.
    serials: HashMap<String, HashSet<String>>,
    networks: Networks,
}

/// Why somebody is not let in, in words for the log and a 5.0 client.
pub type Why = &'static str;

const IDENTITY: Why = "the identity is banned";
const CERTIFICATE: Why = "the certificate is banned";
const CLIENT_ID: Why = "the Client Identifier is banned";
/// Of an address, also for who is closed before it can be told.
pub const ADDRESS: Why = "the address is banned";

impl Bans {
    /// Bans an identity.
    pub fn identity(&mut self, name: String) {
        self.identities.insert(name);
    }

    /// Bans a Client Identifier, whichever tenant has it.
    pub fn client_id(&mut self, client_id: String) {
        self.client_ids.insert(client_id);
    }

    /// Bans a certificate by its serial number; without an issuer, that of every one.
    pub fn serial(&mut self, serial: String, issuer: String) {
        self.serials.entry(serial).or_default().insert(issuer);
    }

    /// Bans an address, or all with the same first bits; false for a text that is neither.
    #[must_use]
    pub fn network(&mut self, text: &str) -> bool {
        let Some(network) = Network::parse(text) else { return false };
        self.networks.insert(network);
        true
    }

    fn address(&self, address: Option<IpAddr>) -> bool {
        address.is_some_and(|address| self.networks.contain(address))
    }

    /// What of a connection is banned before it is known who it is.
    fn stranger(&self, peer: &Peer, client_id: &str) -> Option<Why> {
        let certificate = |issuer: &str, serial: &str| {
            self.serials.get(serial).is_some_and(|issuers| issuers.contains("") || issuers.contains(issuer))
        };
        if self.address(peer.address.ip()) {
            Some(ADDRESS)
        } else if peer.certificate.as_ref().is_some_and(|one| certificate(&one.issuer, &one.serial)) {
            Some(CERTIFICATE)
        } else {
            self.client_ids.contains(scope::parts(client_id).1).then_some(CLIENT_ID)
        }
    }

    fn connection(&self, connection: &Connection) -> Option<Why> {
        let (identity, client_id) = connection.who.as_ref().map_or(("", ""), |who| (&*who.identity, &*who.client_id));
        self.stranger(&connection.peer, client_id).or_else(|| self.identities.contains(identity).then_some(IDENTITY))
    }
}

/// A connection that a ban has cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Whose it was.
    pub identity: Arc<str>,
    /// Its Client Identifier.
    pub client_id: Arc<str>,
    /// The tenant whose client it was.
    pub tenant: Option<Arc<str>>,
    /// Where it came from.
    pub address: Arc<str>,
    /// Why.
    pub why: Why,
}

impl Server {
    /// Puts bans into force on this shard, in place of those that were; the connections that were cut.
    pub fn ban(&mut self, bans: Arc<Bans>, now: Time, fx: &mut Effects) -> Vec<Cut> {
        self.bans = bans;
        let met = self.connections.iter().filter_map(|(key, one)| Some((key, self.bans.connection(one)?)));
        let met: Vec<(ConnectionKey, Why)> = met.collect();
        met.into_iter().filter_map(|(key, why)| self.cut(key, why, now, fx)).collect()
    }

    fn cut(&mut self, key: ConnectionKey, why: Why, now: Time, fx: &mut Effects) -> Option<Cut> {
        let connection = self.connections.get_mut(key)?;
        let Phase::Open(open) = &connection.phase else {
            self.close_with(key, ReasonCode::Banned, why, WillFate::Discard, now, fx);
            return None;
        };
        let cut = Cut {
            identity: Arc::clone(&open.principal.id),
            client_id: scope::known(&open.publisher.client_id),
            tenant: scope::tenant(&open.publisher.client_id).map(Arc::from),
            address: connection.peer.address.text(),
            why,
        };
        self.cut_off(key, ReasonCode::AdministrativeAction, why, now, fx);
        Some(cut)
    }

    /// True for an address that may not connect.
    #[must_use]
    pub fn address_is_banned(&self, address: Option<IpAddr>) -> bool {
        self.bans.address(address)
    }

    /// What of a CONNECT is banned before anybody is asked about it.
    pub(super) fn banned_stranger(&self, key: ConnectionKey, client_id: &str) -> Option<Why> {
        self.bans.stranger(&self.connections.get(key)?.peer, client_id)
    }

    /// What of a connection is banned, once it is known whose it is.
    pub(super) fn banned(&self, key: ConnectionKey, identity: &str, client_id: &str) -> Option<Why> {
        let of_identity = || self.bans.identities.contains(identity).then_some(IDENTITY);
        self.banned_stranger(key, client_id).or_else(of_identity)
    }

    /// True where a Session's Will is published no more.
    pub(super) fn is_banned_session(&self, identity: &str, client_id: &str) -> bool {
        self.bans.identities.contains(identity) || self.bans.client_ids.contains(scope::parts(client_id).1)
    }
}
