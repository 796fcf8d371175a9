//! What identities do: how much they send, and what they were not seen doing lately (`fresh`). Detectors take it every
//! few seconds. Nothing is counted before it is taken for the first time.
//!
//! A connection counts in a row of its own, whose place it remembers: a PUBLISH looks nothing up by a hash. The rows
//! of one identity are added up when they are taken; tables are bounded, and what did not fit is a number (I7).

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use slotmap::SlotMap;

use super::Server;
use super::fresh::{Fresh, News};
use super::observe::Observer;
use crate::message::Time;
use crate::session::{Connection, ConnectionKey, Open, Principal};

/// Identities that are told apart between two looks.
pub const WINDOWS_MAX: usize = 65_536;
/// Connections that are told apart; of more, what they did is added up before its time.
const ROWS_MAX: usize = 65_536;
const SECOND_MS: u64 = 1_000;
/// Bits that topics are told apart by.
const TOPIC_BITS: u64 = 64;

/// What was counted of an identity. Numbers end at the greatest there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// PUBLISH packets from it, whatever became of them.
    pub publishes: u32,
    /// Octets of their payloads.
    pub octets: u64,
    /// The longest of them.
    pub size_max: u32,
    /// Most PUBLISH packets of one client in a second. The second may have begun before the last look.
    pub peak_publishes_per_s: u32,
    /// Most octets of one client in a second, perhaps another one.
    pub peak_octets_per_s: u32,
    /// Seconds with a PUBLISH, of the client that had most. One that two looks share counts in the first of them.
    pub active_s: u16,
    /// What the policy denied it: to publish, to subscribe, to leave a Will.
    pub denied: u16,
    /// Topic Filters that it asked for.
    pub subscribes: u16,
    /// Messages with RETAIN that were kept, or that cleared one.
    pub retained: u16,
    /// CONNECT packets with a Will, and Wills that came due.
    pub wills: u16,
    /// PINGREQ packets.
    pub pings: u16,
    /// The bit `topic_hash % 64` of each topic that it was granted: how many there were, roughly.
    pub topics: u64,
}

impl Counts {
    /// A Will was left, or has come due.
    pub(super) fn will(&mut self, is_allowed: bool) {
        more(&mut self.wills, 1);
        more(&mut self.denied, usize::from(!is_allowed));
    }

    fn add(&mut self, other: &Counts) {
        self.publishes = self.publishes.saturating_add(other.publishes);
        self.octets = self.octets.saturating_add(other.octets);
        self.size_max = self.size_max.max(other.size_max);
        self.peak_publishes_per_s = self.peak_publishes_per_s.max(other.peak_publishes_per_s);
        self.peak_octets_per_s = self.peak_octets_per_s.max(other.peak_octets_per_s);
        self.active_s = self.active_s.max(other.active_s);
        self.denied = self.denied.saturating_add(other.denied);
        self.subscribes = self.subscribes.saturating_add(other.subscribes);
        self.retained = self.retained.saturating_add(other.retained);
        self.wills = self.wills.saturating_add(other.wills);
        self.pings = self.pings.saturating_add(other.pings);
        self.topics |= other.topics;
    }
}

/// Counts so many more.
pub(super) fn more(count: &mut u16, by: usize) {
    *count = count.saturating_add(u16::try_from(by).unwrap_or(u16::MAX));
}

/// What one identity did since the last look, all its clients together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Whose; empty for all those that there was no room for.
    pub identity: Arc<str>,
    /// What.
    pub counts: Counts,
}

impl Serialize for Window {
    /// An array, the identity first and then the counts in their order: names would be most of what is read.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Window { identity, counts } = self;
        let row = (
            &**identity,
            counts.publishes,
            counts.octets,
            counts.size_max,
            counts.peak_publishes_per_s,
            counts.peak_octets_per_s,
            counts.active_s,
            counts.denied,
            counts.subscribes,
            counts.retained,
            counts.wills,
            counts.pings,
            counts.topics,
        );
        row.serialize(to)
    }
}

/// What the clients of one role did since the last look, in one row of numbers; of who has several roles, each counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleRow(
    /// The role.
    pub Arc<str>,
    /// PUBLISH packets.
    pub u64,
    /// Octets of their payloads.
    pub u64,
    /// What the policy denied.
    pub u64,
);

/// How much did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unfit {
    /// Counts of connections that are in the row of no identity.
    pub windows: u64,
    /// What was fresh and is not told; it is told when it comes again.
    pub fresh: u64,
}

/// What identities did since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// How much.
    pub windows: Vec<Window>,
    /// How much by role.
    pub roles: Vec<RoleRow>,
    /// What for the first time in a while.
    pub fresh: Vec<Fresh>,
    /// What did not fit.
    pub lost: Unfit,
}

/// Both tables, from the first look on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub windows: Windows,
    pub news: News,
}

/// What one connection did.
#[derive(Debug)]
struct Row {
    key: ConnectionKey,
    /// Who it acted for when the row began.
    principal: Arc<Principal>,
    counts: Counts,
    /// The end of the second that is counted now.
    second_ends: Time,
    in_second: u32,
    octets_in_second: u64,
    /// How much of these is in `counts` already.
    summed: (u32, u64),
}

impl Row {
    #[inline]
    fn publish(&mut self, octets: usize, now: Time) {
        if now >= self.second_ends {
            self.turn(now);
        }
        self.in_second = self.in_second.saturating_add(1);
        self.octets_in_second = self.octets_in_second.saturating_add(octets as u64);
        self.counts.size_max = self.counts.size_max.max(u32::try_from(octets).unwrap_or(u32::MAX));
    }

    /// Begins another second.
    #[cold]
    fn turn(&mut self, now: Time) {
        self.sum();
        (self.in_second, self.octets_in_second, self.summed) = (0, 0, (0, 0));
        self.second_ends = Time((now.0 / SECOND_MS + 1) * SECOND_MS);
    }

    /// Adds what came in the present second since this was done last.
    fn sum(&mut self) {
        let (publishes, octets) = self.summed;
        let (counts, new) = (&mut self.counts, self.in_second.saturating_sub(publishes));
        if new == 0 {
            return;
        }
        counts.publishes = counts.publishes.saturating_add(new);
        counts.octets = counts.octets.saturating_add(self.octets_in_second.saturating_sub(octets));
        counts.peak_publishes_per_s = counts.peak_publishes_per_s.max(self.in_second);
        let in_second = u32::try_from(self.octets_in_second).unwrap_or(u32::MAX);
        counts.peak_octets_per_s = counts.peak_octets_per_s.max(in_second);
        more(&mut counts.active_s, usize::from(publishes == 0));
        self.summed = (self.in_second, self.octets_in_second);
    }
}

/// Counts of connections, and of identities.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Of connections that did anything since the last look.
    rows: Vec<Row>,
    /// The place of the one that did something last.
    last: usize,
    /// What is added up already.
    sums: HashMap<Arc<str>, Counts>,
    /// The same by role: PUBLISH packets, octets, denials.
    roles: HashMap<Arc<str>, [u64; 3]>,
    /// Of those that have no room there.
    others: Counts,
    lost: u64,
}

impl Windows {
    /// A PUBLISH came.
    #[inline]
    pub(super) fn publish(&mut self, key: ConnectionKey, open: &mut Open, octets: usize, now: Time) {
        open.row = self.place(key, open.row, &open.principal);
        if let Some(row) = self.rows.get_mut(self.last) {
            row.publish(octets, now);
        }
    }

    /// The PUBLISH that came last was decided upon.
    #[inline]
    pub(super) fn decided(&mut self, key: ConnectionKey, topic_hash: u64, is_allowed: bool) {
        let Some(row) = self.rows.get_mut(self.last).filter(|row| row.key == key) else { return };
        if is_allowed {
            row.counts.topics |= 1 << (topic_hash % TOPIC_BITS);
        } else {
            more(&mut row.counts.denied, 1);
        }
    }

    /// Something else that a connection did.
    fn count(&mut self, key: ConnectionKey, open: &mut Open, count: impl FnOnce(&mut Counts)) {
        open.row = self.place(key, open.row, &open.principal);
        if let Some(row) = self.rows.get_mut(self.last) {
            count(&mut row.counts);
        }
    }

    /// Something that happened to an identity, whether or not it is connected.
    fn count_of(&mut self, identity: &Arc<str>, count: impl FnOnce(&mut Counts)) {
        count(self.sum_of(identity));
    }

    /// The place of a connection's row, which is the last one from here on. Where it remembers a place that is
    /// another's by now, its key says so.
    #[inline]
    fn place(&mut self, key: ConnectionKey, at: u32, principal: &Arc<Principal>) -> u32 {
        if self.rows.get(at as usize).is_none_or(|row| row.key != key) {
            return self.begin(key, principal);
        }
        self.last = at as usize;
        at
    }

    #[cold]
    fn begin(&mut self, key: ConnectionKey, principal: &Arc<Principal>) -> u32 {
        if self.rows.len() >= ROWS_MAX {
            for mut row in std::mem::take(&mut self.rows) {
                self.fold(&mut row);
            }
        }
        self.last = self.rows.len();
        self.rows.push(Row {
            key,
            principal: Arc::clone(principal),
            counts: Counts::default(),
            second_ends: Time(0),
            in_second: 0,
            octets_in_second: 0,
            summed: (0, 0),
        });
        place_of(self.last)
    }

    fn fold(&mut self, row: &mut Row) {
        row.sum();
        let counts = std::mem::take(&mut row.counts);
        if counts != Counts::default() {
            self.sum_of(&row.principal.id).add(&counts);
            self.sum_by_role(&row.principal, &counts);
        }
    }

    fn sum_by_role(&mut self, principal: &Principal, counts: &Counts) {
        let more = [u64::from(counts.publishes), counts.octets, u64::from(counts.denied)];
        if more == [0; 3] {
            return;
        }
        for role in &principal.roles {
            let sums = self.roles.entry(Arc::clone(role)).or_default();
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        }
    }

    fn take_roles(&mut self) -> Vec<RoleRow> {
        let roles = std::mem::take(&mut self.roles).into_iter();
        roles.map(|(role, [publishes, octets, denied])| RoleRow(role, publishes, octets, denied)).collect()
    }

    fn sum_of(&mut self, identity: &Arc<str>) -> &mut Counts {
        if self.sums.len() < WINDOWS_MAX || self.sums.contains_key(identity) {
            return self.sums.entry(Arc::clone(identity)).or_default();
        }
        self.lost = self.lost.saturating_add(1);
        &mut self.others
    }

    fn take(&mut self, now: Time, connections: &mut SlotMap<ConnectionKey, Connection>) -> (Vec<Window>, u64) {
        for mut row in std::mem::take(&mut self.rows) {
            self.fold(&mut row);
            // A second that goes on is counted on: its peak is not cut in two by a look.
            if row.second_ends > now
                && let Some(open) = connections.get_mut(row.key).and_then(|connection| connection.open_mut())
            {
                open.row = place_of(self.rows.len());
                self.rows.push(row);
            }
        }
        let sums = std::mem::take(&mut self.sums).into_iter();
        let mut windows: Vec<Window> = sums.map(|(identity, counts)| Window { identity, counts }).collect();
        if self.lost > 0 {
            windows.push(Window { identity: Arc::from(""), counts: std::mem::take(&mut self.others) });
        }
        (windows, std::mem::take(&mut self.lost))
    }
}

impl Observer {
    /// A PUBLISH came. By itself, so that it costs who is not watched nothing.
    #[inline(never)]
    pub(super) fn count_publish(&mut self, key: ConnectionKey, open: &mut Open, octets: usize, now: Time) {
        if let Some(tally) = &mut self.tally {
            tally.windows.publish(key, open, octets, now);
        }
    }
}

/// There are never more rows than a `u32` counts.
fn place_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Server {
    /// What identities did since this was asked last. It is counted from the first time on, where decisions are
    /// watched.
    pub fn take_activity(&mut self, now: Time) -> Activity {
        let Some(observer) = &mut self.observer else { return Activity::default() };
        let tally = observer.tally.get_or_insert_default();
        let (windows, lost_windows) = tally.windows.take(now, &mut self.connections);
        let roles = tally.windows.take_roles();
        let (fresh, lost_fresh) = tally.news.take();
        Activity { windows, roles, fresh, lost: Unfit { windows: lost_windows, fresh: lost_fresh } }
    }

    /// Counts something that a client does beside PUBLISH.
    pub(super) fn count_activity(&mut self, key: ConnectionKey, count: impl FnOnce(&mut Counts)) {
        let Some(tally) = self.observer.as_mut().and_then(|observer| observer.tally.as_mut()) else { return };
        let Some(open) = self.connections.get_mut(key).and_then(|connection| connection.open_mut()) else { return };
        tally.windows.count(key, open, count);
    }

    /// Counts something of an identity that may have no connection.
    pub(super) fn count_activity_of(&mut self, identity: &Arc<str>, count: impl FnOnce(&mut Counts)) {
        let Some(tally) = self.observer.as_mut().and_then(|observer| observer.tally.as_mut()) else { return };
        tally.windows.count_of(identity, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(counts: &mut Counts) {
        more(&mut counts.pings, 1);
    }

    fn nobody() -> SlotMap<ConnectionKey, Connection> {
        SlotMap::with_key()
    }

    #[test]
    fn of_more_identities_than_there_is_room_for_the_rest_is_one_row() {
        let mut windows = Windows::default();
        for n in 0..WINDOWS_MAX + 10 {
            windows.count_of(&Arc::from(format!("i{n}")), ping);
        }
        windows.count_of(&Arc::from("i0"), ping);
        let (rows, lost) = windows.take(Time(0), &mut nobody());
        let others = rows.iter().find(|row| row.identity.is_empty()).unwrap();
        assert_eq!((rows.len(), others.counts.pings, lost), (WINDOWS_MAX + 1, 10, 10));
        let first = rows.iter().find(|row| &*row.identity == "i0").unwrap();
        assert_eq!(first.counts.pings, 2);
        assert_eq!(windows.take(Time(0), &mut nobody()), (Vec::new(), 0));
    }

    #[test]
    fn connections_that_come_and_go_take_bounded_memory_and_lose_nothing() {
        let mut keys: SlotMap<ConnectionKey, ()> = SlotMap::with_key();
        let (mut windows, principal) = (Windows::default(), Arc::new(Principal::anonymous()));
        for _ in 0..ROWS_MAX + 10 {
            // Each remembers the place of one before it, which is another's.
            windows.place(keys.insert(()), 7, &principal);
            windows.rows.get_mut(windows.last).unwrap().publish(3, Time(5));
            assert!(windows.rows.len() <= ROWS_MAX);
        }
        let (rows, lost) = windows.take(Time(6), &mut nobody());
        let [Window { counts, .. }] = &rows[..] else { panic!("{rows:?}") };
        let most = u32::try_from(ROWS_MAX + 10).unwrap();
        assert_eq!((counts.publishes, counts.octets, lost), (most, 3 * u64::from(most), 0));
        assert_eq!((counts.peak_publishes_per_s, counts.active_s), (1, 1));
        let sent = u64::from(most);
        assert_eq!(windows.take_roles(), [RoleRow(Arc::from("anonymous"), sent, 3 * sent, 0)]);
        assert_eq!(windows.take_roles(), []);
    }

    #[test]
    fn a_row_is_an_array_in_the_order_of_its_counts() {
        let counts = Counts {
            publishes: 1,
            octets: 2,
            size_max: 3,
            peak_publishes_per_s: 4,
            peak_octets_per_s: 5,
            active_s: 6,
            denied: 7,
            subscribes: 8,
            retained: 9,
            wills: 10,
            pings: 11,
            topics: u64::MAX,
        };
        let text = serde_json::to_string(&Window { identity: Arc::from("i"), counts }).unwrap();
        assert_eq!(text, r#"["i",1,2,3,4,5,6,7,8,9,10,11,18446744073709551615]"#);
    }
}
