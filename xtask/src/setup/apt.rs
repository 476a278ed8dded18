//! System packages, by apt on Debian and its children.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Installs `packages`, and does nothing when there are none.
///
/// # Errors
/// Without apt, without the right to use it, or when apt fails: the message names the packages.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if shell::find_program("apt-get").is_none() {
        bail!("install what these Debian packages hold, this machine has no apt-get: {list}");
    }
    let by_hand = || format!("install by hand: sudo apt-get install {list}");
    let prefix = privilege().with_context(by_hand)?;
    // The lists of a fresh machine are empty, and the ones of an old machine name files long gone.
    shell::run(&mut apt_get(prefix, &["update"])).with_context(by_hand)?;
    if packages.contains(&"openssh-server") {
        keep_sshd_off(prefix).with_context(by_hand)?;
    }
    let mut command = apt_get(prefix, &["install", "--yes", "--no-install-recommends"]);
    shell::run(command.args(packages)).with_context(by_hand)
}

/// Makes Debian's mark that keeps the package from starting sshd on port 22, because the tests need
/// only the program.
fn keep_sshd_off(prefix: &[&str]) -> Result<()> {
    let mark = "mkdir -p /etc/ssh && touch /etc/ssh/sshd_not_to_be_run";
    let words = [prefix, &["sh", "-c", mark]].concat();
    shell::run(&mut shell::command(words[0], &words[1..]))
}

/// The words in front of `apt-get` that make it root: none, or sudo that asks no password.
fn privilege() -> Result<&'static [&'static str]> {
    let identity = Command::new("id")
        .arg("-u")
        .output()
        .context("asking `id -u`")?;
    if identity.stdout.trim_ascii() == b"0" {
        return Ok(&[]);
    }
    if shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
        return Ok(&["sudo", "-n"]);
    }
    bail!(
        "system packages are missing, and this user is neither root nor has sudo without a password"
    )
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Command {
    // `env` behind sudo: sudo drops the variables it was started with.
    let words = [
        prefix,
        &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"],
        arguments,
    ]
    .concat();
    shell::command(words[0], &words[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_runs_as_it_is_for_root_and_behind_sudo_for_others() {
        assert_eq!(
            shell::command_line(&apt_get(&[], &["update"])),
            "env DEBIAN_FRONTEND=noninteractive apt-get update"
        );
        assert_eq!(
            shell::command_line(&apt_get(&["sudo", "-n"], &["update"])),
            "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update"
        );
    }

    #[test]
    fn nothing_missing_starts_nothing() {
        assert!(install(&[]).is_ok());
    }
}
