//! Who talks to whom: addresses and ports of a connection's two ends.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// The four values that name a connection (RFC 9293 §3.3.1): two addresses and two ports.
///
/// Kept without the flow label and scope of [`SocketAddr`], which are no part of the name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FourTuple {
    /// Our address.
    pub local_addr: IpAddr,
    /// The peer's address.
    pub remote_addr: IpAddr,
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
}

impl FourTuple {
    /// The connection between `local` and `remote`.
    #[must_use]
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local_addr: local.ip(),
            remote_addr: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// Our address and port.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_addr, self.local_port)
    }

    /// The peer's address and port.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_addr, self.remote_port)
    }

    /// The same connection, seen from the peer.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            local_addr: self.remote_addr,
            remote_addr: self.local_addr,
            local_port: self.remote_port,
            remote_port: self.local_port,
        }
    }

    /// The addresses and ports in a fixed order of bytes, for hashing in one write.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&address_bytes(self.local_addr));
        bytes[16..32].copy_from_slice(&address_bytes(self.remote_addr));
        bytes[32..34].copy_from_slice(&self.local_port.to_be_bytes());
        bytes[34..].copy_from_slice(&self.remote_port.to_be_bytes());
        bytes
    }
}

impl fmt::Display for FourTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.local(), self.remote())
    }
}

fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Whether a peer may have this address: a unicast address that one host can own
/// (RFC 9293 §3.9.2.3, MUST-46, MUST-57, MUST-63; RFC 1122 §3.2.1.3).
#[must_use]
pub fn is_usable_peer(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            // 0/8 is "this network", 224/4 multicast, 240/4 reserved and limited broadcast.
            first != 0 && first < 224
        }
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: MUST-46, MUST-57, MUST-63
    #[test]
    fn no_peer_has_a_broadcast_multicast_or_reserved_address() {
        for text in
            ["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "ff02::1"]
        {
            assert!(!is_usable_peer(text.parse().unwrap()), "{text}");
        }
        for text in ["10.0.0.1", "127.0.0.1", "223.255.255.254", "::1", "fe80::1", "2001:db8::1"] {
            assert!(is_usable_peer(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn reversing_twice_is_the_identity() {
        let tuple = FourTuple::new("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        assert_eq!(tuple.reversed().reversed(), tuple);
        assert_ne!(tuple.to_bytes(), tuple.reversed().to_bytes());
    }
}
