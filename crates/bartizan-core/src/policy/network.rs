//! A range of IP addresses, as a policy writes it: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use core::net::IpAddr;

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network {
    /// The bits of the address; an IPv4 address as the IPv6 address that maps it.
    bits: u128,
    /// How many of them count.
    prefix: u32,
}

/// An IPv4 address is an IPv6 address with this in front (RFC 4291, 2.5.5.2).
const MAPPED: u128 = 0xffff_0000_0000;

impl Network {
    /// The network of this text; `None` if it is none, or has bits behind its prefix.
    pub(super) fn parse(text: &str) -> Option<Network> {
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
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/08", "10.0.0.0/+8", "10/8", "a/8", "::/129", "1.2.3.4/"]
        {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
