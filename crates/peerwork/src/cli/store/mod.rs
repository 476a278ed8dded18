//! `peerwork store …`: the content store, of a running node or of a data directory.
//!
//! ```text
//!  add, import-car ─ blocks ─▶ sink ──┬─▶ remote ─ gRPC ─▶ the node's store ─▶ other nodes
//!  get, cat, ls, stat, export-car ◀── source ─┤
//!  pin, unpin, rm, gc, verify ───────┴─▶ the store in the locked data directory
//! ```
//! This command builds and reads files itself, so that it checks each block that a node gives.

mod access;
mod add;
mod address;
mod ahead;
mod car;
mod context;
mod failures;
mod get;
mod habits;
mod progress;
mod read;
mod remote;
mod remote_source;
mod settings;
mod sink;
mod source;
mod status_line;
mod tasks;
mod teller;

use clap::{Args, Subcommand};

use self::{
    add::AddFlags,
    car::{ExportFlags, ImportFlags},
    context::Context,
    get::GetFlags,
    read::{CatFlags, ListFlags, StatFlags},
    settings::RoomFlags,
    tasks::{CollectFlags, PinFlags, RootFlag, VerifyFlags},
};
pub(crate) use self::{
    read::StoreStat,
    settings::{ByteSize, StoreFlags},
};
use super::{
    command::{Call, Command},
    runtime::block_on,
    settings::{Schema, schema},
};

/// The end of the help text.
const EXAMPLES: &str = "\
Examples:
  peerwork store add -r photos             the last line has the folder's CID
  peerwork store get CID -o copy           on this node, or on another of its network
  peerwork store ls                        what is pinned
  peerwork store rm CID                    ends the pin and makes room
  echo hello | peerwork store add -Q       the CID alone
A command uses the store of the node that runs, or of --data-dir where none runs.";

/// `peerwork store …`
#[derive(Args, Debug)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
    /// Settings of the store, for a store without a running node.
    #[command(flatten, next_help_heading = "A store without a running node")]
    _room: RoomFlags,
}

#[derive(Subcommand, Debug)]
enum StoreCommand {
    /// Add files and folders, and print their CIDs
    Add(AddFlags),
    /// Write a file or folder to the disk
    Get(GetFlags),
    /// Write the content of a file to standard output
    Cat(CatFlags),
    /// List a directory, or the pins
    Ls(ListFlags),
    /// Describe the store, or a file or directory
    Stat(StatFlags),
    /// Keep content: fetch all of it, and pin its root
    Pin(PinFlags),
    /// End a pin; the blocks stay until gc
    Unpin(RootFlag),
    /// End a pin, and remove the blocks below it that nothing else keeps
    Rm(RootFlag),
    /// Remove all blocks that nothing keeps
    Gc(CollectFlags),
    /// Compare everything in the store with its checksums
    Verify(VerifyFlags),
    /// Add the blocks of a CAR file, and pin its roots
    ImportCar(ImportFlags),
    /// Write all blocks below a root into a CAR file
    ExportCar(ExportFlags),
    /// Announce a root to the network
    Provide(RootFlag),
}

impl Command for StoreArgs {
    const NAME: &'static str = "store";
    const ABOUT: &'static str =
        "Keep files as content: add, fetch, pin and serve them by their CIDs";
    const SETTINGS: Option<Schema> = Some(schema::<StoreFlags>);

    fn describe(command: clap::Command) -> clap::Command {
        let everywhere = ["store_max", "store_reserve", "store_ipfs_api"];
        let command = command.arg_required_else_help(true).after_help(EXAMPLES);
        everywhere.into_iter().fold(command, |command, id| {
            command.mut_arg(id, |arg| arg.global(true))
        })
    }

    fn tip(arguments: &[&str]) -> Option<&'static str> {
        habits::tip(arguments)
    }

    /// Fails when the content or the store is not there, or a signal ends the command.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.settings::<StoreFlags>()?;
        block_on(async move {
            let context = Context::new(resolved, form);
            // Boxed: the futures of the commands are large.
            Box::pin(context.run(run(self.command, &context))).await
        })
    }
}

async fn run(command: StoreCommand, context: &Context) -> anyhow::Result<()> {
    match command {
        StoreCommand::Add(flags) => add::run(flags, context).await,
        StoreCommand::Get(flags) => get::run(flags, context).await,
        StoreCommand::ImportCar(flags) => car::import(flags, context).await,
        StoreCommand::ExportCar(flags) => car::export(flags, context).await,
        StoreCommand::Cat(flags) => read::cat(flags, context).await,
        StoreCommand::Ls(flags) => read::list(flags, context).await,
        StoreCommand::Stat(flags) => read::stat(flags, context).await,
        StoreCommand::Pin(flags) => tasks::pin(flags, context).await,
        StoreCommand::Unpin(root) => tasks::unpin(root, context).await,
        StoreCommand::Rm(root) => tasks::remove(root, context).await,
        StoreCommand::Gc(flags) => tasks::collect(flags, context).await,
        StoreCommand::Verify(flags) => tasks::verify(flags, context).await,
        StoreCommand::Provide(root) => tasks::provide(root, context).await,
    }
}
