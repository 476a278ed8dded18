//! A shell with a home and a folder of its own, which runs the commands of a page.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use peerwork_testkit::{machines::Machine, process::PROCESS_DEADLINE};

use crate::{
    network::eventually,
    program::{Ran, peerwork},
};

/// A running shell; its background commands are killed with it.
pub(crate) struct Shell {
    process: Child,
    input: ChildStdin,
    /// The lines that the shell itself writes: one for each command that was started or has ended.
    marks: Receiver<String>,
    folder: PathBuf,
    count: usize,
    /// The process groups of background commands, by name.
    jobs: BTreeMap<String, Job>,
}

/// A command in the background, as in a terminal of its own.
struct Job {
    group: u32,
    files: [PathBuf; 2],
}

impl Shell {
    /// Starts the shell with the built program in front of `PATH`.
    pub(crate) fn start(home: &Path) -> Self {
        Self::start_on(home, None)
    }

    /// Starts the shell on a machine, or on that of the test.
    pub(crate) fn start_on(home: &Path, machine: Option<&Machine>) -> Self {
        let folder = home.join("work");
        fs::create_dir(&folder).unwrap();
        let program = peerwork(home);
        let built = Path::new(program.get_program()).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .args(["--noprofile", "--norc"])
            .current_dir(&folder)
            .env("PATH", format!("{}:{path}", built.display()));
        if let Some(machine) = machine {
            command = machine.command(&command);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (send, marks) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            input: process.stdin.take().unwrap(),
            process,
            marks,
            folder,
            count: 0,
            jobs: BTreeMap::new(),
        }
    }

    /// The working folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs commands to their end in the shell, so that its variables stay.
    pub(crate) fn run(&mut self, commands: &str) -> Ran {
        let [out, err] = self.next_files();
        let mark = self.send(&format!(
            "{{\n{commands}\n}} </dev/null >{} 2>{}\necho \"$?\"\n",
            out.display(),
            err.display()
        ));
        Ran {
            code: mark.parse().ok(),
            stdout: fs::read_to_string(out).unwrap(),
            stderr: fs::read_to_string(err).unwrap(),
        }
    }

    /// Runs commands that must succeed, and gives their standard output.
    pub(crate) fn succeeds(&mut self, commands: &str) -> String {
        let ran = self.run(commands);
        assert_eq!(ran.code, Some(0), "{commands}: {ran:?}");
        ran.stdout
    }

    /// Starts a command in the background, in a process group of its own, and waits until its output
    /// contains `ready`.
    pub(crate) fn start_job(&mut self, name: &str, command: &str, ready: &str) {
        let files = self.next_files();
        let [out, err] = &files;
        let mark = self.send(&format!(
            "set -m\n{{\n{command}\n}} </dev/null >{} 2>{} &\nset +m\necho \"$!\"\n",
            out.display(),
            err.display()
        ));
        let group = mark.parse().unwrap();
        let before = self.jobs.insert(name.to_owned(), Job { group, files });
        assert!(before.is_none(), "{name} runs already");
        self.says(name, ready);
    }

    /// The output of a background command so far, with its standard error.
    pub(crate) fn output(&self, name: &str) -> String {
        let files = &self.jobs[name].files;
        let texts = files
            .each_ref()
            .map(|file| fs::read_to_string(file).unwrap());
        texts.concat()
    }

    /// Waits until the output of a background command contains `text`.
    pub(crate) fn says(&self, name: &str, text: &str) {
        eventually(&format!("`{text}` from {name}"), || {
            self.output(name).contains(text).then_some(())
        });
    }

    /// Ends a background command, as Ctrl-C does, and waits until its processes are gone.
    pub(crate) fn end(&mut self, name: &str) {
        let job = self.jobs.remove(name).unwrap();
        assert!(job.signal("-INT"), "{name} has ended before");
        eventually(&format!("the end of {name}"), || {
            (!job.signal("-0")).then_some(())
        });
    }

    fn next_files(&mut self) -> [PathBuf; 2] {
        self.count += 1;
        let home = self.folder.parent().unwrap();
        ["out", "err"].map(|kind| {
            let file = home.join(format!("{kind}.{}", self.count));
            fs::write(&file, "").unwrap();
            file
        })
    }

    /// Sends a text to the shell, and gives the line by which it answers.
    fn send(&mut self, text: &str) -> String {
        self.input.write_all(text.as_bytes()).unwrap();
        let mark = self.marks.recv_timeout(PROCESS_DEADLINE);
        mark.unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Job {
    /// Sends a signal to the processes of the command; false when there are none.
    fn signal(&self, signal: &str) -> bool {
        let group = format!("-{}", self.group);
        let mut kill = Command::new("kill");
        kill.args([signal, "--", &group]).stderr(Stdio::null());
        kill.status().unwrap().success()
    }
}

impl Drop for Shell {
    // The test runner shows standard error with the failure.
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        for (name, job) in &self.jobs {
            if std::thread::panicking() {
                eprintln!("{name}:\n{}", self.output(name));
            }
            job.signal("-KILL");
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
