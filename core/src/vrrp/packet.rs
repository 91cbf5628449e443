//! The advertisement on the wire. Decoding borrows from the message; encoding
//! appends to a buffer of the caller.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ha_model::plan::{Checksum, Family, VrrpVersion};
use ha_model::units::Micros;

use super::checksum;

#[cfg(test)]
mod tests;

/// Type of the only message there is (RFC 9568 §5.2.2).
const ADVERTISEMENT: u8 = 1;
/// Bytes before the addresses, in both versions.
const HEADER: usize = 8;
/// Bytes of authentication data after the addresses of version 2. They are
/// there even without authentication (RFC 3768 §5.3.10).
const AUTH_DATA: usize = 8;
/// Ethernet pads short frames; some drivers hand up to this much of it on.
const PADDING: usize = 3;
const MICROS_PER_CENTISECOND: u64 = 10_000;
const MICROS_PER_SECOND: u64 = 1_000_000;

/// 224.0.0.18 (RFC 9568 §5.1.1.2).
pub const GROUP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
/// ff02::12 (RFC 9568 §5.1.2.2).
pub const GROUP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));

/// The multicast group of `family`.
#[must_use]
pub const fn group(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => GROUP_V4,
        Family::Ipv6 => GROUP_V6,
    }
}

/// Virtual router id of a message that may be malformed otherwise, so that
/// the fault is counted for the right instance.
#[must_use]
pub fn peek_vrid(message: &[u8]) -> Option<u8> {
    message.get(1).copied()
}

/// Why a message can't be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than its header, or not as long as its count of addresses says
    /// (up to three bytes of padding are let pass).
    #[error("{0} bytes are not what the count of addresses makes")]
    Length(usize),
    /// Neither version 2 nor 3, or version 2 over IPv6.
    #[error("version {0} is not spoken here")]
    Version(u8),
    /// Not an advertisement.
    #[error("type {0} is not ADVERTISEMENT (1)")]
    Type(u8),
}

/// Addresses as they lie in a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Addresses<'a> {
    family: Family,
    bytes: &'a [u8],
}

impl<'a> Addresses<'a> {
    /// Takes `bytes` as addresses of `family`; an incomplete last one is left
    /// out, and so is what does not fit into the count of a message (255).
    #[must_use]
    pub fn new(family: Family, bytes: &'a [u8]) -> Self {
        let size = Self::size(family);
        let count = (bytes.len() / size).min(usize::from(u8::MAX));
        Self { family, bytes: &bytes[..count * size] }
    }

    const fn size(family: Family) -> usize {
        match family {
            Family::Ipv4 => 4,
            Family::Ipv6 => 16,
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u8 {
        u8::try_from(self.bytes.len() / Self::size(self.family))
            .expect("new and decode keep the count within a byte")
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The addresses, in order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        let (four, six): (&[u8], &[u8]) = match self.family {
            Family::Ipv4 => (self.bytes, &[]),
            Family::Ipv6 => (&[], self.bytes),
        };
        let four = four.as_chunks::<4>().0.iter().map(|bytes| IpAddr::from(*bytes));
        four.chain(six.as_chunks::<16>().0.iter().map(|bytes| IpAddr::from(*bytes)))
    }
}

/// Authentication fields of version 2 (RFC 2338 §5.3.6, §5.3.10).
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Authentication {
    /// 0 none, 1 simple text, 2 IP authentication header.
    pub kind: u8,
    /// The text, filled up with zeros.
    pub data: [u8; AUTH_DATA],
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authentication").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// An advertisement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advertisement<'a> {
    /// Virtual router id.
    pub vrid: u8,
    /// Priority; 0: the master lets go.
    pub priority: u8,
    /// Time between two adverts: whole seconds up to 255 in version 2,
    /// centiseconds up to 40.95 s in version 3.
    pub interval: Micros,
    /// What differs between the versions. Version 3 has no authentication.
    pub auth: Option<Authentication>,
    /// The virtual addresses.
    pub addresses: Addresses<'a>,
}

impl<'a> Advertisement<'a> {
    /// Reads `message`, which came over IP of `family`. Checksum and meaning
    /// are not looked at. Returns the part of `message` without padding too.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode(message: &'a [u8], family: Family) -> Result<(Self, &'a [u8]), DecodeError> {
        let Some((header, rest)) = message.split_first_chunk::<HEADER>() else {
            return Err(DecodeError::Length(message.len()));
        };
        let version = match (header[0] >> 4, family) {
            (2, Family::Ipv4) => VrrpVersion::V2,
            (3, Family::Ipv4 | Family::Ipv6) => VrrpVersion::V3,
            (other, Family::Ipv4 | Family::Ipv6) => return Err(DecodeError::Version(other)),
        };
        if header[0] & 0x0f != ADVERTISEMENT {
            return Err(DecodeError::Type(header[0] & 0x0f));
        }
        let addresses = usize::from(header[3]) * Addresses::size(family);
        let trailer = match version {
            VrrpVersion::V2 => AUTH_DATA,
            VrrpVersion::V3 => 0,
        };
        let due = addresses + trailer;
        if rest.len() < due || rest.len() > due + PADDING {
            return Err(DecodeError::Length(message.len()));
        }
        let (interval, auth) = match version {
            VrrpVersion::V2 => {
                let data = rest[addresses..].first_chunk().expect("the length was checked");
                let auth = Authentication { kind: header[4], data: *data };
                (u64::from(header[5]) * MICROS_PER_SECOND, Some(auth))
            }
            VrrpVersion::V3 => {
                let centis = u16::from_be_bytes([header[4] & 0x0f, header[5]]);
                (u64::from(centis) * MICROS_PER_CENTISECOND, None)
            }
        };
        let advert = Self {
            vrid: header[1],
            priority: header[2],
            interval: Micros(interval),
            auth,
            addresses: Addresses { family, bytes: &rest[..addresses] },
        };
        Ok((advert, &message[..HEADER + due]))
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> VrrpVersion {
        match self.auth {
            Some(_) => VrrpVersion::V2,
            None => VrrpVersion::V3,
        }
    }

    /// Appends the message with a checksum of zero to `out`; [`seal`] fills it
    /// in. An interval that the version can't express is cut to what it can.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (version, interval) = match &self.auth {
            Some(auth) => {
                let seconds = (self.interval.0 / MICROS_PER_SECOND).min(255);
                (2, [auth.kind, seconds.to_le_bytes()[0]])
            }
            None => {
                let centis = (self.interval.0 / MICROS_PER_CENTISECOND).min(0x0fff);
                let [low, high, ..] = centis.to_le_bytes();
                (3, [high, low])
            }
        };
        let first = version << 4 | ADVERTISEMENT;
        out.extend([first, self.vrid, self.priority, self.addresses.count()]);
        out.extend(interval);
        out.extend([0, 0]);
        out.extend(self.addresses.bytes);
        if let Some(auth) = &self.auth {
            out.extend(auth.data);
        }
    }
}

/// What a checksum covers beyond the message.
fn covers_pseudo_header(version: VrrpVersion, family: Family, mode: Checksum) -> bool {
    match (version, family, mode) {
        (VrrpVersion::V2, Family::Ipv4 | Family::Ipv6, _) => false,
        (VrrpVersion::V3, Family::Ipv6, _) => true,
        (VrrpVersion::V3, Family::Ipv4, Checksum::PseudoHeader) => true,
        (VrrpVersion::V3, Family::Ipv4, Checksum::Rfc9568) => false,
    }
}

/// Writes the checksum into an encoded `message` of `version` that goes from
/// `source` to `destination`, two addresses of one family.
pub fn seal(
    message: &mut [u8],
    version: VrrpVersion,
    mode: Checksum,
    source: IpAddr,
    destination: IpAddr,
) {
    message[6..8].fill(0);
    let sum = if covers_pseudo_header(version, Family::of(source), mode) {
        checksum::with_pseudo_header(message, source, destination)
            .expect("source and destination are of the instance's family")
    } else {
        checksum::plain(message)
    };
    message[6..8].copy_from_slice(&sum.to_be_bytes());
}

/// Whether the checksum of `message` (without padding) is right. Version 3
/// over IPv4 may have it with or without the pseudo-header.
#[must_use]
pub fn checksum_valid(
    message: &[u8],
    version: VrrpVersion,
    source: IpAddr,
    destination: IpAddr,
) -> bool {
    let pseudo = || checksum::with_pseudo_header(message, source, destination) == Some(0);
    match (version, Family::of(source)) {
        (VrrpVersion::V2, Family::Ipv4 | Family::Ipv6) => checksum::plain(message) == 0,
        (VrrpVersion::V3, Family::Ipv6) => pseudo(),
        (VrrpVersion::V3, Family::Ipv4) => pseudo() || checksum::plain(message) == 0,
    }
}
