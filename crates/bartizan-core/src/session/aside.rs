//! The part of a queue that the store alone holds: for each message its place and its weight.
//!
//! A client that is away, or far behind, may have thousands of messages waiting. Their payloads
//! are on the disk; here they are 16 octets each, and come back a page at a time.

use std::collections::VecDeque;
use std::sync::Arc;

/// Messages of one Session that are queued behind those in memory, oldest first.
#[derive(Debug, Default)]
pub struct Aside {
    places: VecDeque<Place>,
    bytes: usize,
    /// The Shared Subscription that messages came by, if one, from a place on: a worker has one, and many messages.
    groups: VecDeque<(u64, Option<Arc<str>>)>,
    /// What is on its way.
    fetching: Fetching,
    /// CONNACK waits for the messages of the window, which are read first.
    pub resumes: bool,
    /// Subscriptions have ended by the policy while the store alone had the messages of the window.
    pub window_lost: bool,
    /// Everything is being looked at again.
    sweep: Option<Sweep>,
    /// Messages below this place were left by a Session that has ended: others of their group get them.
    estate: u64,
    /// The Session has ended, and is here until others have what it leaves.
    pub has_ended: bool,
}

/// A walk over all that waits, after the policy has ended Subscriptions: what has none any more goes.
#[derive(Debug, Default)]
pub struct Sweep {
    /// The last place looked at.
    after: Option<u64>,
    /// Messages queued from this place on came later.
    below: u64,
    /// The Subscriptions that have ended, to be told with the number of messages.
    pub lost: Vec<Arc<str>>,
    /// Messages that went.
    pub dropped: u64,
}

/// What a page on its way is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fetching {
    /// None is.
    #[default]
    Nothing,
    /// What waits.
    Queue,
    /// What was sent and not acknowledged.
    Window,
}

/// What is to be read next.
#[derive(Debug)]
pub enum Next {
    /// Messages at these places.
    Page(Vec<u64>),
    /// Nothing for a sweep: it is over.
    Swept(Sweep),
    /// Nothing, or not now.
    Nothing,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    seq: u64,
    weight_bytes: u32,
}

/// Messages of one page,
const PAGE_MESSAGES: usize = 256;
/// and their octets; one message may exceed them.
const PAGE_BYTES: usize = 256 * 1024;

impl Aside {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Aside {
        Aside {
            places: VecDeque::new(),
            bytes: 0,
            groups: VecDeque::new(),
            fetching: Fetching::Nothing,
            resumes: false,
            window_lost: false,
            sweep: None,
            estate: 0,
            has_ended: false,
        }
    }

    /// True when nothing is lost by forgetting it.
    pub(super) fn has_nothing(&self) -> bool {
        self.is_idle() && self.fetching == Fetching::Nothing && !self.resumes && !self.window_lost && !self.has_ended
    }

    /// A page of the window is to be read; false while another one is on its way.
    pub fn begin_window(&mut self) -> bool {
        let begins = self.fetching == Fetching::Nothing;
        if begins {
            self.fetching = Fetching::Window;
        }
        begins
    }

    /// How many messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True when everything queued is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// True when there is nothing to read for anybody.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.places.is_empty() && self.sweep.is_none()
    }

    /// Their octets, as they will be in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One more, behind the others.
    pub fn push_back(&mut self, seq: u64, weight_bytes: usize, group: Option<Arc<str>>) {
        self.bytes += weight_bytes;
        if self.groups.back().is_none_or(|(_, last)| *last != group) {
            self.groups.push_back((seq, group));
        }
        self.places.push_back(Place::of(seq, weight_bytes));
    }

    /// One that was in memory, ahead of the others.
    pub fn push_front(&mut self, seq: u64, weight_bytes: usize, group: Option<Arc<str>>) {
        self.bytes += weight_bytes;
        match self.groups.front_mut() {
            Some((from, first)) if *first == group => *from = seq,
            _ => self.groups.push_front((seq, group)),
        }
        self.places.push_front(Place::of(seq, weight_bytes));
    }

    /// The Shared Subscription that the message of a place came by.
    fn group_of(&self, seq: u64) -> Option<Arc<str>> {
        let behind = self.groups.partition_point(|(from, _)| *from <= seq);
        self.groups.get(behind.checked_sub(1)?)?.1.clone()
    }

    /// The oldest one's weight and group, if that is its place; it is no longer here.
    pub fn take(&mut self, seq: u64) -> Option<(usize, Option<Arc<str>>)> {
        let place = self.places.pop_front_if(|place| place.seq == seq)?;
        self.bytes = self.bytes.saturating_sub(place.weight_bytes as usize);
        let group = self.group_of(seq);
        self.trim();
        Some((place.weight_bytes as usize, group))
    }

    /// Forgets the groups of places that are gone, and the room of a queue that is empty.
    fn trim(&mut self) {
        let Some(first) = self.places.front().map(|place| place.seq) else {
            (self.places, self.groups) = (VecDeque::new(), VecDeque::new());
            return;
        };
        while self.groups.get(1).is_some_and(|(from, _)| *from <= first) {
            self.groups.pop_front();
        }
    }

    /// True if some came by a Shared Subscription.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.groups.iter().any(|(_, group)| group.is_some())
    }

    /// The Session has ended: what came by a Shared Subscription is left to others, and the rest is gone; its places
    /// and octets. All that is queued from `below` on is somebody else's.
    pub fn leave_to_others(&mut self, below: u64) -> (Vec<u64>, usize) {
        let places = std::mem::take(&mut self.places);
        let (left, gone): (VecDeque<Place>, VecDeque<Place>) =
            places.into_iter().partition(|place| self.group_of(place.seq).is_some());
        self.places = left;
        let octets = gone.iter().map(|place| place.weight_bytes as usize).sum();
        self.bytes = self.bytes.saturating_sub(octets);
        (self.estate, self.has_ended) = (below, true);
        self.begin_sweep(below, Vec::new(), 0);
        (gone.into_iter().map(|place| place.seq).collect(), octets)
    }

    /// True for what a Session left that has ended.
    #[must_use]
    pub fn is_left(&self, seq: u64) -> bool {
        seq < self.estate
    }

    /// True while there is some of it.
    #[must_use]
    pub fn has_estate(&self) -> bool {
        self.places.front().is_some_and(|place| self.is_left(place.seq))
    }

    /// All places; nothing is here any more.
    pub fn clear(&mut self) -> (Vec<u64>, usize) {
        self.groups.clear();
        let places = std::mem::take(&mut self.places);
        (places.into_iter().map(|place| place.seq).collect(), std::mem::take(&mut self.bytes))
    }

    /// The places of the next page; none while one is on its way. A sweep goes before a client
    /// that wants what waits.
    pub fn next(&mut self, is_wanted: bool) -> Next {
        if self.fetching != Fetching::Nothing {
            return Next::Nothing;
        }
        let page = match &self.sweep {
            Some(sweep) => page(self.places.iter().filter(|place| sweep.concerns(place.seq))),
            None if is_wanted => page(self.places.iter()),
            None => Vec::new(),
        };
        match self.sweep.take_if(|_| page.is_empty()) {
            Some(sweep) => Next::Swept(sweep),
            None if page.is_empty() => Next::Nothing,
            None => {
                self.fetching = Fetching::Queue;
                Next::Page(page)
            }
        }
    }

    /// Has all that waits below this place looked at again.
    pub fn begin_sweep(&mut self, below: u64, lost: Vec<Arc<str>>, dropped: u64) {
        let sweep = self.sweep.get_or_insert_default();
        (sweep.after, sweep.below) = (None, below);
        sweep.lost.extend(lost);
        sweep.dropped += dropped;
    }

    /// The sweep that is under way.
    pub fn sweep(&mut self) -> Option<&mut Sweep> {
        self.sweep.as_mut()
    }

    /// Takes a place out, wherever it is; its weight and group.
    pub fn remove(&mut self, seq: u64) -> Option<(usize, Option<Arc<str>>)> {
        let at = self.places.binary_search_by_key(&seq, |place| place.seq).ok()?;
        let weight = self.places.remove(at)?.weight_bytes as usize;
        self.bytes = self.bytes.saturating_sub(weight);
        let group = self.group_of(seq);
        self.trim();
        Some((weight, group))
    }

    /// The page is there, or will never be: what it is of.
    pub fn end_fetch(&mut self) -> Fetching {
        std::mem::take(&mut self.fetching)
    }
}

impl Sweep {
    fn concerns(&self, seq: u64) -> bool {
        seq < self.below && self.after.is_none_or(|after| seq > after)
    }

    /// A place was looked at.
    pub fn passed(&mut self, seq: u64) {
        self.after = self.after.max(Some(seq));
    }
}

/// As many places as make one page.
fn page<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<u64> {
    let mut bytes = 0;
    let fits = |place: &&Place| {
        let is_first = bytes == 0;
        bytes += place.weight_bytes as usize;
        is_first || bytes <= PAGE_BYTES
    };
    places.take(PAGE_MESSAGES).take_while(fits).map(|place| place.seq).collect()
}

impl Place {
    fn of(seq: u64, weight_bytes: usize) -> Place {
        Place { seq, weight_bytes: u32::try_from(weight_bytes).unwrap_or(u32::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_waits_on_disk_takes_sixteen_octets() {
        assert_eq!(std::mem::size_of::<Place>(), 16);
    }

    #[test]
    fn a_page_ends_at_its_bounds_and_one_message_may_exceed_them() {
        let page = |weights: &[usize]| {
            let mut aside = Aside::default();
            weights.iter().enumerate().for_each(|(seq, weight)| aside.push_back(seq as u64, *weight, None));
            match aside.next(true) {
                Next::Page(page) => page.len(),
                Next::Swept(_) | Next::Nothing => 0,
            }
        };
        assert_eq!(page(&[]), 0);
        assert_eq!(page(&[1; 1_000]), PAGE_MESSAGES);
        assert_eq!(page(&[PAGE_BYTES * 2, 1]), 1);
        assert_eq!(page(&[PAGE_BYTES / 2, PAGE_BYTES / 2, 1]), 2);
    }

    fn next(aside: &mut Aside, is_wanted: bool) -> Vec<u64> {
        match aside.next(is_wanted) {
            Next::Page(page) => page,
            Next::Swept(sweep) => vec![u64::MAX, sweep.dropped],
            Next::Nothing => Vec::new(),
        }
    }

    #[test]
    fn one_page_is_on_its_way_at_a_time_and_places_are_taken_in_order() {
        let mut aside = Aside::default();
        (1..4).for_each(|seq| aside.push_back(seq, 10, None));
        assert_eq!(next(&mut aside, false), [0; 0]);
        assert_eq!(next(&mut aside, true), [1, 2, 3]);
        assert_eq!(next(&mut aside, true), [0; 0]);
        aside.end_fetch();
        assert_eq!((aside.take(2), aside.take(1), aside.take(2)), (None, Some((10, None)), Some((10, None))));
        assert_eq!((aside.len(), aside.bytes()), (1, 10));
        assert_eq!(next(&mut aside, true), [3]);
    }

    #[test]
    fn each_message_keeps_its_group_and_many_of_one_take_no_more_room() {
        let (one, other) = (Some(Arc::<str>::from("$share/g/t")), Some(Arc::<str>::from("$share/h/t")));
        let mut aside = Aside::default();
        (10..1_000).for_each(|seq| aside.push_back(seq, 1, if seq < 500 { one.clone() } else { None }));
        assert_eq!(aside.groups.len(), 2);
        (5..10).rev().for_each(|seq| aside.push_front(seq, 1, None));
        aside.push_front(4, 1, other.clone());
        assert_eq!(aside.groups.len(), 4);
        let group = |aside: &mut Aside, seq| aside.remove(seq).map(|(_, group)| group);
        assert_eq!(group(&mut aside, 600), Some(None));
        assert_eq!(group(&mut aside, 20), Some(one.clone()));
        assert_eq!(aside.take(4), Some((1, other)));
        assert_eq!(aside.take(5), Some((1, None)));
        assert!(aside.is_shared());
        let (gone, octets) = aside.leave_to_others(1_000);
        assert_eq!((gone.len(), octets, aside.len(), aside.bytes()), (503, 503, 489, 489));
        assert!(aside.has_estate() && aside.is_left(999) && !aside.is_left(1_000));
        (10..500).for_each(|seq| {
            aside.remove(seq);
        });
        assert!(!aside.has_estate() && !aside.is_shared() && aside.is_empty());
    }

    #[test]
    fn a_sweep_sees_each_place_that_was_there_once_and_goes_before_a_client() {
        let mut aside = Aside::default();
        (1..5).for_each(|seq| aside.push_back(seq, PAGE_BYTES / 2, None));
        aside.begin_sweep(4, Vec::new(), 1);
        assert_eq!(next(&mut aside, true), [1, 2]);
        aside.end_fetch();
        assert_eq!(aside.remove(2), Some((PAGE_BYTES / 2, None)));
        aside.sweep().unwrap().passed(2);
        assert_eq!(next(&mut aside, true), [3]);
        aside.end_fetch();
        aside.sweep().unwrap().passed(3);
        assert_eq!(next(&mut aside, true), [u64::MAX, 1]);
        assert_eq!(next(&mut aside, true), [1, 3]);
    }
}
