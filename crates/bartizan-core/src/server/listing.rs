//! Who is connected: what `bartizan clients` shows.

use std::sync::Arc;

use serde::Serialize;

use super::Server;
use crate::policy::Strength;
use crate::session::connection::Traffic;
use crate::wire::Version;

/// One connected client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientListing {
    /// The Client Identifier.
    pub client_id: Arc<str>,
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

impl Server {
    /// Connected clients of this shard whose Client Identifier comes after `after`, in order.
    #[must_use]
    pub fn list(&self, after: &str, limit: usize) -> Vec<ClientListing> {
        let mut clients: Vec<ClientListing> = self
            .connections
            .values()
            .filter_map(|connection| {
                let open = connection.open()?;
                let session = self.sessions.get(open.session)?;
                let client_id = &open.publisher.client_id;
                (&**client_id > after || after.is_empty()).then(|| ClientListing {
                    client_id: Arc::clone(client_id),
                    identity: Arc::clone(&open.principal.id),
                    method: Arc::clone(&open.principal.method),
                    strength: open.principal.strength,
                    attributes: open.principal.attributes.clone(),
                    roles: open.principal.roles.clone(),
                    listener: self
                        .listeners
                        .get(connection.peer.listener)
                        .map_or_else(|| Arc::from(""), |rules| Arc::clone(&rules.name)),
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
            })
            .collect();
        clients.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        clients.truncate(limit);
        clients
    }
}
