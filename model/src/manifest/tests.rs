use proptest::prelude::*;

use super::*;
use crate::diagnostic::{MAX_DIAGNOSTICS, Severity, Style, render};

mod codes_table;
mod sets;

fn file(name: &str, text: &str) -> ManifestFile {
    ManifestFile { name: name.to_owned(), text: text.to_owned() }
}

fn check_text(text: &str) -> Result<Checked, Vec<Diagnostic>> {
    let files = [file("fleet.yaml", text)];
    check(&ManifestSet::default(), &files, Mode::Merge, &KnownSecrets::default())
}

fn found(text: &str) -> Vec<Diagnostic> {
    match check_text(text) {
        Ok(checked) => checked.warnings,
        Err(found) => found,
    }
}

fn codes_of(text: &str) -> Vec<&'static str> {
    found(text).iter().map(|diagnostic| diagnostic.code.as_str()).collect()
}

const GOOD: &str = "apiVersion: ha/v1
kind: Cluster
metadata: {name: fra-web, labels: {site: fra}}
spec:
  nodes:
    - {name: fra-lb1, address: 10.1.0.11}
    - {name: fra-lb2, address: 10.1.0.12}
  vrrp: {version: 3, transport: unicast, advertInterval: 300ms}
  instances:
    - name: web
      interface: vlan120
      vrid: 51
      vips: [192.0.2.50/24, {address: 192.0.2.51/24, interface: vlan121}]
      preempt: {enabled: true, delay: 60s}
      garp: {repeat: 3, delay: 2s, refresh: 1m, refreshRepeat: 2}
---
apiVersion: ha/v1
kind: Secret
metadata: {name: pass}
spec: {value: hunter2}
";

#[test]
fn three_mistakes_are_three_errors_with_carets() {
    let text = "apiVersion: ha/v1
kind: Cluster
metadata:
  name: fra-web
spec:
  nodes:
    - {name: fra-lb1, address: 10.1.0.11}
    - {name: fra-lb2, address: 10.1.0.12/24}
  instances:
    - name: web
      interface: vlan120
      virtual_router_id: 51
      vips: [192.0.2.50/24]
      preempt: {delay: 60}
";
    insta::assert_snapshot!(render(&found(text), Style::Plain));
}

#[test]
fn colours_are_the_callers_choice() {
    let found = found("apiVersion: ha/v2\nkind: Secret\nmetadata: {name: a}\nspec: {value: b}\n");
    let plain = render(&found, Style::Plain);
    let coloured = render(&found, Style::Coloured);
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.contains("\u{1b}["));
}

#[test]
fn a_broken_document_hides_neither_the_others_nor_what_they_mean_together() {
    let good = GOOD.split("---").next().unwrap();
    let again = good.replace("fra-web", "fra-dns");
    let codes = codes_of(&format!("a: [\n---\n{good}---\n{again}---\nkind: Clutser\n"));
    for code in ["E1001", "E1202", "E1105", "E1102", "E1208"] {
        assert!(codes.contains(&code), "{code} is not in {codes:?}");
    }
}

#[test]
fn mistakes_of_all_files_at_once() {
    let files = [file("b.yaml", "kind: [\n"), file("a.yaml", "kind: ]\n")];
    let found = check(&ManifestSet::default(), &files, Mode::Merge, &KnownSecrets::default());
    let names: Vec<_> = found.unwrap_err().iter().map(|one| one.file().to_owned()).collect();
    assert_eq!(names, ["a.yaml", "b.yaml"]);
}

#[test]
fn a_misspelt_field_is_not_missing_as_well() {
    let text = GOOD.replace("vrid: 51", "vird: 51");
    assert_eq!(codes_of(&text), ["E1101", "W1304"]);
}

#[test]
fn a_setting_that_can_not_be_read_makes_no_further_noise() {
    // With version 3, the default, auth would be an error.
    let text = GOOD
        .replace("version: 3", "version: 4")
        .replace("preempt: {enabled: true, delay: 60s}", "auth: {secret: pass}");
    assert_eq!(codes_of(&text), ["E1107"]);
}

#[test]
fn a_thousand_mistakes_are_told_in_two_hundred() {
    let text = "bad: 1\n---\n".repeat(1000);
    let found = found(&text);
    assert_eq!(found.len(), MAX_DIAGNOSTICS + 1);
    assert_eq!(found[MAX_DIAGNOSTICS].code.as_str(), "E1009");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, inner) in "bcdefgh".chars().zip("abcdefg".chars()) {
        let items = format!("*{inner}, ").repeat(10);
        text.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    assert!(codes_of(&text).contains(&"E1005"));
}

#[test]
fn depth_and_size_are_bounded() {
    assert_eq!(codes_of(&format!("{}{}", "[".repeat(40), "]".repeat(40))), ["E1004"]);
    for open in ["[", "{", "- ", "? "] {
        assert_eq!(found(&open.repeat(10_000)).len(), 1, "{open}");
    }
    assert_eq!(codes_of(&"x".repeat((4 << 20) + 1)), ["E1003"]);
}

#[test]
fn anchors_are_values() {
    let text = GOOD
        .replace("delay: 60s}", "delay: &d 60s}")
        .replace("garp: {repeat: 3, delay: 2s", "garp: {repeat: 3, delay: *d");
    let checked = check_text(&text).unwrap();
    let web = &checked.fleet.clusters.values().next().unwrap().instances[0];
    assert_eq!(web.garp.delay_us, crate::units::Micros::from_secs(60));
}

#[test]
fn json_is_good_too() {
    let text = r#"{"apiVersion": "ha/v1", "kind": "Secret", "metadata": {"name": "a"},
                   "spec": {"value": "b"}}"#;
    assert_eq!(codes_of(text), ["W1304"]);
}

#[test]
fn scalars_follow_yaml_1_2() {
    use yaml::{Value, resolve};
    for text in ["yes", "no", "on", "off", "y", "0b1", "1_000", "12:30:45", "0o9", "0x", "+", "."] {
        assert!(matches!(resolve(text), Value::Text(_)), "{text}");
    }
    for (text, number) in
        [("51", 51), ("-1", -1), ("+7", 7), ("010", 10), ("0o10", 8), ("0x1F", 31)]
    {
        assert!(matches!(resolve(text), Value::Int(found) if found == number), "{text}");
    }
    for text in
        ["1.5", "1e3", ".5", "-.inf", ".nan", "1.", "1234567890123456789012345678901234567890"]
    {
        assert!(matches!(resolve(text), Value::Float), "{text}");
    }
    for text in ["", "~", "null"] {
        assert!(matches!(resolve(text), Value::Null), "{text}");
    }
}

/// Values of secrets that no message may show, however wrong the manifest is.
#[test]
fn no_message_shows_a_secret() {
    let head = "apiVersion: ha/v1\nkind: Secret\nmetadata: {name: a}\n";
    let bodies = [
        "spec: {value: hunter2, x: 1}",
        "spec: {value: hunter2}\nextra: 1",
        "spec: {value: hunter2, version: 1}",
        "spec:\n  value: hunter2\n  value: hunter2\n",
        "spec: {value:hunter2}",
        "spec:\n  value:hunter2\n",
        "spec: hunter2",
        "spec: [hunter2]",
        "spec: {vale: hunter2}",
        "spec: {hunter2: 1}",
        "spec: {value: [hunter2]}",
        "spec: {value: {hunter2: hunter2}}",
        "spec: {value: \"hunter2}",
        "spec:\n  value: |\n    hunter2\n   x: [\n",
        "spec:\n  value: >-\n    hunter2\n  x: *nowhere\n",
        "spec: {\"value\": \"hunter2\"",
        "spec:\n  value: &hunter2 x\n  version: 1\n",
        "spec: {value: !hunter2 hunter2}",
        "spec: {version: hunter2}",
    ];
    for body in bodies {
        let found = found(&format!("{head}{body}\n"));
        assert!(found.iter().any(|one| one.severity == Severity::Error), "{body}");
        let shown = format!("{}{found:?}", render(&found, Style::Coloured));
        assert!(!shown.contains("hunter"), "{body}:\n{shown}");
    }
    let long = "hunter2".repeat(1000);
    let found = found(&format!("{head}spec: {{value: {long}}}\n"));
    assert!(!render(&found, Style::Plain).contains("hunter"));
}

/// Places are counted in characters, from 1, also behind other scripts.
#[test]
fn columns_are_characters() {
    let found = found("{größe: 1, äöü: 2}\n");
    let places: Vec<_> = found.iter().map(|one| (one.line(), one.column())).collect();
    assert!(places.contains(&(1, 2)) && places.contains(&(1, 12)), "{places:?}");
    assert!(render(&found, Style::Plain).contains("fleet.yaml:1:12"));
}

fn all_words() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "apiVersion: ha/v1\n",
        "kind: Cluster\n",
        "kind: Secret\n",
        "metadata: {name: a}\n",
        "spec:\n",
        "  nodes:\n",
        "  instances:\n",
        "    - {name: a, address: 1.2.3.4}\n",
        "    - {name: b, interface: e, vrid: 1, vips: [::1:1]}\n",
        "---\n",
        "...\n",
        "*a ",
        "&a ",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "|\n",
        "> ",
        "\t",
        "\"",
        "'",
        "? ",
        "!x ",
        "%YAML 1.2\n",
        "  vrrp: ",
        "value: ",
        "ä",
        "\u{feff}",
        "\r\n",
        "#",
        ",",
        "  ",
        "\u{0}",
        "<<: *a\n",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let found = found(&text);
        let _ = render(&found, Style::Plain);
    }

    #[test]
    fn no_text_of_yaml_words_makes_it_panic(text in all_words()) {
        let found = found(&text);
        let _ = render(&found, Style::Coloured);
    }

    /// A good manifest with a piece cut out or put in.
    #[test]
    fn no_damage_makes_it_panic(
        at in 0..GOOD.len(), length in 0..40_usize, put in ".{0,4}",
    ) {
        let end = (at + length).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        let found = found(&text);
        let _ = render(&found, Style::Plain);
    }
}
