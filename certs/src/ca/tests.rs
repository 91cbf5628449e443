use std::process::Command;

use super::*;
use crate::Credentials;
use crate::certificate::Facts;

const NOW: u64 = 1_900_000_000_000_000;
const SECOND: u64 = 1_000_000;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn ca() -> FleetCa {
    FleetCa::create(&name("lab"), NOW).unwrap()
}

fn user(lifetime: Duration) -> Profile {
    Profile::User { role: Role::Editor, name: name("eva"), lifetime }
}

fn controller() -> Profile {
    let hosts = vec!["ctl.example.net".parse().unwrap(), "[2001:db8::1]".parse().unwrap()];
    Profile::Controller { name: name("main"), hosts }
}

#[test]
fn a_certificate_says_what_the_ca_decided_and_nothing_of_the_request() {
    let ca = ca();
    let key = PrivateKey::generate().unwrap();
    let mut wish = CertificateParams::new(vec!["evil.example.net".to_owned()]).unwrap();
    wish.subject_alt_names.push(uri("spiffe://lab/user/admin/eve").unwrap());
    wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let request = key.with_pair(|pair| wish.serialize_request(pair).unwrap().pem()).unwrap();
    let requested = RequestedKey::from_pem(&request.unwrap()).unwrap();
    let issued = ca.issue(&requested, &Profile::Node { name: name("lb-1") }, NOW).unwrap();
    let facts = Facts::of(&issued.der).unwrap();
    assert_eq!(facts.id.to_string(), "spiffe://lab/node/lb-1");
    assert_eq!(facts.hosts, []);
    assert_eq!(facts.serial, issued.serial);
    assert_eq!(facts.not_before_us, NOW - 300 * SECOND);
    assert_eq!(facts.not_after_us, NOW + 24 * 3600 * SECOND);
    assert_eq!(facts.not_after_us, issued.not_after_us);
    assert_eq!(facts.public_key, key.public().unwrap());
    let (_, parsed) = x509_parser::parse_x509_certificate(&issued.der).unwrap();
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
}

#[test]
fn serials_differ_and_lives_are_those_of_the_profile() {
    let ca = ca();
    let key = PrivateKey::generate().unwrap();
    let issue = |profile: &Profile| ca.issue_for(&key, profile, NOW);
    let one = issue(&controller()).unwrap();
    let two = issue(&controller()).unwrap();
    assert_ne!(one.serial, two.serial);
    assert_eq!(one.not_after_us, NOW + 90 * 24 * 3600 * SECOND);
    assert_eq!(Facts::of(&one.der).unwrap().hosts.len(), 2);
    let week = issue(&user(7 * DAY)).unwrap();
    assert_eq!(week.not_after_us, NOW + 7 * 24 * 3600 * SECOND);
    for bad in [USER_LIFETIME_MIN - BACKDATE, USER_LIFETIME_MAX + BACKDATE] {
        assert!(matches!(issue(&user(bad)), Err(IssueError::Lifetime { .. })));
    }
}

#[test]
fn a_clock_that_can_not_be_is_an_error() {
    assert!(FleetCa::create(&name("lab"), u64::MAX).is_err());
    let key = PrivateKey::generate().unwrap();
    let node = Profile::Node { name: name("a") };
    assert!(matches!(ca().issue_for(&key, &node, u64::MAX), Err(IssueError::Clock { .. })));
}

#[test]
fn a_ca_survives_its_pem_and_wants_its_own_key() {
    let one = ca();
    let two = ca();
    let key = |ca: &FleetCa| ca.key().to_pem().unwrap();
    let again = FleetCa::from_pem(one.pem(), &key(&one)).unwrap();
    assert_eq!(again.trusted(), one.trusted());
    assert!(matches!(FleetCa::from_pem(one.pem(), &key(&two)), Err(CaError::Mismatch)));
    assert!(!format!("{one:?}").contains("PRIVATE"));
}

#[test]
fn a_leaf_is_no_ca() {
    let ca = ca();
    let key = PrivateKey::generate().unwrap();
    let node = ca.issue_for(&key, &Profile::Node { name: name("a") }, NOW).unwrap();
    assert_eq!(TrustedCa::from_pem(&node.pem), Err(CertificateError::NotCa));
    let mistaken = FleetCa::from_pem(&node.pem, &key.to_pem().unwrap());
    assert!(matches!(mistaken, Err(CaError::Certificate(CertificateError::NotCa))));
}

#[test]
fn credentials_must_belong_together() {
    let ca = ca();
    let (mine, yours) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let issued = ca.issue_for(&mine, &Profile::Node { name: name("a") }, NOW).unwrap();
    let put =
        |ca: &str, key: &PrivateKey| Credentials::from_pem(ca, &issued.pem, &key.to_pem().unwrap());
    use crate::CredentialsError as E;
    let good = put(ca.pem(), &mine).unwrap();
    good.verify(NOW).unwrap();
    assert!(matches!(good.verify(NOW - 600 * SECOND), Err(E::Chain(_))));
    assert!(matches!(good.verify(NOW + 2 * 24 * 3600 * SECOND), Err(E::Chain(_))));
    assert!(matches!(put(ca.pem(), &yours), Err(E::Mismatch)));
    let other = FleetCa::create(&name("prod"), NOW).unwrap();
    assert!(matches!(put(other.pem(), &mine), Err(E::Fleet { .. })));
    let same_name = FleetCa::create(&name("lab"), NOW).unwrap();
    let foreign = put(same_name.pem(), &mine).unwrap();
    assert!(matches!(foreign.verify(NOW), Err(E::Chain(_))));
    assert!(!format!("{good:?}").contains("BEGIN"));
}

#[test]
fn hosts_are_addresses_or_names() {
    assert_eq!("10.0.0.1".parse(), Ok(Host::Address([10, 0, 0, 1].into())));
    assert_eq!("[::1]".parse(), Ok(Host::Address("::1".parse().unwrap())));
    assert_eq!("ctl".parse(), Ok(Host::Dns("ctl".to_owned())));
    for bad in ["", "a b", "ctl:8443", "https://ctl", "[ctl]"] {
        assert_eq!(bad.parse::<Host>(), Err(HostError), "{bad}");
    }
}

/// A second opinion, where there is one.
#[test]
fn openssl_agrees() {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = dir.path().join(file);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (ca, key) = (ca(), PrivateKey::generate().unwrap());
    let anchor = write("ca.pem", ca.pem());
    let verify = |file: &std::path::Path, anchor: &std::path::Path, purpose: &str| {
        let at = (NOW / SECOND).to_string();
        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-attime", &at, "-purpose", purpose, "-CAfile"])
            .args([anchor, file])
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let node = Profile::Node { name: name("lb-1") };
    for (profile, good, bad) in [
        (node, "sslclient", "sslserver"),
        (controller(), "sslserver", "sslclient"),
        (user(7 * DAY), "sslclient", "sslserver"),
    ] {
        let leaf = write("leaf.pem", &ca.issue_for(&key, &profile, NOW).unwrap().pem);
        let (ok, why) = verify(&leaf, &anchor, good);
        assert!(ok, "{profile:?}: {why}");
        assert!(!verify(&leaf, &anchor, bad).0, "{profile:?} as {bad}");
        let foreign = write("foreign.pem", FleetCa::create(&name("lab"), NOW).unwrap().pem());
        assert!(!verify(&leaf, &foreign, good).0, "{profile:?} under another CA");
    }
}
