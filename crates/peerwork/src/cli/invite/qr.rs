//! Draws a ticket as a QR code for a terminal.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// The QR code of a ticket, two rows of modules in each line; `None` when the ticket is too long for one.
/// The letters are capitals, because QR codes have a short form for those; tickets may have any case.
pub(super) fn code(ticket: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(ticket.to_uppercase(), EcLevel::L).ok()?;
    let mut drawn = code.render::<Dense1x2>();
    // Terminals are dark as a rule, so the light modules are the drawn ones.
    let drawn = drawn
        .dark_color(Dense1x2::Dark)
        .light_color(Dense1x2::Light);
    Some(drawn.quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_takes_the_short_form_of_capitals() {
        let ticket = format!("peerwork1{}", "abc234".repeat(40));
        let lines = code(&ticket).map(|code| code.lines().count());
        let bytes = QrCode::with_error_correction_level(&ticket, EcLevel::L);
        let of_bytes = bytes.map_or(0, |code| (code.width() + 8).div_ceil(2));
        assert!(lines.is_some_and(|lines| lines > 20 && lines < of_bytes));
    }

    #[test]
    fn the_longest_code_has_4296_letters() {
        assert!(code(&"a".repeat(4296)).is_some());
        assert!(code(&"a".repeat(4297)).is_none());
    }
}
