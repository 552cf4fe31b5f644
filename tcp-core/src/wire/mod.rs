//! TCP, IP and ICMP on the wire.
