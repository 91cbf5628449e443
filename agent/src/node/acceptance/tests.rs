use ha_model::ids::Epoch;

use super::*;
use crate::testing::{NODE, document, document_with_secret, offer, plan_id};

fn run(running: Option<&PlanId>, offer: &Offer, held: &[u64]) -> Decision {
    let node = NODE.parse().unwrap();
    decide(&node, running, offer, |secret| held.contains(&secret.version))
}

/// The codes of a rejection; empty for a plan that is taken.
fn codes(decision: &Decision) -> Vec<&str> {
    match decision {
        Decision::Reject(errors) => errors.iter().map(|error| error.code.as_str()).collect(),
        Decision::Repeat => vec!["repeat"],
        Decision::Take(_) => Vec::new(),
    }
}

fn edited(from: &str, to: &str) -> Offer {
    let text = String::from_utf8(document(100)).unwrap();
    assert!(text.contains(from));
    offer(9, text.replacen(from, to, 1).into_bytes())
}

#[test]
fn table() {
    let running = plan_id(5, &document(100));
    let mut torn = offer(9, document(100));
    torn.document.push(b' ');
    let mut other_epoch = offer(5, document(100));
    other_epoch.plan.epoch = Epoch(8);
    let mut newer_epoch = offer(6, document(100));
    newer_epoch.plan.epoch = Epoch(8);

    // What, what runs, what is offered, versions of the secret here, codes.
    type Case<'a> = (&'a str, Option<&'a PlanId>, Offer, &'a [u64], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        ("first plan", None, offer(1, document(100)), &[], &[]),
        ("newer generation", Some(&running), offer(6, document(90)), &[], &[]),
        ("newer, same document", Some(&running), offer(6, document(100)), &[], &[]),
        ("newer of another epoch", Some(&running), newer_epoch, &[], &[]),
        ("the running one", Some(&running), offer(5, document(100)), &[], &["repeat"]),
        ("older generation", Some(&running), offer(4, document(90)), &[], &["E2003"]),
        ("same generation, other digest", Some(&running), offer(5, document(90)), &[], &["E2004"]),
        ("same generation, other epoch", Some(&running), other_epoch, &[], &["E2004"]),
        ("digest of other bytes", Some(&running), torn, &[], &["E2001"]),
        ("unknown field", None, edited("\"vrid\"", "\"colour\":1,\"vrid\""), &[], &["E2002"]),
        (
            "unknown field at the top",
            None,
            edited("\"cluster\"", "\"x\":1,\"cluster\""),
            &[],
            &["E2002"],
        ),
        ("later schema", None, edited("\"schema\":1", "\"schema\":3"), &[], &["E2002"]),
        ("schema 0", None, edited("\"schema\":1", "\"schema\":0"), &[], &["E2002"]),
        (
            "schema 1 with a field of schema 2",
            None,
            edited("\"vrid\"", "\"accept\":{\"require_addresses\":true},\"vrid\""),
            &[],
            &["E2002"],
        ),
        ("no plan at all", None, offer(1, b"[]".to_vec()), &[], &["E2008"]),
        (
            "contradicts itself",
            None,
            edited("[{\"address\":\"192.0.2.2\"}]", "[]"),
            &[],
            &["E2009"],
        ),
        ("another node's", None, edited(NODE, "fra-lb2"), &[], &["E2005"]),
        ("secret here", None, offer(1, document_with_secret(2)), &[2], &[]),
        ("secret missing", None, offer(1, document_with_secret(2)), &[], &["E2006"]),
        ("secret of another version", None, offer(1, document_with_secret(2)), &[1], &["E2006"]),
    ];
    for (what, running, offer, held, expected) in cases {
        assert_eq!(codes(&run(*running, offer, held)), *expected, "{what}");
    }
}

#[test]
fn what_is_no_plan_is_rejected() {
    for bytes in
        [&b""[..], b"{", b"[]", b"null", b"{\"schema\":\"1\"}", b"{\"schema\":1}", b"\xff\xfe"]
    {
        let decision = run(None, &offer(1, bytes.to_vec()), &[]);
        assert_eq!(codes(&decision).len(), 1, "{bytes:?} gave {decision:?}");
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = String::from_utf8(document_with_secret(2)).unwrap();
    let offer = offer(1, text.replace(NODE, "fra-lb2").into_bytes());
    assert_eq!(codes(&run(None, &offer, &[])), ["E2005", "E2006"]);
}

#[test]
fn an_error_says_what_where_and_what_next() {
    let decision = run(None, &edited("\"vrid\"", "\"colour\":1,\"vrid\""), &[]);
    let Decision::Reject(errors) = decision else { panic!("taken") };
    assert!(errors[0].message.contains("colour"), "{errors:?}");
    assert!(!errors[0].hint.is_empty());
}
