//! Resolving an identity's grants: which roles it has, and its own values for their variables.
//!
//! `Grants` holds the numbers of the roles and the identity's values, not copies of the rules, and
//! shares with others of the same roles all but its values: a connection costs some ten octets
//! however long the policy is, and binding again after a change of policy costs microseconds.

use std::sync::Arc;

use super::image::{Image, Role, Source};
use super::limits::RoleLimits;
use super::pattern::is_usable_value;

/// What a policy may ask about the principal behind a connection.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The identity's id.
    pub id: &'a str,
    /// The Client Identifier of the Session.
    pub client_id: &'a str,
    /// Names of its roles; one that the policy does not know grants nothing.
    pub roles: &'a [Arc<str>],
    /// Its attributes; of two with one name the first counts.
    pub attributes: &'a [(Arc<str>, Arc<str>)],
}

/// Some roles of one policy.
#[derive(Clone, Debug)]
pub struct RoleSet {
    image: Arc<Image>,
    /// Numbers of the roles in the image, ascending: the order of roles changes no decision.
    roles: Box<[u32]>,
    limits: RoleLimits,
}

/// What one principal may do under one policy.
#[derive(Clone, Debug)]
pub struct Grants {
    set: Arc<RoleSet>,
    /// A value for each source of the image; `None` where the identity has no usable one.
    pub(super) values: Box<[Option<Arc<str>>]>,
}

impl Image {
    /// The grants of this identity. Absence is denial: unknown roles and missing values grant nothing.
    #[must_use]
    pub fn bind(self: &Arc<Self>, who: &Identity<'_>) -> Grants {
        Arc::new(self.role_set(who.roles)).bind(who)
    }

    /// The roles of these names.
    #[must_use]
    pub fn role_set(self: &Arc<Self>, names: &[Arc<str>]) -> RoleSet {
        let mut roles: Vec<u32> = names.iter().filter_map(|name| self.role_index(name)).collect();
        roles.sort_unstable();
        roles.dedup();
        let mut set = RoleSet { image: Arc::clone(self), roles: roles.into(), limits: RoleLimits::default() };
        set.limits = set.roles().fold(RoleLimits::default(), |sum, role| sum.widen(&role.limits));
        set
    }
}

impl RoleSet {
    /// What these roles grant to this identity, whose own are not looked at again.
    #[must_use]
    pub fn bind(self: &Arc<Self>, who: &Identity<'_>) -> Grants {
        let sources = if self.has_variables() { &self.image.sources[..] } else { &[] };
        Grants { set: Arc::clone(self), values: sources.iter().map(|source| value(source, who)).collect() }
    }

    /// False when they grant the same to everybody.
    #[must_use]
    pub fn has_variables(&self) -> bool {
        !self.roles.is_empty() && !self.image.sources.is_empty()
    }

    fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.iter().filter_map(|index| self.image.roles.get(*index as usize))
    }
}

impl Grants {
    /// The limits that the identity's roles set, the largest of each.
    #[must_use]
    pub fn limits(&self) -> &RoleLimits {
        &self.set.limits
    }

    /// The image these grants were resolved under.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.set.image
    }

    pub(super) fn roles(&self) -> impl Iterator<Item = &Role> {
        self.set.roles()
    }
}

fn value(source: &Source, who: &Identity<'_>) -> Option<Arc<str>> {
    let value: Arc<str> = match source {
        Source::ClientId => Arc::from(who.client_id),
        Source::Identity => Arc::from(who.id),
        Source::Attribute(wanted) => {
            who.attributes.iter().find(|(name, _)| **name == **wanted).map(|(_, value)| Arc::clone(value))?
        }
    };
    is_usable_value(&value).then_some(value)
}
