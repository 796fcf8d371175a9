//! What clients have in common, kept once: what the policy grants to their roles, and the
//! principal of those whom a listener admits without a credential.

use std::collections::HashMap;
use std::sync::Arc;

use super::tenants::tenant_in;
use super::{ListenerRules, Server};
use crate::policy::{Circumstances, Grants, Identity, Image, OpenWindows, RoleSet, Tenant, scope};
use crate::session::{ConnectionKey, Peer, Principal};

/// Sets of roles remembered at most. More there are only where identities have roles at random.
const ROLE_SETS_MAX: usize = 1_024;

/// What is kept once.
#[derive(Debug)]
pub(crate) struct Shared {
    by_roles: ByRoles,
    of_tenants: HashMap<Arc<str>, ByRoles>,
    /// How many that are, of all tenants and of none.
    held: usize,
    anonymous: Arc<Principal>,
}

type ByRoles = HashMap<Vec<Arc<str>>, Common>;

/// What all identities with the same roles have.
#[derive(Clone, Debug)]
struct Common {
    roles: Arc<RoleSet>,
    /// Their grants, where nothing in them is an identity's own.
    grants: Option<Arc<Grants>>,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            by_roles: HashMap::new(),
            of_tenants: HashMap::new(),
            held: 0,
            anonymous: Arc::new(Principal::anonymous()),
        }
    }
}

impl Shared {
    /// The policy has changed.
    pub(super) fn forget_grants(&mut self) {
        self.by_roles.clear();
        self.of_tenants.clear();
        self.held = 0;
    }

    /// What a policy grants to a principal.
    pub(super) fn bind(
        &mut self,
        image: &Arc<Image>,
        open: &OpenWindows,
        principal: &Principal,
        client_id: &str,
        circumstances: Option<Circumstances<'_>>,
    ) -> Arc<Grants> {
        let Ok(tenant) = tenant_in(image, principal) else { return Arc::new(image.no_grants()) };
        let (of, client_id) = scope::parts(client_id);
        if of != tenant.as_ref().map(|tenant| &*tenant.name) {
            return Arc::new(image.no_grants());
        }
        let common = self.of_roles(image, tenant.as_ref(), &principal.roles);
        if let (Some(grants), None) = (common.grants, &principal.narrowed_to) {
            return grants;
        }
        let Principal { id, roles, attributes, .. } = principal;
        let narrowed_to = principal.narrowed_to.as_ref();
        let who = Identity { id, client_id, roles, attributes, circumstances, narrowed_to };
        Arc::new(common.roles.bind(&who, open))
    }

    fn of_roles(&mut self, image: &Arc<Image>, tenant: Option<&Arc<Tenant>>, roles: &[Arc<str>]) -> Common {
        let by_roles = match tenant {
            None => Some(&self.by_roles),
            Some(tenant) => self.of_tenants.get(&tenant.name),
        };
        if let Some(known) = by_roles.and_then(|by_roles| by_roles.get(roles)) {
            return known.clone();
        }
        if self.held >= ROLE_SETS_MAX {
            self.forget_grants();
        }
        self.held += 1;
        let set = Arc::new(image.role_set(roles).of_tenant(tenant.cloned()));
        let nobody = Identity { roles, ..Identity::default() };
        let grants = (!set.is_of_ones_own()).then(|| Arc::new(set.bind(&nobody, &OpenWindows::default())));
        let common = Common { roles: set, grants };
        let by_roles = match tenant {
            None => &mut self.by_roles,
            Some(tenant) => self.of_tenants.entry(Arc::clone(&tenant.name)).or_default(),
        };
        by_roles.insert(roles.to_vec(), common.clone());
        common
    }
}

impl Server {
    /// What the present policy grants to a principal under the Client Identifier of its Session, on its
    /// connection if it has one. Nothing, where that is another tenant's than the principal is now.
    pub(crate) fn bind(
        &mut self,
        principal: &Principal,
        client_id: &str,
        connection: Option<ConnectionKey>,
    ) -> Arc<Grants> {
        let peer = connection.and_then(|key| self.connections.get(key)).map(|connection| &connection.peer);
        let circumstances = peer.map(|peer| circumstances(peer, principal, &self.listeners));
        self.shared.bind(&self.image, &self.windows, principal, client_id, circumstances)
    }

    /// The principal, held once where it is nobody's own.
    pub(crate) fn shared_principal(&self, principal: Principal) -> Arc<Principal> {
        if principal == *self.shared.anonymous { Arc::clone(&self.shared.anonymous) } else { Arc::new(principal) }
    }
}

/// How a principal is connected.
pub(super) fn circumstances<'a>(
    peer: &Peer,
    principal: &'a Principal,
    listeners: &'a [ListenerRules],
) -> Circumstances<'a> {
    Circumstances {
        listener: listeners.get(peer.listener).map_or("", |rules| &*rules.name),
        address: peer.address.ip(),
        method: &principal.method,
        strength: principal.strength,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Asked;
    use crate::server::Common as CommonOfShards;
    use crate::wire::QoS;

    const IMAGE: &str = r#"{"format":3,"roles":[
        {"name":"owner","limits":{},"rules":[{"name":"o","effect":"permit","actions":["publish"],
            "pattern":[{"lit":"own"},{"var":"client_id"}],"qos_max":2,"retain":true}]},
        {"name":"reader","limits":{},"rules":[{"name":"r","effect":"permit","actions":["subscribe"],
            "pattern":["many"],"qos_max":2,"retain":true}]}]}"#;

    fn principal(role: &str) -> Principal {
        Principal { roles: vec![Arc::from(role)], ..Principal::anonymous() }
    }

    #[test]
    fn grants_are_shared_until_the_policy_changes_and_never_what_is_ones_own() {
        let mut server = Server::new(0, Arc::new(CommonOfShards::new(1)), vec![ListenerRules::default()], 1);
        server.image = Arc::new(Image::load(IMAGE.as_bytes()).unwrap());
        let topic = |text| crate::topic::TopicName::parse(text).unwrap();
        let may = |grants: &Grants, text| grants.publish(&topic(text), &Asked::plain(QoS::AtMostOnce, false, 0)).allow;
        let (one, other) =
            (server.bind(&principal("owner"), "one", None), server.bind(&principal("owner"), "other", None));
        assert!(may(&one, "own/one") && !may(&one, "own/other"));
        assert!(may(&other, "own/other") && !may(&other, "own/one"));
        let unknown = server.bind(&principal("nobody"), "one", None);
        assert!(!may(&unknown, "own/one"));
        assert!(Arc::ptr_eq(&unknown, &server.bind(&principal("nobody"), "other", None)));
        server.image = Arc::new(Image::deny_all());
        server.shared.forget_grants();
        assert!(!may(&server.bind(&principal("owner"), "one", None), "own/one"));
    }

    #[test]
    fn only_the_principal_that_is_nobodys_own_is_held_once() {
        let server = Server::new(0, Arc::new(CommonOfShards::new(1)), vec![ListenerRules::default()], 1);
        let held = |principal: &Principal| server.shared_principal(principal.clone());
        assert!(Arc::ptr_eq(&held(&Principal::anonymous()), &held(&Principal::anonymous())));
        assert!(!Arc::ptr_eq(&held(&principal("reader")), &held(&principal("reader"))));
    }
}
