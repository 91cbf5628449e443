//! Frames that tell a segment where a virtual address is now.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest frame built here.
const LENGTH: usize = 86;
const BROADCAST: [u8; 6] = [0xff; 6];
/// Ethernet form of ff02::1 (RFC 2464 §7).
const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;

/// An Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    bytes: [u8; LENGTH],
    length: usize,
}

impl Frame {
    fn new(parts: &[&[u8]]) -> Self {
        let (mut bytes, mut length) = ([0; LENGTH], 0);
        for part in parts {
            bytes[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        Self { bytes, length }
    }

    /// The frame from its destination on.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Announces `address` at `mac`: gratuitous ARP or an unsolicited neighbour
/// advertisement.
pub(super) fn announcement(mac: [u8; 6], address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(address) => gratuitous_arp(mac, address),
        IpAddr::V6(address) => neighbour_advertisement(mac, address),
    }
}

/// ARP request whose sender and target are the same address (RFC 5944 §4.6),
/// the form that keepalived sends and every cache takes.
fn gratuitous_arp(mac: [u8; 6], address: Ipv4Addr) -> Frame {
    let address = address.octets();
    Frame::new(&[
        &BROADCAST,
        &mac,
        &[0x08, 0x06],
        // Ethernet, IPv4, their lengths, request.
        &[0, 1, 0x08, 0x00, 6, 4, 0, 1],
        &mac,
        &address,
        &[0; 6],
        &address,
    ])
}

/// Unsolicited neighbour advertisement to all nodes (RFC 4861 §7.2.6): router
/// and override set (RFC 9568 §8.2.2), with the target's link-layer address.
fn neighbour_advertisement(mac: [u8; 6], address: Ipv6Addr) -> Frame {
    const ROUTER_AND_OVERRIDE: u8 = 0xa0;
    let (source, destination) = (address.octets(), ALL_NODES_ADDRESS.octets());
    let mut message = [0_u8; 32];
    message[0] = 136;
    message[4] = ROUTER_AND_OVERRIDE;
    message[8..24].copy_from_slice(&source);
    message[24..26].copy_from_slice(&[2, 1]);
    message[26..32].copy_from_slice(&mac);
    let pseudo_header = [0, 0, 0, 32, 0, 0, 0, ICMPV6];
    let sum = checksum(&[&source, &destination, &pseudo_header, &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    Frame::new(&[
        &ALL_NODES,
        &mac,
        &[0x86, 0xdd],
        // Version 6, class 0xC0 as adverts; 32 bytes of ICMPv6; hop limit 255.
        &[0x6c, 0, 0, 0, 0, 32, ICMPV6, 255],
        &source,
        &destination,
        &message,
    ])
}

/// Internet checksum (RFC 1071) over `parts`, each of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = words.map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

    #[test]
    fn arp_asks_for_its_own_address() {
        let frame = announcement(MAC, "10.0.0.9".parse().unwrap());
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 8, 6, // Ethernet
            0, 1, 8, 0, 6, 4, 0, 1, // request
            2, 0, 0, 0, 0, 7, 10, 0, 0, 9, // sender
            0, 0, 0, 0, 0, 0, 10, 0, 0, 9, // target
        ];
        assert_eq!(frame.bytes(), expected);
    }

    #[test]
    fn neighbour_advertisement_has_a_valid_checksum() {
        let frame = announcement(MAC, "2001:db8::9".parse().unwrap());
        let bytes = frame.bytes();
        assert_eq!(bytes.len(), 86);
        assert_eq!(bytes[..6], ALL_NODES);
        assert_eq!(bytes[21], 255, "hop limit");
        assert_eq!((bytes[54], bytes[58]), (136, 0xa0));
        assert_eq!(bytes[62..78], bytes[22..38], "target is the source");
        assert_eq!(bytes[80..], MAC);
        let pseudo_header = [0, 0, 0, 32, 0, 0, 0, 58];
        assert_eq!(checksum(&[&bytes[22..54], &pseudo_header, &bytes[54..]]), 0);
    }
}
