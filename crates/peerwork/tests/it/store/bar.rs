//! The progress of a command on a real terminal, as a person sees it.

use std::{
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::Command,
};

use super::{added, noise, strange::tree_with_a_gap};
use crate::{program::peerwork, terminal::Terminal};

/// Whether a line is a bar or what is left of one.
fn is_bar(line: &str) -> bool {
    line.contains("MiB") && !line.contains("files,")
}

/// A `get` of a tree whose last block never comes: a bar with a total that stands still.
struct Getting {
    _silent: TcpListener,
    command: Command,
}

impl Getting {
    fn new(dir: &Path) -> Self {
        let root = tree_with_a_gap(dir);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
        let mut command = peerwork(dir);
        command
            .args(["store", "get", &root, "-o", "out", "--data-dir", "home"])
            .args(["--ipfs-api", &api]);
        Self {
            _silent: silent,
            command,
        }
    }
}

#[test]
fn a_bar_fits_its_terminal_follows_its_size_and_ctrl_c_leaves_a_clean_line() {
    for columns in [40, 80, 200] {
        let dir = tempfile::tempdir().unwrap();
        let getting = Getting::new(dir.path());
        let mut terminal = Terminal::run(&getting.command, "exec \"$0\" \"$@\"", columns);
        let bar = |columns: u16| {
            move |lines: &[String]| {
                let [line] = lines else { return None };
                let fits = line.chars().count() <= usize::from(columns);
                (fits && line.starts_with("get") && line.contains("3.0")).then(|| line.clone())
            }
        };
        let line = terminal.shows("a bar", bar(columns));
        assert!(
            line.contains("3.00 MiB") || line.contains("3.0 MiB"),
            "{line}"
        );
        // The narrowest terminal has no room for the words.
        let still = |lines: &[String]| lines.concat().contains("nothing for").then_some(());
        if columns > 60 {
            terminal.shows("the time without a block", still);
        }
        assert_eq!(terminal.lines().len(), 1, "{:#?}", terminal.lines());
        // A smaller window, and a larger one.
        terminal.resize(columns - 5);
        terminal.is_drawn_again();
        terminal.shows("a bar of the smaller window", bar(columns - 5));
        terminal.resize(columns);
        terminal.is_drawn_again();
        terminal.shows("a bar of the larger window", bar(columns));
        terminal.types("\x03");
        let (code, lines) = terminal.ended();
        assert_eq!(code, Some(1), "{lines:#?}");
        let text = lines.concat();
        assert!(
            text.starts_with("error: ended by a signal: interrupt"),
            "{lines:#?}"
        );
        assert!(!lines.iter().any(|line| is_bar(line)), "{lines:#?}");
        assert!(!dir.path().join("out").exists());
    }
}

#[test]
fn lines_of_added_files_stand_above_the_bar_and_nothing_of_it_stays() {
    for columns in [40, 80, 200] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let made = Command::new("mkfifo").arg(dir.join("input")).status();
        assert!(made.unwrap().success());
        let mut command = peerwork(dir);
        command.args([
            "store",
            "add",
            "-w",
            "-",
            "--stdin-name",
            "z",
            "--data-dir",
            "home",
        ]);
        let terminal = Terminal::run(&command, "exec \"$0\" \"$@\" < input", columns);
        let mut input = File::options().write(true).open(dir.join("input")).unwrap();
        input.write_all(&noise(20 << 20, 5)).unwrap();
        let bar = terminal.shows("a bar", |lines| {
            lines.iter().find(|line| is_bar(line)).cloned()
        });
        assert!(bar.starts_with("add"), "{bar}");
        assert!(bar.chars().count() <= usize::from(columns), "{bar}");
        drop(input);
        let (code, lines) = terminal.ended();
        assert_eq!(code, Some(0), "{lines:#?}");
        assert!(!lines.iter().any(|line| is_bar(line)), "{lines:#?}");
        let text = lines.concat();
        assert_eq!(text.matches("added ").count(), 2, "{lines:#?}");
        assert!(
            text.contains("1 files, 1 directories, 20.0 MiB in"),
            "{lines:#?}"
        );
    }
}

#[test]
fn names_of_all_scripts_and_lengths_are_whole_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let names = ["übung", "目录的名字", "عربي", "👍🏽 emoji", "e\u{301}"];
    let long = "very long name ".repeat(16);
    fs::create_dir(dir.join("t")).unwrap();
    for name in names.iter().copied().chain([long.as_str()]) {
        fs::write(dir.join("t").join(name), name).unwrap();
    }
    let root = added(dir, "-rn t");
    for columns in [40, 200] {
        let mut command = peerwork(dir);
        command.args(["store", "add", "-r", "t", "--data-dir", "home"]);
        let terminal = Terminal::run(&command, "exec \"$0\" \"$@\"", columns);
        let (code, lines) = terminal.ended();
        assert_eq!(code, Some(0), "{lines:#?}");
        let tight = |text: &str| text.replace(' ', "");
        let text = tight(&lines.concat());
        for name in names.iter().copied().chain([long.as_str()]) {
            assert!(
                text.contains(&tight(&format!("t/{name}"))),
                "{name}: {lines:#?}"
            );
        }
        assert!(text.contains(&root), "{lines:#?}");
    }
}

#[test]
fn a_person_at_the_terminal_gets_no_car_file_on_it_and_no_wait_for_typing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("file"), "content").unwrap();
    let cid = added(dir, "file --data-dir home");
    for (line, way) in [
        (format!("export-car {cid} --data-dir home"), "-o FILE"),
        (
            "add --data-dir home".to_owned(),
            "name the files and folders",
        ),
    ] {
        let mut command = peerwork(dir);
        command.arg("store").args(line.split_whitespace());
        let terminal = Terminal::run(&command, "exec \"$0\" \"$@\"", 200);
        let (code, lines) = terminal.ended();
        assert_eq!((code, lines.len()), (Some(1), 1), "{lines:#?}");
        assert!(lines[0].contains(way), "{lines:#?}");
    }
}
