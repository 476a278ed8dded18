//! The command line: every command and flag, and nothing of what they do.

use std::path::PathBuf;

use clap::{
    ArgAction, Args, Command as Clap, CommandFactory as _, Parser, Subcommand, builder::ValueParser,
};

use super::{
    forward::ForwardFlags, genesis::GenesisFlags, key::KeyCommand, relay::RelayArgs,
    secrets::SecretsCommand, server::ServerArgs, values::LogLevel, webapp::WebappFlags,
};

/// A peer-to-peer computing network in one program.
///
/// Web apps on any machine can be called from anywhere: an edge behind a router keeps a place at a
/// relay, and HTTP calls to any relay reach the app.
#[derive(Parser, Debug)]
#[command(
    name = "peerwork",
    version,
    arg_required_else_help = true,
    infer_long_args = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Args, Debug, Clone)]
pub(crate) struct Global {
    /// Answer in JSON, errors too; `server` writes its log as JSON lines
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Where the node keeps its files [default: the data folder of this system]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A settings file (TOML) [default: peerwork.toml in the data directory, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// Where the operator API of the node is [default: 127.0.0.1:50000, or what a running node
    /// left in the data directory]
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        alias = "grpc",
        help_heading = "Everywhere"
    )]
    pub(crate) grpc_address: Option<String>,
    /// How much to log: trace, debug, info, warn, error or off
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Everywhere"
    )]
    pub(crate) log_level: LogLevel,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make and show the keys of a node
    #[command(subcommand, arg_required_else_help = true)]
    Secrets(SecretsCommand),
    /// Write the network file that the nodes of a network share
    Genesis(GenesisFlags),
    /// Run a node
    Server(Box<ServerArgs>),
    /// Ask the running node about its peers
    #[command(subcommand, arg_required_else_help = true)]
    Peers(PeersCommand),
    /// Run a relay for browsers and programs, or ask the running node about its relays
    Relay(RelayArgs),
    /// Make, list and revoke the keys that callers of apps show
    #[command(subcommand, arg_required_else_help = true)]
    Key(KeyCommand),
    /// Carry a local TCP port to a port of a node
    Forward(ForwardFlags),
    /// Say what the running node is doing
    Status,
    /// Run a whole network on this machine: two relays, an edge and a web app
    Demo(DemoFlags),
    /// Run the example web app
    Webapp(WebappFlags),
    /// Say which version this is
    Version,
    /// Print the completion script for a shell
    #[command(alias = "completion")]
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write a page for each command into a folder
    Man {
        /// The folder
        dir: Option<PathBuf>,
    },
}

/// `peerwork peers …`
#[derive(Subcommand, Debug)]
pub(crate) enum PeersCommand {
    /// Ask the node to connect to peers
    Add {
        /// The peer's full address, which ends in /p2p/ID (repeatable)
        #[arg(long, value_name = "MULTIADDR", required = true)]
        addr: Vec<String>,
    },
    /// The peers that the node is connected to, without itself
    List,
    /// One peer
    Status {
        /// Its node id
        #[arg(long, value_name = "NODE")]
        peer_id: String,
    },
    /// How full the node's own relay is
    Relay,
}

/// `peerwork demo`
#[derive(Args, Debug)]
pub(crate) struct DemoFlags {
    /// Make the calls, print what was seen, and end with 0 or 1
    #[arg(long)]
    pub(crate) check: bool,
    /// The first of the ports to use; without it, free ones are taken
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    pub(crate) base_port: Option<u16>,
}

/// The whole command line as clap knows it.
pub(crate) fn command() -> Clap {
    with_switches(Cli::command()).args_override_self(true)
}

/// Lets every boolean flag be written alone or with `=true` and `=false`, so that a flag can take
/// back what the environment or the settings file says.
pub(crate) fn with_switches(command: Clap) -> Clap {
    command
        .args_override_self(true)
        .mut_args(|arg| {
            let boolean = matches!(arg.get_action(), ArgAction::SetTrue)
                || (arg.get_long().is_some()
                    && arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>());
            if !boolean {
                return arg;
            }
            let default = arg.get_default_values().first().cloned();
            let off = default.as_ref().is_none_or(|default| default == "false");
            arg.action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .value_name("BOOL")
                .default_missing_value("true")
                .default_value(default.unwrap_or_else(|| "false".into()))
                .hide_default_value(off)
                .hide_possible_values(true)
                .value_parser(ValueParser::bool())
        })
        .mut_subcommands(with_switches)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::FromArgMatches as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let matches = command().try_get_matches_from(line.split(' '))?;
        Cli::from_arg_matches(&matches)
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn json_may_stand_anywhere_and_carry_a_value() {
        assert!(parse("peerwork --json version").unwrap().global.json);
        assert!(parse("peerwork version --json").unwrap().global.json);
        assert!(
            parse("peerwork peers list --json=true")
                .unwrap()
                .global
                .json
        );
        assert!(!parse("peerwork version --json=false").unwrap().global.json);
        assert!(!parse("peerwork version").unwrap().global.json);
    }

    #[test]
    fn the_edge_line_of_the_readme_with_its_lone_dash_is_understood() {
        let line = "peerwork server --network example_edge.json --data-dir edge_1 --grpc-address \
                    0.0.0.0:52000 --libp2p 0.0.0.0:52001 - --relay-on --running-mode edge \
                    --app-url http://127.0.0.1 --app-no-auth --app-no-agent";
        let cli = parse(&line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
        let Command::Server(server) = cli.command else {
            panic!("not the server command");
        };
        assert_eq!(server.stray, ["-"]);
        assert!(server.flags.edge.relay_on && server.flags.edge.app_no_auth);
        assert_eq!(server.flags.edge.app_url, "127.0.0.1");
        assert_eq!(cli.global.grpc_address.as_deref(), Some("0.0.0.0:52000"));
    }

    #[test]
    fn the_last_of_repeated_flags_counts() {
        let cli =
            parse("peerwork server --jsonrpc off --jsonrpc 127.0.0.1:7 --relay-on=false").unwrap();
        let Command::Server(server) = cli.command else {
            panic!("not the server command");
        };
        assert_eq!(
            server.flags.relay.jsonrpc.address(),
            Some("127.0.0.1:7".parse().unwrap())
        );
        assert!(!server.flags.edge.relay_on);
    }

    #[test]
    fn the_old_name_of_the_operator_address_is_understood() {
        let cli = parse("peerwork status --grpc 127.0.0.1:9").unwrap();
        assert_eq!(cli.global.grpc_address.as_deref(), Some("127.0.0.1:9"));
    }

    #[test]
    fn no_arguments_and_a_bare_group_show_help() {
        for line in ["peerwork", "peerwork secrets", "peerwork key"] {
            let kind = parse(line).unwrap_err().kind();
            assert_eq!(
                kind,
                clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            );
        }
    }
}
