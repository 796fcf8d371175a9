//! Resolving an identity's grants: which roles it has, its own values for their variables, and which
//! conditions its circumstances meet.
//!
//! `Grants` shares with others of the same roles all but its values and what its circumstances
//! let count: a connection costs some ten octets however long the policy is, and binding again after a
//! change of policy costs microseconds.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::condition::{Circumstances, Counts, OpenWindows};
use super::image::{Effects, Image, Role, RuleId, Source};
use super::limits::RoleLimits;
use super::pattern::is_usable_value;
use super::tenant::Tenant;
use super::token_grants::TokenGrants;
use super::tree::{Entry, RuleTree};

/// What a policy may ask about the principal behind a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// The identity's id.
    pub id: &'a str,
    /// The Client Identifier of the Session.
    pub client_id: &'a str,
    /// Names of its roles; one that the policy does not know grants nothing.
    pub roles: &'a [Arc<str>],
    /// Its attributes; of two with one name the first counts.
    pub attributes: &'a [(Arc<str>, Arc<str>)],
    /// How it is connected; `None` where it is not, as behind a Retained Message.
    pub circumstances: Option<Circumstances<'a>>,
    /// What its token lets it do of what its roles permit; `None` where no token says anything of that.
    pub narrowed_to: Option<&'a Arc<TokenGrants>>,
}

/// Some roles of one policy.
#[derive(Debug)]
pub struct RoleSet {
    image: Arc<Image>,
    /// Numbers of the roles in the image and of all they include, ascending: the order of roles changes no
    /// decision.
    roles: Box<[u32]>,
    limits: RoleLimits,
    pub(super) publish: RuleTree,
    pub(super) receive: RuleTree,
    /// Numbers in the image of the conditions that these roles' rules have, ascending.
    conditions: Box<[u16]>,
    /// Some rule depends on a message's size or content.
    is_about_content: bool,
    /// Whose client it is: then names are decided by what that sees of them.
    tenant: Option<Arc<Tenant>>,
}

/// What one principal may do under one policy.
#[derive(Clone, Debug)]
pub struct Grants {
    pub(super) set: Arc<RoleSet>,
    /// A value for each source of the image; `None` where the identity has no usable one.
    pub(super) values: Box<[Option<Arc<str>>]>,
    /// For each condition of the set: whether it lets a rule count.
    counts: Box<[Counts]>,
    /// What counts beside the rules: a permit is none where this does not allow the same.
    pub(super) narrowed_to: Option<Arc<TokenGrants>>,
}

impl Image {
    /// The grants of this identity. Absence is denial: unknown roles and missing values grant nothing.
    #[must_use]
    pub fn bind(self: &Arc<Self>, who: &Identity<'_>, open: &OpenWindows) -> Grants {
        Arc::new(self.role_set(who.roles)).bind(who, open)
    }

    /// The roles of these names, with what they include.
    #[must_use]
    pub fn role_set(self: &Arc<Self>, names: &[Arc<str>]) -> RoleSet {
        let mut found: BTreeSet<u32> = BTreeSet::new();
        let mut open: Vec<u32> = names.iter().filter_map(|name| self.role_index(name)).collect();
        while let Some(index) = open.pop() {
            // A circle ends where it began.
            if found.insert(index)
                && let Some(role) = self.roles.get(index as usize)
            {
                open.extend(&role.includes);
            }
        }
        let roles: Box<[u32]> = found.into_iter().collect();
        let limits = self.each(&roles).fold(RoleLimits::default(), |sum, role| sum.widen(&role.limits));
        let conditions = self.conditions_of(&roles);
        RoleSet {
            limits,
            publish: self.tree(&roles, &conditions, |role| &role.publish),
            receive: self.tree(&roles, &conditions, |role| &role.subscribe),
            is_about_content: conditions
                .iter()
                .filter_map(|at| self.conditions.get(usize::from(*at)))
                .any(|condition| condition.message.is_about_content()),
            conditions,
            roles,
            image: Arc::clone(self),
            tenant: None,
        }
    }

    fn each<'a>(&'a self, roles: &'a [u32]) -> impl Iterator<Item = &'a Role> {
        roles.iter().filter_map(|index| self.roles.get(*index as usize))
    }

    fn conditions_of(&self, roles: &[u32]) -> Box<[u16]> {
        let rules = self.each(roles).flat_map(|role| {
            [&role.publish, &role.subscribe].into_iter().flat_map(|of| of.permit.iter().chain(&of.forbid))
        });
        let numbers: BTreeSet<u16> = rules.filter_map(|rule| self.rule(*rule)?.condition).collect();
        numbers.into_iter().collect()
    }

    fn tree(&self, roles: &[u32], conditions: &[u16], effects: fn(&Role) -> &Effects) -> RuleTree {
        let entry = |rule: RuleId, is_forbid: bool| {
            let found = self.rule(rule)?;
            let condition = found.condition.and_then(|number| conditions.binary_search(&number).ok());
            let condition = condition.and_then(|at| u16::try_from(at).ok());
            Some((Entry { rule, is_forbid, condition }, &found.pattern[..]))
        };
        RuleTree::new(self.each(roles).flat_map(|role| {
            let of = effects(role);
            let forbid = of.forbid.iter().filter_map(move |rule| entry(*rule, true));
            of.permit.iter().filter_map(move |rule| entry(*rule, false)).chain(forbid)
        }))
    }
}

impl RoleSet {
    /// The same roles of a client of this tenant.
    #[must_use]
    pub fn of_tenant(self, tenant: Option<Arc<Tenant>>) -> RoleSet {
        RoleSet { tenant, ..self }
    }

    /// What these roles grant to this identity, whose own are not looked at again.
    #[must_use]
    pub fn bind(self: &Arc<Self>, who: &Identity<'_>, open: &OpenWindows) -> Grants {
        let sources = if self.has_variables() { &self.image.sources[..] } else { &[] };
        let attribute = |name: &str| attribute(name, who);
        let count = |at: &u16| {
            let condition = self.image.conditions.get(usize::from(*at));
            condition.map_or(Counts::AsForbid, |known| known.counts(&attribute, who.circumstances.as_ref(), open))
        };
        Grants {
            set: Arc::clone(self),
            values: sources.iter().map(|source| value(source, who)).collect(),
            counts: self.conditions.iter().map(count).collect(),
            narrowed_to: who.narrowed_to.map(Arc::clone),
        }
    }

    /// False when they grant the same to everybody, whatever the circumstances.
    #[must_use]
    pub fn is_of_ones_own(&self) -> bool {
        self.has_variables() || !self.conditions.is_empty()
    }

    fn has_variables(&self) -> bool {
        !self.roles.is_empty() && !self.image.sources.is_empty()
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

    /// Whose client it is; `None` for one that sees all topics.
    #[must_use]
    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        self.set.tenant.as_ref()
    }

    /// Octets of its tenant's root; 0 for one that sees all topics.
    #[must_use]
    pub fn root_len(&self) -> u16 {
        // A root has at most some hundred octets.
        self.tenant().map_or(0, |tenant| u16::try_from(tenant.root().len()).unwrap_or(u16::MAX))
    }

    /// What the client sees of a name or filter; `None` for what is outside its tenant's root.
    #[inline]
    pub(super) fn seen<'a>(&self, name: &'a str) -> Option<&'a str> {
        match &self.set.tenant {
            None => Some(name),
            Some(tenant) => tenant.seen(name),
        }
    }

    /// The same for whoever reads what happened: a name outside is told as it is.
    #[must_use]
    pub fn shown<'a>(&self, name: &'a str) -> &'a str {
        self.seen(name).unwrap_or(name)
    }

    /// True if a decision about a PUBLISH may depend on its size or content.
    pub(super) fn is_about_content(&self) -> bool {
        self.set.is_about_content
    }

    /// Whether the circumstances let a rule count. `condition` is a number of the role set's.
    pub(super) fn counts(&self, condition: Option<u16>, is_forbid: bool) -> bool {
        let Some(at) = condition else { return true };
        // A number that is not there is no compiler's: nobody gains from it.
        self.counts.get(usize::from(at)).map_or(is_forbid, |counts| counts.holds(is_forbid))
    }
}

fn value(source: &Source, who: &Identity<'_>) -> Option<Arc<str>> {
    let value: Arc<str> = match source {
        Source::ClientId => Arc::from(who.client_id),
        Source::Identity => Arc::from(who.id),
        Source::Attribute(wanted) => attribute(wanted, who)?,
    };
    is_usable_value(&value).then_some(value)
}

fn attribute(wanted: &str, who: &Identity<'_>) -> Option<Arc<str>> {
    who.attributes.iter().find(|(name, _)| **name == *wanted).map(|(_, value)| Arc::clone(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = r#"{"format":3,"tenants":[{"name":"acme","root":"plants/acme"}],"roles":[
        {"name":"plain","limits":{},"rules":[{"name":"p","effect":"permit","actions":["publish"],"pattern":["many"],
            "qos_max":2,"retain":true,"when":{"qos":[1]}}]},
        {"name":"sized","limits":{},"rules":[{"name":"s","effect":"permit","actions":["publish"],"pattern":["many"],
            "qos_max":2,"retain":true,"when":{"payload_bytes_min":1}}]}]}"#;

    fn grants(role: &str, tenant: Option<&str>) -> Grants {
        let image = Arc::new(Image::load(IMAGE.as_bytes()).unwrap());
        let tenant = tenant.and_then(|name| image.tenant(name)).cloned();
        let set = Arc::new(image.role_set(&[Arc::from(role)]).of_tenant(tenant));
        set.bind(&Identity::default(), &OpenWindows::default())
    }

    #[test]
    fn what_a_tenants_client_sees_is_shown_without_the_root() {
        let (of_acme, of_none) = (grants("plain", Some("acme")), grants("plain", None));
        assert_eq!(usize::from(of_acme.root_len()), of_acme.tenant().unwrap().root().len());
        assert_eq!(of_none.root_len(), 0);
        assert_eq!((of_acme.shown("plants/acme/line/1"), of_acme.shown("other")), ("line/1", "other"));
        assert_eq!(of_none.shown("plants/acme/line/1"), "plants/acme/line/1");
    }

    #[test]
    fn content_is_looked_at_only_where_a_rule_asks_for_it() {
        assert!(grants("sized", None).is_about_content());
        assert!(!grants("plain", None).is_about_content() && !grants("nobody", None).is_about_content());
    }
}
