//! Who a connection acts for, once a credential has proved it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

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
}

impl Principal {
    /// True for clients that a listener admits without any credential.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        !self.managed && &*self.method == "anonymous"
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
        }
    }
}
