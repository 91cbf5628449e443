//! `hactl init`.

use std::path::{Path, PathBuf};

use ha_certs::ca::{Host, USER_LIFETIME_MAX};
use ha_certs::identity::Name;
use ha_certs::init::{InitOutcome, NewFleet, init_fleet};
use serde::Serialize;

use super::context::{absolute, insert};
use crate::app::{App, only};
use crate::cli::Init;
use crate::context::{Context, write_private};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::output::{self, Format};

/// What was made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    fleet: String,
    context: String,
    ca_sha256: String,
    pki: String,
    files: Vec<String>,
}

/// Makes the fleet's CA, the controller's certificate, the first
/// administrator's, and a context that uses it.
pub(super) fn run(args: &Init, app: &mut App) -> Outcome {
    only(app, "init", &[Format::Table, Format::Json, Format::Yaml])?;
    let new = new_fleet(args)?;
    let name = app.global.context.clone().unwrap_or_else(|| args.fleet.clone());
    let mut config = app.config()?;
    if config.contexts.contains_key(&name) {
        return Err(Failure::new(
            "E5014",
            Exit::Error,
            format!("there is a context {name:?} already"),
        )
        .at(app.config_path.display())
        .then("--context NAME, to call the new one something else")
        .into());
    }
    let directory = credentials_directory(&app.config_path, &name)?;
    let pki = absolute(args.pki.clone())?;
    let made = init_fleet(&pki, &new, app.now_us()).map_err(|error| {
        Failure::new("E5014", Exit::Error, "can't make the fleet")
            .at(pki.display())
            .caused_by(&error)
    })?;
    let context = Context {
        fleet: args.fleet.clone(),
        controller: args.controller_address.clone(),
        ca: directory.join("ca.pem"),
        cert: directory.join(format!("{}.pem", args.user)),
        key: directory.join(format!("{}.key", args.user)),
    };
    let files = keep(&context, &made)?;
    insert(&mut config, &name, context);
    config.save(&app.config_path)?;
    let made = Made {
        fleet: args.fleet.clone(),
        context: name,
        ca_sha256: made.ca_sha256.to_string(),
        pki: pki.display().to_string(),
        files: made.files.iter().chain(&files).map(|path| path.display().to_string()).collect(),
    };
    report(&made, app)?;
    Ok(Exit::Ok)
}

fn new_fleet(args: &Init) -> Result<NewFleet, Failure> {
    let name = |what: &str, text: &str| {
        text.parse::<Name>().map_err(|error| Failure::usage(format!("{what} {text:?} {error}")))
    };
    let address = &args.controller_address;
    let host = address
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .and_then(|(host, _)| host.parse::<Host>().ok())
        .ok_or_else(|| {
            Failure::usage(format!("{address:?} is not HOST:PORT"))
                .then("--controller-address ctl.example.net:7443")
        })?;
    Ok(NewFleet {
        fleet: name("the fleet's name", &args.fleet)?,
        controller: name("the controller's name", "controller")?,
        host,
        admin: name("the user's name", &args.user)?,
        admin_lifetime: USER_LIFETIME_MAX,
    })
}

/// Beside the file of contexts, one directory for each context.
fn credentials_directory(config: &Path, context: &str) -> Result<PathBuf, Failure> {
    let good = context.parse::<Name>();
    good.map_err(|error| Failure::usage(format!("the context's name {context:?} {error}")))?;
    absolute(config.with_file_name(context))
}

fn keep(context: &Context, made: &InitOutcome) -> Result<Vec<PathBuf>, Failure> {
    let files = [
        (&context.ca, made.ca_pem.as_str()),
        (&context.cert, made.admin.pem.as_str()),
        (&context.key, made.admin_key.expose()),
    ];
    for (path, text) in files {
        write_private(path, text.as_bytes()).map_err(|error| {
            Failure::new("E5013", Exit::Error, "can't keep the administrator's certificate")
                .at(path.display())
                .caused_by(&error)
        })?;
    }
    Ok(files.map(|(path, _)| path.clone()).to_vec())
}

fn report(made: &Made, app: &mut App) -> std::io::Result<()> {
    match app.out.format {
        Format::Json | Format::Yaml => app.out.document("NewFleet", made),
        Format::Table | Format::Wide | Format::Name => {
            output::fleet_made(&made.fleet, &made.context, &made.pki, &made.ca_sha256, &made.files)
                .iter()
                .try_for_each(|line| app.out.line(line))
        }
    }
}
