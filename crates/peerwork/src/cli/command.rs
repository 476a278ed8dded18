//! The form of a command: its place in the command line, its settings, and how it runs.
//!
//! A command implements [`Command`] in a module of its own, and stands as one [`Entry`] in the list
//! of `cli/mod.rs`.

use clap::{ArgMatches, Args, Command as Clap};

use super::{
    logging::{self, Log},
    output::Form,
    settings::{Environment, NoSettings, Resolved, Schema, Source},
    values::LogLevel,
};

/// A command of the program; its fields are its flags.
pub(crate) trait Command: Args {
    /// Its name.
    const NAME: &'static str;
    /// Its line in the list of commands.
    const ABOUT: &'static str;
    /// Its settings beside the global ones, which the settings file and the environment may give.
    const SETTINGS: Option<Schema> = None;

    /// Completes the command as clap sees it.
    fn describe(command: Clap) -> Clap {
        command
    }

    /// Runs it.
    ///
    /// # Errors
    /// The failure, its reason and the way out.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()>;
}

/// One call of the program.
pub(crate) struct Call<'a> {
    /// The flags of the command; global ones count wherever they stand.
    pub(crate) flags: &'a ArgMatches,
    /// The form of answers that command line and environment ask for.
    pub(crate) form: Form,
    /// Variables by their names.
    pub(crate) environment: Environment<'a>,
    /// The settings of all commands.
    pub(crate) schemas: &'a [Schema],
    /// The whole command line, for commands that describe it.
    pub(crate) command_line: &'a dyn Fn() -> Clap,
}

impl Call<'_> {
    /// The settings of a command with the flags `F`, and the form of its answers: a settings file
    /// may ask for JSON too.
    ///
    /// # Errors
    /// All mistakes in the settings.
    pub(crate) fn settings<F: Args>(&self) -> anyhow::Result<(Resolved<F>, Form)> {
        let source = Source {
            flags: self.flags,
            environment: self.environment,
            schemas: self.schemas,
        };
        let resolved = source.resolve::<F>()?;
        let form = match resolved.global.json {
            true => Form::Json,
            false => Form::Text,
        };
        Ok((resolved, form))
    }

    /// The global settings alone.
    ///
    /// # Errors
    /// All mistakes in them.
    pub(crate) fn global(&self) -> anyhow::Result<(Resolved, Form)> {
        self.settings::<NoSettings>()
    }

    /// The global settings, after the start of a log for a person at a terminal: warnings only,
    /// unless more was asked for.
    ///
    /// # Errors
    /// All mistakes in the settings, or when the log cannot be started.
    pub(crate) fn with_quiet_log(&self) -> anyhow::Result<(Resolved, Form)> {
        let (resolved, form) = self.global()?;
        let level = match resolved.log_level_is_default {
            true => LogLevel("warn"),
            false => resolved.global.log_level,
        };
        let file = None;
        logging::start(&Log { level, form, file })?;
        Ok((resolved, form))
    }
}

/// A command in the list of all.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) settings: Option<Schema>,
    /// The command as clap sees it.
    pub(crate) describe: fn() -> Clap,
    /// Runs the command whose flags are the first argument.
    pub(crate) run: fn(&ArgMatches, &Call<'_>) -> anyhow::Result<()>,
}

impl Entry {
    /// The entry of a command.
    pub(crate) const fn of<C: Command>() -> Self {
        Self {
            name: C::NAME,
            settings: C::SETTINGS,
            describe: describe::<C>,
            run: run::<C>,
        }
    }
}

fn describe<C: Command>() -> Clap {
    let command = C::augment_args(Clap::new(C::NAME));
    C::describe(command.about(C::ABOUT).long_about(None::<&str>))
}

fn run<C: Command>(flags: &ArgMatches, call: &Call<'_>) -> anyhow::Result<()> {
    C::from_arg_matches(flags)?.run(call)
}
