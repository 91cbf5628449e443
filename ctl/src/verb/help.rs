//! `hactl help`.

use crate::app::{App, command};
use crate::cli::Help;
use crate::error::{Failure, Outcome, nearest};
use crate::exit::Exit;
use crate::output;

/// Prints the help of a command, or the exit codes.
pub(super) fn run(args: &Help, app: &mut App) -> Outcome {
    if args.topic == ["exit-codes"] {
        app.out.table(&output::exit_codes())?;
        return Ok(Exit::Ok);
    }
    let mut command = command();
    command.build();
    for word in &args.topic {
        let names: Vec<String> =
            command.get_subcommands().map(|known| known.get_name().to_owned()).collect();
        let Some(known) = command.find_subcommand(word) else {
            let failure = Failure::usage(format!("there is no command {word:?}"));
            let near = nearest(word, names.iter().map(String::as_str));
            return Err(match near {
                Some(near) => failure.then(format!("did you mean {near:?}?")),
                None => failure.then("hactl help"),
            }
            .into());
        };
        command = known.clone();
    }
    let help = command.render_long_help();
    let text = if app.out.is_coloured() { help.ansi().to_string() } else { help.to_string() };
    app.out.raw(text.as_bytes())?;
    Ok(Exit::Ok)
}
