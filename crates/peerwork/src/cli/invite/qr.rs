//! Draws a ticket as a QR code for a terminal.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Black on white, by numbers of the palette that themes do not change: many scanners read no code whose
/// light and dark are exchanged.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// The characters of the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Blocks in colours of their own: the code looks the same on dark and light terminals.
    Colours,
    /// Blocks without colours, for terminals with light text on a dark ground.
    Plain,
}

impl Style {
    /// The style for standard output: colours where a terminal shows them.
    pub(super) fn of(is_terminal: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match is_terminal && !is_set("NO_COLOR") && !is_dumb {
            true => Self::Colours,
            false => Self::Plain,
        }
    }
}

/// The QR code of a ticket.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) text: String,
    /// The width in columns, the quiet zone included.
    pub(super) columns: usize,
}

impl Drawn {
    /// The drawing for a terminal with so many columns. The error is a note for people.
    pub(super) fn within(self, columns: Option<usize>) -> Result<String, String> {
        let needed = self.columns;
        match columns {
            Some(columns) if columns < needed => Err(format!(
                "the QR code needs {needed} columns and the terminal has {columns}, so it is left out: make \
                 the window wider or its letters smaller, or name fewer relays by --address"
            )),
            _ => Ok(self.text),
        }
    }
}

/// Draws the QR code of a ticket, two rows of modules in each line; `None` when the ticket is too long
/// for a code. The letters are capitals, because QR codes have a short form for those; tickets may have
/// any case.
pub(super) fn code(ticket: &str, style: Style) -> Option<Drawn> {
    let code = QrCode::with_error_correction_level(ticket.to_uppercase(), EcLevel::L).ok()?;
    let mut drawn = code.render::<Dense1x2>();
    if style == Style::Plain {
        // The blocks of text stand for the light modules.
        drawn
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark);
    }
    let drawn = drawn.quiet_zone(true).build();
    let columns = drawn.lines().map(|line| line.chars().count()).max();
    let coloured = drawn
        .lines()
        .map(|line| format!("{BLACK_ON_WHITE}{line}{RESET}"));
    Some(Drawn {
        columns: columns.unwrap_or_default(),
        text: match style {
            Style::Colours => coloured.collect::<Vec<_>>().join("\n"),
            Style::Plain => drawn,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(ticket: &str) -> Option<String> {
        code(ticket, Style::Plain).map(|drawn| drawn.text)
    }

    #[test]
    fn a_ticket_takes_the_short_form_of_capitals() {
        let ticket = format!("peerwork1{}", "abc234".repeat(40));
        let lines = plain(&ticket).map(|code| code.lines().count());
        let bytes = QrCode::with_error_correction_level(&ticket, EcLevel::L);
        let of_bytes = bytes.map_or(0, |code| (code.width() + 8).div_ceil(2));
        assert!(lines.is_some_and(|lines| lines > 20 && lines < of_bytes));
    }

    #[test]
    fn the_quiet_zone_is_light_on_a_dark_terminal() {
        let code = plain("peerwork1abc").unwrap_or_default();
        let first = code.lines().next().unwrap_or_default();
        assert!(
            !first.is_empty() && first.chars().all(|module| module == '█'),
            "{code}"
        );
    }

    #[test]
    fn a_code_in_colours_is_black_on_white_whatever_the_theme_and_each_line_ends_its_colours() {
        let drawn = code("peerwork1abc", Style::Colours);
        let Some(Drawn { text, columns }) = drawn else {
            panic!("no code");
        };
        for (at, line) in text.lines().enumerate() {
            let modules = line
                .strip_prefix(BLACK_ON_WHITE)
                .and_then(|line| line.strip_suffix(RESET));
            let Some(modules) = modules else {
                panic!("{line:?}");
            };
            assert_eq!(modules.chars().count(), columns, "{line:?}");
            // Four light modules are the quiet zone, two rows in each line.
            let quiet = at < 2 || modules.starts_with("    ") && modules.ends_with("    ");
            assert!(quiet, "{line:?}");
            assert!(at >= 2 || modules.trim().is_empty(), "{line:?}");
        }
    }

    #[test]
    fn a_code_is_drawn_where_it_fits_and_else_the_note_names_the_width() {
        let within = |less: Option<usize>| {
            let drawn = code("peerwork1abc", Style::Colours)?;
            let columns = less.map(|less| drawn.columns - less);
            Some(drawn.within(columns))
        };
        assert!(within(None).is_some_and(|drawn| drawn.is_ok()));
        assert!(within(Some(0)).is_some_and(|drawn| drawn.is_ok()));
        let note = within(Some(1)).and_then(Result::err).unwrap_or_default();
        assert!(
            note.contains("29 columns and the terminal has 28"),
            "{note}"
        );
    }

    #[test]
    fn the_longest_code_has_4296_letters() {
        assert!(plain(&"a".repeat(4296)).is_some());
        assert!(plain(&"a".repeat(4297)).is_none());
    }
}
