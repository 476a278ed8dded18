//! The form of a command: its place in the command line, its settings, and how it runs.
//!
//! A command implements [`Command`] in a module of its own, and stands as one [`Entry`] in the list
//! of `cli/mod.rs`.

use clap::{ArgMatches, Args, Command as Clap};

use super::{
    logging::{self, Log},
    output::{Form, show_warning},
    settings::{Environment, NoSettings, Resolved, Schema, Source, settings_of, variable},
    values::LogLevel,
};

/// A command of the program; its fields are its flags.
pub(crate) trait Command: Args {
    /// The command's name.
    const NAME: &'static str;
    /// The command's line in the list of commands.
    const ABOUT: &'static str;
    /// The command's settings beside the global ones; the settings file and the environment may give
    /// them.
    const SETTINGS: Option<Schema> = None;

    /// Adds details to the command's clap description.
    fn describe(command: Clap) -> Clap {
        command
    }

    /// A tip for arguments behind the command's name that were not understood.
    fn tip(_arguments: &[&str]) -> Option<&'static str> {
        None
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The failure with its cause, and what the user can do.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()>;
}

/// One call of the program.
pub(crate) struct Call<'a> {
    /// The flags of the command; global flags count wherever they stand.
    pub(crate) flags: &'a ArgMatches,
    /// The output form (text or JSON) of the command line and the environment.
    pub(crate) form: Form,
    /// The environment variables of the program.
    pub(crate) environment: &'a Environment,
    /// The settings of all commands.
    pub(crate) schemas: &'a [Schema],
    /// The whole command line as clap describes it, for completions and manual pages.
    pub(crate) command_line: &'a dyn Fn() -> Clap,
}

impl Call<'_> {
    /// Resolves the settings of a command with the flags `F`, and the output form, because a settings
    /// file may choose JSON too. Warnings go to standard error.
    ///
    /// # Errors
    /// All mistakes in the settings.
    pub(crate) fn settings<F: Args>(&self) -> anyhow::Result<(Resolved<F>, Form)> {
        let resolved = self.resolved::<F>();
        let form = resolved.as_ref().map_or(self.form, |(_, form)| *form);
        self.show_warnings(form);
        resolved
    }

    /// Resolves the global settings alone.
    ///
    /// # Errors
    /// All mistakes in the global settings.
    pub(crate) fn global(&self) -> anyhow::Result<(Resolved, Form)> {
        self.settings::<NoSettings>()
    }

    /// Resolves the global settings and starts a log for a terminal: warnings only, unless the log
    /// level is set.
    ///
    /// # Errors
    /// All mistakes in the settings, or when the log cannot be started.
    pub(crate) fn with_quiet_log(&self) -> anyhow::Result<(Resolved, Form)> {
        self.with_log::<NoSettings>(|resolved, form| {
            let level = match resolved.log_level_is_default {
                true => LogLevel("warn"),
                false => resolved.global.log_level,
            };
            let file = None;
            logging::start(&Log { level, form, file })
        })
    }

    /// Resolves the settings of a command that runs a node, and starts the node's log with `start`.
    /// Warnings go to the log; they go to standard error when there is no log because of an error.
    ///
    /// # Errors
    /// All mistakes in the settings, or when the log cannot be started.
    pub(crate) fn with_log<F: Args>(
        &self,
        start: impl FnOnce(&Resolved<F>, Form) -> anyhow::Result<()>,
    ) -> anyhow::Result<(Resolved<F>, Form)> {
        let started = self.resolved::<F>().and_then(|(resolved, form)| {
            start(&resolved, form)?;
            Ok((resolved, form))
        });
        match &started {
            Ok(_) => self
                .warnings()
                .iter()
                .for_each(|text| tracing::warn!("{text}")),
            Err(_) => self.show_warnings(self.form),
        }
        started
    }

    /// Resolves the settings that another command with the flags `F` would have in the place of this
    /// one; `None` when they have mistakes, about which nothing is said.
    pub(crate) fn settings_of<F: Args>(&self) -> Option<Resolved<F>> {
        self.resolved::<F>().ok().map(|(resolved, _)| resolved)
    }

    fn resolved<F: Args>(&self) -> anyhow::Result<(Resolved<F>, Form)> {
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

    fn show_warnings(&self, form: Form) {
        for text in self.warnings() {
            show_warning(form, &text);
        }
    }

    /// Warnings about environment variables that belong to no command.
    fn warnings(&self) -> Vec<String> {
        let mut known = vec![logging::VARIABLE.to_owned()];
        for schema in self.schemas {
            known.extend(settings_of(&schema()).map(|(key, _)| variable(&key)));
        }
        add_variables(&(self.command_line)(), &mut known);
        self.environment.warnings(&known)
    }
}

/// Adds the environment variables that clap itself reads for flags of `command` and its subcommands.
fn add_variables(command: &Clap, known: &mut Vec<String>) {
    let own = command.get_arguments().filter_map(clap::Arg::get_env);
    known.extend(own.map(|name| name.to_string_lossy().into_owned()));
    for command in command.get_subcommands() {
        add_variables(command, known);
    }
}

/// An entry in the list of all commands.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) settings: Option<Schema>,
    /// Describes the command to clap.
    pub(crate) describe: fn() -> Clap,
    /// Gives a tip for arguments that were not understood.
    pub(crate) tip: fn(&[&str]) -> Option<&'static str>,
    /// Runs the command with its flags.
    pub(crate) run: fn(&ArgMatches, &Call<'_>) -> anyhow::Result<()>,
}

impl Entry {
    /// The entry of a command.
    pub(crate) const fn of<C: Command>() -> Self {
        Self {
            name: C::NAME,
            settings: C::SETTINGS,
            describe: describe::<C>,
            tip: C::tip,
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
