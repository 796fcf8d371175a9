//! Clients of tenants, at the edge of the server: names come in with the root put before them, and go out
//! without it. What lies between knows whole names only.
//!
//! Limits of a tenant hold for all its clients on all shards together; they are counted behind a lock that
//! clients of no tenant never take.

use std::collections::HashMap;
use std::sync::Arc;

use super::common::Common;
use super::deliver::{Sent, send_named};
use super::route::SharedFrame;
use super::{Limits, Server};
use crate::limits::TokenBucket;
use crate::message::{Message, Time};
use crate::policy::{Image, Tenant, TenantLimits, scope};
use crate::session::{Connection, ConnectionKey, Open, Principal, SessionKey, Will};
use crate::topic::{TOPIC_BYTES_MAX, TopicName};
use crate::wire::encode::PublishHead;
use crate::wire::{Properties, Property};

/// An identity is the client of a tenant that the policy does not declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undeclared;

/// What the clients of one tenant have together.
#[derive(Debug, Default)]
pub(super) struct TenantUse {
    connections: u64,
    subscriptions: u64,
    messages: Option<Metered>,
    octets: Option<Metered>,
}

/// A bucket and the rate it was made for.
#[derive(Debug)]
struct Metered {
    rate_per_s: u64,
    bucket: TokenBucket,
}

impl TenantUse {
    fn is_empty(&self) -> bool {
        // A bucket that is not full is not forgotten: nobody fills it by going away and coming back.
        self.connections == 0 && self.subscriptions == 0 && self.messages.is_none() && self.octets.is_none()
    }
}

/// What is counted by tenant, by name.
pub(super) type TenantUses = HashMap<Arc<str>, TenantUse>;

/// How long a rate of the tenant has a client wait, and which.
fn spend(metered: &mut Option<Metered>, rate_per_s: Option<u64>, n: u64, now: Time) -> u64 {
    let Some(rate_per_s) = rate_per_s else { return 0 };
    let of_rate = metered.take().filter(|known| known.rate_per_s == rate_per_s);
    let narrow = u32::try_from(rate_per_s).unwrap_or(u32::MAX);
    let metered = metered
        .insert(of_rate.unwrap_or_else(|| Metered { rate_per_s, bucket: TokenBucket::new(narrow, narrow, now) }));
    metered.bucket.spend(n, now)
}

impl Common {
    /// Counts one more connection of a tenant, unless it has that many already.
    #[must_use]
    fn admit_tenants_connection(&self, tenant: &Tenant, room: u64) -> bool {
        let mut uses = self.tenant_uses();
        let of = uses.entry(Arc::clone(&tenant.name)).or_default();
        let most = tenant.limits.connections_max.map_or(u64::MAX, |most| most.saturating_add(room));
        let fits = of.connections < most;
        of.connections += u64::from(fits);
        fits
    }

    /// Counts one more Subscription of a tenant, unless it has that many already.
    #[must_use]
    fn admit_tenants_subscription(&self, tenant: &str, most: u64) -> bool {
        let mut uses = self.tenant_uses();
        let of = uses.entry(Arc::from(tenant)).or_default();
        let fits = of.subscriptions < most;
        of.subscriptions += u64::from(fits);
        fits
    }

    fn release_of_tenant(&self, client_id: &str, connections: u64, subscriptions: u64) {
        let Some(tenant) = scope::tenant(client_id) else { return };
        let mut uses = self.tenant_uses();
        let Some(of) = uses.get_mut(tenant) else { return };
        of.connections = of.connections.saturating_sub(connections);
        of.subscriptions = of.subscriptions.saturating_sub(subscriptions);
        if of.is_empty() {
            uses.remove(tenant);
        }
    }

    /// Counts one connection of a client less.
    pub(super) fn release_tenants_connection(&self, client_id: &str) {
        self.release_of_tenant(client_id, 1, 0);
    }

    /// Counts one Subscription of a client less.
    pub(super) fn release_tenants_subscription(&self, client_id: &str) {
        self.release_of_tenant(client_id, 0, 1);
    }
}

/// The tenant whose client a principal is under a policy; none where that declares no tenants at all.
pub(super) fn tenant_in(image: &Image, principal: &Principal) -> Result<Option<Arc<Tenant>>, Undeclared> {
    if !image.has_tenants() {
        return Ok(None);
    }
    let Some(name) = principal.tenant() else { return Ok(None) };
    image.tenant(name).cloned().map(Some).ok_or(Undeclared)
}

impl Server {
    /// The tenant whose client a principal is; none where the policy declares no tenants at all.
    pub(crate) fn tenant_of(&self, principal: &Principal) -> Result<Option<Arc<Tenant>>, Undeclared> {
        tenant_in(&self.image, principal)
    }

    /// True while a Session is of the tenant whose client its principal is now.
    pub(crate) fn is_of_its_tenant(&self, principal: &Principal, client_id: &str) -> bool {
        let tenant = self.tenant_of(principal);
        tenant.is_ok_and(|tenant| tenant.as_ref().map(|tenant| &*tenant.name) == scope::tenant(client_id))
    }

    /// The name under which the Session of a client is kept.
    pub(crate) fn scoped_client_id(&self, principal: &Principal, client_id: String) -> String {
        if !self.image.has_tenants() {
            return client_id;
        }
        // What the store says of an identity counts, whatever else was proved.
        let known = if principal.managed { self.identities.get(&principal.id) } else { None };
        let tenant = match known {
            Some(known) => self.tenant_of(known),
            None => self.tenant_of(principal),
        };
        match tenant {
            Ok(Some(tenant)) => scope::scoped(&tenant.name, &client_id),
            // Of an undeclared tenant: it is refused when it opens.
            Ok(None) | Err(Undeclared) => client_id,
        }
    }

    /// The name of the limit that a new connection of a client would break; else it is counted.
    pub(crate) fn admit_to_tenant(&self, tenant: Option<&Arc<Tenant>>, client_id: &str) -> Result<(), &'static str> {
        let Some(tenant) = tenant else { return Ok(()) };
        let fits = self.common.admit_tenants_connection(tenant, u64::from(self.is_connected(client_id)));
        if fits { Ok(()) } else { Err("tenant_connections_max") }
    }

    /// False if a new Subscription of this Session would break its tenant's limit; else it is counted.
    pub(crate) fn admit_subscription_to_tenant(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return true };
        let Some(tenant) = session.grants.tenant() else { return true };
        let most = tenant.limits.subscriptions_max.unwrap_or(u64::MAX);
        self.common.admit_tenants_subscription(&tenant.name, most)
    }

    /// A Subscription that the store brought back is counted, whatever the limit is by now.
    pub(crate) fn count_restored_subscription(&self, client_id: &str) {
        if let Some(tenant) = scope::tenant(client_id) {
            let _ = self.common.admit_tenants_subscription(tenant, u64::MAX);
        }
    }

    /// How many milliseconds its tenant's rates have a client wait, and which of them.
    pub(crate) fn tenant_wait(&self, key: ConnectionKey, octets: u64, now: Time) -> (u64, &'static str) {
        let open = self.connections.get(key).and_then(|connection| connection.open());
        let Some(tenant) = open.and_then(|open| open.grants.tenant()).filter(|tenant| tenant.limits.has_rate()) else {
            return (0, "");
        };
        let TenantLimits { publish_rate_per_s, publish_bytes_per_s, .. } = tenant.limits;
        let mut uses = self.common.tenant_uses();
        let of = uses.entry(Arc::clone(&tenant.name)).or_default();
        let by_number = spend(&mut of.messages, publish_rate_per_s, 1, now);
        let by_octets = spend(&mut of.octets, publish_bytes_per_s, octets, now);
        match by_octets > by_number {
            true => (by_octets, "tenant_publish_bytes_per_s"),
            false => (by_number, "tenant_publish_rate_per_s"),
        }
    }

    /// The whole text of a Subscription that a client names; `None` where it has named it whole.
    pub(crate) fn rooted_subscription(&self, key: ConnectionKey, text: &str) -> Option<String> {
        let open = self.connections.get(key)?.open()?;
        open.grants.tenant().map(|tenant| tenant.rooted_subscription(text))
    }

    /// The forwarded properties of a PUBLISH, its Response Topic with the root before it; `None` where there is
    /// nothing to put before it, and an error where that makes no Topic Name any more.
    pub(crate) fn rooted_properties(
        &self,
        key: ConnectionKey,
        response_topic: &str,
        forwarded: &[u8],
    ) -> Result<Option<Vec<u8>>, &'static str> {
        let open = self.connections.get(key).and_then(|connection| connection.open());
        let Some(tenant) = open.and_then(|open| open.grants.tenant()) else { return Ok(None) };
        if tenant.root().len() + response_topic.len() > TOPIC_BYTES_MAX {
            return Err("the Response Topic is longer than a Topic Name");
        }
        Ok(Some(with_response_topics(forwarded, |topic| Some(format!("{}{topic}", tenant.root())))))
    }
}

/// The Will of a tenant's client, with the root before its topics.
///
/// # Errors
/// Where a name with the root before it is longer or deeper than the limits.
pub(crate) fn rooted_will(will: Will, tenant: &Tenant, limits: &Limits) -> Result<Will, &'static str> {
    let message = &will.message;
    let whole = format!("{}{}", tenant.root(), message.topic().as_str());
    let topic = TopicName::parse(&whole).map_err(|_| "the Will Topic is not a Topic Name")?;
    if whole.len() > limits.topic_bytes_max as usize || topic.level_count() > limits.topic_levels_max as usize {
        return Err("the Will Topic is longer or deeper than the limits");
    }
    let mut is_too_long = false;
    let properties = with_response_topics(message.properties(), |topic| {
        is_too_long |= tenant.root().len() + topic.len() > TOPIC_BYTES_MAX;
        Some(format!("{}{topic}", tenant.root()))
    });
    if is_too_long {
        return Err("the Response Topic is longer than a Topic Name");
    }
    let publisher = Arc::clone(&message.publisher);
    let payload = message.payload();
    let rooted = Message::new(&topic, &properties, payload, message.qos, message.retain, message.expires_at, publisher);
    Ok(Will { message: Arc::new(rooted), ..will })
}

/// Appends a PUBLISH to the `out` of a tenant's client.
#[cold]
pub(super) fn send_seen(
    connection: &mut Connection,
    frame: &mut SharedFrame,
    head: &PublishHead<'_>,
    payload: &[u8],
    room: usize,
) -> Sent {
    let (mut inner, mut head) = (Vec::new(), *head);
    match connection.open().and_then(|open| as_seen(open, &mut head, &mut inner)) {
        Some(lost) => send_named(connection, frame, &mut head, payload, (lost, room)),
        // What its client sees nothing of does not come here; it would get no further.
        None => Sent::TooLarge,
    }
}

/// Makes a PUBLISH what a tenant's client sees of it. Returns how many octets its Topic Name has lost; `None` if
/// the client sees nothing of it.
fn as_seen<'a>(open: &Open, head: &mut PublishHead<'a>, inner: &'a mut Vec<u8>) -> Option<u16> {
    let Some(tenant) = open.grants.tenant() else { return Some(0) };
    let seen = tenant.seen(head.topic)?;
    let lost = head.topic.len() - seen.len();
    head.topic = seen;
    let mut answers = Properties { raw: head.forwarded }.iter();
    if answers.any(|property| matches!(property, Property::ResponseTopic(_))) {
        // Where an answer would not reach whoever asked, none is asked for.
        *inner = with_response_topics(head.forwarded, |topic| tenant.seen(topic).map(str::to_owned));
        head.forwarded = inner;
    }
    u16::try_from(lost).ok()
}

/// Forwarded properties with another Response Topic, or none.
fn with_response_topics(forwarded: &[u8], mut change: impl FnMut(&str) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(forwarded.len() + 64);
    for property in (Properties { raw: forwarded }).iter() {
        match property {
            Property::ResponseTopic(topic) => {
                if let Some(changed) = change(topic) {
                    Property::ResponseTopic(&changed).write(&mut out);
                }
            }
            other => other.write(&mut out),
        }
    }
    out
}
