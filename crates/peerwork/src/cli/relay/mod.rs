//! `peerwork relay`: a relay for browsers and programs; `peerwork relay list` and the like ask a node
//! that runs.

mod ask;
mod compose;
mod flags;
mod run;
mod top;

use clap::{Args, Subcommand};

use self::flags::RelayNodeFlags;
use super::{
    command::{Call, Command},
    runtime::block_on,
    settings::{Schema, schema},
};

/// `peerwork relay`
#[derive(Args, Debug)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct RelayArgs {
    #[command(subcommand)]
    action: Option<RelayCommand>,
    #[command(flatten)]
    flags: Box<RelayNodeFlags>,
}

/// `peerwork relay …`
#[derive(Subcommand, Debug)]
pub(crate) enum RelayCommand {
    /// The relays that the running node may reserve a place at
    List,
    /// The relay that the running node holds a reservation at
    Status,
    /// Watch what a running relay does; q ends it
    Top(top::TopFlags),
}

impl Command for RelayArgs {
    const NAME: &'static str = "relay";
    const ABOUT: &'static str =
        "Run a relay for browsers and programs, or ask the running node about its relays";
    const SETTINGS: Option<Schema> = Some(schema::<RelayNodeFlags>);

    /// Runs a relay, or asks the node that runs. Fails when settings are wrong, the relay cannot
    /// start, or no node answers.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let Some(action) = &self.action else {
            let (resolved, form) = call.settings::<RelayNodeFlags>()?;
            return run::run(&resolved, form);
        };
        let (resolved, form) = call.global()?;
        match action {
            RelayCommand::Top(flags) => block_on(top::run(flags, &resolved, form)),
            RelayCommand::List => block_on(ask::list(&resolved, form)),
            RelayCommand::Status => block_on(ask::status(&resolved, form)),
        }
    }
}
