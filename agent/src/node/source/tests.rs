use super::*;
use crate::testing::{document_with_secret, secret};

const CLUSTER: &str = "\
apiVersion: ha/v1
kind: Cluster
metadata: {name: fra}
spec:
  nodes:
    - {name: fra-lb1, address: 192.0.2.1}
    - {name: fra-lb2, address: 192.0.2.2}
  vrrp: {version: 2, advertInterval: 1s}
  instances:
    - {name: web, interface: eth0, vrid: 51, vips: [192.0.2.9/24], auth: {secret: vrrp}}
";

fn write_secret(dir: &Path, value: &str) {
    let text = format!(
        "apiVersion: ha/v1\nkind: Secret\nmetadata: {{name: vrrp}}\nspec: {{value: {value}}}\n"
    );
    fs::write(dir.join("secret.yaml"), text).unwrap();
}

fn source(dir: &Path, node: &str) -> OfflineSource {
    let node = node.parse().unwrap();
    OfflineSource::new(Files::Manifest { dir: dir.to_owned(), node }, Secrets::new())
}

#[test]
fn manifests_become_the_plan_of_this_node_with_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cluster.yaml"), CLUSTER).unwrap();
    fs::write(dir.path().join("README"), "not a manifest").unwrap();
    write_secret(dir.path(), "first");
    let mut source = source(dir.path(), "fra-lb2");
    let (node, plan) = source.read().unwrap();
    assert_eq!(node.as_str(), "fra-lb2");
    let parsed = PlanDocument::parse(&plan.document).unwrap().plan;
    assert_eq!(parsed.node, node);
    assert_eq!(plan.secrets, [secret(1, "first")]);
    assert!(!String::from_utf8(plan.document.clone()).unwrap().contains("first"));

    assert_eq!(source.read().unwrap().1, plan, "nothing changed");
    write_secret(dir.path(), "second");
    assert_eq!(source.read().unwrap().1.secrets, [secret(2, "second")]);
}

#[test]
fn mistakes_are_drawn_with_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let broken = CLUSTER.replace("vrid: 51", "vrid: 999").replace("nodes:", "knots:");
    fs::write(dir.path().join("cluster.yaml"), broken).unwrap();
    write_secret(dir.path(), "value");
    let error = source(dir.path(), "fra-lb1").read().unwrap_err().to_string();
    assert!(error.contains("cluster.yaml:") && error.contains("^"), "{error}");
    assert!(error.contains("knots") && error.contains("999"), "{error}");
    assert!(error.matches("error[E").count() >= 2, "{error}");
}

#[test]
fn a_node_that_no_cluster_names_is_told_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cluster.yaml"), CLUSTER).unwrap();
    write_secret(dir.path(), "value");
    let error = source(dir.path(), "fra-lb3").read().unwrap_err().to_string();
    assert!(error.contains("fra-lb3") && error.contains("fra-lb1, fra-lb2"), "{error}");
}

#[test]
fn a_plan_file_with_its_secrets_is_read_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, secrets) = (dir.path().join("plan.json"), dir.path().join("secrets.json"));
    let mut document = document_with_secret(4);
    document.push(b'\n');
    fs::write(&plan, &document).unwrap();
    fs::write(&secrets, r#"[{"name":"vrrp","version":4,"value":"text"}]"#).unwrap();
    let files = Files::Plan { plan: plan.clone(), secrets: Some(secrets.clone()) };
    let mut source = OfflineSource::new(files, Secrets::new());
    let (_, read) = source.read().unwrap();
    assert_eq!(read.document, document);
    assert_eq!(read.secrets, [secret(4, "text")]);

    fs::write(&secrets, "{").unwrap();
    assert!(matches!(source.read(), Err(SourceError::Secrets { .. })));
    fs::write(&plan, "{").unwrap();
    assert!(matches!(source.read(), Err(SourceError::Plan { code: "E2008", .. })));
    fs::remove_file(&plan).unwrap();
    assert!(matches!(source.read(), Err(SourceError::Missing { .. })));
}
