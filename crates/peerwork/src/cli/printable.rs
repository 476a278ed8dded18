//! Texts of strangers for a terminal: names of files, and errors that quote them.
//!
//! A terminal obeys control characters: a name could move the cursor, change the title or pretend a line.

use std::{borrow::Cow, fmt::Write as _};

/// A name of a file as `ipfs add` prints it: with `\n` for a line break, `\x1b` for the character that begins
/// the commands of a terminal, and `\\` for a backslash, so that no name of a stranger does more than be read.
pub(crate) fn printable(name: &str) -> Cow<'_, str> {
    let plain = |letter| letter != '\\' && is_printable(letter);
    if name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        match letter {
            '\\' => text.push_str(r"\\"),
            letter => push_escaped(&mut text, letter),
        }
    }
    Cow::Owned(text)
}

/// A message whose quotations of names do nothing to a terminal; its line breaks stay.
pub(crate) fn harmless(message: &str) -> Cow<'_, str> {
    let plain = |letter| letter == '\n' || is_printable(letter);
    if message.chars().all(plain) {
        return Cow::Borrowed(message);
    }
    let mut text = String::with_capacity(message.len() + 8);
    for letter in message.chars() {
        match letter {
            '\n' => text.push(letter),
            letter => push_escaped(&mut text, letter),
        }
    }
    Cow::Owned(text)
}

fn push_escaped(text: &mut String, letter: char) {
    let code = u32::from(letter);
    let written = match letter {
        letter if is_printable(letter) => return text.push(letter),
        '\n' => return text.push_str(r"\n"),
        '\r' => return text.push_str(r"\r"),
        '\t' => return text.push_str(r"\t"),
        '\x07' => return text.push_str(r"\a"),
        '\x08' => return text.push_str(r"\b"),
        '\x0b' => return text.push_str(r"\v"),
        '\x0c' => return text.push_str(r"\f"),
        _ if code < 0x80 => write!(text, r"\x{code:02x}"),
        _ if code < 0x1_0000 => write!(text, r"\u{code:04x}"),
        _ => write!(text, r"\U{code:08x}"),
    };
    written.expect("invariant: writing to a String succeeds");
}

/// Letters, marks, numbers, signs and the space; the standard library tells them by what `{:?}` leaves as it is.
fn is_printable(letter: char) -> bool {
    match letter {
        ' '..='~' => true,
        letter if letter.is_ascii() => false,
        // Behind a letter, a combining mark is printable too.
        letter => {
            ['a', letter]
                .iter()
                .collect::<String>()
                .escape_debug()
                .count()
                == 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printed_as_ipfs_prints_them() {
        // `ipfs add` of kubo 0.43.1 prints the same.
        for (name, printed) in [
            ("plain name.txt", "plain name.txt"),
            ("\u{e4}\u{1f600}e\u{301}", "\u{e4}\u{1f600}e\u{301}"),
            ("a\nb\tc\rd", r"a\nb\tc\rd"),
            ("back\\slash \"quoted\"", r#"back\\slash "quoted""#),
            ("\x1b[2J\x07\x7f", r"\x1b[2J\a\x7f"),
            (
                "\u{202e}txt\u{85}\u{a0}\u{200d}",
                r"\u202etxt\u0085\u00a0\u200d",
            ),
            ("\u{e0001}", r"\U000e0001"),
        ] {
            assert_eq!(printable(name), printed);
        }
    }

    #[test]
    fn a_message_keeps_its_lines_and_backslashes_alone() {
        assert_eq!(harmless("a\nb \"\\n\""), "a\nb \"\\n\"");
        assert_eq!(harmless("x\x1b]0;y\x07\r"), r"x\x1b]0;y\a\r");
    }
}
