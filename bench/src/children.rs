//! Child processes, with the CPU time and memory that the system counts for them.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// A process that is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
    output: BufReader<ChildStdout>,
}

/// The CPU time and memory of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: u64,
    pub(crate) resident_kib: u64,
}

impl Process {
    /// Starts a program; its errors go to our stderr, its output is kept for [`Process::line_after`].
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
    ) -> anyhow::Result<Self> {
        Self::start_in(name, program, arguments, None)
    }

    /// As [`Process::start`], with a current folder of its own.
    pub(crate) fn start_in(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        folder: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder.unwrap_or(Path::new(".")))
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let output = child.stdout.take().context("the output is a pipe")?;
        Ok(Self {
            name,
            child,
            output: BufReader::new(output),
        })
    }

    /// The rest of the next line that begins with `prefix`.
    pub(crate) fn line_after(&mut self, prefix: &str) -> anyhow::Result<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.trim().to_owned());
            }
            line.clear();
        }
        anyhow::bail!(
            "{} ended without a line that begins with {prefix:?}",
            self.name
        )
    }

    /// Waits until the process has used almost no CPU time for a while.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let before = self.usage()?.cpu;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let used = self.usage()?.cpu.saturating_sub(before);
            if used < Duration::from_millis(300) || start.elapsed() > Duration::from_secs(60) {
                return Ok(());
            }
        }
    }

    /// CPU time and memory up to now, from `/proc`.
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

/// Runs a program to its end and gives its output.
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
