//! `peerwork secrets …`: manages the keys of a node.

mod generate;
mod init;
mod names;
mod show;

use clap::{Args, Subcommand};

pub(crate) use self::generate::check_secrets_config;
use self::{generate::GenerateFlags, init::InitFlags, show::OutputFlags};
use super::command::{Call, Command};

/// `peerwork secrets …`
#[derive(Args, Debug)]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

/// The subcommands of `peerwork secrets`.
#[derive(Subcommand, Debug)]
pub(crate) enum SecretsCommand {
    /// Make the keys of a node; those that exist are never overwritten
    Init(InitFlags),
    /// Show the public names of a node's keys
    Output(OutputFlags),
    /// Write a secrets-manager file
    Generate(GenerateFlags),
}

impl Command for SecretsArgs {
    const NAME: &'static str = "secrets";
    const ABOUT: &'static str = "Make and show the keys of a node";

    fn describe(command: clap::Command) -> clap::Command {
        command.arg_required_else_help(true)
    }

    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.global()?;
        match &self.command {
            SecretsCommand::Init(flags) => init::run(flags, &resolved, form),
            SecretsCommand::Output(flags) => show::run(flags, &resolved, form),
            SecretsCommand::Generate(flags) => generate::run(flags, form),
        }
    }
}
