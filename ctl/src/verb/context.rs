//! `hactl context`.

use std::path::PathBuf;

use crate::app::App;
use crate::cli::{self, ContextAdd};
use crate::context::{Config, Context};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::view::ContextView;

/// Lists, chooses, adds or shows contexts.
pub(super) fn run(args: cli::Context, app: &mut App) -> Outcome {
    match args {
        cli::Context::List => list(app),
        cli::Context::Use(args) => choose(args.name, app),
        cli::Context::Add(args) => add(args, app),
        cli::Context::Show(args) => show(args.name.as_deref(), app),
    }
}

fn view(name: &str, context: &Context, current: bool) -> ContextView {
    ContextView {
        name: name.to_owned(),
        current,
        fleet: context.fleet.clone(),
        controller: context.controller.clone(),
        ca: context.ca.display().to_string(),
        cert: context.cert.display().to_string(),
        key: context.key.display().to_string(),
    }
}

fn list(app: &mut App) -> Outcome {
    let config = app.config()?;
    let contexts: Vec<ContextView> = config
        .contexts
        .iter()
        .map(|(name, context)| view(name, context, *name == config.current))
        .collect();
    match app.out.format {
        Format::Json | Format::Yaml => app.out.list("ContextList", &contexts)?,
        Format::Name => contexts.iter().try_for_each(|context| app.out.line(&context.name))?,
        Format::Table | Format::Wide => {
            let wide = app.out.format == Format::Wide;
            app.out.table(&output::contexts(&contexts, wide))?;
        }
    }
    Ok(Exit::Ok)
}

fn choose(name: String, app: &mut App) -> Outcome {
    let mut config = app.config()?;
    if !config.contexts.contains_key(&name) {
        return Err(config.unknown(&name).into());
    }
    config.current = name;
    config.save(&app.config_path)?;
    app.out.line(&format!("context {} is current", config.current))?;
    Ok(Exit::Ok)
}

fn add(args: ContextAdd, app: &mut App) -> Outcome {
    let mut config = app.config()?;
    let context = Context {
        fleet: args.fleet,
        controller: args.controller,
        ca: absolute(args.ca)?,
        cert: absolute(args.cert)?,
        key: absolute(args.key)?,
    };
    insert(&mut config, &args.name, context);
    config.save(&app.config_path)?;
    app.out.line(&format!("context {} is kept in {}", args.name, app.config_path.display()))?;
    Ok(Exit::Ok)
}

/// Adds a context; the first one becomes the current one.
pub(super) fn insert(config: &mut Config, name: &str, context: Context) {
    if config.current.is_empty() {
        name.clone_into(&mut config.current);
    }
    config.contexts.insert(name.to_owned(), context);
}

/// A context is used from any directory.
pub(super) fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&path).map_err(|error| {
        Failure::new("E5004", Exit::Error, "can't tell where this file is")
            .at(path.display())
            .caused_by(&error)
    })
}

fn show(name: Option<&str>, app: &mut App) -> Outcome {
    let config = app.config()?;
    let (name, context) = config.pick(name.or(app.global.context.as_deref()))?;
    let view = view(name, context, name == config.current);
    match app.out.format {
        Format::Json | Format::Yaml => app.out.document("Context", &view)?,
        Format::Name => app.out.line(&view.name)?,
        Format::Table | Format::Wide => {
            output::context(&view).iter().try_for_each(|line| app.out.line(line))?;
        }
    }
    Ok(Exit::Ok)
}
