//! `peerwork completions` and `peerwork man`: generate their texts from the command line's clap
//! description.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::{
    command::{Call, Command},
    output::Answer,
};

/// A text that the text form prints as it is and the JSON form wraps into an object.
#[derive(Serialize)]
struct Made {
    #[serde(skip)]
    text: String,
    message: String,
}

impl Answer for Made {
    fn text(&self) -> String {
        self.text.clone()
    }
}

/// `peerwork completions`
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// bash, elvish, fish, powershell or zsh
    shell: clap_complete::Shell,
}

impl Command for Completions {
    const NAME: &'static str = "completions";
    const ABOUT: &'static str = "Print the completion script for a shell";

    fn describe(command: clap::Command) -> clap::Command {
        command.alias("completion")
    }

    /// Ignores the settings, so that invalid settings do not matter.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let mut script = Vec::new();
        let mut described = (call.command_line)();
        clap_complete::generate(self.shell, &mut described, "peerwork", &mut script);
        show(script, call)
    }
}

/// `peerwork man`
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The folder
    dir: Option<PathBuf>,
}

impl Command for Man {
    const NAME: &'static str = "man";
    const ABOUT: &'static str =
        "Print the manual page, or write a page for each command into a folder";

    /// Ignores the settings, so that invalid settings do not matter.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new((call.command_line)()).render(&mut page)?;
            return show(page, call);
        };
        std::fs::create_dir_all(&dir)
            .and_then(|()| clap_mangen::generate_to((call.command_line)(), &dir))
            .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
        let message = format!("Manual pages written to {}", dir.display());
        call.form.show(&Made {
            text: message.clone(),
            message,
        })
    }
}

fn show(text: Vec<u8>, call: &Call<'_>) -> anyhow::Result<()> {
    let text = String::from_utf8(text).context("the text made is not UTF-8")?;
    call.form.show(&Made {
        text: text.trim_end().to_owned(),
        message: text,
    })
}
