//! The progress of a command: a bar on a terminal, plain lines elsewhere, JSON events with `--json`.
//!
//! Progress goes to standard error and results to standard output. Nothing is shown in the first second
//! of a command, so that quick ones stay quiet.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossterm::terminal;
use parking_lot::Mutex;
use serde_json::json;

use super::{status_line::StatusLine, teller::Teller};
use crate::cli::{
    output::{Form, remark},
    size::size,
};

/// The time before anything is shown.
const QUIET: Duration = Duration::from_millis(700);
/// The pause between two lines.
const LINES: Duration = Duration::from_secs(1);
/// The pause between two lines after the first ten.
const LATER_LINES: Duration = Duration::from_secs(10);
const FIRST_LINES: u32 = 10;

/// Whether a command shows its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    Yes,
    No,
}

/// The pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(250);
/// The time without a byte after which the progress says so.
const STILL: Duration = Duration::from_secs(3);

/// The columns behind the line, where a terminal writes `^C`: it would begin another line otherwise, and the line
/// of the progress would stay.
const FREE_COLUMNS: usize = 3;
/// The columns of a bar.
const BAR_COLUMNS_MIN: u64 = 8;
const BAR_COLUMNS_MAX: usize = 40;

/// The progress of one task. A thread shows it, so that it is seen also while nothing comes.
pub(super) struct Meter {
    state: Arc<Mutex<State>>,
    teller: Teller,
    /// Ends the thread when it is dropped.
    clock: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    task: &'static str,
    look: Look,
    started: Instant,
    /// The time of the last change.
    moved: Instant,
    bytes: u64,
    total: Option<u64>,
    blocks: u64,
}

enum Look {
    None,
    /// One line of a terminal, which is drawn again and again.
    Line(StatusLine),
    Lines(Form, Pace),
}

/// The time of the next line.
struct Pace {
    next: Instant,
    lines: u32,
}

impl Meter {
    /// A meter for `task`, a verb as in `add`.
    pub(super) fn new(task: &'static str, form: Form, shown: Display) -> Self {
        let started = Instant::now();
        let pace = Pace {
            next: started + QUIET.max(LINES),
            lines: 0,
        };
        let look = match (shown, form) {
            (Display::No, Form::Text) => Look::None,
            (Display::Yes, Form::Text) if io::stderr().is_terminal() => {
                Look::Line(StatusLine::default())
            }
            (_, form) => Look::Lines(form, pace),
        };
        let line = match &look {
            Look::Line(line) => Some(line.clone()),
            Look::None | Look::Lines(..) => None,
        };
        let teller = Teller {
            form,
            shown: shown == Display::Yes,
            line,
        };
        let state = State {
            task,
            look,
            started,
            moved: started,
            bytes: 0,
            total: None,
            blocks: 0,
        };
        let mut meter = Self {
            state: Arc::new(Mutex::new(state)),
            teller,
            clock: None,
            thread: None,
        };
        meter.tick();
        meter
    }

    /// Starts the thread that shows the progress.
    fn tick(&mut self) {
        if matches!(self.state.lock().look, Look::None) {
            return;
        }
        let (clock, ended) = mpsc::channel();
        let state = Arc::clone(&self.state);
        let ticking = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                state.lock().show(Instant::now());
            }
        };
        // A machine that has no thread left shows no progress.
        let thread = thread::Builder::new().name("progress".to_owned());
        self.thread = thread.spawn(ticking).ok();
        self.clock = Some(clock);
    }

    /// Says how many bytes the task has in all.
    pub(super) fn set_total(&mut self, total: Option<u64>) {
        self.state.lock().set_total(total);
    }

    /// Counts further bytes.
    pub(super) fn add(&mut self, bytes: u64) {
        let mut state = self.state.lock();
        let (blocks, bytes) = (state.blocks, state.bytes + bytes);
        state.at(blocks, bytes);
    }

    /// Says how far the task is; a smaller figure than before changes nothing.
    pub(super) fn at(&mut self, blocks: u64, bytes: u64) {
        self.state.lock().at(blocks, bytes);
    }

    /// The lines about other nodes, which do not tear the line of the progress.
    pub(super) fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Writes something to the terminal above the line of the progress.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.state.lock().look {
            Look::Line(line) => line.beside(write),
            Look::None | Look::Lines(..) => write(),
        }
    }
}

/// The line leaves the terminal when the task ends.
impl Drop for Meter {
    fn drop(&mut self) {
        self.clock = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked showed no progress, and the task's result stays what it is.
            let _ = thread.join();
        }
        if let Look::Line(line) = &self.state.lock().look {
            line.clear();
        }
    }
}

impl State {
    fn set_total(&mut self, total: Option<u64>) {
        if total.is_some() && total != self.total {
            self.total = total;
        }
    }

    fn at(&mut self, blocks: u64, bytes: u64) {
        let before = (self.blocks, self.bytes);
        self.blocks = self.blocks.max(blocks);
        self.bytes = self.bytes.max(bytes);
        if (self.blocks, self.bytes) != before {
            self.moved = Instant::now();
        }
    }

    /// Shows the progress when its time has come.
    fn show(&mut self, now: Instant) {
        let at = self.figures(now);
        match &mut self.look {
            Look::None => {}
            Look::Line(_) if at.since < QUIET => {}
            Look::Line(line) => {
                // A terminal that does not tell its size has the usual one.
                let columns = match terminal::size() {
                    Ok((columns @ 1.., _)) => columns,
                    _ => 80,
                };
                line.draw(at.bar(columns.into()));
            }
            Look::Lines(form, pace) => {
                if now < pace.next {
                    return;
                }
                pace.lines += 1;
                let pause = if pace.lines < FIRST_LINES {
                    LINES
                } else {
                    LATER_LINES
                };
                pace.next = now + pause;
                remark(&match form {
                    Form::Text => at.text(),
                    Form::Json => at.json(),
                });
            }
        }
    }

    fn figures(&self, now: Instant) -> At {
        At {
            task: self.task,
            blocks: self.blocks,
            // The total is an estimate, of a tree that changes or of the DAG's own word.
            bytes: self.bytes.min(self.total.unwrap_or(u64::MAX)),
            total: self.total,
            since: now.saturating_duration_since(self.started),
            unmoved: now.saturating_duration_since(self.moved),
        }
    }
}

/// The figures of one line.
struct At {
    task: &'static str,
    blocks: u64,
    bytes: u64,
    total: Option<u64>,
    since: Duration,
    /// The time since the last change.
    unmoved: Duration,
}

impl At {
    /// The seconds since the last change, when they are many.
    fn still(&self) -> Option<u64> {
        (self.unmoved >= STILL).then_some(self.unmoved.as_secs())
    }

    fn rate(&self) -> u64 {
        let seconds = self.since.as_secs_f64().max(0.001);
        // A rate is a figure for people: the fraction of a byte does not count.
        (self.bytes as f64 / seconds) as u64
    }

    /// The seconds that the rest takes at the rate so far.
    fn left(&self) -> Option<u64> {
        let rest = self.total?.saturating_sub(self.bytes);
        rest.checked_div(self.rate())
    }

    /// The line with a bar behind it, where so many columns have room for one.
    fn bar(&self, columns: usize) -> String {
        let text = self.text();
        let columns = columns.saturating_sub(FREE_COLUMNS);
        // A space and two brackets.
        let room = columns.saturating_sub(text.chars().count() + 3);
        let room = room.min(BAR_COLUMNS_MAX) as u64;
        match self.total {
            Some(total) if total > 0 && room >= BAR_COLUMNS_MIN => {
                let done = u128::from(self.bytes.min(total)) * u128::from(room) / u128::from(total);
                let done = usize::try_from(done).unwrap_or_default();
                let rest = room as usize - done;
                format!("{text} [{}{}]", "█".repeat(done), "░".repeat(rest))
            }
            _ => text.chars().take(columns).collect(),
        }
    }

    fn text(&self) -> String {
        let bytes = size(self.bytes);
        let of = self
            .total
            .map_or_else(String::new, |total| format!(" of {}", size(total)));
        let rate = size(self.rate());
        // The last second is not told: the end takes its own time.
        let left = self
            .left()
            .filter(|left| *left > 0)
            .map_or_else(String::new, |left| format!(", {left} s left"));
        let rest = match self.still() {
            Some(seconds) => format!(", nothing for {seconds} s"),
            None => left,
        };
        format!("{}: {bytes}{of}, {rate}/s{rest}", self.task)
    }

    fn json(&self) -> String {
        json!({
            "event": "progress",
            "task": self.task,
            "blocks": self.blocks,
            "bytes": self.bytes,
            "bytes_total": self.total,
            "bytes_per_second": self.rate(),
            "seconds_left": self.left(),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(bytes: u64, total: Option<u64>) -> At {
        At {
            task: "add",
            blocks: 3,
            bytes,
            total,
            since: Duration::from_secs(2),
            unmoved: Duration::from_millis(2_999),
        }
    }

    #[test]
    fn a_line_has_bytes_rate_and_the_time_that_is_left() {
        let line = at(10 * MIB, Some(30 * MIB)).text();
        assert_eq!(line, "add: 10.0 MiB of 30.0 MiB, 5.0 MiB/s, 4 s left");
        assert_eq!(at(10 * MIB, None).text(), "add: 10.0 MiB, 5.0 MiB/s");
        // Nothing came yet: no time can be told.
        assert_eq!(at(0, Some(MIB)).text(), "add: 0 B of 1.0 MiB, 0 B/s");
    }

    #[test]
    fn a_task_that_stands_still_says_for_how_long() {
        let still = At {
            unmoved: STILL,
            ..at(10 * MIB, Some(30 * MIB))
        };
        let line = "add: 10.0 MiB of 30.0 MiB, 5.0 MiB/s, nothing for 3 s";
        assert_eq!(still.text(), line);
    }

    #[test]
    fn a_bar_stands_behind_the_line_where_there_is_room() {
        let at = at(10 * MIB, Some(30 * MIB));
        let text = at.text();
        assert_eq!(at.bar(text.len() + 13), text);
        assert_eq!(at.bar(40), text[..37]);
        assert_eq!(at.bar(0), "");
        let smallest = at.bar(text.len() + 14);
        assert_eq!(smallest, format!("{text} [██░░░░░░]"));
        for columns in [62, 80, 200] {
            let bar = at.bar(columns);
            assert!(
                bar.starts_with(&text) && bar.chars().count() + 3 <= columns,
                "{bar}"
            );
        }
        let bar = at.bar(1000);
        assert_eq!(bar.matches('█').count(), BAR_COLUMNS_MAX / 3, "{bar}");
        assert_eq!(
            bar.matches('░').count(),
            BAR_COLUMNS_MAX - BAR_COLUMNS_MAX / 3
        );
        // Nothing is left, and the end has not come.
        let full = super::At {
            bytes: 30 * MIB,
            ..at
        };
        assert_eq!(full.text(), "add: 30.0 MiB of 30.0 MiB, 15.0 MiB/s");
        assert!(!full.bar(80).contains('░'));
    }

    #[test]
    fn no_more_is_shown_than_the_total() {
        let mut meter = Meter::new("get", Form::Text, Display::No);
        meter.set_total(Some(100));
        meter.at(1, 130);
        let at = meter.state.lock().figures(Instant::now());
        assert_eq!((at.bytes, at.total), (100, Some(100)));
    }

    #[test]
    fn an_event_has_the_figures_as_numbers() {
        let event: serde_json::Value =
            serde_json::from_str(&at(10, Some(30)).json()).expect("JSON");
        let expected = json!({
            "event": "progress", "task": "add", "blocks": 3, "bytes": 10, "bytes_total": 30,
            "bytes_per_second": 5, "seconds_left": 4,
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn figures_never_go_back() {
        let mut meter = Meter::new("add", Form::Text, Display::No);
        meter.at(5, 100);
        meter.at(0, 0);
        meter.add(1);
        let state = meter.state.lock();
        assert_eq!((state.blocks, state.bytes), (5, 101));
    }
}
