//! `hactl explain`.

use ha_model::explain::{self, Explanation};
use serde::Serialize;

use crate::app::App;
use crate::cli::Explain;
use crate::error::{Failure, Outcome, nearest};
use crate::exit::Exit;
use crate::output::{self, Format};

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    title: &'static str,
    why: &'static str,
    remedy: &'static str,
    example: &'static str,
}

impl From<&'static Explanation> for Entry {
    fn from(explanation: &'static Explanation) -> Self {
        let Explanation { code, title, why, remedy, example } = *explanation;
        Self { code: code.as_str(), title, why, remedy, example }
    }
}

/// Explains one code, or lists all.
pub(super) fn run(args: &Explain, app: &mut App) -> Outcome {
    match &args.code {
        Some(code) => one(code, app),
        None => list(app),
    }
}

fn one(code: &str, app: &mut App) -> Outcome {
    let Some(explanation) = explain::explain(code) else {
        let failure = Failure::new("E5009", Exit::Error, format!("there is no code {code:?}"));
        let near = nearest(code, explain::all().map(|entry| entry.code.as_str()));
        return Err(match near {
            Some(near) => failure.then(format!("did you mean {near}?")),
            None => failure.then("hactl explain --list"),
        }
        .into());
    };
    match app.out.format {
        Format::Json | Format::Yaml => {
            app.out.document("Explanation", &Entry::from(explanation))?
        }
        Format::Name => app.out.line(explanation.code.as_str())?,
        Format::Table | Format::Wide => app.out.raw(explanation.to_string().as_bytes())?,
    }
    Ok(Exit::Ok)
}

fn list(app: &mut App) -> Outcome {
    let mut entries: Vec<Entry> = explain::all().map(Entry::from).collect();
    // Remarks (W) stand among the errors of their hundreds.
    entries.sort_by_key(|entry| &entry.code[1..]);
    match app.out.format {
        Format::Json | Format::Yaml => app.out.list("ExplanationList", &entries)?,
        Format::Name => entries.iter().try_for_each(|entry| app.out.line(entry.code))?,
        Format::Table | Format::Wide => {
            let table = output::codes(entries.iter().map(|entry| (entry.code, entry.title)));
            app.out.table(&table)?;
        }
    }
    Ok(Exit::Ok)
}
