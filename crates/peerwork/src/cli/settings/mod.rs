//! Resolves each setting from its sources: the flag, else the environment, else the settings file, else
//! the default.
//!
//! All sources use the same names and value formats: a setting is named like its flag, and the flag's
//! parser reads each value. So the file and the environment need no schema of their own, and a command
//! gets its settings by [`Source::resolve`] with its own flags.

mod document;
mod environment;
mod file;
mod global;
mod layer;
mod nearest;
mod schema;
mod unknown;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args};

pub(crate) use self::{
    document::{Setting, Value, all as defaults_of},
    environment::{Environment, variable},
    file::is_json,
    global::{Global, with_switches},
    schema::{NoSettings, Schema, schema, settings as settings_of},
};
use self::{layer::Layer, schema::All};

/// The name of the settings file in the data directory that is read when no file is named.
pub(crate) const FILE_NAME: &str = "peerwork.toml";

/// The resolved settings of one call of the program.
#[derive(Debug)]
pub(crate) struct Resolved<F = NoSettings> {
    /// The settings that every command has.
    pub(crate) global: Global,
    /// The settings of the command.
    pub(crate) own: F,
    /// The data directory.
    pub(crate) data_dir: PathBuf,
    /// Whether the data directory is the default, because no source named one.
    pub(crate) data_dir_is_default: bool,
    /// Whether the log level is the default, because no source named one.
    pub(crate) log_level_is_default: bool,
    /// The path of the settings file that was read.
    pub(crate) file: Option<PathBuf>,
    /// Whether that file has settings of the command; a file of comments has none.
    pub(crate) file_has_settings: bool,
    /// The settings that any source gives.
    given: Layer,
}

impl<F> Resolved<F> {
    /// Whether a flag, the environment or the settings file gives the setting.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.given.last(key).is_some()
    }
}

/// All mistakes in the settings of one call.
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

/// The sources of the settings of one call of the program.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The command's flags as the command line has them.
    pub(crate) flags: &'a ArgMatches,
    /// The environment variables of the program.
    pub(crate) environment: &'a Environment,
    /// The settings of all commands: one file may hold settings of several commands.
    pub(crate) schemas: &'a [Schema],
}

impl Source<'_> {
    /// Resolves the settings of a command with the flags `F`.
    ///
    /// # Errors
    /// All mistakes of the settings file and of the environment together.
    pub(crate) fn resolve<F: Args>(&self) -> anyhow::Result<Resolved<F>> {
        let command = schema::<F>();
        let mut mistakes = Vec::new();
        let flags = Layer::from_flags(&command, self.flags);
        let environment = Layer::from_environment(&command, self.environment, &mut mistakes);
        let named = |key: &str| {
            let value = flags.last(key).or_else(|| environment.last(key));
            value.map(PathBuf::from)
        };
        let file = named("config").or_else(|| {
            let dir = named("data-dir").or_else(platform_data_dir)?;
            Some(dir.join(FILE_NAME)).filter(|file| file.is_file())
        });
        let from_file = match &file {
            Some(path) => file::read(path, &command, self.schemas, &mut mistakes)?,
            None => Layer::default(),
        };
        if let (Some(path), None, Some(_)) = (&file, named("config"), from_file.last("data-dir")) {
            mistakes.push(format!(
                "data-dir in {}: this file was found through the data directory; name it by \
                 --data-dir or PEERWORK_DATA_DIR",
                path.display()
            ));
        }
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes).into());
        }
        let has_settings = !from_file.is_empty();
        let merged = Layer::merge([flags, environment, from_file]);
        let resolved = resolved(command, merged, file)?;
        Ok(Resolved {
            file_has_settings: has_settings,
            ..resolved
        })
    }
}

fn resolved<F: Args>(
    command: clap::Command,
    merged: Layer,
    file: Option<PathBuf>,
) -> anyhow::Result<Resolved<F>> {
    let matches = command
        .try_get_matches_from(merged.arguments())
        .map_err(|error| Mistakes(vec![layer::reason(&error)]))?;
    let All { global, own } = All::<F>::of(&matches)?;
    let data_dir = global.data_dir.clone();
    Ok(Resolved {
        data_dir_is_default: data_dir.is_none(),
        data_dir: data_dir.or_else(platform_data_dir).ok_or_else(|| {
            anyhow::anyhow!("this system has no data folder: name one by --data-dir")
        })?,
        log_level_is_default: merged.last("log-level").is_none(),
        global,
        own,
        file,
        file_has_settings: false,
        given: merged,
    })
}

fn platform_data_dir() -> Option<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "peerwork")?;
    Some(Path::new(dirs.data_dir()).to_owned())
}

#[cfg(test)]
mod tests;
