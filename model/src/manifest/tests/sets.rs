use super::*;
use crate::ids::Digest;

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn known(set: &Checked) -> KnownSecrets {
    KnownSecrets { values: set.secrets.clone(), highest: BTreeMap::new() }
}

fn apply(base: &Checked, text: &str, mode: Mode) -> Result<Checked, Vec<Diagnostic>> {
    check(&base.set, &[file("next.yaml", text)], mode, &known(base))
}

#[test]
fn canonical_text() {
    let checked = check_text(GOOD).unwrap();
    let texts: String =
        checked.set.iter().map(|object| format!("# {}\n{}", object.key(), object.text())).collect();
    insta::assert_snapshot!(texts);
}

#[test]
fn canonical_text_reads_as_the_same_set() {
    let checked = check_text(GOOD).unwrap();
    let texts: Vec<_> =
        checked.set.iter().map(|object| (object.key().clone(), object.text().to_owned())).collect();
    let again = ManifestSet::from_texts(texts).unwrap();
    assert_eq!(again, checked.set);
    assert_eq!(again.digest(), checked.set.digest());
    let (fleet, _) = again.fleet(&checked.secrets).unwrap();
    assert_eq!(fleet, checked.fleet);
    for object in again.iter() {
        assert_eq!(object.digest(), Digest::of(object.text().as_bytes()));
    }
}

#[test]
fn form_comments_and_order_of_fields_do_not_matter() {
    let text = r#"
# a comment
{"spec": {"value": "hunter2"}, "metadata": {"name": "pass"}, "kind": "Secret",
 "apiVersion": "ha/v1"}
"#;
    let one = check_text(text).unwrap();
    let other = check_text(GOOD).unwrap();
    let key = key("Secret/pass");
    assert_eq!(one.set.get(&key).unwrap().text(), other.set.get(&key).unwrap().text());
}

#[test]
fn a_damaged_text_is_an_error() {
    let found = ManifestSet::from_texts([(key("Cluster/a"), "kind: Cluster")]).unwrap_err();
    assert_eq!(found[0].file(), "stored/Cluster/a");
}

#[test]
fn merge_keeps_and_replace_drops() {
    let base = check_text(GOOD).unwrap();
    let text = "apiVersion: ha/v1\nkind: Secret\nmetadata: {name: b}\nspec: {value: x}\n";
    let names = |checked: Checked| -> Vec<_> {
        checked.set.iter().map(|object| object.key().to_string()).collect()
    };
    let merged = names(apply(&base, text, Mode::Merge).unwrap());
    assert_eq!(merged, ["Cluster/fra-web", "Secret/b", "Secret/pass"]);
    assert_eq!(names(apply(&base, text, Mode::Replace).unwrap()), ["Secret/b"]);
}

#[test]
fn an_object_that_stays_is_checked_against_the_new_one() {
    let base = check_text(GOOD).unwrap();
    let text = GOOD.split("---").next().unwrap().replace("fra-web", "fra-dns");
    let found = apply(&base, &text, Mode::Merge).unwrap_err();
    let shown = render(&found, Style::Plain);
    assert!(shown.contains("stored/Cluster/fra-web:"), "{shown}");
}

#[test]
fn the_same_value_keeps_its_version_and_another_raises_it() {
    let base = check_text(GOOD).unwrap();
    let version = |checked: &Checked| checked.fleet.secrets.values().copied().collect::<Vec<_>>();
    assert_eq!(version(&base), [1]);
    let same = apply(&base, GOOD, Mode::Merge).unwrap();
    assert_eq!(version(&same), [1]);
    assert_eq!(same.set, base.set);
    let other = GOOD.replace("hunter2", "hunter3");
    let other = apply(&base, &other, Mode::Merge).unwrap();
    assert_eq!(version(&other), [2]);
    assert_ne!(other.set.digest(), base.set.digest());
    let reference = other.secrets.keys().next().unwrap();
    assert_eq!((reference.name.as_str(), reference.version), ("pass", 2));
}

#[test]
fn a_version_is_never_given_twice() {
    let base = check_text(GOOD).unwrap();
    // The value was erased, or the secret deleted: only its version is known.
    let highest = BTreeMap::from([("pass".parse().unwrap(), 4)]);
    let known = KnownSecrets { values: Secrets::new(), highest };
    for base in [&base.set, &ManifestSet::default()] {
        let next = check(base, &[file("a", GOOD)], Mode::Merge, &known).unwrap();
        assert_eq!(next.fleet.secrets.values().copied().collect::<Vec<_>>(), [5]);
    }
    let unknown = KnownSecrets::default();
    let next = check(&base.set, &[file("a", GOOD)], Mode::Merge, &unknown).unwrap();
    assert_eq!(next.fleet.secrets.values().copied().collect::<Vec<_>>(), [2]);
}

#[test]
fn a_secret_without_value_keeps_the_present_one() {
    let base = check_text(GOOD).unwrap();
    let text = |version| {
        format!(
            "apiVersion: ha/v1\nkind: Secret\nmetadata: {{name: pass}}\nspec: {{version: {version}}}\n"
        )
    };
    let same = apply(&base, &text(1), Mode::Merge).unwrap();
    assert_eq!(same.set, base.set);
    assert!(same.secrets.is_empty());
    let found = apply(&base, &text(2), Mode::Merge).unwrap_err();
    assert_eq!(found[0].code.as_str(), "E1218");
}

#[test]
fn what_is_deleted_is_missed() {
    let text = GOOD
        .replace("version: 3", "version: 2")
        .replace("300ms", "1s")
        .replace("garp:", "auth: {secret: pass}\n      garp:");
    let mut set = check_text(&text).unwrap().set;
    assert!(set.delete(&key("Secret/pass")));
    assert!(!set.delete(&key("Secret/pass")));
    let found = set.fleet(&Secrets::new()).unwrap_err();
    assert_eq!(found[0].code.as_str(), "E1205");
}

#[test]
fn a_known_value_is_checked_where_it_is_used() {
    let long = GOOD.replace("hunter2", "longer-than-8");
    let base = check_text(&long).unwrap();
    let cluster = GOOD.split("---").next().unwrap().replace("version: 3", "version: 2");
    let cluster =
        cluster.replace("300ms", "1s").replace("garp:", "auth: {secret: pass}\n      garp:");
    let found = apply(&base, &cluster, Mode::Merge).unwrap_err();
    assert_eq!(found[0].code.as_str(), "E1217");
}

#[test]
fn keys_have_a_text_form() {
    assert_eq!(key("Cluster/a").to_string(), "Cluster/a");
    for bad in ["Cluster", "cluster/a", "/a", ""] {
        assert!(bad.parse::<ObjectKey>().is_err(), "{bad}");
    }
}
