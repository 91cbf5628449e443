use super::*;
use crate::document::PlanDocument;

const BASE: &str = r#"{"schema":2,"cluster":"c","node":"n1","instances":[{"name":"i","interface":"e0","family":"ipv4","vrid":1,"version":3,"priority":250,"interval_us":1000000,"addresses":[{"address":"10.1.0.9/24"},{"address":"10.1.0.8/24"}],"transport":{"unicast":{"source":"10.1.0.1","peers":[{"address":"10.1.0.2","priority":200}]}}}]}"#;

fn plan(text: &str) -> NodePlan {
    PlanDocument::parse(text.as_bytes()).unwrap().plan
}

fn changed(from: &str, to: &str) -> Vec<FieldChange> {
    assert!(BASE.contains(from), "{from}");
    diff(Some(&plan(BASE)), Some(&plan(&BASE.replacen(from, to, 1))))
}

#[test]
fn equal_plans_have_no_difference() {
    assert_eq!(diff(Some(&plan(BASE)), Some(&plan(BASE))), []);
    assert_eq!(diff(None, None), []);
    assert_eq!(class_of(&[]), None);
}

#[test]
fn every_field_has_its_class() {
    use ChangeClass::{Coordinated, Disruptive, ExpandContract, Live, Ordered};
    let more = |fields: &str| format!(r#""version":3,{fields}"#);
    let cases: [(&str, &str, &str, ChangeClass); 22] = [
        (r#""c""#, r#""d""#, "cluster", Disruptive),
        ("e0", "e1", "instances[i].interface", Disruptive),
        (r#""vrid":1"#, r#""vrid":2"#, "instances[i].vrid", Coordinated),
        (r#""version":3"#, r#""version":2"#, "instances[i].version", Coordinated),
        ("250", "100", "instances[i].priority", Ordered),
        ("1000000", "100000", "instances[i].advertInterval", Ordered),
        (r#",{"address":"10.1.0.8/24"}"#, "", "instances[i].vips", Disruptive),
        (r#"/24"}]"#, r#"/24"},{"address":"10.1.0.7/24"}]"#, "instances[i].vips", ExpandContract),
        ("10.1.0.1\"", "10.1.0.4\"", "instances[i].source", ExpandContract),
        ("10.1.0.2", "10.1.0.3", "instances[i].peers", ExpandContract),
        ("200", "150", "instances[i].peers", Live),
        (
            r#"{"unicast":{"source":"10.1.0.1","peers":[{"address":"10.1.0.2","priority":200}]}}"#,
            r#"{"multicast":{}}"#,
            "instances[i].transport",
            ExpandContract,
        ),
        (
            "version\":3",
            &more(r#""preempt":{"enabled":false}"#)[1..],
            "instances[i].preempt.enabled",
            Ordered,
        ),
        (
            "version\":3",
            &more(r#""preempt":{"delay_us":5000000}"#)[1..],
            "instances[i].preempt.delay",
            Live,
        ),
        ("version\":3", &more(r#""checksum":"rfc9568""#)[1..], "instances[i].checksum", Ordered),
        ("version\":3", &more(r#""garp":{"repeat":1}"#)[1..], "instances[i].garp.repeat", Live),
        ("version\":3", &more(r#""garp":{"delay_us":1}"#)[1..], "instances[i].garp.delay", Live),
        (
            "version\":3",
            &more(r#""garp":{"refresh_us":1}"#)[1..],
            "instances[i].garp.refresh",
            Live,
        ),
        (
            "version\":3",
            &more(r#""garp":{"refresh_repeat":2}"#)[1..],
            "instances[i].garp.refreshRepeat",
            Live,
        ),
        (
            "version\":3",
            &more(r#""accept":{"other_transport":true}"#)[1..],
            "instances[i].accept.otherTransport",
            Live,
        ),
        (
            "version\":3",
            &more(r#""accept":{"require_addresses":true}"#)[1..],
            "instances[i].accept.requireAddresses",
            ExpandContract,
        ),
        (
            "version\":3",
            &more(r#""accept":{"addresses":["10.1.0.7"]}"#)[1..],
            "instances[i].accept.addresses",
            Live,
        ),
    ];
    for (from, to, path, class) in cases {
        let changes = changed(from, to);
        let found: Vec<_> = changes.iter().map(|one| (one.path.as_str(), one.class)).collect();
        assert_eq!(found, [(path, class)], "{to}");
        assert_ne!(changes[0].before, changes[0].after);
    }
}

#[test]
fn version_2_secrets_and_intervals_need_a_transition() {
    let two = BASE.replace("\"version\":3", "\"version\":2");
    let with = |version: u64| {
        two.replace(
            "\"version\":2",
            &format!(
                r#""version":2,"auth":{{"pass":{{"secret":{{"name":"s","version":{version}}}}}}}"#
            ),
        )
    };
    let changes = diff(Some(&plan(&with(1))), Some(&plan(&with(2))));
    assert_eq!(changes[0].before.as_deref(), Some("secret s version 1"));
    assert_eq!(changes[0].class, ChangeClass::ExpandContract);
    let slower = two.replace("1000000", "2000000");
    let changes = diff(Some(&plan(&two)), Some(&plan(&slower)));
    assert_eq!(changes[0].class, ChangeClass::ExpandContract);
    assert_eq!(
        (changes[0].before.as_deref(), changes[0].after.as_deref()),
        (Some("1s"), Some("2s"))
    );
}

#[test]
fn instances_and_nodes_come_and_go() {
    let empty = plan(r#"{"schema":1,"cluster":"c","node":"n1"}"#);
    let full = plan(BASE);
    let came = diff(Some(&empty), Some(&full));
    assert_eq!(came.len(), 1);
    assert_eq!(came[0].path, "instances[i]");
    assert_eq!(came[0].after.as_deref(), Some("vrid 1 on e0: 10.1.0.9/24, 10.1.0.8/24"));
    assert_eq!(class_of(&came), Some(ChangeClass::Live));
    assert_eq!(class_of(&diff(Some(&full), Some(&empty))), Some(ChangeClass::Disruptive));
    assert_eq!(diff(None, Some(&full)).len(), 2);
    assert_eq!(class_of(&diff(Some(&full), None)), Some(ChangeClass::Disruptive));
}
