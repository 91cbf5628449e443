//! `hactl get`.

use crate::app::App;
use crate::cli::{Get, Kind};
use crate::error::{Failure, Outcome, nearest};
use crate::exit::Exit;
use crate::output::{self, Format, Table};
use crate::view::FleetStatus;
use serde::Serialize;

/// Lists objects.
pub(super) async fn run(args: &Get, app: &mut App) -> Outcome {
    match args.kind {
        Kind::Clusters => clusters(args, app).await,
        Kind::Nodes => nodes(&args.names, app).await,
        Kind::Instances => instances(args, app).await,
        Kind::Secrets => secrets(&args.names, app).await,
        Kind::Revisions => revisions(args, app).await,
    }
}

/// Prints a list in the form that was asked for.
fn print<T: Serialize>(
    app: &mut App,
    kind: &'static str,
    data: &[T],
    name: impl Fn(&T) -> String,
    table: impl FnOnce(bool) -> Table,
) -> Outcome {
    match app.out.format {
        Format::Json | Format::Yaml => app.out.list(kind, data)?,
        Format::Name => data.iter().try_for_each(|object| app.out.line(&name(object)))?,
        Format::Table => app.out.table(&table(false))?,
        Format::Wide => app.out.table(&table(true))?,
    }
    Ok(Exit::Ok)
}

/// Keeps the objects that are named; all if none is.
pub(super) fn keep<T>(
    objects: &mut Vec<T>,
    names: &[String],
    what: &str,
    name: impl Fn(&T) -> &str,
) -> Result<(), Failure> {
    for wanted in names {
        if !objects.iter().any(|object| name(object) == wanted) {
            return Err(missing(what, wanted, objects.iter().map(&name)));
        }
    }
    if !names.is_empty() {
        objects.retain(|object| names.iter().any(|wanted| name(object) == wanted));
    }
    Ok(())
}

/// That there is no such object.
pub(super) fn missing<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Failure {
    let failure = Failure::new("E5009", Exit::Error, format!("there is no {what} {name:?}"));
    match nearest(name, known) {
        Some(near) => failure.then(format!("did you mean {near:?}?")),
        None => failure.then(format!("hactl get {what}s")),
    }
}

/// The fleet, narrowed to what was asked for.
pub(super) async fn fleet(
    names: &[String],
    labels: &[(String, String)],
    app: &App,
) -> Result<FleetStatus, Failure> {
    let mut controller = app.controller()?;
    match controller.status(names.to_vec()).await {
        Ok(mut status) => {
            status.narrow(names, labels);
            Ok(status)
        }
        // One of the names is wrong; with all of them we can say which.
        Err(failure) if &*failure.code == "E5009" => {
            let all = controller.status(Vec::new()).await?;
            let known: Vec<&str> = all.clusters.iter().map(|c| c.name.as_str()).collect();
            let wrong = names.iter().find(|name| !known.contains(&name.as_str()));
            Err(wrong.map_or(failure, |name| missing("cluster", name, known)))
        }
        Err(failure) => Err(failure),
    }
}

async fn clusters(args: &Get, app: &mut App) -> Outcome {
    let status = fleet(&args.names, &args.label, app).await?;
    let symbols = app.out.symbols;
    print(
        app,
        "ClusterList",
        &status.clusters,
        |cluster| cluster.name.clone(),
        |wide| output::clusters(&status, wide, symbols),
    )
}

/// Lists nodes; `hactl node list` is the same.
pub(super) async fn nodes(names: &[String], app: &mut App) -> Outcome {
    let mut nodes = app.controller()?.nodes().await?;
    keep(&mut nodes, names, "node", |node| &node.name)?;
    let (symbols, now_us) = (app.out.symbols, app.now_us());
    print(
        app,
        "NodeList",
        &nodes,
        |node| node.name.clone(),
        |wide| output::nodes(&nodes, wide, now_us, symbols),
    )
}

/// One virtual router with the name of its cluster.
#[derive(Serialize)]
struct Member<'a> {
    cluster: &'a str,
    instance: &'a crate::view::Instance,
}

async fn instances(args: &Get, app: &mut App) -> Outcome {
    let mut status = fleet(&[], &args.label, app).await?;
    if !args.names.is_empty() {
        for cluster in &mut status.clusters {
            let wanted = |name: &str| {
                let full = format!("{}/{name}", cluster.name);
                args.names.iter().any(|wanted| *wanted == name || *wanted == full)
            };
            cluster.instances.retain(|instance| wanted(&instance.name));
        }
    }
    let members: Vec<Member<'_>> = status
        .clusters
        .iter()
        .flat_map(|cluster| {
            cluster.instances.iter().map(|instance| Member { cluster: &cluster.name, instance })
        })
        .collect();
    if members.is_empty()
        && let Some(name) = args.names.first()
    {
        return Err(missing("instance", name, []).into());
    }
    let symbols = app.out.symbols;
    let name = |member: &Member<'_>| format!("{}/{}", member.cluster, member.instance.name);
    print(app, "InstanceList", &members, name, |wide| output::instances(&status, wide, symbols))
}

async fn secrets(names: &[String], app: &mut App) -> Outcome {
    let mut secrets = app.controller()?.secrets().await?;
    keep(&mut secrets, names, "secret", |secret| &secret.name)?;
    print(app, "SecretList", &secrets, |secret| secret.name.clone(), |_| output::secrets(&secrets))
}

async fn revisions(args: &Get, app: &mut App) -> Outcome {
    if !args.names.is_empty() {
        return Err(Failure::usage("revisions are listed by --limit, not by name").into());
    }
    let list = app.controller()?.revisions(args.limit).await?;
    print(
        app,
        "RevisionList",
        &list,
        |revision| revision.id.number.to_string(),
        |wide| output::revisions(&list, wide),
    )
}
