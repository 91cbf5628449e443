use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"{"schema":1,"cluster":"c","node":"n1","instances":[{"name":"i","interface":"e0","family":"ipv4","vrid":1,"version":3,"priority":250,"interval_us":1000000,"addresses":[{"address":"10.1.0.9/24"}],"transport":{"unicast":{"source":"10.1.0.1","peers":[{"address":"10.1.0.2","priority":200}]}}}]}"#;

fn error(from: &str, to: &str) -> PlanError {
    assert!(GOOD.contains(from), "{from}");
    PlanDocument::parse(GOOD.replacen(from, to, 1).as_bytes()).expect_err(to)
}

#[test]
fn a_document_is_its_bytes() {
    let document = PlanDocument::parse(GOOD.as_bytes()).unwrap();
    assert_eq!(document.bytes, GOOD.as_bytes());
    assert_eq!(document.digest, Digest::of(GOOD.as_bytes()));
    assert_eq!(document.plan.to_document(), GOOD.as_bytes());
    // Blanks are allowed, and make another digest.
    let spaced = GOOD.replace(',', ", ");
    let other = PlanDocument::parse(spaced.as_bytes()).unwrap();
    assert_eq!(other.plan, document.plan);
    assert_ne!(other.digest, document.digest);
}

#[test]
fn what_is_not_known_is_refused() {
    let cases = [
        (r#""vrid":1"#, r#""vrid":1,"colour":"red""#),
        (r#""priority":200"#, r#""priority":200,"weight":1"#),
        (r#""node":"n1""#, r#""node":"n1","services":[]"#),
        (r#"{"unicast""#, r#"{"anycast""#),
        (r#""address":"10.1.0.9/24""#, r#""address":"10.1.0.9/24","scope":"link""#),
        (r#""schema":1"#, r#""schema":3"#),
        (r#""schema":1"#, r#""schema":0"#),
        (r#""version":3"#, r#""version":3,"accept":{"other_transport":true}"#),
        (r#""ipv4""#, r#""ipv5""#),
    ];
    for (from, to) in cases {
        let error = error(from, to);
        assert_eq!(error.code().as_str(), "E2002", "{to}: {error}");
    }
}

/// The schema is judged first: under another one the rest may mean anything.
#[test]
fn a_later_schema_is_told_before_its_fields() {
    let text = r#"{"schema":9,"anything":[1]}"#;
    assert_eq!(PlanDocument::parse(text.as_bytes()).unwrap_err(), PlanError::Schema { schema: 9 });
}

#[test]
fn a_later_field_in_an_earlier_schema_is_named() {
    let error = error(r#""version":3"#, r#""version":3,"accept":{"other_transport":true}"#);
    assert_eq!(error.field_error().path, "instances[i].accept");
    let text = GOOD
        .replace(r#""schema":1"#, r#""schema":2"#)
        .replace(r#""version":3"#, r#""version":3,"accept":{"other_transport":true}"#);
    assert_eq!(PlanDocument::parse(text.as_bytes()).unwrap().plan.schema, 2);
}

#[test]
fn what_is_no_plan_is_malformed() {
    for text in ["", "{", "[]", "null", "{}", r#"{"schema":"1"}"#, "\u{0}", r#"{"schema":1}"#] {
        let error = PlanDocument::parse(text.as_bytes()).expect_err(text);
        assert_eq!(error.code().as_str(), "E2008", "{text}");
    }
    assert_eq!(PlanDocument::parse(&[0xff, 0xfe]).unwrap_err().code().as_str(), "E2008");
    let cases = [
        (r#""vrid":1"#, r#""vrid":1,"vrid":2"#),
        (r#""vrid":1"#, r#""vrid":0"#),
        (r#""vrid":1"#, r#""vrid":256"#),
        (r#""priority":250"#, r#""priority":0"#),
        (r#""e0""#, r#""an-interface-name-too-long""#),
        (r#""version":3"#, r#""version":4"#),
        ("10.1.0.9/24", "10.1.0.9/33"),
        (r#","interval_us":1000000"#, ""),
    ];
    for (from, to) in cases {
        assert_eq!(error(from, to).code().as_str(), "E2008", "{to}");
    }
}

#[test]
fn what_contradicts_itself_is_invalid() {
    let instance = &GOOD[GOOD.find(r#"{"name""#).unwrap()..GOOD.len() - 2];
    let twice = format!("{instance},{instance}");
    let same_vrid = format!("{instance},{}", instance.replace(r#""i""#, r#""j""#));
    let cases = [
        ("1000000", "15000", "interval_us"),
        ("1000000", "41000000", "interval_us"),
        (
            r#""version":3,"priority":250,"interval_us":1000000"#,
            r#""version":2,"priority":250,"interval_us":1500000"#,
            "interval_us",
        ),
        (r#"[{"address":"10.1.0.9/24"}]"#, "[]", "addresses"),
        ("10.1.0.9/24", "fd00::9/64", "addresses"),
        (r#"[{"address":"10.1.0.2","priority":200}]"#, "[]", "transport"),
        (r#""address":"10.1.0.2""#, r#""address":"10.1.0.1""#, "transport"),
        (r#""address":"10.1.0.2""#, r#""address":"fd00::2""#, "transport"),
        (
            r#""version":3"#,
            r#""version":3,"auth":{"pass":{"secret":{"name":"s","version":1}}}"#,
            "auth",
        ),
        (r#""version":3"#, r#""version":3,"garp":{"repeat":0}"#, "garp"),
        (instance, &twice, "name"),
        (instance, &same_vrid, "vrid"),
    ];
    for (from, to, field) in cases {
        let error = error(from, to);
        assert_eq!(error.code().as_str(), "E2009", "{to}: {error}");
        assert!(error.field_error().path.ends_with(&format!("].{field}")), "{error}");
    }
}

#[test]
fn version_3_accepts_no_other_interval_or_password() {
    for accept in [r#"{"intervals_us":[1000000]}"#, r#"{"auth":["none"]}"#] {
        let text = GOOD
            .replace(r#""schema":1"#, r#""schema":2"#)
            .replace(r#""version":3"#, &format!(r#""version":3,"accept":{accept}"#));
        let error = PlanDocument::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.field_error().path, "instances[i].accept");
    }
}

#[test]
fn secrets_are_named_once() {
    let auth = r#""version":2,"auth":{"pass":{"secret":{"name":"s","version":2}}},"accept":{"auth":["none",{"pass":{"secret":{"name":"s","version":2}}},{"pass":{"secret":{"name":"s","version":1}}}]}"#;
    let text = GOOD.replace(r#""version":3"#, auth).replace(r#""schema":1"#, r#""schema":2"#);
    let plan = PlanDocument::parse(text.as_bytes()).unwrap().plan;
    let versions: Vec<_> = plan.secrets().iter().map(|secret| secret.version).collect();
    assert_eq!(versions, [1, 2]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        let _ = PlanDocument::parse(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(at in 0..GOOD.len(), length in 0..20_usize, put in "[ -~]{0,3}") {
        let end = (at + length).min(GOOD.len());
        let _ = PlanDocument::parse(format!("{}{put}{}", &GOOD[..at], &GOOD[end..]).as_bytes());
    }
}
