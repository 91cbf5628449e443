//! Any bytes as an advert: no panic, and what was read is what is written.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz vrrp_decode`. A bounded run of
//! the same property is in `core/src/vrrp/packet/tests.rs`.

#![no_main]

use ha_core::vrrp::packet::{Advertisement, checksum_valid, group};
use ha_model::plan::Family;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for family in [Family::Ipv4, Family::Ipv6] {
        let Ok((advert, message)) = Advertisement::decode(bytes, family) else { continue };
        let _ = checksum_valid(message, advert.version(), group(family), group(family));
        let mut again = Vec::new();
        advert.encode(&mut again);
        let (second, _) = Advertisement::decode(&again, family).expect("it was encoded");
        assert_eq!(second, advert);
    }
});
