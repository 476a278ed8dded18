//! Child processes and what the system says they used.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;

/// A process that is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
}

/// What a process used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: u64,
    pub(crate) resident_kib: u64,
}

impl Process {
    /// Starts a program; its errors go to ours, its output is kept for [`Process::first_line`].
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
    ) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { name, child })
    }

    /// The first line that the process prints.
    pub(crate) fn first_line(&mut self) -> anyhow::Result<String> {
        use std::io::{BufRead, BufReader};
        let output = self.child.stdout.take().context("output is read once")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// What it has used so far, from `/proc`.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()));
        let (stat, status) = (of("stat")?, of("status")?);
        // The name in parentheses may hold spaces; the fields after it do not.
        let after_name = stat.rsplit_once(')').context("stat has a name")?.1;
        let ticks = |nth: usize| -> u64 {
            let field = after_name.split_whitespace().nth(nth);
            field.and_then(|field| field.parse().ok()).unwrap_or(0)
        };
        let kib = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        // A tick is 10 ms on every Linux that Rust's std supports.
        Ok(Usage {
            cpu: Duration::from_millis(10 * (ticks(11) + ticks(12))),
            peak_kib: kib("VmHWM:"),
            resident_kib: kib("VmRSS:"),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end and gives what it printed.
pub(crate) fn output(program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    anyhow::ensure!(
        output.status.success(),
        "{} {}: {}",
        program.display(),
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
