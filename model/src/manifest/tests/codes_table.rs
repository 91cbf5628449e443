//! One manifest for each code, and how its message looks.

use super::*;
use crate::explain;

/// A cluster of two nodes with `instances`.
fn cluster(instances: &str) -> String {
    nodes_and(
        "    - {name: n1, addresses: [10.1.0.1, \"fd00::1\"]}\n    - {name: n2, address: 10.1.0.2}\n",
        instances,
    )
}

fn nodes_and(nodes: &str, instances: &str) -> String {
    format!(
        "apiVersion: ha/v1\nkind: Cluster\nmetadata:\n  name: c\nspec:\n  nodes:\n{nodes}  \
         instances:\n{instances}"
    )
}

/// An instance with `more` fields.
fn instance(more: &str) -> String {
    cluster(&format!("    - {{name: i, interface: e0, vrid: 1, vips: [10.1.0.9/24]{more}}}\n"))
}

fn secret(spec: &str) -> String {
    format!("apiVersion: ha/v1\nkind: Secret\nmetadata: {{name: s}}\nspec: {spec}\n")
}

const TWO: &str = "    - {name: n1, address: 10.1.0.1}\n    - {name: n2, address: 10.1.0.2}\n";
const ONE_WEB: &str = "    - {name: i, interface: e0, vrid: 1, vips: [10.1.0.9/24]}\n";

fn form_cases() -> Vec<(&'static str, String)> {
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    vec![
        ("E1001", "kind: [Cluster\n".to_owned()),
        ("E1002", instance(", vrid: 2")),
        ("E1003", format!("a: [{}]", "1,".repeat(200_001))),
        ("E1004", format!("spec: {deep}")),
        ("E1005", "a: &a [*a]\n".to_owned()),
        ("E1006", instance(", order: !!seq [n1]")),
        ("E1007", "- kind: Cluster\n".to_owned()),
        ("E1008", "# nothing\n".to_owned()),
        ("E1009", "bad: 1\n---\n".repeat(300)),
    ]
}

fn field_cases() -> Vec<(&'static str, String)> {
    vec![
        ("E1101", instance(", advert_int: 1")),
        ("E1102", "apiVersion: ha/v1\nkind: Cluster\nspec: {}\n".to_owned()),
        ("E1103", cluster("    - {name: i, interface: 7, vrid: \"1\", vips: [10.1.0.9]}\n")),
        ("E1104", secret("{value: x}").replace("ha/v1", "v1")),
        ("E1105", "apiVersion: ha/v1\nkind: cluster\nmetadata: {}\nspec: {}\n".to_owned()),
        ("E1106", secret("{value: x}").replace("name: s", "name: My_Secret")),
        ("E1107", instance(", priorities: {n1: 256}")),
        ("E1108", instance(", advertInterval: 1")),
        ("E1109", instance(", advertInterval: 5m")),
        ("E1110", instance(", accept: {peers: [lb.example.net, 10.1.0.0/16, 224.0.0.18]}")),
        ("E1111", instance(", transport: Multicast")),
        (
            "E1112",
            nodes_and("    - {name: n, address: 10.1.0.1, addresses: [10.1.0.2]}\n", ONE_WEB),
        ),
        ("E1113", cluster("    - {name: i, interface: e0, vrid: 1, vips: []}\n")),
    ]
}

fn object_cases() -> Vec<(&'static str, String)> {
    let other = |name: &str, more: &str| {
        let text = nodes_and(&TWO.replace("name: n", "name: m"), ONE_WEB);
        text.replace("name: c", &format!("name: {name}")).replace("spec:", &format!("spec:{more}"))
    };
    let long = secret("{value: longer-than-8}");
    let object = format!("{}{}", secret("{value: x}"), "---\n");
    vec![
        ("E1201", format!("{object}{}", secret("{value: y}"))),
        ("E1202", nodes_and(&format!("{TWO}{TWO}"), ONE_WEB)),
        ("E1203", cluster(&format!("{ONE_WEB}{}", ONE_WEB.replace("vrid: 1", "vrid: 2")))),
        ("E1204", nodes_and(&TWO.replace("10.1.0.2", "10.1.0.1"), ONE_WEB)),
        ("E1205", instance(", version: 2, auth: {secret: s}")),
        ("E1206", instance(", version: 2, advertInterval: 1500ms")),
        (
            "E1207",
            format!(
                "{}---\n{}",
                other("d", "\n  segment: lan").replace("10.1.0.9", "10.1.0.8"),
                instance("").replace("spec:", "spec:\n  segment: lan")
            ),
        ),
        ("E1208", format!("{}---\n{}", other("d", ""), instance(""))),
        (
            "E1209",
            cluster("    - {name: i, interface: e0, vrid: 1, vips: [10.1.0.9, \"fd00::9\"]}\n"),
        ),
        ("E1210", cluster("    - {name: i, interface: e0, vrid: 1, vips: [\"fd00::9/64\"]}\n")),
        (
            "E1211",
            cluster(
                "    - {name: i, interface: e0, vrid: 1, vips: [\"fd00::9\"], version: 2, transport: \
                 multicast}\n",
            ),
        ),
        ("E1212", format!("{}---\n{}", secret("{value: x}"), instance(", auth: {secret: s}"))),
        ("E1213", nodes_and("    - {name: n1, address: 10.1.0.1}\n", ONE_WEB)),
        ("E1214", instance(", order: [n22]")),
        ("E1215", instance("").replace("10.1.0.9", "10.1.0.2")),
        ("E1216", instance(", priorities: {n1: 255, n2: 255}")),
        ("E1217", format!("{long}---\n{}", instance(", version: 2, auth: {secret: s}"))),
        ("E1218", secret("{version: 3}")),
        ("E1219", instance(", accept: {intervals: [1s], peers: [\"fd00::5\"], noAuth: true}")),
        (
            "E1220",
            nodes_and(
                TWO,
                &(0..4000)
                    .map(|n| {
                        let vips: String = (0..20)
                            .map(|i| format!("10.{i}.{}.{},", n / 250, n % 250 + 1))
                            .collect();
                        let vrid = n % 255 + 1;
                        format!(
                            "    - {{name: i{n}, interface: e{}, vrid: {vrid}, vips: [{vips}]}}\n",
                            n / 255
                        )
                    })
                    .collect::<String>(),
            ),
        ),
        ("E1221", nodes_and("    - {name: n1, addresses: [10.1.0.1, 10.1.0.2]}\n", ONE_WEB)),
        ("E1222", instance(", order: [n1, n1]")),
        ("W1301", instance(", preempt: {enabled: false, delay: 1s}")),
        ("W1302", instance(", priorities: {n1: 100, n2: 100}")),
        (
            "W1303",
            format!(
                "{}---\n{}",
                other("d", "\n  segment: one"),
                instance("").replace("spec:", "spec:\n  segment: two")
            ),
        ),
        ("W1304", secret("{value: x}")),
    ]
}

#[test]
fn every_code_is_reached_and_looks_as_it_should() {
    let mut cases = form_cases();
    cases.extend(field_cases());
    cases.extend(object_cases());
    for (code, text) in &cases {
        let found = found(text);
        let with_code: Vec<_> =
            found.iter().filter(|one| one.code.as_str() == *code).cloned().collect();
        assert!(!with_code.is_empty(), "{code} is not in {found:?}");
        for one in &with_code {
            let warning = one.severity == Severity::Warning;
            assert_eq!(warning, code.starts_with('W'), "{code}");
        }
        let shown: String = render(&with_code, Style::Plain);
        insta::assert_snapshot!(*code, shown);
    }
    let tested: Vec<_> = cases.iter().map(|(code, _)| *code).collect();
    for entry in explain::all() {
        let code = entry.code.as_str();
        let of_manifests = code.starts_with("E1") || code.starts_with('W');
        assert!(!of_manifests || tested.contains(&code), "{code} has no case");
    }
}
