//! Client Identifiers of tenants' clients. Two tenants may each have a client of the same name: within the
//! server, and in its store, the tenant's name stands before it. U+0000 between them is in no Client Identifier
//! that a client can send [MQTT-1.5.4-2], so none of another client's is ever the same.

use std::sync::Arc;

const MARK: char = '\0';

/// The name under which the server keeps a Session.
#[must_use]
pub fn scoped(tenant: &str, client_id: &str) -> String {
    format!("{tenant}{MARK}{client_id}")
}

/// The same for a client that may be of no tenant.
#[must_use]
pub fn name(tenant: Option<&str>, client_id: &str) -> String {
    tenant.map_or_else(|| client_id.to_owned(), |tenant| scoped(tenant, client_id))
}

/// The tenant in it, and the Client Identifier as its client knows it.
#[must_use]
pub fn parts(scoped: &str) -> (Option<&str>, &str) {
    match scoped.split_once(MARK) {
        Some((tenant, client_id)) => (Some(tenant), client_id),
        None => (None, scoped),
    }
}

/// The tenant in it.
#[must_use]
pub fn tenant(scoped: &str) -> Option<&str> {
    parts(scoped).0
}

/// The Client Identifier as its client knows it.
#[must_use]
pub fn known(scoped: &Arc<str>) -> Arc<str> {
    match parts(scoped) {
        (Some(_), client_id) => Arc::from(client_id),
        (None, _) => Arc::clone(scoped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_client_has_a_name_of_its_own() {
        let one = scoped("acme", "press-01");
        assert_ne!(one, scoped("bolt", "press-01"));
        assert_eq!(parts(&one), (Some("acme"), "press-01"));
        assert_eq!(parts("press-01"), (None, "press-01"));
        assert_eq!((tenant(&one), tenant("press-01")), (Some("acme"), None));
        assert_eq!((name(Some("acme"), "press-01"), &*name(None, "press-01")), (one.clone(), "press-01"));
        assert_eq!(&*known(&Arc::from(one)), "press-01");
    }
}
