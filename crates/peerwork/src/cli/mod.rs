//! The program: arguments, settings, environment, log, signals, exit codes.
//!
//! The library does the work; here it is only asked, and its answers are shown. Each command has a
//! module of its own; what they share is below.
//!
//! | module | what it is for |
//! |---|---|
//! | [`args`] | the command line |
//! | [`settings`] | flag before environment before file before default |
//! | [`values`] | the kinds of values that flags take |
//! | [`output`] | text and JSON |
//! | [`node`] | the log and the keys of a node that runs |
//! | [`operator`] | finding and asking the running node |
//! | [`signals`], [`logging`], [`files`] | what their names say |

mod args;
mod demo;
mod files;
mod forward;
mod genesis;
mod key;
mod logging;
mod node;
mod operator;
mod output;
mod peers;
mod preamble;
mod relay;
mod secrets;
mod server;
mod settings;
mod shell;
mod signals;
mod status;
mod values;
mod version;
mod webapp;

use std::{
    ffi::{OsStr, OsString},
    future::Future,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{ArgMatches, FromArgMatches as _, error::ErrorKind};

use self::{
    args::{Cli, Command},
    logging::Log,
    output::{Form, failure_text, show_failure},
    settings::{Resolved, Scope, resolve},
    values::LogLevel,
};

/// Runs the program with these arguments; the first one is its own name.
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
    let matches = match args::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return explained(&error, form),
    };
    let cli = Cli::from_arg_matches(&matches)?;
    run(cli, innermost(&matches), form)
}

/// `form` is what command line and environment ask for; a settings file may ask for JSON too.
fn run(cli: Cli, matches: &ArgMatches, form: Form) -> anyhow::Result<()> {
    let settings = || -> anyhow::Result<(Resolved, Form)> {
        let resolved = resolve(matches, Scope::Global, &|name| std::env::var_os(name))?;
        let form = match resolved.settings.global.json {
            true => Form::Json,
            false => Form::Text,
        };
        Ok((resolved, form))
    };
    match cli.command {
        // These work whatever the settings are.
        Command::Version => form.show(&version::Version::of_this_program()),
        Command::Completions { shell } => shell::completions(shell, form),
        Command::Man { dir } => shell::man(dir.as_deref(), form),
        Command::Server(server) => server::run(&server, matches, form),
        Command::Genesis(flags) => {
            let (_, form) = settings()?;
            genesis::run(flags, form)
        }
        Command::Secrets(command) => {
            let (resolved, form) = settings()?;
            secrets::run(&command, &resolved, form)
        }
        Command::Key(command) => {
            let (resolved, form) = settings()?;
            key::run(command, &resolved, form)
        }
        Command::Peers(command) => {
            let (resolved, form) = settings()?;
            block_on(peers::run(command, &resolved, form))
        }
        Command::Relay(relay) => relay::run(&relay, matches, settings, form),
        Command::Status => {
            let (resolved, form) = settings()?;
            block_on(status::run(&resolved, form))
        }
        Command::Forward(flags) => {
            let (resolved, form) = settings()?;
            start_log(&resolved, form)?;
            block_on(forward::run(flags, &resolved, form))
        }
        Command::Demo(flags) => {
            let (resolved, form) = settings()?;
            start_log(&resolved, form)?;
            block_on(demo::run(flags, form))
        }
        Command::Webapp(flags) => {
            let (resolved, form) = settings()?;
            start_log(&resolved, form)?;
            block_on(webapp::run(&flags, form))
        }
    }
}

/// The log of a command that a person looks at: only what needs attention, unless asked for more.
fn start_log(resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let level = if resolved.log_level_is_default {
        LogLevel("warn")
    } else {
        resolved.settings.global.log_level
    };
    let file = None;
    logging::start(&Log { level, form, file })
}

/// Runs `work` and does not wait for what it left behind.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .context("cannot start the threads of the program")?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Half of the machine's cores: what a node does is mostly handing bytes from one task to the next,
/// and each further worker that is woken for it costs more than it carries.
fn worker_threads() -> usize {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |cores| cores.get().div_ceil(2))
}

/// The flags of the command that was reached: global ones count wherever they stand.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => innermost(inner),
        None => matches,
    }
}

/// What clap has to say: help and versions are answers, the rest are failures.
fn explained(error: &clap::Error, form: Form) -> anyhow::Result<()> {
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
    match form {
        Form::Text => anyhow::bail!("{text}"),
        // Programs want the reason on one line, and nothing about usage.
        Form::Json => {
            let reason = text.split("\n\nUsage:").next().unwrap_or(text);
            let words: Vec<&str> = reason.split_whitespace().collect();
            anyhow::bail!("{}", words.join(" "))
        }
    }
}

/// Whether JSON was asked for, known even when the command line is wrong.
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
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_even_when_the_command_line_is_wrong() {
        let asked = |line: &str, environment: Option<&str>| {
            let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            asked_form(&line, environment.map(OsStr::new))
        };
        let form = |line: &str| asked(line, None);
        assert_eq!(asked("peerwork", Some("true")), Form::Json);
        assert_eq!(asked("peerwork --json=false", Some("true")), Form::Text);
        assert_eq!(asked("peerwork", Some("no")), Form::Text);
        assert_eq!(form("peerwork nonsense --json"), Form::Json);
        assert_eq!(form("peerwork --json=true nonsense"), Form::Json);
        assert_eq!(form("peerwork --json --json=false"), Form::Text);
        assert_eq!(form("peerwork -- --json"), Form::Text);
        assert_eq!(form("peerwork"), Form::Text);
    }
}
