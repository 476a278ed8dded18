//! The `peerwork` program. It only hands the command line to [`cli`] and the exit code back.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os().collect())
}
