//! The flags that every command has, and the syntax that all flags share.

use std::path::PathBuf;

use clap::{ArgAction, Args, Command as Clap, builder::ValueParser};

use crate::cli::values::LogLevel;

/// Flags that every command takes.
#[derive(Args, Debug, Clone)]
pub(crate) struct Global {
    /// Print answers and errors as JSON; nodes write their log as JSON lines
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// The folder of the node's files [default: the data folder of this system]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A settings file (TOML, or JSON if its name ends in .json) [default: peerwork.toml in the data directory, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// The address of the node's operator API [default: that of the node with this --data-dir, or of
    /// the only node that runs on this machine; a node of `server` takes 127.0.0.1:50000]
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        alias = "grpc",
        help_heading = "Everywhere"
    )]
    pub(crate) grpc_address: Option<String>,
    /// The log level: trace, debug, info, warn, error or off
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Everywhere"
    )]
    pub(crate) log_level: LogLevel,
}

/// Makes every boolean flag accept `=true` and `=false`, so that a flag can override a value of the
/// environment or the settings file.
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
