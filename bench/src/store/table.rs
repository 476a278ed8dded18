//! The rows of a table: a name, and the runs of all rounds.

use std::fmt;

use super::timed::Run;
use crate::report::median;

/// One row of a table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    runs: Vec<Run>,
}

impl Row {
    /// A row without runs.
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            runs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// The median of the seconds.
    pub(super) fn seconds(&self) -> f64 {
        median(self.runs.iter().map(|run| run.seconds).collect())
    }

    /// The largest peak of memory; 0 when it was not measured.
    pub(super) fn peak_mib(&self) -> f64 {
        self.runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max)
    }
}

/// The rows of a table, its title, and the amount that each run moved.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) mib: f64,
    /// The name of the column of ratios, and the seconds that they are relative to.
    pub(super) ratio: (&'static str, f64),
    pub(super) rows: Vec<Row>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, reference) = self.ratio;
        writeln!(
            f,
            "| {} | seconds | MiB/s | time ÷ {name} | peak memory, MiB |\n|---|---|---|---|---|",
            self.title
        )?;
        for row in &self.rows {
            let seconds = row.seconds();
            let peak = row.peak_mib();
            write!(
                f,
                "| {} | {seconds:.2} | {:.0} | {:.2} |",
                row.name,
                self.mib / seconds,
                seconds / reference
            )?;
            match peak > 0.0 {
                true => writeln!(f, " {peak:.0} |")?,
                false => writeln!(f, " |")?,
            }
        }
        Ok(())
    }
}

/// The seconds of the row of this name.
pub(super) fn seconds_of(rows: &[Row], name: &str) -> f64 {
    let row = rows.iter().find(|row| row.name == name);
    row.map_or(f64::NAN, Row::seconds)
}
