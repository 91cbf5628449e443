//! `hactl describe`.

use serde::Serialize;

use super::get::{fleet, missing};
use crate::app::{App, only};
use crate::cli::{Describe, Described};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::view::{Cluster, ClusterNode, Instance, Node};

const FORMS: [Format; 4] = [Format::Table, Format::Wide, Format::Json, Format::Yaml];

/// Shows one object.
pub(super) async fn run(args: &Describe, app: &mut App) -> Outcome {
    only(app, "describe", &FORMS)?;
    match args.kind {
        Described::Cluster => cluster(&args.name, app).await,
        Described::Node => node(&args.name, app).await,
        Described::Instance => instance(&args.name, app).await,
    }
}

/// Prints `data`, or the lines of it.
fn print<T: Serialize>(
    app: &mut App,
    kind: &'static str,
    data: &T,
    lines: impl FnOnce() -> Vec<String>,
) -> Outcome {
    match app.out.format {
        Format::Json | Format::Yaml => app.out.document(kind, data)?,
        Format::Table | Format::Wide | Format::Name => {
            lines().iter().try_for_each(|line| app.out.line(line))?;
        }
    }
    Ok(Exit::Ok)
}

async fn cluster(name: &str, app: &mut App) -> Outcome {
    let status = fleet(&[name.to_owned()], &[], app).await?;
    let Some(cluster) = status.clusters.first() else {
        return Err(missing("cluster", name, []).into());
    };
    let symbols = app.out.symbols;
    print(app, "Cluster", cluster, || output::describe_cluster(cluster, status.at_us, symbols))
}

#[derive(Serialize)]
struct NodeDetails<'a> {
    node: &'a Node,
    member: Option<&'a ClusterNode>,
}

async fn node(name: &str, app: &mut App) -> Outcome {
    let nodes = app.controller()?.nodes().await?;
    let Some(node) = nodes.iter().find(|node| node.name == name) else {
        return Err(missing("node", name, nodes.iter().map(|node| node.name.as_str())).into());
    };
    let status = match node.cluster.as_str() {
        "" => None,
        cluster => Some(fleet(&[cluster.to_owned()], &[], app).await?),
    };
    let member = status.as_ref().and_then(|status| {
        status.clusters.iter().flat_map(|cluster| &cluster.nodes).find(|node| node.name == name)
    });
    // Ages are counted by the controller's clock where it told us.
    let at_us = status.as_ref().map_or_else(|| app.now_us(), |status| status.at_us);
    let symbols = app.out.symbols;
    print(app, "Node", &NodeDetails { node, member }, || {
        output::describe_node(node, member, at_us, symbols)
    })
}

#[derive(Serialize)]
struct InstanceDetails<'a> {
    cluster: &'a str,
    instance: &'a Instance,
    nodes: &'a [ClusterNode],
}

async fn instance(name: &str, app: &mut App) -> Outcome {
    let (cluster, wanted) = match name.split_once('/') {
        Some((cluster, instance)) => (vec![cluster.to_owned()], instance),
        None => (Vec::new(), name),
    };
    let status = fleet(&cluster, &[], app).await?;
    let all = || status.clusters.iter().flat_map(|c| c.instances.iter().map(move |i| (c, i)));
    let found: Vec<(&Cluster, &Instance)> =
        all().filter(|(_, instance)| instance.name == wanted).collect();
    let (cluster, instance) = match found.as_slice() {
        [one] => *one,
        [] => {
            let known = all().map(|(_, instance)| instance.name.as_str());
            return Err(missing("instance", wanted, known).into());
        }
        several => return Err(ambiguous(wanted, several).into()),
    };
    let details =
        InstanceDetails { cluster: &cluster.name, instance, nodes: cluster.nodes.as_slice() };
    let symbols = app.out.symbols;
    print(app, "Instance", &details, || {
        output::describe_instance(cluster, instance, status.at_us, symbols)
    })
}

fn ambiguous(name: &str, several: &[(&Cluster, &Instance)]) -> Failure {
    let names: Vec<String> = several
        .iter()
        .map(|(cluster, instance)| format!("{}/{}", cluster.name, instance.name))
        .collect();
    Failure::new("E5009", Exit::Usage, format!("several clusters have an instance {name:?}"))
        .because(names.join(", "))
        .then(format!("hactl describe instance {}", names[0]))
}
