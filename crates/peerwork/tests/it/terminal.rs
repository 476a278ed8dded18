//! A terminal in a test: a pty with a program on it, and the screen as a person would see it.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    mem,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::network::{Running, eventually};

/// A program on a terminal of its own.
pub(crate) struct Terminal {
    pub(crate) process: Running,
    master: File,
    screen: Arc<Mutex<Screen>>,
}

impl Terminal {
    /// Runs a shell command on a terminal with so many columns; the program of `command` is `$0`, and its
    /// arguments are `$@`.
    pub(crate) fn run(command: &Command, shell: &str, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let master = File::from(master);
        resize(&master, columns);
        let open = || {
            let path = Path::new(name.to_str().unwrap());
            Stdio::from(
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(path)
                    .unwrap(),
            )
        };
        // `--ctty` makes Ctrl-C a signal.
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .args(["--ctty", "sh", "-c", shell])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(open())
            .stdout(open())
            .stderr(open());
        if let Some(dir) = command.get_current_dir() {
            on_terminal.current_dir(dir);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(name, value),
                None => on_terminal.env_remove(name),
            };
        }
        on_terminal.env("TERM", "xterm-256color");
        let process = Running(on_terminal.spawn().unwrap());
        let screen = Arc::new(Mutex::new(Screen::new(columns.into())));
        let mut reader = master.try_clone().unwrap();
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails when the last program has left the terminal.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                shown.lock().unwrap().take(&bytes[..count]);
            }
            shown.lock().unwrap().is_over = true;
        });
        Self {
            process,
            master,
            screen,
        }
    }

    /// Changes the number of columns. What is on the screen is cut there, as by xterm.
    pub(crate) fn resize(&mut self, columns: u16) {
        self.screen.lock().unwrap().cut(columns.into());
        resize(&self.master, columns);
    }

    /// Waits until the program has drawn its line again, with what it knows of the terminal since the call.
    pub(crate) fn is_drawn_again(&self) {
        let begun = || self.screen.lock().unwrap().begun;
        // The first drawing may have begun before the call.
        let second = begun() + 2;
        eventually("the line to be drawn again", || {
            (begun() >= second).then_some(())
        });
    }

    /// Types on the keyboard.
    pub(crate) fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// The lines on the screen, without those that are empty at the end.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.screen.lock().unwrap().lines()
    }

    /// Waits until the screen shows what is looked for.
    pub(crate) fn shows<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        eventually(what, || {
            let found = find(&self.lines());
            let is_over = self.screen.lock().unwrap().is_over;
            assert!(
                found.is_some() || !is_over,
                "no {what}: {:#?}",
                self.lines()
            );
            found
        })
    }

    /// Waits for the end of the program, and gives its exit code and the last screen.
    pub(crate) fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = eventually("the end of the program", || {
            self.process.0.try_wait().unwrap()
        });
        eventually("the last bytes of the program", || {
            self.screen.lock().unwrap().is_over.then_some(())
        });
        (status.code(), self.lines())
    }
}

fn resize(master: &File, columns: u16) {
    let size = Winsize {
        ws_row: 40,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size).unwrap();
}

/// The screen of a terminal without an end downwards: what a program wrote stays to be looked at.
struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// How often the beginning of a line was gone to.
    begun: u64,
    /// Bytes of a letter or command that has not come whole.
    rest: Vec<u8>,
    is_over: bool,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![Vec::new()],
            row: 0,
            column: 0,
            begun: 0,
            rest: Vec::new(),
            is_over: false,
        }
    }

    fn lines(&self) -> Vec<String> {
        let rows = self.rows.iter();
        let text = |row: &Vec<char>| {
            row.iter()
                .filter(|c| **c != SECOND_HALF)
                .collect::<String>()
        };
        let mut lines: Vec<String> = rows.map(|row| text(row).trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    fn cut(&mut self, columns: usize) {
        self.columns = columns;
        self.rows.iter_mut().for_each(|row| row.truncate(columns));
        self.column = self.column.min(columns);
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let bytes = mem::take(&mut self.rest);
        let whole = match std::str::from_utf8(&bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = std::str::from_utf8(&bytes[..whole]).unwrap();
        let mut letters = text.chars();
        loop {
            let before = letters.as_str();
            let Some(letter) = letters.next() else { break };
            if letter == '\x1b' && !self.command(&mut letters) {
                self.rest = before.as_bytes().to_vec();
                break;
            }
            if letter != '\x1b' {
                self.letter(letter);
            }
        }
        self.rest.extend_from_slice(&bytes[whole..]);
    }

    /// Obeys a command behind the escape character; false when it has not come whole.
    fn command(&mut self, letters: &mut std::str::Chars<'_>) -> bool {
        let Some(first) = letters.next() else {
            return false;
        };
        assert_eq!(first, '[', "a command that this screen does not know");
        let mut number = String::new();
        let end = loop {
            match letters.next() {
                None => return false,
                Some(letter) if letter.is_ascii_alphabetic() => break letter,
                Some(letter) => number.push(letter),
            }
        };
        let count = number.parse().unwrap_or(1);
        match end {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => self.go_to(self.row + count),
            'C' => self.column += count,
            'D' => self.column = self.column.saturating_sub(count),
            'G' => {
                self.column = count - 1;
                self.begun += 1;
            }
            'K' if number == "2" => self.rows[self.row].clear(),
            'K' => self.rows[self.row].truncate(self.column),
            'J' => {
                self.rows[self.row].truncate(self.column);
                self.rows.truncate(self.row + 1);
            }
            // Colours, and the cursor that is hidden or shown.
            'm' | 'h' | 'l' => {}
            other => panic!("the command {number}{other} is not known to this screen"),
        }
        true
    }

    fn go_to(&mut self, row: usize) {
        self.row = row;
        if self.rows.len() <= row {
            self.rows.resize(row + 1, Vec::new());
        }
    }

    fn letter(&mut self, letter: char) {
        match letter {
            '\r' => self.column = 0,
            '\n' => self.go_to(self.row + 1),
            '\x07' => {}
            letter => {
                assert!(!letter.is_control(), "{letter:?} came to the terminal");
                let width = width(letter);
                if self.column + width > self.columns {
                    self.column = 0;
                    self.go_to(self.row + 1);
                }
                let (row, end) = (&mut self.rows[self.row], self.column + width);
                if row.len() < end {
                    row.resize(end, ' ');
                }
                row[self.column] = letter;
                if width == 2 {
                    row[self.column + 1] = SECOND_HALF;
                }
                self.column = end;
            }
        }
    }
}

/// The second column of a wide letter.
const SECOND_HALF: char = '\0';

/// The columns of a letter: two for those of East Asia and for pictures.
fn width(letter: char) -> usize {
    match letter {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}' => 2,
        _ => 1,
    }
}
