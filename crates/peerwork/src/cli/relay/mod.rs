//! `peerwork relay`: a relay for browsers and programs; `peerwork relay list` and the like ask a node
//! that runs.

mod ask;
mod compose;
mod flags;
mod run;
mod top;

use clap::{ArgMatches, Args, Subcommand};

pub(crate) use self::flags::RelayNodeFlags;
use super::{
    block_on,
    output::Form,
    settings::{Resolved, Scope, resolve},
};

/// `peerwork relay`
#[derive(Args, Debug)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct RelayArgs {
    #[command(subcommand)]
    action: Option<RelayCommand>,
    #[command(flatten)]
    pub(crate) flags: Box<RelayNodeFlags>,
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

/// Runs a relay, or asks the node that runs.
///
/// # Errors
/// When settings are wrong, the relay cannot start, or nobody answers.
pub(super) fn run(
    relay: &RelayArgs,
    matches: &ArgMatches,
    settings: impl FnOnce() -> anyhow::Result<(Resolved, Form)>,
    form: Form,
) -> anyhow::Result<()> {
    match &relay.action {
        Some(RelayCommand::Top(flags)) => {
            let (resolved, form) = settings()?;
            block_on(top::run(flags, &resolved, form))
        }
        Some(RelayCommand::List) => {
            let (resolved, form) = settings()?;
            block_on(ask::list(&resolved, form))
        }
        Some(RelayCommand::Status) => {
            let (resolved, form) = settings()?;
            block_on(ask::status(&resolved, form))
        }
        None => {
            let resolved = resolve(matches, Scope::Relay, &|name| std::env::var_os(name))?;
            run::run(&resolved, form)
        }
    }
}
