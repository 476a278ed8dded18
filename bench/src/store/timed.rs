//! Commands with the time that they took and the memory that they used at most.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// The pause between two looks at a running command.
const LOOK: Duration = Duration::from_millis(2);
/// The looks between two readings of its memory.
const LOOKS_PER_READING: u32 = 10;

/// A command that ended well.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    pub(super) seconds: f64,
    pub(super) peak_mib: f64,
}

/// A command without input and output.
pub(super) fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs commands one after the other, after everything earlier has reached the disk.
pub(super) fn run(commands: &mut [Command]) -> anyhow::Result<Run> {
    settle()?;
    let start = Instant::now();
    let mut peak_kib = 0;
    for command in commands {
        peak_kib = peak_kib.max(once(command)?);
    }
    Ok(Run {
        seconds: start.elapsed().as_secs_f64(),
        peak_mib: f64::from(peak_kib) / 1024.0,
    })
}

/// Writes to most of the machine's free memory once. A virtual machine that gave free memory back to its
/// host gets it again page by page at the first use, which would be measured as time of the program that
/// happens to write first: 2 GiB of a file took up to two seconds longer.
pub(super) fn warm_memory() -> anyhow::Result<()> {
    let free = std::fs::read_to_string("/proc/meminfo").context("reading the free memory")?;
    let line = free.lines().find_map(|line| line.strip_prefix("MemFree:"));
    let kib: usize = line
        .and_then(|line| line.split_whitespace().next())
        .context("no MemFree in /proc/meminfo")?
        .parse()?;
    std::hint::black_box(vec![1_u8; kib / 4 * 3 * 1024]);
    Ok(())
}

/// Waits until the disk has what was written before.
fn settle() -> anyhow::Result<()> {
    let status = Command::new("sync").status().context("running sync")?;
    anyhow::ensure!(status.success(), "sync failed");
    Ok(())
}

/// Runs a command to its end; gives its peak of memory in KiB.
fn once(command: &mut Command) -> anyhow::Result<u32> {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut peak = 0;
    let mut looks = 0;
    loop {
        if looks % LOOKS_PER_READING == 0 {
            peak = peak.max(peak_kib(child.id()).unwrap_or(0));
        }
        looks += 1;
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "{command:?} failed: {status}");
            return Ok(peak);
        }
        std::thread::sleep(LOOK);
    }
}

fn peak_kib(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
