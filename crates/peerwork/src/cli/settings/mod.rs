//! Where a setting comes from: the flag, else the environment, else the settings file, else the
//! default.
//!
//! All four speak the same language: a setting is the flag of that name, and each value is read by
//! the flag's own reader. So the file and the environment need no schema of their own.

mod file;
mod layer;

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};

use self::layer::Layer;
use super::{
    args::{Global, with_switches},
    relay::RelayNodeFlags,
    server::ServerFlags,
};

/// The settings file that is read when none is named.
const FILE_NAME: &str = "peerwork.toml";

/// All settings, from wherever they came. Those of a command that does not run have their defaults.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) global: Global,
    pub(crate) server: ServerFlags,
    pub(crate) relay: RelayNodeFlags,
}

/// What `peerwork server` understands.
#[derive(Parser, Debug)]
#[command(name = "settings", no_binary_name = true, disable_help_flag = true)]
struct ServerSettings {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    server: ServerFlags,
}

/// What `peerwork relay` understands.
#[derive(Parser, Debug)]
#[command(name = "settings", no_binary_name = true, disable_help_flag = true)]
struct RelaySettings {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    relay: RelayNodeFlags,
}

/// Which settings a command uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of `peerwork server` and the global ones.
    Server,
    /// Those of `peerwork relay` and the global ones.
    Relay,
    /// The global ones alone.
    Global,
}

/// What was found out about the settings of one call of the program.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The settings.
    pub(crate) settings: Settings,
    /// The data directory.
    pub(crate) data_dir: PathBuf,
    /// True when nobody named the data directory.
    pub(crate) data_dir_is_default: bool,
    /// True when nobody chose how much is logged.
    pub(crate) log_level_is_default: bool,
    /// The settings file that was read.
    pub(crate) file: Option<PathBuf>,
}

/// Everything that is wrong with the settings, at once.
#[derive(Debug)]
pub(crate) struct Mistakes(pub(crate) Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "a setting is wrong: {one}"),
            many => {
                write!(f, "{} settings are wrong:", many.len())?;
                many.iter()
                    .try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

impl std::error::Error for Mistakes {}

/// The environment, as far as settings may read it.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Finds the settings for a command whose flags are in `matches`.
///
/// # Errors
/// All mistakes of the settings file and of the environment together.
pub(crate) fn resolve(
    matches: &ArgMatches,
    scope: Scope,
    environment: Environment<'_>,
) -> anyhow::Result<Resolved> {
    let (command, other) = match scope {
        Scope::Server | Scope::Global => (schema(), relay_schema()),
        Scope::Relay => (relay_schema(), schema()),
    };
    let mut mistakes = Vec::new();
    let flags = Layer::from_flags(&in_scope(scope), matches);
    let environment = Layer::from_environment(&in_scope(scope), environment, &mut mistakes);

    let named = |key: &str| {
        flags
            .last(key)
            .or_else(|| environment.last(key))
            .map(PathBuf::from)
    };
    let chosen_dir = named("data-dir");
    let file = named("config").or_else(|| {
        let dir = chosen_dir.clone().or_else(platform_data_dir)?;
        Some(dir.join(FILE_NAME)).filter(|file| file.is_file())
    });
    let from_file = match &file {
        Some(path) => file::read(path, &command, &other, &mut mistakes)?,
        None => Layer::default(),
    };
    if let (Some(path), None, Some(_)) = (&file, named("config"), from_file.last("data-dir")) {
        mistakes.push(format!(
            "data-dir in {}: this file was found through the data directory; name it by --data-dir \
             or PEERWORK_DATA_DIR",
            path.display()
        ));
    }
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes).into());
    }
    let merged = Layer::merge([flags, environment, from_file]);
    let log_level_is_default = merged.last("log-level").is_none();
    let settings = settings(scope, command, &merged)?;
    let data_dir = settings.global.data_dir.clone();
    Ok(Resolved {
        data_dir_is_default: data_dir.is_none(),
        data_dir: data_dir.or_else(platform_data_dir).ok_or_else(|| {
            anyhow::anyhow!("this system has no data folder: name one by --data-dir")
        })?,
        settings,
        log_level_is_default,
        file,
    })
}

fn settings(scope: Scope, command: clap::Command, merged: &Layer) -> anyhow::Result<Settings> {
    let matches = command
        .try_get_matches_from(merged.arguments())
        .map_err(|error| Mistakes(vec![layer::reason(&error)]))?;
    let (server, relay) = match scope {
        Scope::Server | Scope::Global => (matches, relay_schema().get_matches_from([""; 0])),
        Scope::Relay => (schema().get_matches_from([""; 0]), matches),
    };
    let server = ServerSettings::from_arg_matches(&server)?;
    let relay = RelaySettings::from_arg_matches(&relay)?;
    Ok(Settings {
        global: match scope {
            Scope::Server | Scope::Global => server.global,
            Scope::Relay => relay.global,
        },
        server: server.server,
        relay: relay.relay,
    })
}

/// The settings of `peerwork server` as clap knows them.
pub(crate) fn schema() -> clap::Command {
    with_switches(ServerSettings::command())
}

/// The settings of `peerwork relay` as clap knows them.
fn relay_schema() -> clap::Command {
    with_switches(RelaySettings::command())
}

fn in_scope(scope: Scope) -> clap::Command {
    match scope {
        Scope::Server => schema(),
        Scope::Relay => relay_schema(),
        Scope::Global => with_switches(<Global as clap::Args>::augment_args(clap::Command::new(
            "global",
        ))),
    }
}

fn platform_data_dir() -> Option<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "peerwork")?;
    Some(Path::new(dirs.data_dir()).to_owned())
}

#[cfg(test)]
mod tests;
