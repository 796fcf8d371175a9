//! Every identity that may connect, by name: all shards see the same one, and a change makes a new one.
//!
//! A map of a million names costs a tenth of a second to copy. So it is in pieces, by the names' hash: who changes one
//! name copies its piece and shares the others.

use std::collections::HashMap;
use std::sync::Arc;

use crate::session::Principal;
use crate::topic::topic_hash;

const PIECES: usize = 1_024;

type Piece = HashMap<Arc<str>, Arc<Principal>>;

/// Every identity that may connect. One that is missing is unknown, or may not.
#[derive(Clone, Debug)]
pub struct Roster {
    pieces: Vec<Arc<Piece>>,
}

impl Default for Roster {
    fn default() -> Self {
        Roster { pieces: vec![Arc::default(); PIECES] }
    }
}

impl Roster {
    /// What is known of this identity.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Principal>> {
        self.pieces.get(piece_of(name))?.get(name)
    }

    /// True if this identity may connect.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The same but for these: as given, or gone where nothing is given.
    #[must_use]
    pub fn with(&self, changed: impl IntoIterator<Item = (Arc<str>, Option<Arc<Principal>>)>) -> Roster {
        let mut next = self.clone();
        for (name, principal) in changed {
            let Some(piece) = next.pieces.get_mut(piece_of(&name)) else { continue };
            let piece = Arc::make_mut(piece);
            match principal {
                Some(principal) => piece.insert(name, principal),
                None => piece.remove(&name),
            };
        }
        next
    }
}

impl FromIterator<(Arc<str>, Arc<Principal>)> for Roster {
    fn from_iter<T: IntoIterator<Item = (Arc<str>, Arc<Principal>)>>(identities: T) -> Self {
        Roster::default().with(identities.into_iter().map(|(name, principal)| (name, Some(principal))))
    }
}

fn piece_of(name: &str) -> usize {
    // The low bits choose the shard of a Client Identifier, which often is the name; the remainder is below PIECES.
    ((topic_hash(name) >> 32) % PIECES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, role: &str) -> (Arc<str>, Arc<Principal>) {
        let principal =
            Principal { id: Arc::from(name), roles: vec![Arc::from(role)], managed: true, ..Principal::anonymous() };
        (Arc::from(name), Arc::new(principal))
    }

    fn role_of<'a>(roster: &'a Roster, name: &str) -> Option<&'a str> {
        roster.get(name).and_then(|principal| principal.roles.first()).map(|role| &**role)
    }

    #[test]
    fn a_change_is_in_the_new_one_alone() {
        let names: Vec<String> = (0..5_000).map(|at| format!("press-{at}")).collect();
        let before: Roster = names.iter().map(|name| entry(name, "press")).collect();
        let (name, changed) = entry("press-7", "oven");
        let after = before.with([(name, Some(changed)), (Arc::from("press-8"), None), (Arc::from("nobody"), None)]);
        assert_eq!((role_of(&before, "press-7"), role_of(&after, "press-7")), (Some("press"), Some("oven")));
        assert!(before.contains("press-8") && !after.contains("press-8"));
        let others = || names.iter().filter(|name| !["press-7", "press-8"].contains(&name.as_str()));
        assert!(others().all(|name| role_of(&after, name) == Some("press")));
    }

    #[test]
    fn what_did_not_change_is_shared() {
        let before: Roster = (0..5_000).map(|at| entry(&format!("press-{at}"), "press")).collect();
        let after = before.with([(Arc::from("press-7"), None)]);
        let copied = before.pieces.iter().zip(&after.pieces).filter(|(one, other)| !Arc::ptr_eq(one, other)).count();
        assert_eq!(copied, 1);
    }
}
