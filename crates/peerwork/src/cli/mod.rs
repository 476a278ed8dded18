//! The program `peerwork`: arguments, settings, environment, log, signals, exit codes.
//!
//! The library does the work; the commands call it and print its answers. Each command has a module of
//! its own and an entry in [`COMMANDS`]; the modules below are shared by the commands.
//!
//! | module | what it is for |
//! |---|---|
//! | [`command`] | the form of a command |
//! | [`settings`] | flag before environment before file before default |
//! | [`values`] | the kinds of values that flags take |
//! | [`output`] | text and JSON |
//! | [`running`] | the log and the keys of a node that runs |
//! | [`offer`] | the text about an edge's ports |
//! | [`apps`] | the ports of an edge and the URLs of its apps |
//! | [`listen`] | addresses and ports that flags ask for |
//! | [`network_file`], [`network_sources`] | the network that a node takes part in |
//! | [`operator`] | asking the running node |
//! | [`nodes`], [`probe`] | finding the running node, and telling a node from another program |
//! | [`runtime`], [`open_files`], [`signals`], [`logging`], [`files`], [`size`] | what their names say |

mod app_listen;
mod apps;
mod command;
mod demo;
mod directory;
mod files;
mod forward;
mod gateway;
mod genesis;
mod invite;
mod join;
mod key;
mod listen;
mod logging;
mod network;
mod network_file;
mod network_sources;
mod node;
mod nodes;
mod offer;
mod open_files;
mod operator;
mod output;
mod peers;
mod preamble;
mod printable;
mod probe;
mod relay;
mod running;
mod runtime;
mod secrets;
mod server;
mod settings;
mod shell;
mod signals;
mod size;
mod status;
mod store;
mod values;
mod version;
mod webapp;

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use clap::{ArgMatches, Args as _, error::ErrorKind};

use self::{
    command::{Call, Entry},
    output::{Form, failure_text, show_failure},
    settings::{Environment, Global, with_switches},
};

/// All commands, in the order of `--help`.
const COMMANDS: &[Entry] = &[
    Entry::of::<secrets::SecretsArgs>(),
    Entry::of::<genesis::GenesisFlags>(),
    Entry::of::<join::JoinArgs>(),
    Entry::of::<invite::InviteFlags>(),
    Entry::of::<network::NetworkArgs>(),
    Entry::of::<server::ServerArgs>(),
    Entry::of::<node::NodeArgs>(),
    Entry::of::<peers::PeersArgs>(),
    Entry::of::<directory::DirectoryArgs>(),
    Entry::of::<store::StoreArgs>(),
    Entry::of::<relay::RelayArgs>(),
    Entry::of::<key::KeyArgs>(),
    Entry::of::<forward::ForwardFlags>(),
    Entry::of::<status::StatusArgs>(),
    Entry::of::<demo::DemoFlags>(),
    Entry::of::<webapp::WebappFlags>(),
    Entry::of::<version::VersionArgs>(),
    Entry::of::<shell::Completions>(),
    Entry::of::<shell::Man>(),
];

const ABOUT: &str = "A peer-to-peer computing network in one program";
const LONG_ABOUT: &str = "A peer-to-peer computing network in one program.\n\n\
    Web apps on any machine can be called from anywhere: an edge behind a router keeps a place at a \
    relay, and HTTP calls to any relay reach the app.";

/// The whole command line as clap describes it.
fn command_line() -> clap::Command {
    let program = clap::Command::new("peerwork")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_long_args(false);
    // The flags bring a description of themselves, which the program's replaces.
    let program = Global::augment_args(program)
        .about(ABOUT)
        .long_about(LONG_ABOUT);
    with_switches(program.subcommands(COMMANDS.iter().map(|entry| (entry.describe)())))
}

/// Runs the program with `arguments`, of which the first is the program's own name.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let form = asked_form(&arguments, std::env::var_os("PEERWORK_JSON").as_deref());
    match try_main(arguments, form) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            show_failure(form, &failure_text(&error));
            ExitCode::FAILURE
        }
    }
}

fn try_main(arguments: Vec<OsString>, form: Form) -> anyhow::Result<()> {
    let matches = match command_line().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return explained(&error, tip(&arguments), form),
    };
    let (entry, flags) = asked(&matches)?;
    let schemas: Vec<_> = COMMANDS.iter().filter_map(|entry| entry.settings).collect();
    let environment: Environment = std::env::vars_os().collect();
    let call = Call {
        flags,
        form,
        environment: &environment,
        schemas: &schemas,
        command_line: &command_line,
    };
    (entry.run)(flags, &call)
}

/// Finds the command that the arguments name, with its flags.
fn asked(matches: &ArgMatches) -> anyhow::Result<(&'static Entry, &ArgMatches)> {
    let found = matches.subcommand().and_then(|(name, flags)| {
        let entry = COMMANDS.iter().find(|entry| entry.name == name)?;
        Some((entry, flags))
    });
    found.ok_or_else(|| anyhow::anyhow!("no command was named"))
}

/// The tip of the command that the arguments name, when they were not understood.
fn tip(arguments: &[OsString]) -> Option<&'static str> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let mut entries = COMMANDS.iter();
    entries.find_map(|entry| {
        let at = words.iter().skip(1).position(|word| *word == entry.name)?;
        (entry.tip)(&words[at + 2..])
    })
}

/// Prints clap's message: help and version texts are answers, other messages are failures, with a tip where
/// there is one.
fn explained(error: &clap::Error, tip: Option<&str>, form: Form) -> anyhow::Result<()> {
    let asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let text = error.to_string();
    if asked_for {
        return output::print_line(text.trim_end());
    }
    let text = text.trim_start_matches("error: ").trim_end();
    let text = match (text.split_once("\n\n"), tip) {
        (Some((reason, rest)), Some(tip)) => format!("{reason}\n\n  tip: {tip}\n\n{rest}"),
        _ => text.to_owned(),
    };
    match form {
        Form::Text => anyhow::bail!("{text}"),
        // A program that reads JSON gets the reason on one line, without the usage.
        Form::Json => {
            let reason = text.split("\n\nUsage:").next().unwrap_or(&text);
            let words: Vec<&str> = reason.split_whitespace().collect();
            anyhow::bail!("{}", words.join(" "))
        }
    }
}

/// The output form that the arguments or the environment name, found even when the command line is
/// invalid.
fn asked_form(arguments: &[OsString], environment: Option<&OsStr>) -> Form {
    let flags = arguments
        .iter()
        .skip(1)
        .take_while(|argument| *argument != "--");
    let json = flags
        .filter_map(|argument| match argument.to_str()? {
            "--json" | "--json=true" => Some(true),
            "--json=false" => Some(false),
            _ => None,
        })
        .last()
        .or_else(|| Some(environment? == "true"));
    if json == Some(true) {
        Form::Json
    } else {
        Form::Text
    }
}

#[cfg(test)]
mod tests;
