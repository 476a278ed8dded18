//! The `peerwork` program: passes the command line to [`cli`] and returns its exit code.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os().collect())
}
