//! The codec against bytes that others put on the wire, against a naive
//! checksum, and against anything at all.

use proptest::prelude::*;

use super::*;

/// An advert that somebody else sent.
struct Vector {
    what: &'static str,
    source: &'static str,
    destination: &'static str,
    bytes: &'static [u8],
    mode: Checksum,
    vrid: u8,
    priority: u8,
    interval: Micros,
    auth: Option<(u8, [u8; 8])>,
    addresses: &'static [&'static str],
}

/// Captured from keepalived 2.2.7 (the checksum of IPv6 is the kernel's), but
/// for the first, which is a capture in wide use, and the last, which was
/// computed by hand.
const VECTORS: &[Vector] = &[
    Vector {
        what: "version 2 without authentication",
        source: "192.168.0.30",
        destination: "224.0.0.18",
        bytes: b"\x21\x33\x65\x01\x00\x01\x54\xbd\xc0\xa8\x64\x64\0\0\0\0\0\0\0\0",
        mode: Checksum::PseudoHeader,
        vrid: 51,
        priority: 101,
        interval: Micros::from_secs(1),
        auth: Some((0, [0; 8])),
        addresses: &["192.168.100.100"],
    },
    Vector {
        what: "version 2 with simple text",
        source: "192.0.2.1",
        destination: "224.0.0.18",
        bytes: b"\x21\x33\x96\x02\x01\x01\x87\x98\xc0\0\x02\x0a\xc0\0\x02\x0bs3cret\0\0",
        mode: Checksum::PseudoHeader,
        vrid: 51,
        priority: 150,
        interval: Micros::from_secs(1),
        auth: Some((1, *b"s3cret\0\0")),
        addresses: &["192.0.2.10", "192.0.2.11"],
    },
    Vector {
        what: "version 3, multicast",
        source: "192.0.2.1",
        destination: "224.0.0.18",
        bytes: b"\x31\x34\x64\x01\x00\x32\x05\xfb\xc0\0\x02\x0c",
        mode: Checksum::PseudoHeader,
        vrid: 52,
        priority: 100,
        interval: Micros::from_millis(500),
        auth: None,
        addresses: &["192.0.2.12"],
    },
    Vector {
        what: "version 3, unicast",
        source: "192.0.2.1",
        destination: "192.0.2.2",
        bytes: b"\x31\x35\xc8\x01\x00\x0a\xc0\x30\xc0\0\x02\x0d",
        mode: Checksum::PseudoHeader,
        vrid: 53,
        priority: 200,
        interval: Micros::from_millis(100),
        auth: None,
        addresses: &["192.0.2.13"],
    },
    Vector {
        what: "version 3 over IPv6",
        source: "fe80::80ad:59ff:fe7a:3991",
        destination: "ff02::12",
        bytes: b"\x31\x36\x64\x02\x00\x64\x2c\x32\
                 \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\
                 \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x10",
        mode: Checksum::PseudoHeader,
        vrid: 54,
        priority: 100,
        interval: Micros::from_secs(1),
        auth: None,
        addresses: &["fe80::100", "2001:db8::10"],
    },
    Vector {
        // 3101 + 1401 + 0064 + 0a00 + 0105 = 506b, complement af94.
        what: "version 3 without the pseudo-header",
        source: "10.0.1.1",
        destination: "224.0.0.18",
        bytes: b"\x31\x01\x14\x01\x00\x64\xaf\x94\x0a\0\x01\x05",
        mode: Checksum::Rfc9568,
        vrid: 1,
        priority: 20,
        interval: Micros::from_secs(1),
        auth: None,
        addresses: &["10.0.1.5"],
    },
];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn bytes_of(addresses: &[IpAddr]) -> Vec<u8> {
    addresses
        .iter()
        .flat_map(|address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        })
        .collect()
}

#[test]
fn what_others_sent_is_read_and_written_to_the_byte() {
    for vector in VECTORS {
        let (source, destination) = (ip(vector.source), ip(vector.destination));
        let (advert, message) = Advertisement::decode(vector.bytes, Family::of(source))
            .unwrap_or_else(|error| panic!("{}: {error}", vector.what));
        assert_eq!(message, vector.bytes, "{}", vector.what);
        let version = advert.version();
        assert!(checksum_valid(message, version, source, destination), "{}", vector.what);
        assert_eq!(
            (advert.vrid, advert.priority, advert.interval),
            (vector.vrid, vector.priority, vector.interval),
            "{}",
            vector.what
        );
        assert_eq!(advert.auth.map(|auth| (auth.kind, auth.data)), vector.auth, "{}", vector.what);
        let addresses: Vec<_> = vector.addresses.iter().map(|address| ip(address)).collect();
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), addresses, "{}", vector.what);

        let mut encoded = Vec::new();
        advert.encode(&mut encoded);
        seal(&mut encoded, version, vector.mode, source, destination);
        assert_eq!(encoded, vector.bytes, "{}", vector.what);
    }
}

/// The checksum as one would do it on paper: all that is summed, laid out as
/// one row of 16-bit words, carries added at each step.
fn checksum_on_paper(row: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in row.chunks(2) {
        sum += u32::from(pair[0]) * 256 + pair.get(1).map_or(0, |byte| u32::from(*byte));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    0xffff - u16::try_from(sum).expect("it was kept within 16 bits")
}

fn row(message: &[u8], source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let mut row = bytes_of(&[source, destination]);
    let length = u16::try_from(message.len()).expect("a small message").to_be_bytes();
    match source {
        IpAddr::V4(_) => row.extend([0, 112, length[0], length[1]]),
        IpAddr::V6(_) => row.extend([0, 0, length[0], length[1], 0, 0, 0, 112]),
    }
    row.extend(message);
    row
}

/// An advert, with what is needed to send it.
#[derive(Clone, Debug)]
struct Sample {
    source: IpAddr,
    destination: IpAddr,
    mode: Checksum,
    vrid: u8,
    priority: u8,
    interval: Micros,
    auth: Option<Authentication>,
    addresses: Vec<IpAddr>,
}

fn any_ip(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ipv4 => any::<Ipv4Addr>().prop_map(IpAddr::V4).boxed(),
        Family::Ipv6 => any::<Ipv6Addr>().prop_map(IpAddr::V6).boxed(),
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let kind = prop_oneof![
        Just((Family::Ipv4, VrrpVersion::V2)),
        Just((Family::Ipv4, VrrpVersion::V3)),
        Just((Family::Ipv6, VrrpVersion::V3)),
    ];
    kind.prop_flat_map(|(family, version)| {
        let (interval, auth) = match version {
            VrrpVersion::V2 => (
                (0_u64..256).prop_map(Micros::from_secs).boxed(),
                any::<(u8, [u8; 8])>()
                    .prop_map(|(kind, data)| Some(Authentication { kind, data }))
                    .boxed(),
            ),
            VrrpVersion::V3 => (
                (0_u64..4096).prop_map(|centis| Micros::from_millis(centis * 10)).boxed(),
                Just(None).boxed(),
            ),
        };
        let mode = prop_oneof![Just(Checksum::PseudoHeader), Just(Checksum::Rfc9568)];
        let addresses = proptest::collection::vec(any_ip(family), 0..=255);
        (any_ip(family), any_ip(family), mode, any::<(u8, u8)>(), interval, auth, addresses)
            .prop_map(|(source, destination, mode, (vrid, priority), interval, auth, addresses)| {
                Sample { source, destination, mode, vrid, priority, interval, auth, addresses }
            })
    })
}

proptest! {
    #[test]
    fn decode_undoes_encode(sample in sample(), padding in 0_usize..=3) {
        let bytes = bytes_of(&sample.addresses);
        let family = Family::of(sample.source);
        let advert = Advertisement {
            vrid: sample.vrid,
            priority: sample.priority,
            interval: sample.interval,
            auth: sample.auth,
            addresses: Addresses::new(family, &bytes),
        };
        let mut message = Vec::new();
        advert.encode(&mut message);
        let zeroed = message.clone();
        seal(&mut message, advert.version(), sample.mode, sample.source, sample.destination);

        let pseudo = match (advert.version(), family) {
            (VrrpVersion::V2, Family::Ipv4 | Family::Ipv6) => false,
            (VrrpVersion::V3, Family::Ipv6) => true,
            (VrrpVersion::V3, Family::Ipv4) => sample.mode == Checksum::PseudoHeader,
        };
        let due = if pseudo {
            checksum_on_paper(&row(&zeroed, sample.source, sample.destination))
        } else {
            checksum_on_paper(&zeroed)
        };
        prop_assert_eq!(u16::from_be_bytes([message[6], message[7]]), due);

        let length = message.len();
        message.extend(vec![0xa5; padding]);
        let (decoded, exact) = Advertisement::decode(&message, family).expect("it was encoded");
        prop_assert_eq!(decoded, advert);
        prop_assert_eq!(exact.len(), length);
        prop_assert!(checksum_valid(exact, advert.version(), sample.source, sample.destination));
        prop_assert_eq!(decoded.addresses.iter().collect::<Vec<_>>(), sample.addresses);
    }

    #[test]
    fn any_flipped_bit_is_noticed(sample in sample(), place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let bytes = bytes_of(&sample.addresses);
        let family = Family::of(sample.source);
        let advert = Advertisement {
            vrid: sample.vrid,
            priority: sample.priority,
            interval: sample.interval,
            auth: sample.auth,
            addresses: Addresses::new(family, &bytes),
        };
        let mut message = Vec::new();
        advert.encode(&mut message);
        seal(&mut message, advert.version(), Checksum::PseudoHeader, sample.source, sample.destination);
        let place = place.index(message.len());
        message[place] ^= 1 << bit;
        if let Ok((decoded, exact)) = Advertisement::decode(&message, family)
            && decoded.version() == advert.version()
        {
            let pseudo = checksum::with_pseudo_header(exact, sample.source, sample.destination);
            let valid = match decoded.version() {
                VrrpVersion::V2 => checksum::plain(exact) == 0,
                VrrpVersion::V3 => pseudo == Some(0),
            };
            prop_assert!(!valid);
        }
    }

    #[test]
    fn decode_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        decode_anything(&bytes);
    }

    /// Random bytes seldom pass the first checks; these do.
    #[test]
    fn decode_never_panics_behind_a_good_start(
        version in prop_oneof![Just(0x21_u8), Just(0x31)],
        count in 0_u8..6,
        rest in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = vec![version, 1, 100, count];
        bytes.extend(rest);
        decode_anything(&bytes);
    }
}

/// The same that the fuzz target does.
fn decode_anything(bytes: &[u8]) {
    for family in [Family::Ipv4, Family::Ipv6] {
        let Ok((advert, message)) = Advertisement::decode(bytes, family) else { continue };
        assert!(message.len() <= bytes.len());
        assert_eq!(advert.addresses.iter().count(), usize::from(advert.addresses.count()));
        let mut again = Vec::new();
        advert.encode(&mut again);
        let (second, _) = Advertisement::decode(&again, family).expect("it was encoded");
        assert_eq!(second, advert);
    }
}

#[test]
fn each_malformed_message_has_its_own_error() {
    let good = VECTORS[3].bytes;
    let decode = |bytes: &[u8]| Advertisement::decode(bytes, Family::Ipv4).map(|_| ()).unwrap_err();
    for length in 0..good.len() {
        assert_eq!(decode(&good[..length]), DecodeError::Length(length));
    }
    let padded = [good, &[0; 3]].concat();
    assert!(Advertisement::decode(&padded, Family::Ipv4).is_ok());
    let too_long = [good, &[0; 4]].concat();
    assert_eq!(decode(&too_long), DecodeError::Length(16));
    let with = |place: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[place] = byte;
        bytes
    };
    assert_eq!(decode(&with(0, 0x41)), DecodeError::Version(4));
    assert_eq!(decode(&with(0, 0x32)), DecodeError::Type(2));
    assert_eq!(decode(&with(3, 2)), DecodeError::Length(12));
    let two = VECTORS[0].bytes;
    assert_eq!(
        Advertisement::decode(two, Family::Ipv6).map(|_| ()),
        Err(DecodeError::Version(2)),
        "version 2 does not exist over IPv6"
    );
}

#[test]
fn more_addresses_than_a_count_can_say_are_left_out() {
    let bytes = vec![1; 4 * 300];
    let addresses = Addresses::new(Family::Ipv4, &bytes);
    assert_eq!((addresses.count(), addresses.as_bytes().len()), (255, 4 * 255));
}

#[test]
fn the_text_is_not_printed() {
    let auth = Authentication { kind: 1, data: *b"s3cret\0\0" };
    assert!(!format!("{auth:?}").contains("115"), "{auth:?}");
}
