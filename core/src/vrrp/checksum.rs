//! The Internet checksum (RFC 1071) as VRRP uses it.

use std::net::IpAddr;

/// IP protocol number of VRRP.
pub(crate) const IP_PROTOCOL: u8 = 112;

/// One's complement sum of `bytes` as 16-bit words, an odd last byte padded
/// with zero. Not folded: at most 2^16 words of 2^16 fit a `u64` by far.
fn words(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    sum + rest.first().map_or(0, |byte| u64::from(*byte) << 8)
}

fn fold(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return !folded,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

/// Checksum over `message` alone (RFC 3768 §5.3.8, RFC 9568 §5.2.8 for IPv4).
/// Zero for a message that holds its own valid checksum.
pub(crate) fn plain(message: &[u8]) -> u16 {
    fold(words(message))
}

/// Checksum over the pseudo-header and `message` (RFC 9568 §5.2.8; RFC 8200
/// §8.1 for IPv6, RFC 9293 §3.1 for the form of IPv4's). `None` if the
/// families of the addresses differ.
pub(crate) fn with_pseudo_header(
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> Option<u16> {
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            words(&source.octets()) + words(&destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            words(&source.octets()) + words(&destination.octets())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    let length = message.len() as u64;
    let header = addresses + u64::from(IP_PROTOCOL) + (length >> 16) + (length & 0xffff);
    Some(fold(header + words(message)))
}
