use super::*;
use crate::diagnostic::{Style, render};

fn file(text: &str) -> ManifestFile {
    ManifestFile { name: "fleet.yaml".to_owned(), text: text.to_owned() }
}

fn mistakes(text: &str) -> String {
    match check(&ManifestSet::default(), &[file(text)], Mode::Merge, &KnownSecrets::default()) {
        Ok(checked) => format!("good\n{}", render(&checked.warnings, Style::Plain)),
        Err(found) => render(&found, Style::Plain),
    }
}

#[test]
fn smoke() {
    println!(
        "{}",
        mistakes(
            "apiVersion: ha/v1
kind: Cluster
metadata:
  name: fra-web
spec:
  nodes:
    - {name: fra-lb1, address: 10.1.0.11}
    - {name: fra-lb2, address: 10.1.0.12}
  instances:
    - name: web
      interface: vlan120
      vird: 51
      vips: [192.0.2.50/24]
      preempt: {delay: 60}
    - name: dns
      interface: vlan120
      vrid: 300
      vips: [192.0.2.53/24]
    - name: a
      interface: vlan120
      vrid: 30
      vips: [192.0.2.54/24]
    - name: b
      interface: vlan120
      vrid: 30
      vips: [192.0.2.54/24]
      auth: {secret: foo}
---
apiVersion: ha/v1
kind: Secret
metadata: {name: foos}
spec: {value: hunter2, x: 1}
---
a: [b
---
kind: Cluster
"
        )
    );
    println!(
        "{}",
        mistakes(
            "apiVersion: ha/v1
kind: Cluster
metadata:
  name: fra-web
spec:
  nodes:
    - {name: fra-lb1, address: 10.1.0.11}
    - {name: fra-lb2, address: 10.1.0.12}
  instances:
    - {name: web, interface: vlan120, vrid: 51, vips: [192.0.2.50/24]}
"
        )
    );
}
