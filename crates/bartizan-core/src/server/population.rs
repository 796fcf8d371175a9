//! How many clients are connected by each listener, and in each role; how many each listener let in and refused.
//!
//! Behind a lock that CONNECT, the end of a connection and a change of roles take; no message does.
//! A role that nobody is connected in is not held, so what is held is bounded by who is connected.

use std::collections::HashMap;
use std::sync::Arc;

/// The clients of one listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visitors {
    /// Connected now.
    pub connected: u64,
    /// Let in since the start.
    pub accepted: u64,
    /// Refused since the start.
    pub refused: u64,
}

/// Who is connected, counted.
#[derive(Debug, Default)]
pub struct Population {
    listeners: Vec<Visitors>,
    roles: HashMap<Arc<str>, u64>,
}

impl Population {
    /// A client has connected by this listener, in these roles.
    pub fn join(&mut self, listener: usize, roles: &[Arc<str>]) {
        if let Some(visitors) = self.visitors(listener) {
            visitors.connected += 1;
            visitors.accepted += 1;
        }
        self.enter(roles);
    }

    /// A client was refused at this listener.
    pub fn refuse(&mut self, listener: usize) {
        if let Some(visitors) = self.visitors(listener) {
            visitors.refused += 1;
        }
    }

    /// Those of one listener, which is told apart from here on.
    fn visitors(&mut self, listener: usize) -> Option<&mut Visitors> {
        if self.listeners.len() <= listener {
            self.listeners.resize(listener + 1, Visitors::default());
        }
        self.listeners.get_mut(listener)
    }

    /// It has gone.
    pub fn leave(&mut self, listener: usize, roles: &[Arc<str>]) {
        if let Some(visitors) = self.listeners.get_mut(listener) {
            visitors.connected = visitors.connected.saturating_sub(1);
        }
        self.quit(roles);
    }

    /// It stays, in other roles.
    pub fn change(&mut self, before: &[Arc<str>], after: &[Arc<str>]) {
        self.quit(before);
        self.enter(after);
    }

    fn enter(&mut self, roles: &[Arc<str>]) {
        for role in roles {
            match self.roles.get_mut(role) {
                Some(count) => *count += 1,
                None => {
                    self.roles.insert(Arc::clone(role), 1);
                }
            }
        }
    }

    fn quit(&mut self, roles: &[Arc<str>]) {
        for role in roles {
            let Some(count) = self.roles.get_mut(role) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.roles.remove(role);
            }
        }
    }

    /// Clients by listener, in the order of the configuration; those at the end may be missing.
    #[must_use]
    pub fn by_listener(&self) -> &[Visitors] {
        &self.listeners
    }

    /// Clients by role, in no order.
    pub fn by_role(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        self.roles.iter().map(|(role, count)| (role, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn connected(population: &Population) -> Vec<u64> {
        population.by_listener().iter().map(|visitors| visitors.connected).collect()
    }

    fn told(population: &Population) -> Vec<(String, u64)> {
        let mut told: Vec<_> = population.by_role().map(|(role, count)| (role.to_string(), count)).collect();
        told.sort();
        told
    }

    #[test]
    fn who_comes_and_goes_is_counted_by_listener_and_role() {
        let mut population = Population::default();
        population.join(1, &roles(&["press", "logger"]));
        population.join(0, &roles(&["press"]));
        assert_eq!(connected(&population), [1, 1]);
        assert_eq!(told(&population), [("logger".to_owned(), 1), ("press".to_owned(), 2)]);
        population.leave(1, &roles(&["press", "logger"]));
        assert_eq!(connected(&population), [1, 0]);
        assert_eq!(told(&population), [("press".to_owned(), 1)]);
    }

    #[test]
    fn a_change_of_roles_moves_a_client_from_those_to_these() {
        let mut population = Population::default();
        population.join(0, &roles(&["press"]));
        population.change(&roles(&["press"]), &roles(&["quarantine"]));
        assert_eq!((connected(&population), told(&population)), (vec![1], vec![("quarantine".to_owned(), 1)]));
        population.leave(0, &roles(&["quarantine"]));
        assert_eq!((connected(&population), told(&population)), (vec![0], vec![]));
    }

    #[test]
    fn who_is_let_in_and_who_is_refused_is_counted_on_and_who_goes_changes_nothing_of_it() {
        let mut population = Population::default();
        population.join(0, &[]);
        population.leave(0, &[]);
        population.join(0, &[]);
        population.refuse(1);
        let gate = Visitors { connected: 1, accepted: 2, refused: 0 };
        assert_eq!(population.by_listener(), [gate, Visitors { connected: 0, accepted: 0, refused: 1 }]);
    }
}
