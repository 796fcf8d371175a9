//! Who is connected: what `bartizan clients` shows.

use std::sync::Arc;

use serde::Serialize;

use super::Server;
use crate::policy::{Strength, scope};
use crate::session::connection::Traffic;
use crate::session::{Connection, ConnectionKey, Open, Phase};
use crate::wire::Version;

/// One connected client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientListing {
    /// The Client Identifier.
    pub client_id: Arc<str>,
    /// The tenant, where it is one's client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Arc<str>>,
    /// The identity.
    pub identity: Arc<str>,
    /// How it was proved.
    pub method: Arc<str>,
    /// How strongly.
    pub strength: Strength,
    /// The attributes that its decisions are taken with, name and value.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
    /// Roles of the identity.
    pub roles: Vec<Arc<str>>,
    /// The listener's name.
    pub listener: Arc<str>,
    /// Where it comes from.
    pub address: Arc<str>,
    /// Its port.
    pub port: u16,
    /// The protocol.
    pub version: Version,
    /// Since when, milliseconds since the Unix epoch.
    pub connected_at_ms: u64,
    /// Keep Alive in force, seconds.
    pub keep_alive_s: u16,
    /// Session Expiry Interval, seconds.
    pub session_expiry_s: u32,
    /// Subscriptions of its Session.
    pub subscriptions: usize,
    /// Messages in its queue.
    pub queued: usize,
    /// Messages sent and not yet acknowledged.
    pub inflight: usize,
    /// What went over the connection.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Which clients are listed: all that fit everything that is set.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Those whose Client Identifier comes after this one; empty for all.
    pub after: String,
    /// At most so many, of those alike under several tenants some more.
    pub limit: usize,
    /// Those of this identity.
    pub identity: Option<String>,
    /// Those of this Client Identifier, whichever tenant has it.
    pub client_id: Option<String>,
}

impl Listed {
    fn fits(&self, open: &Open) -> bool {
        let (_, client_id) = scope::parts(&open.publisher.client_id);
        (self.after.is_empty() || client_id > self.after.as_str())
            && self.identity.as_ref().is_none_or(|identity| **identity == *open.principal.id)
            && self.client_id.as_ref().is_none_or(|wanted| wanted == client_id)
    }
}

impl Server {
    /// Connected clients of this shard, in the order of their Client Identifiers.
    #[must_use]
    pub fn list(&self, listed: &Listed) -> Vec<ClientListing> {
        let fits = |connection: &'_ &Connection| connection.open().is_some_and(|open| listed.fits(open));
        let mut found: Vec<&Connection> = self.connections.values().filter(fits).collect();
        truncate(&mut found, listed.limit, |connection| {
            let (tenant, client_id) =
                connection.open().map_or((None, ""), |open| scope::parts(&open.publisher.client_id));
            (client_id, tenant)
        });
        found.into_iter().filter_map(|connection| self.listing(connection)).collect()
    }

    fn listing(&self, connection: &Connection) -> Option<ClientListing> {
        let open = connection.open()?;
        let session = self.sessions.get(open.session)?;
        let rules = self.listeners.get(connection.peer.listener);
        Some(ClientListing {
            client_id: scope::known(&open.publisher.client_id),
            tenant: scope::tenant(&open.publisher.client_id).map(Arc::from),
            identity: Arc::clone(&open.principal.id),
            method: Arc::clone(&open.principal.method),
            strength: open.principal.strength,
            attributes: open.principal.attributes.clone(),
            roles: open.principal.roles.clone(),
            listener: rules.map_or_else(|| Arc::from(""), |rules| Arc::clone(&rules.name)),
            address: connection.peer.address.text(),
            port: connection.peer.port,
            version: open.version,
            connected_at_ms: connection.opened_at.0,
            keep_alive_s: open.keep_alive_s,
            session_expiry_s: session.expiry_s,
            subscriptions: session.subscriptions.len(),
            queued: session.queued(),
            inflight: session.inflight.len(),
            traffic: connection.traffic,
        })
    }

    /// The client of an open connection, by the name under which its Session is kept.
    #[must_use]
    pub fn client_of(&self, key: ConnectionKey) -> Option<&str> {
        Some(&self.connections.get(key)?.open()?.publisher.client_id)
    }

    /// The connection of the client whose Session is kept under this name, and what it speaks.
    #[must_use]
    pub fn connection_of(&self, client_id: &str) -> Option<(ConnectionKey, Version)> {
        let key = self.sessions.get(*self.by_client_id.get(client_id)?)?.connection?;
        Some((key, self.connections.get(key)?.open()?.version))
    }

    /// Connections whose CONNECT with this Client Identifier has come and is not answered yet, and what they speak.
    #[must_use]
    pub fn connecting(&self, client_id: &str) -> Vec<(ConnectionKey, Version)> {
        let connect = |connection: &'_ Connection| match &connection.phase {
            Phase::Authenticating(exchange) if exchange.connect.client_id == client_id => {
                Some(exchange.connect.version)
            }
            _ => None,
        };
        self.connections.iter().filter_map(|(key, connection)| Some((key, connect(connection)?))).collect()
    }

    /// The octets that wait to be written to a connection.
    #[must_use]
    pub fn unwritten(&self, key: ConnectionKey) -> &[u8] {
        self.connections.get(key).map_or(&[], |connection| &connection.out)
    }
}

/// The first so many in order, each by its Client Identifier and tenant, and with the last one those of other tenants
/// that have its Client Identifier: the next page begins behind it.
pub fn truncate<T>(clients: &mut Vec<T>, limit: usize, name: fn(&T) -> (&str, Option<&str>)) {
    clients.sort_unstable_by(|one, other| name(one).cmp(&name(other)));
    let last = limit.checked_sub(1).and_then(|at| clients.get(at)).map(|last| name(last).0);
    let alike = last.map_or(0, |last| clients.iter().skip(limit).take_while(|next| name(next).0 == last).count());
    clients.truncate(limit + alike);
}
