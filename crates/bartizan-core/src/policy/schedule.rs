//! When the time windows of a policy are open, worked out ahead by whoever knows calendars and zones.
//!
//! A schedule ends: behind its end every window is closed, so that a control plane that has died opens nothing
//! for ever.

use super::condition::OpenWindows;
use crate::message::Time;

/// The windows' states one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// From when on which windows are open; ascending.
    changes: Box<[(Time, OpenWindows)]>,
    until: Time,
}

impl Schedule {
    /// These states, each from its time on, the last until `until`. Before the first every window is closed.
    #[must_use]
    pub fn new(mut changes: Vec<(Time, OpenWindows)>, until: Time) -> Schedule {
        changes.sort_by_key(|(at, _)| *at);
        Schedule { changes: changes.into(), until }
    }

    /// Which are open at a time.
    #[must_use]
    pub fn at(&self, now: Time) -> OpenWindows {
        if now >= self.until {
            return OpenWindows::default();
        }
        let passed = self.changes.partition_point(|(at, _)| *at <= now);
        let current = passed.checked_sub(1).and_then(|at| self.changes.get(at));
        current.map(|(_, windows)| windows.clone()).unwrap_or_default()
    }

    /// When something changes next.
    #[must_use]
    pub fn next_after(&self, now: Time) -> Option<Time> {
        let passed = self.changes.partition_point(|(at, _)| *at <= now);
        let next = self.changes.get(passed).map(|(at, _)| *at);
        next.into_iter().chain((!self.changes.is_empty()).then_some(self.until)).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(windows: &[bool]) -> OpenWindows {
        OpenWindows(windows.into())
    }

    #[test]
    fn windows_open_and_close_in_time_and_all_close_at_the_end() {
        let changes = vec![(Time(20), open(&[true, true])), (Time(10), open(&[true, false]))];
        let schedule = Schedule::new(changes, Time(30));
        for (now, windows) in [(9, &[][..]), (10, &[true, false]), (19, &[true, false]), (20, &[true, true]), (30, &[])]
        {
            assert_eq!(schedule.at(Time(now)), open(windows), "{now}");
        }
        let next = |now| schedule.next_after(Time(now));
        assert_eq!((next(0), next(10), next(20), next(30)), (Some(Time(10)), Some(Time(20)), Some(Time(30)), None));
    }

    #[test]
    fn no_schedule_opens_nothing() {
        assert_eq!(Schedule::default().at(Time(5)), open(&[]));
        assert_eq!(Schedule::default().next_after(Time(5)), None);
    }
}
