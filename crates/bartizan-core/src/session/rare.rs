//! A part of a Session in which most Sessions have nothing: eight octets until something is in it.

use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use super::aside::Aside;
use super::inflight::Inflight;
use super::session::{Backlogged, Queued, Received, RetainedDue};
use crate::topic::IdState;

/// What can be absent: then it reads as this.
pub trait Sparse: Default + 'static {
    /// What is read where there is nothing.
    fn nothing() -> &'static Self;
    /// True when nothing is lost by forgetting it.
    fn has_nothing(&self) -> bool;
    /// Gives back room for what was there once.
    fn shrink(&mut self) {}
}

/// Something that is mostly not there. Reading it takes no memory, writing to it does, until `rest`.
#[derive(Debug)]
pub struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Rare(None)
    }
}

impl<T: Sparse> Rare<T> {
    /// It, if it takes memory: to change what is there without making it.
    pub fn held(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// It; nothing is left.
    pub fn take_all(&mut self) -> T {
        self.0.take().map_or_else(T::default, |held| *held)
    }

    /// Gives its memory back where it holds nothing.
    pub fn rest(&mut self) {
        if self.0.take_if(|held| held.has_nothing()).is_none()
            && let Some(held) = &mut self.0
        {
            held.shrink();
        }
    }

    /// True while it takes no memory of its own.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.0.is_none()
    }
}

impl<T: Sparse> Deref for Rare<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(held) => held,
            None => T::nothing(),
        }
    }
}

impl<T: Sparse> DerefMut for Rare<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

macro_rules! sparse {
    ($($kind:ty: $nothing:expr),* $(,)?) => {$(
        impl Sparse for $kind {
            #[inline]
            fn nothing() -> &'static Self {
                static NOTHING: $kind = $nothing;
                &NOTHING
            }

            fn has_nothing(&self) -> bool {
                self.is_empty()
            }
        }
    )*};
}

sparse! {
    VecDeque<Queued>: VecDeque::new(),
    VecDeque<Backlogged>: VecDeque::new(),
    VecDeque<RetainedDue>: VecDeque::new(),
}

impl Sparse for Inflight {
    #[inline]
    fn nothing() -> &'static Self {
        static NOTHING: Inflight = Inflight::new();
        &NOTHING
    }

    fn has_nothing(&self) -> bool {
        self.is_unused()
    }

    fn shrink(&mut self) {
        self.give_back();
    }
}

impl Sparse for Aside {
    #[inline]
    fn nothing() -> &'static Self {
        static NOTHING: Aside = Aside::new();
        &NOTHING
    }

    fn has_nothing(&self) -> bool {
        Aside::has_nothing(self)
    }
}

impl Sparse for HashMap<u16, Received, IdState> {
    #[inline]
    fn nothing() -> &'static Self {
        static NOTHING: LazyLock<HashMap<u16, Received, IdState>> = LazyLock::new(HashMap::default);
        &NOTHING
    }

    fn has_nothing(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::inflight::{Phase, Slot, done};
    use super::*;
    use crate::wire::PacketId;

    #[test]
    fn reading_takes_no_memory_and_rest_gives_it_back_only_where_nothing_is_lost() {
        let mut rare: Rare<Aside> = Rare::default();
        assert_eq!((rare.len(), rare.is_at_rest()), (0, true));
        assert!(rare.held().is_none());
        rare.push_back(1, 10, None);
        rare.rest();
        assert_eq!((rare.len(), rare.is_at_rest()), (1, false));
        assert_eq!(rare.take(1), Some((10, None)));
        rare.rest();
        assert!(rare.is_at_rest());
    }

    #[test]
    fn a_window_that_was_used_keeps_its_place_in_the_identifiers() {
        let mut rare: Rare<Inflight> = Rare::default();
        assert_eq!((rare.len(), rare.get_mut(PacketId::MIN).is_none()), (0, true));
        rare.rest();
        assert!(rare.is_at_rest());
        let slot = || Slot { seq: 1, ..done() };
        let first = rare.push(Slot { phase: Phase::Publish, ..slot() }).unwrap();
        rare.finish(first);
        rare.rest();
        assert_ne!(rare.push(Slot { phase: Phase::Publish, ..slot() }), Some(first));
    }
}
