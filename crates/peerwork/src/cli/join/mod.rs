//! `peerwork join` and `--join`: a data directory joins the network of a ticket.
//!
//! A token is redeemed first, and then the network file is written in one step. An end in between loses
//! nothing: the relay redeems the token again for the same node, whose key is written before.

mod answer;
mod store;

use std::{io::Read as _, path::Path};

use anyhow::Context as _;
use clap::Args;
use peerwork::join::{network_file, try_relays, without_redemption};
use peerwork_identity::{KeyType, Keypair, NetworkFile, SecretsDir};
use peerwork_ticket::{Pass, Ticket};

use self::answer::Joined;
use super::{
    command::{Call, Command},
    network_file::path_in,
    output::Form,
    running::make_missing_keys,
    runtime::block_on,
    settings::Resolved,
};

/// The text that stands for a ticket on standard input.
const STDIN: &str = "-";
/// The longest text that is read from standard input, in bytes.
const STDIN_BYTES_MAX: u64 = 64 * 1024;

/// `peerwork join`
#[derive(Args, Debug)]
pub(crate) struct JoinArgs {
    /// The ticket, or - to read it from standard input, so that it stands neither in the list of
    /// processes nor in the history of the shell
    #[arg(value_name = "TICKET", required = true, num_args = 1..)]
    ticket: Vec<String>,
}

impl Command for JoinArgs {
    const NAME: &'static str = "join";
    const ABOUT: &'static str = "Join the network of a ticket with a data directory";

    /// Fails when the ticket cannot be used, the data directory is of another network or cannot be
    /// written, or no relay can be reached.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.with_quiet_log()?;
        // A ticket that was pasted with line breaks is several arguments.
        let ticket = parse(&given(&self.ticket.join(" "))?)?;
        block_on(run(&ticket, &resolved, form))
    }
}

async fn run(ticket: &Ticket, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let data_dir = &resolved.data_dir;
    let former = store::member_of(data_dir, ticket)?;
    let is_new = former.is_none();
    let (file, node_id) = joined(ticket, data_dir, former).await?;
    let trial = try_relays(&file, &ticket.relays).await?;
    let answer = Joined::of(&file, resolved, node_id, is_new, &trial);
    form.show(&answer)?;
    anyhow::ensure!(
        answer.reaches_any(),
        "no relay of the ticket could be reached; {} is written, so a node with this data directory goes \
         on trying",
        path_in(data_dir).display()
    );
    Ok(())
}

/// The text of a ticket as an argument or a setting gives it.
fn given(text: &str) -> anyhow::Result<String> {
    if text.trim() != STDIN {
        return Ok(text.to_owned());
    }
    let mut read = Vec::new();
    let stdin = std::io::stdin().lock();
    let mut bounded = stdin.take(STDIN_BYTES_MAX);
    bounded
        .read_to_end(&mut read)
        .context("cannot read the ticket from standard input")?;
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// Parses a ticket. The error does not repeat the ticket.
///
/// # Errors
/// The reason why the text is not a ticket that this program can use.
fn parse(text: &str) -> anyhow::Result<Ticket> {
    text.parse().context("the ticket cannot be used")
}

/// Makes the keys and the network file of a data directory, and gives the contents and the node's id.
async fn joined(
    ticket: &Ticket,
    data_dir: &Path,
    former: Option<NetworkFile>,
) -> anyhow::Result<(NetworkFile, String)> {
    let keys = SecretsDir::new(data_dir);
    make_missing_keys(&keys)?;
    let keypair = keys.network_key()?;
    let offered = network_file(ticket, &keypair)
        .await
        .context("the ticket was not redeemed, and no network file was written")
        .map_err(|error| match &ticket.pass {
            Pass::Token(_) => error,
            // Without a token, the error is not about a redemption.
            Pass::Open | Pass::Secrets(_) => error.context("cannot use the ticket"),
        })?;
    let file = match former.clone() {
        Some(former) => store::merged(former, offered),
        None => offered,
    };
    if former.as_ref() != Some(&file) {
        store::write(data_dir, &file).with_context(|| match &ticket.pass {
            Pass::Token(_) => {
                "the ticket was redeemed and can be redeemed again with this data directory"
            }
            Pass::Open | Pass::Secrets(_) => "the network was not joined",
        })?;
    }
    Ok((file, keypair.node_id().to_string()))
}

/// Joins the network of a ticket before a node starts, unless the data directory is of that network
/// already. So a node starts again with a ticket that was used up or has expired since.
///
/// # Errors
/// When the ticket cannot be used, or the data directory is of another network or cannot be written.
pub(crate) fn before_the_start(ticket: &str, data_dir: &Path) -> anyhow::Result<()> {
    let ticket = parse(&given(ticket)?)?;
    if store::member_of(data_dir, &ticket)?.is_some() {
        return Ok(());
    }
    block_on(async {
        let (file, _) = joined(&ticket, data_dir, None).await?;
        tracing::info!(
            network = file.name,
            id = file.network_id,
            file = %path_in(data_dir).display(),
            "joined the network of the ticket"
        );
        Ok(())
    })
}

/// The network of a ticket as far as the data directory and the ticket tell it, without joining it.
///
/// # Errors
/// When the ticket cannot be used, or the data directory is of another network.
pub(crate) fn described(ticket: &str, data_dir: &Path) -> anyhow::Result<NetworkFile> {
    let ticket = parse(ticket)?;
    let former = store::member_of(data_dir, &ticket)?;
    Ok(former.unwrap_or_else(|| without_redemption(&ticket)))
}

/// The network of a ticket for one run of the program, which keeps no files.
///
/// # Errors
/// When the ticket cannot be used.
pub(crate) async fn for_this_run(ticket: &str) -> anyhow::Result<NetworkFile> {
    let ticket = parse(&given(ticket)?)?;
    let keypair = Keypair::generate(KeyType::default());
    Ok(network_file(&ticket, &keypair).await?)
}
