use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::document::PlanDocument;
use crate::manifest::{Checked, KnownSecrets, ManifestFile, ManifestSet, Mode, check};

fn file(name: &str, text: &str) -> ManifestFile {
    ManifestFile { name: name.to_owned(), text: text.to_owned() }
}

fn checked(text: &str) -> Checked {
    let files = [file("fleet.yaml", text)];
    match check(&ManifestSet::default(), &files, Mode::Replace, &KnownSecrets::default()) {
        Ok(checked) => checked,
        Err(found) => {
            panic!("{}", crate::diagnostic::render(&found, crate::diagnostic::Style::Plain))
        }
    }
}

fn documents(text: &str) -> String {
    let plans = compile(&checked(text).fleet);
    plans
        .values()
        .map(|plan| {
            let document = plan.to_document();
            let parsed = PlanDocument::parse(&document).expect("own documents are good");
            assert_eq!(parsed.plan, *plan);
            format!("{}\n", String::from_utf8(document).expect("JSON is text"))
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

#[test]
fn golden_two_nodes() {
    insta::assert_snapshot!(documents(include_str!("../../../deploy/examples/two-nodes.yaml")));
}

#[test]
fn golden_three_nodes_of_both_families() {
    insta::assert_snapshot!(documents(include_str!("../../../deploy/examples/three-nodes.yaml")));
}

const TWO_SCHEMAS: &str = "
apiVersion: ha/v1
kind: Cluster
metadata: {name: settled}
spec:
  nodes:
    - {name: a1, address: 10.1.0.1}
    - {name: a2, address: 10.1.0.2}
  instances:
    - {name: web, interface: eth0, vrid: 1, vips: [10.1.0.9/24]}
---
apiVersion: ha/v1
kind: Cluster
metadata: {name: moving}
spec:
  nodes:
    - {name: b1, address: 10.2.0.1}
    - {name: b2, address: 10.2.0.2}
  vrrp: {version: 2}
  instances:
    - name: web
      interface: eth0
      vrid: 1
      vips: [10.2.0.9/24]
      auth: {secret: old}
      accept:
        otherTransport: true
        peers: [10.2.0.1, 10.2.0.3]
        intervals: [1s, 2s]
        secrets: [old, new]
        noAuth: true
        addresses: [10.2.0.9, 10.2.0.8]
---
apiVersion: ha/v1
kind: Secret
metadata: {name: old}
spec: {value: s3cret-1}
---
apiVersion: ha/v1
kind: Secret
metadata: {name: new}
spec: {value: s3cret-2}
";

#[test]
fn golden_two_schemas_side_by_side() {
    insta::assert_snapshot!(documents(TWO_SCHEMAS));
}

#[test]
fn no_secret_in_any_document() {
    let checked = checked(TWO_SCHEMAS);
    assert_eq!(checked.secrets.len(), 2);
    let mut texts = documents(TWO_SCHEMAS);
    texts.extend(checked.set.iter().map(|object| object.text().to_owned()));
    texts.push_str(&format!("{checked:?}"));
    assert!(texts.contains("\"old\""));
    assert!(!texts.contains("s3cret"));
}

#[test]
fn priorities_fall_strictly_for_every_size() {
    for nodes in [2, 3, 4, 5, 6, 7, 11, 50, 126, 249, 250_u32] {
        let list: String = (0..nodes)
            .map(|n| {
                format!("    - {{name: n{n:03}, address: 10.0.{}.{}}}\n", n / 250, n % 250 + 1)
            })
            .collect();
        let text = format!(
            "apiVersion: ha/v1\nkind: Cluster\nmetadata: {{name: c}}\nspec:\n  nodes:\n{list}  \
             instances: [{{name: i, interface: e, vrid: 1, vips: [10.9.0.1]}}]\n"
        );
        let plans = compile(&checked(&text).fleet);
        let priorities: Vec<_> =
            plans.values().map(|plan| plan.instances[0].priority.get()).collect();
        assert!(priorities.is_sorted_by(|a, b| a > b), "{nodes} nodes: {priorities:?}");
        assert!(priorities.iter().all(|priority| (1..=254).contains(priority)));
    }
}

#[test]
fn order_and_priorities_of_an_instance() {
    let text = "
apiVersion: ha/v1
kind: Cluster
metadata: {name: c}
spec:
  nodes:
    - {name: n1, address: 10.0.0.1}
    - {name: n2, address: 10.0.0.2, priority: 7}
    - {name: n3, address: 10.0.0.3}
  instances:
    - {name: derived, interface: e, vrid: 1, vips: [10.9.0.1]}
    - {name: ordered, interface: e, vrid: 2, vips: [10.9.0.2], order: [n3]}
    - {name: single, interface: e, vrid: 3, vips: [10.9.0.3], priorities: {n1: 10, n2: 20}}
    - {name: owned, interface: e, vrid: 4, vips: [10.0.0.1], priorities: {n1: 255}}
";
    let plans = compile(&checked(text).fleet);
    let of = |instance: &str| -> Vec<u8> {
        let one = |plan: &NodePlan| {
            let found = plan.instances.iter().find(|one| one.name.as_str() == instance);
            found.expect("every node has it").priority.get()
        };
        plans.values().map(one).collect()
    };
    assert_eq!(of("derived"), [250, 7, 150]);
    assert_eq!(of("ordered"), [200, 150, 250]);
    assert_eq!(of("single"), [10, 20, 150]);
    assert_eq!(of("owned"), [255, 7, 150]);
}

/// Fenced blocks of YAML in a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line) {
            (None, "```yaml") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn the_examples_of_the_reference_compile_without_a_remark() {
    let page = fs::read_to_string(root().join("docs/manifests.md")).expect("the page");
    let blocks = blocks(&page);
    assert!(blocks.len() >= 5);
    for block in blocks {
        let checked = checked(&block);
        assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
        assert!(!compile(&checked.fleet).is_empty());
    }
}

#[test]
fn the_examples_compile_together() {
    let dir = root().join("deploy/examples");
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("the examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).expect("an example");
            files.push(file(&path.display().to_string(), &text));
        }
    }
    let checked = check(&ManifestSet::default(), &files, Mode::Replace, &KnownSecrets::default())
        .expect("the examples are good");
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    assert!(compile(&checked.fleet).len() >= 5);
}

/// A small fleet as separate objects, in any order and with any choices.
fn cluster(name: usize, nodes: usize, instances: usize, version: u8, unicast: bool) -> String {
    let list: String = (0..nodes)
        .map(|n| {
            format!(
                "    - {{name: n{name}-{n}, addresses: [10.{name}.0.{}, 'fd0{name}::{n}']}}\n",
                n + 1
            )
        })
        .collect();
    let virtual_routers: String = (0..instances)
        .map(|i| {
            let vip = if i % 2 == 1 && version == 3 {
                format!("'fd0{name}::1:{i}/64'")
            } else {
                format!("10.{name}.1.{}/24", i + 1)
            };
            format!("    - {{name: i{i}, interface: e{}, vrid: {}, vips: [{vip}]}}\n", i % 3, i + 1)
        })
        .collect();
    let transport = if unicast { "unicast" } else { "multicast" };
    format!(
        "apiVersion: ha/v1\nkind: Cluster\nmetadata: {{name: c{name}}}\nspec:\n  vrrp: {{version: \
         {version}, transport: {transport}}}\n  nodes:\n{list}  instances:\n{virtual_routers}"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn compile_does_not_depend_on_the_order_of_the_input(
        shapes in prop::collection::vec((2..6_usize, 1..9_usize, 2..=3_u8, any::<bool>()), 1..6),
        seed in any::<u64>(),
    ) {
        let mut files: Vec<_> = shapes
            .iter()
            .enumerate()
            .map(|(at, (nodes, instances, version, unicast))| {
                file(&format!("{at}.yaml"), &cluster(at, *nodes, *instances, *version, *unicast))
            })
            .collect();
        let run = |files: &[ManifestFile]| {
            let none = ManifestSet::default();
            let checked = check(&none, files, Mode::Merge, &KnownSecrets::default())
                .expect("the fleet is good");
            let plans = compile(&checked.fleet);
            let documents: Vec<_> = plans.values().map(NodePlan::to_document).collect();
            (checked.set.digest(), documents)
        };
        let first = run(&files);
        let length = files.len();
        files.rotate_left(usize::try_from(seed % 7).unwrap_or(0) % length);
        files.reverse();
        prop_assert_eq!(&first, &run(&files));
        for document in &first.1 {
            let parsed = PlanDocument::parse(document).expect("own documents are good");
            prop_assert_eq!(&parsed.plan.to_document(), document);
            for instance in &parsed.plan.instances {
                if let Transport::Unicast { source, peers } = &instance.transport {
                    let addresses: BTreeSet<_> = peers.iter().map(|peer| peer.address).collect();
                    prop_assert_eq!(addresses.len(), peers.len());
                    prop_assert!(!addresses.contains(source));
                }
            }
        }
    }
}
