//! `peerwork relay` runs a relay for browsers and programs; `peerwork relay list`, `status` and `top`
//! query a running node.

mod ask;
mod compose;
mod flags;
mod peer_log;
mod run;
mod top;

use clap::{Args, Subcommand};

use self::flags::RelayNodeFlags;
use super::{
    command::{Call, Command},
    invite::{self, InviteFlags},
    running::start_log,
    runtime::block_on,
    settings::{Resolved, Schema, schema},
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
    /// List the relays at which the running node may reserve
    List,
    /// Show the relay at which the running node holds a reservation
    Status,
    /// Print a ticket, by which another machine joins the network of the running node
    Invite(InviteFlags),
    /// Watch the figures of a running relay; q quits
    Top(top::TopFlags),
}

impl Command for RelayArgs {
    const NAME: &'static str = "relay";
    const ABOUT: &'static str =
        "Run a relay for browsers and programs, or ask the running node about its relays";
    const SETTINGS: Option<Schema> = Some(schema::<RelayNodeFlags>);

    /// Runs a relay, or queries the running node. Fails when settings are invalid, the relay cannot
    /// start, or no node answers.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let Some(action) = &self.action else {
            let (resolved, form) = call.with_log(|resolved: &Resolved<RelayNodeFlags>, form| {
                start_log(resolved, form, resolved.own.log_to.as_deref())
            })?;
            return run::run(&resolved, form);
        };
        let (resolved, form) = call.global()?;
        match action {
            RelayCommand::Top(flags) => block_on(top::run(flags, &resolved, form)),
            RelayCommand::Invite(flags) => block_on(invite::run(flags, &resolved, form)),
            RelayCommand::List => block_on(ask::list(&resolved, form)),
            RelayCommand::Status => block_on(ask::status(&resolved, form)),
        }
    }
}
