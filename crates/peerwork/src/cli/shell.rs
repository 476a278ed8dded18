//! `peerwork completions` and `peerwork man`: made from the command line's own description.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::{
    args,
    output::{Answer, Form},
};

/// A text that is the same in both forms but for its wrapping.
#[derive(Serialize)]
struct Made {
    #[serde(skip)]
    shown: String,
    message: String,
}

impl Answer for Made {
    fn text(&self) -> String {
        self.shown.clone()
    }
}

/// Prints the completion script for `shell`.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn completions(shell: clap_complete::Shell, form: Form) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "peerwork", &mut script);
    show(script, form)
}

/// Prints the manual page, or writes one for each command into `dir`.
///
/// # Errors
/// When a page cannot be written.
pub(super) fn man(dir: Option<&Path>, form: Form) -> anyhow::Result<()> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(args::command()).render(&mut page)?;
        return show(page, form);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(args::command(), dir))
        .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
    let message = format!("Manual pages written to {}", dir.display());
    form.show(&Made {
        shown: message.clone(),
        message,
    })
}

fn show(text: Vec<u8>, form: Form) -> anyhow::Result<()> {
    let text = String::from_utf8(text).context("the text made is not UTF-8")?;
    form.show(&Made {
        shown: text.trim_end().to_owned(),
        message: text,
    })
}
