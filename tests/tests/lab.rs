//! The lab itself does what the other tests rely on.

use ha_tests::lab::Lab;
use ha_tests::skip::{program_or_skip, root_or_skip};

#[test]
fn hosts_reach_each_other_until_cut_and_again_when_healed() {
    const NAME: &str = "hosts_reach_each_other_until_cut_and_again_when_healed";
    if !root_or_skip(NAME) || program_or_skip(NAME, "ping").is_none() {
        return;
    }
    let lab = Lab::new().unwrap();
    let lan = lab.network("lan").unwrap();
    let a = lab.host("a").unwrap();
    let b = lab.host("b").unwrap();
    a.attach(&lan, "eth0", &["10.90.0.1/24", "fd90::1/64"]).unwrap();
    b.attach(&lan, "eth0", &["10.90.0.2/24", "fd90::2/64"]).unwrap();

    let ping = |address: &str| a.run(&["ping", "-c1", "-W1", address]).is_ok();
    assert!(ping("10.90.0.2") && ping("fd90::2"));
    assert!(b.holds("eth0", "10.90.0.2").unwrap());
    assert!(!b.holds("eth0", "10.90.0.1").unwrap());

    lan.cut(&b).unwrap();
    assert!(!ping("10.90.0.2"));
    lan.heal(&b).unwrap();
    assert!(ping("10.90.0.2"));

    lan.silence(&b).unwrap();
    assert!(!ping("10.90.0.2"));
    lan.unsilence(&b).unwrap();
    assert!(ping("10.90.0.2"));
}

#[test]
fn nothing_is_left_of_a_dropped_lab() {
    if !root_or_skip("nothing_is_left_of_a_dropped_lab") {
        return;
    }
    let lab = Lab::new().unwrap();
    let host = lab.host("gone").unwrap();
    let namespace = std::path::Path::new("/run/netns").join(host.namespace());
    assert!(namespace.exists());
    let directory = lab.directory().to_owned();
    drop(lab);
    assert!(!namespace.exists());
    assert!(!directory.exists());
}
