//! `peerwork invite` and `peerwork relay invite`: print a ticket of the running node's network.

mod qr;

use std::{io::IsTerminal as _, time::Duration};

use clap::Args;
use multiaddr::Multiaddr;
use peerwork_api::{
    invitations::v1::{CreateRequest, Invitation, Limits, invitations_client::InvitationsClient},
    operator::Connection,
};
use peerwork_identity::NodeAddress;
use peerwork_net::dial_policy::is_private_address;
use serde::Serialize;

use super::{
    command::{Call, Command},
    operator::{connection, refused},
    output::{Answer, Form, block, show_note},
    runtime::block_on,
    settings::Resolved,
    values::some_duration,
};

/// The time for which a ticket is valid that only one node may use and that names no other time.
const ONCE_EXPIRES: &str = "24 h";

/// `peerwork invite`
#[derive(Args, Debug)]
pub(crate) struct InviteFlags {
    /// Let only one node use the ticket, within 24 h unless --expires is set: a relay redeems it
    #[arg(long)]
    once: bool,
    /// How long the ticket is valid, such as 1h, at most 720h [default: as long as the network's secret]
    #[arg(long, value_name = "DURATION", value_parser = some_duration)]
    expires: Option<Duration>,
    /// The address of a relay to name in the ticket, in place of those that the node knows; without
    /// /p2p/ID, it is one of this node (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    address: Vec<String>,
    /// Print a QR code, also where standard output is no terminal
    #[arg(long)]
    qr: bool,
    /// Print no QR code
    #[arg(long)]
    no_qr: bool,
}

impl Command for InviteFlags {
    const NAME: &'static str = "invite";
    const ABOUT: &'static str = "Print a ticket, by which another machine joins the network";

    /// Fails when no node answers, or the node can make no such ticket.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.global()?;
        block_on(run(&self, &resolved, form))
    }
}

/// Asks the running node for a ticket and prints it.
///
/// # Errors
/// When no node answers, or the node can make no such ticket.
pub(crate) async fn run(
    flags: &InviteFlags,
    resolved: &Resolved,
    form: Form,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        !(flags.qr && flags.no_qr),
        "--qr and --no-qr contradict each other"
    );
    let invited = create(connection(resolved).await?, flags.request()).await?;
    let wants_qr = flags.qr || (!flags.no_qr && std::io::stdout().is_terminal());
    let invited = Invited::of(invited, flags);
    for note in invited.notes() {
        show_note(form, &note);
    }
    let qr = match (form, wants_qr) {
        (Form::Text, true) => drawn(&invited.ticket, form),
        (Form::Text, false) | (Form::Json, _) => None,
    };
    form.show(&Invited { qr, ..invited })
}

/// The QR code of a ticket, or a note that says why there is none.
fn drawn(ticket: &str, form: Form) -> Option<String> {
    let is_terminal = std::io::stdout().is_terminal();
    let size = is_terminal.then(|| crossterm::terminal::size().ok());
    // A terminal that does not know its size says that it has no columns.
    let columns = size.flatten().map(|(columns, _)| usize::from(columns));
    let columns = columns.filter(|columns| *columns > 0);
    let drawn = match qr::code(ticket, qr::Style::of(is_terminal)) {
        Some(code) => code.within(columns),
        None => {
            Err("the ticket is too long for a QR code: name fewer relays by --address".to_owned())
        }
    };
    drawn.map_err(|note| show_note(form, &note)).ok()
}

impl InviteFlags {
    fn request(&self) -> CreateRequest {
        CreateRequest {
            once: self.once,
            // A part of a second counts as a second.
            expires_seconds: self.expires.map_or(0, |time| {
                time.as_secs() + u64::from(time.subsec_nanos() > 0)
            }),
            addresses: self.address.clone(),
        }
    }
}

/// Lets a running node make a ticket.
///
/// # Errors
/// The node's reason for refusing.
pub(crate) async fn create(
    connection: Connection,
    request: CreateRequest,
) -> anyhow::Result<Invitation> {
    let answer = InvitationsClient::new(connection).create(request).await;
    Ok(answer.map_err(|status| refused(&status))?.into_inner())
}

/// A ticket with its contents.
#[derive(Serialize)]
struct Invited {
    network: String,
    network_id: i64,
    relays: Vec<String>,
    has_secret: bool,
    limits: Option<Limited>,
    #[serde(skip)]
    validity: String,
    #[serde(skip)]
    qr: Option<String>,
    ticket: String,
}

/// The limits of a ticket that a relay redeems.
#[derive(Serialize)]
struct Limited {
    relay: String,
    once: bool,
    /// Seconds from 1970, by the clock of the relay.
    expires_at: u64,
}

impl Invited {
    fn of(invitation: Invitation, flags: &InviteFlags) -> Self {
        let Invitation {
            ticket,
            network_id,
            network_name,
            relays,
            has_secret,
            limits,
        } = invitation;
        let limits = limits.map(|limits| {
            let Limits {
                relay,
                once,
                expires_at,
            } = limits;
            Limited {
                relay,
                once,
                expires_at,
            }
        });
        let time = flags.expires.map(shown);
        let time = time.unwrap_or_else(|| ONCE_EXPIRES.to_owned());
        Self {
            validity: match (&limits, has_secret) {
                (Some(limits), _) if limits.once => format!("for one node, within {time}"),
                (Some(_), _) => format!("for {time}"),
                (None, true) => "as long as the network's secret".to_owned(),
                (None, false) => "as long as the network".to_owned(),
            },
            network: network_name,
            network_id,
            relays,
            has_secret,
            limits,
            qr: None,
            ticket,
        }
    }

    /// Remarks on what the ticket does not do.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let transport = |text: &String| text.parse().map(|at: NodeAddress| at.transport);
        let addresses: Vec<Multiaddr> = self.relays.iter().flat_map(transport).collect();
        if addresses.iter().all(is_private_address) {
            notes.push(
                "all addresses in the ticket are private, so it works only on this machine or in its \
                 local network: name a public address by --address, or start the relay with --nat, --dns \
                 or --announce"
                    .to_owned(),
            );
        }
        match (self.has_secret, &self.limits) {
            (false, _) => notes.push(
                "the network has no secret, so every node that learns an address can join it, with or \
                 without this ticket: `peerwork genesis --secret` makes the file of a network with a \
                 secret, and `peerwork network new-secret` gives one to a network that has a file"
                    .to_owned(),
            ),
            (true, None) => notes.push(
                "the ticket carries the network's secret, so it stays valid until the secret is changed \
                 (`peerwork network new-secret`): --once and --expires make tickets with an end"
                    .to_owned(),
            ),
            (true, Some(limits)) => notes.push(format!(
                "the relay {} alone redeems this ticket: it must run and be reachable when the ticket is \
                 used",
                limits.relay
            )),
        }
        notes
    }
}

impl Answer for Invited {
    /// The ticket is the last line, so that scripts can take it.
    fn text(&self) -> String {
        let mut rows = vec![("Network", format!("{} ({})", self.network, self.network_id))];
        rows.extend(self.relays.iter().map(|at| ("Relay", at.clone())));
        rows.push(("Valid", self.validity.clone()));
        rows.push((
            "To join",
            "peerwork join TICKET, or --join TICKET of a command that starts a node".to_owned(),
        ));
        let mut text = block("INVITATION", &rows);
        if let Some(qr) = &self.qr {
            text += &format!("\n{qr}\n");
        }
        format!("{text}\n{}", self.ticket)
    }
}

/// A time in its largest whole unit.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    let whole = units
        .iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn invited(relay: &str, has_secret: bool) -> Invited {
        let invitation = Invitation {
            ticket: "peerwork1abc".to_owned(),
            network_id: 7,
            network_name: "N".to_owned(),
            relays: vec![format!("{relay}/p2p/{NODE}")],
            has_secret,
            limits: None,
        };
        let flags = InviteFlags {
            once: false,
            expires: None,
            address: Vec::new(),
            qr: false,
            no_qr: false,
        };
        Invited::of(invitation, &flags)
    }

    #[test]
    fn the_ticket_is_the_last_line_and_its_contents_stand_before_it() {
        let text = invited("/ip4/8.8.8.8/tcp/1", true).text();
        assert_eq!(text.lines().last(), Some("peerwork1abc"));
        assert!(text.starts_with("\n[INVITATION]\nNetwork = N (7)\nRelay   = /ip4/8.8.8.8"));
        assert!(text.contains("Valid   = as long as the network's secret"));
    }

    #[test]
    fn notes_name_private_addresses_and_a_missing_secret() {
        let notes = |relay, has_secret| invited(relay, has_secret).notes().concat();
        let public = notes("/ip4/8.8.8.8/tcp/1", true);
        assert!(
            !public.contains("private") && public.contains("--once"),
            "{public}"
        );
        let private = notes("/ip4/192.168.1.2/tcp/1", false);
        assert!(
            private.contains("--announce") && private.contains("no secret"),
            "{private}"
        );
    }

    #[test]
    fn times_are_shown_in_their_largest_whole_unit() {
        let shown = |seconds| super::shown(Duration::from_secs(seconds));
        assert_eq!(
            [1, 90, 120, 3600, 86_400].map(shown),
            ["1 s", "90 s", "2 min", "1 h", "1 d"]
        );
    }
}
