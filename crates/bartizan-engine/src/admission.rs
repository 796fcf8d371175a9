//! Who may connect at all: counted by listener and address prefix, before TLS costs anything.
//!
//! A name that a stranger can choose is never what is limited, only where the packets come from:
//! nobody can lock out somebody else. IPv4 counts by address, IPv6 by /64.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use bartizan_core::limits::TokenBucket;
use bartizan_core::message::Time;
use bartizan_core::server::Limits;

/// Prefixes remembered at most; beyond it, idle ones are forgotten, and if there is none, new
/// ones are refused.
const PREFIXES_MAX: usize = 65_536;

/// Why a connection is not admitted: the limit's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

#[derive(Debug)]
struct Prefix {
    connections: u64,
    bucket: TokenBucket,
}

#[derive(Debug, Default)]
struct Inner {
    connections: u64,
    prefixes: HashMap<PrefixKey, Prefix>,
}

/// Admission of one listener.
#[derive(Debug, Default)]
pub struct Admission {
    inner: Mutex<Inner>,
}

/// One admitted connection: given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    admission: std::sync::Arc<Admission>,
    prefix: PrefixKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.admission.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.connections = inner.connections.saturating_sub(1);
        if let Some(prefix) = inner.prefixes.get_mut(&self.prefix) {
            prefix.connections = prefix.connections.saturating_sub(1);
        }
    }
}

/// What connections are counted by. Two words, not one of 128 bits, whose alignment would cost
/// every connection eight octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PrefixKey {
    Local,
    V4(u32),
    V6(u64),
}

fn prefix_of(address: Option<IpAddr>) -> PrefixKey {
    match address {
        None => PrefixKey::Local,
        Some(IpAddr::V4(v4)) => PrefixKey::V4(v4.into()),
        // The upper half: a host has all of the lower one.
        Some(IpAddr::V6(v6)) => PrefixKey::V6((u128::from(v6) >> 64) as u64),
    }
}

impl Admission {
    /// Connections that are admitted and have not ended.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).connections
    }

    /// Admits a connection, or names the limit it meets.
    ///
    /// # Errors
    /// The limit.
    pub fn admit(
        self: &std::sync::Arc<Self>,
        address: Option<IpAddr>,
        limits: &Limits,
        now: Time,
    ) -> Result<Place, Refused> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.connections >= limits.connections_max {
            return Err(Refused("connections_max"));
        }
        let key = prefix_of(address);
        if !inner.prefixes.contains_key(&key) && inner.prefixes.len() >= PREFIXES_MAX {
            inner.prefixes.retain(|_, prefix| prefix.connections > 0 || !prefix.bucket.is_full(now));
            if inner.prefixes.len() >= PREFIXES_MAX {
                return Err(Refused("connection_rate_per_prefix_per_s"));
            }
        }
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let rate = narrow(limits.connection_rate_per_prefix_per_s);
        let burst = narrow(limits.connection_burst_per_prefix);
        let prefix = inner
            .prefixes
            .entry(key)
            .or_insert_with(|| Prefix { connections: 0, bucket: TokenBucket::new(rate, burst, now) });
        if prefix.connections >= limits.connections_per_prefix_max {
            return Err(Refused("connections_per_prefix_max"));
        }
        if prefix.bucket.take(1, now).is_err() {
            return Err(Refused("connection_rate_per_prefix_per_s"));
        }
        prefix.connections += 1;
        inner.connections += 1;
        Ok(Place { admission: std::sync::Arc::clone(self), prefix: key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn limits() -> Limits {
        Limits {
            connections_max: 3,
            connections_per_prefix_max: 2,
            connection_rate_per_prefix_per_s: 1,
            connection_burst_per_prefix: 4,
            ..Limits::default()
        }
    }

    #[test]
    fn a_prefix_has_its_number_and_its_rate_and_gives_places_back() {
        let (admission, limits, now) = (Arc::new(Admission::default()), limits(), Time(0));
        let here: Option<IpAddr> = Some("192.0.2.1".parse().unwrap());
        let first = admission.admit(here, &limits, now).unwrap();
        let _second = admission.admit(here, &limits, now).unwrap();
        assert_eq!(admission.admit(here, &limits, now).unwrap_err(), Refused("connections_per_prefix_max"));
        drop(first);
        let _third = admission.admit(here, &limits, now).unwrap();
        drop(_third);
        let _fourth = admission.admit(here, &limits, now).unwrap();
        drop(_fourth);
        let refused = admission.admit(here, &limits, now).unwrap_err();
        assert_eq!(refused, Refused("connection_rate_per_prefix_per_s"));
        assert!(admission.admit(here, &limits, Time(1_000)).is_ok());
    }

    #[test]
    fn one_host_with_many_ipv6_addresses_is_one_prefix() {
        let (admission, limits, now) = (Arc::new(Admission::default()), limits(), Time(0));
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let _one = admission.admit(at("2001:db8::1"), &limits, now).unwrap();
        let _two = admission.admit(at("2001:db8::2"), &limits, now).unwrap();
        assert!(admission.admit(at("2001:db8::3"), &limits, now).is_err());
        assert!(admission.admit(at("2001:db8:0:1::3"), &limits, now).is_ok());
    }
}
