//! Who a connection acts for, once a credential has proved it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy::{Strength, TENANT_ATTRIBUTE, TokenGrants};

/// A proved identity with what the policy may ask of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The identity's name.
    pub id: Arc<str>,
    /// Its roles, by name.
    pub roles: Vec<Arc<str>>,
    /// Its attributes, name and value.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
    /// How it was proved: "certificate", "password", "anonymous" ...
    pub method: Arc<str>,
    /// True when the identity store knows it: it is refreshed, disabled and removed from there.
    pub managed: bool,
    /// How strongly it was proved.
    #[serde(default)]
    pub strength: Strength,
    /// What its token lets it do of what its roles permit; `None` where no token says anything of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_to: Option<Arc<TokenGrants>>,
}

impl Principal {
    /// True for clients that a listener admits without any credential.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        !self.managed && &*self.method == "anonymous"
    }

    /// The tenant whose client it is, where the policy declares tenants.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| **name == *TENANT_ATTRIBUTE).map(|(_, value)| &**value)
    }

    /// The principal of clients that a listener admits without any credential.
    #[must_use]
    pub fn anonymous() -> Principal {
        Principal {
            id: Arc::from("anonymous"),
            roles: vec![Arc::from("anonymous")],
            attributes: Vec::new(),
            method: Arc::from("anonymous"),
            managed: false,
            strength: Strength::default(),
            narrowed_to: None,
        }
    }

    /// What the store knows now of the same identity: how it was proved, and to what a token narrows it, is
    /// the connection's; what it may do at most is the store's.
    #[must_use]
    pub fn proved_as_before(&self, known: Principal) -> Principal {
        let (method, narrowed_to) = (Arc::clone(&self.method), self.narrowed_to.clone());
        Principal { method, strength: self.strength, narrowed_to, managed: true, ..known }
    }
}
