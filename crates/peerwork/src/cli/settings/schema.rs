//! The settings of a command as a clap description.

use clap::{Arg, Args, Command, FromArgMatches, Parser, builder::ValueParser};

use super::global::{Global, with_switches};

/// The settings of one command: the global ones and its own.
#[derive(Parser, Debug)]
#[command(name = "settings", no_binary_name = true, disable_help_flag = true)]
pub(super) struct All<F: Args> {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(flatten)]
    pub(super) own: F,
}

/// The flags of a command without settings of its own.
#[derive(Args, Debug, Clone)]
pub(crate) struct NoSettings {}

/// Makes the description of a command's settings.
pub(crate) type Schema = fn() -> Command;

/// The description of a command with the flags `F`.
pub(crate) fn schema<F: Args>() -> Command {
    with_switches(All::<F>::command_of())
}

impl<F: Args> All<F> {
    fn command_of() -> Command {
        <Self as clap::CommandFactory>::command()
    }

    pub(super) fn of(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches(matches)
    }
}

/// The settings that `command` takes, by name.
pub(crate) fn settings(command: &Command) -> impl Iterator<Item = (String, &Arg)> {
    use clap::ArgAction::{Help, Version};
    command
        .get_arguments()
        .filter(|arg| !matches!(arg.get_action(), Help | Version))
        .filter_map(|arg| Some((arg.get_long()?.to_owned(), arg)))
}

/// Whether `command` takes the setting `key`.
pub(super) fn takes(command: &Command, key: &str) -> bool {
    settings(command).any(|(name, _)| name == key)
}

/// Whether `name` is a switch of `command` with settings that begin with its name. A table of that name
/// in the settings file holds those settings and turns the switch on.
pub(super) fn is_section(command: &Command, name: &str) -> bool {
    let boolean = |arg: &Arg| arg.get_value_parser().type_id() == ValueParser::bool().type_id();
    settings(command).any(|(key, arg)| key == name && boolean(arg))
}
