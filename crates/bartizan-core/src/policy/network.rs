//! A range of IP addresses, as a policy writes it: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use core::net::IpAddr;
use std::collections::HashSet;

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    /// The bits of the address; an IPv4 address as the IPv6 address that maps it.
    bits: u128,
    /// How many of them count.
    prefix: u32,
}

/// An IPv4 address is an IPv6 address with this in front (RFC 4291, 2.5.5.2).
const MAPPED: u128 = 0xffff_0000_0000;

impl Network {
    /// The network of this text; `None` if it is none, or has bits behind its prefix.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (width, shift) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = match prefix {
            // No sign, no leading zero: one spelling each.
            Some(text) if text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())) => {
                text.parse::<u32>().ok().filter(|prefix| *prefix <= width)?
            }
            Some(_) => return None,
            None => width,
        };
        let network = Network { bits: bits(address), prefix: prefix + shift };
        (network.bits & !network.mask() == 0).then_some(network)
    }

    /// True if this address is one of them.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        // `::/0` is all of IPv6, not of IPv4 as well.
        let is_v4 = address.to_canonical().is_ipv4();
        (!is_v4 || self.prefix >= 96) && bits(address) & self.mask() == self.bits
    }

    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - self.prefix.min(128)).unwrap_or(0)
    }
}

/// Many networks. Looked through by the lengths of their prefixes, of which there are no more than bits.
#[derive(Debug, Default)]
pub(crate) struct Networks(Vec<(u32, HashSet<u128>)>);

impl Networks {
    /// One more.
    pub(crate) fn insert(&mut self, network: Network) {
        match self.0.iter_mut().find(|(prefix, _)| *prefix == network.prefix) {
            Some((_, alike)) => {
                alike.insert(network.bits);
            }
            None => self.0.push((network.prefix, HashSet::from([network.bits]))),
        }
    }

    /// True if this address is in one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let (all, is_v4) = (bits(address), address.to_canonical().is_ipv4());
        self.0.iter().any(|(prefix, alike)| {
            let mask = Network { bits: 0, prefix: *prefix }.mask();
            (!is_v4 || *prefix >= 96) && alike.contains(&(all & mask))
        })
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => MAPPED | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_its_networks_and_in_no_other() {
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(!holds("::/0", "10.0.0.1") && !holds("::/0", "::ffff:10.0.0.1"));
        assert!(holds("::/0", "2001:db8::1") && holds("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
    }

    #[test]
    fn a_mapped_ipv4_address_is_the_ipv4_address() {
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    }

    #[test]
    fn an_address_is_in_many_networks_if_it_is_in_one_of_them() {
        let mut networks = Networks::default();
        assert!(!networks.contain("10.0.0.1".parse().unwrap()));
        for text in ["10.0.0.0/8", "192.0.2.7", "192.0.2.9", "2001:db8::/32", "fe80::/64"] {
            networks.insert(Network::parse(text).unwrap());
        }
        for held in ["10.9.9.9", "::ffff:10.1.2.3", "192.0.2.7", "192.0.2.9", "2001:db8:1::1", "fe80::1"] {
            assert!(networks.contain(held.parse().unwrap()), "{held}");
        }
        for free in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "fe80:0:0:1::1"] {
            assert!(!networks.contain(free.parse().unwrap()), "{free}");
        }
        networks.insert(Network::parse("::/0").unwrap());
        assert!(!networks.contain("11.0.0.1".parse().unwrap()) && networks.contain("2001:db9::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/08", "10.0.0.0/+8", "10/8", "a/8", "::/129", "1.2.3.4/"]
        {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
