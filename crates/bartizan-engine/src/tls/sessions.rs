//! TLS sessions that may be resumed, kept by the server: nothing of them is in the client's hands.
//!
//! Every operation costs the same however many there are: a reconnect storm takes thousands of
//! tickets out of a full store. Split into parts, each with its own lock, so that reactors seldom
//! meet.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::server::StoresServerSessions;

/// Parts of a store that is large enough to be worth it.
const PARTS: usize = 16;
/// Sessions that make a store large enough.
const LARGE: usize = 1_024;

/// The sessions of one generation of a listener's configuration.
pub struct Sessions {
    parts: Vec<Mutex<Part>>,
}

#[derive(Default)]
struct Part {
    most: usize,
    sessions: HashMap<Vec<u8>, (u64, Vec<u8>)>,
    /// Names in the order they came; of one that is gone or came again the number does not fit.
    order: VecDeque<(u64, Vec<u8>)>,
    next: u64,
}

impl fmt::Debug for Sessions {
    /// Nothing of what it keeps: it is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Room for so many sessions; beyond it the oldest is forgotten.
    #[must_use]
    pub fn new(sessions_max: usize) -> Sessions {
        let parts = if sessions_max < LARGE { 1 } else { PARTS };
        let part = || Mutex::new(Part { most: sessions_max.div_ceil(parts), ..Part::default() });
        Sessions { parts: std::iter::repeat_with(part).take(parts).collect() }
    }

    /// Names are random octets of the server's own, so their first one chooses evenly.
    fn part(&self, name: &[u8]) -> Option<MutexGuard<'_, Part>> {
        let at = name.first().map_or(0, |octet| usize::from(*octet)) % self.parts.len().max(1);
        self.parts.get(at).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Part {
    fn put(&mut self, name: Vec<u8>, session: Vec<u8>) {
        self.next += 1;
        self.sessions.insert(name.clone(), (self.next, session));
        self.order.push_back((self.next, name));
        while self.sessions.len() > self.most {
            let Some((number, oldest)) = self.order.pop_front() else { return };
            self.forget(number, &oldest);
        }
        // Those that were taken out leave their names behind, for as long again as there is room.
        if self.order.len() > 2 * self.most.max(8) {
            let sessions = &self.sessions;
            self.order.retain(|(number, name)| sessions.get(name).is_some_and(|(known, _)| known == number));
        }
    }

    fn forget(&mut self, number: u64, name: &[u8]) {
        if self.sessions.get(name).is_some_and(|(known, _)| *known == number) {
            self.sessions.remove(name);
        }
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.part(&key).map(|mut part| part.put(key, value)).is_some()
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.part(key)?.sessions.get(key).map(|(_, session)| session.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.part(key)?.sessions.remove(key).map(|(_, session)| session)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: u32) -> Vec<u8> {
        n.to_le_bytes().to_vec()
    }

    #[test]
    fn a_session_is_taken_once() {
        let sessions = Sessions::new(10);
        assert!(sessions.put(name(1), b"secret".to_vec()));
        assert_eq!(sessions.get(&name(1)), Some(b"secret".to_vec()));
        assert_eq!(sessions.take(&name(1)), Some(b"secret".to_vec()));
        assert_eq!(sessions.take(&name(1)), None);
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_is_no_room() {
        let sessions = Sessions::new(3);
        for n in 0..4 {
            sessions.put(name(n), vec![]);
        }
        assert_eq!(sessions.get(&name(0)), None);
        assert!((1..4).all(|n| sessions.get(&name(n)).is_some()));
        // One that comes again is the youngest.
        sessions.put(name(1), vec![]);
        sessions.put(name(5), vec![]);
        assert_eq!(sessions.get(&name(2)), None);
        assert!(sessions.get(&name(1)).is_some());
    }

    #[test]
    fn what_is_kept_is_bounded_however_many_come_and_go() {
        let sessions = Sessions::new(4_096);
        for n in 0..100_000 {
            sessions.put(name(n), vec![0; 8]);
            if n % 3 > 0 {
                sessions.take(&name(n));
            }
        }
        let (mut sessions_kept, mut names) = (0, 0);
        for part in &sessions.parts {
            let part = part.lock().unwrap();
            sessions_kept += part.sessions.len();
            names += part.order.len();
        }
        assert!(sessions_kept <= 4_096, "{sessions_kept}");
        assert!(names <= 2 * 4_096 + 16, "{names}");
        assert_eq!(format!("{sessions:?}"), "Sessions { .. }");
    }
}
