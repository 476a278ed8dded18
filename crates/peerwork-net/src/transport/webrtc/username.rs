//! Checks the STUN user name of a dialler, whose two halves are the ICE names of both sides.
//!
//! libp2p's specification of WebRTC-direct demands that a listener refuses names that are not well
//! formed, and versions that it does not know.

/// The beginning of this side's name in version 1: both sides have the same name and password.
const VERSION_1: &str = "libp2p+webrtc+v1/";
/// The beginning of this side's name in version 2: the dialler's ICE password follows.
const VERSION_2: &str = "libp2p+webrtc+v2/";
/// Characters of an ICE name (RFC 8839 section 5.4).
const NAME_CHARACTERS: std::ops::RangeInclusive<usize> = 4..=256;
/// The fewest characters of an ICE password (RFC 8839 section 5.4); the name that contains it bounds
/// its length.
const PASSWORD_CHARACTERS_MIN: usize = 22;

/// Whether a dialler of WebRTC-direct may have sent `ours`, this side's name, and `theirs`, its own.
pub(super) fn is_well_formed(ours: &str, theirs: &str) -> bool {
    let known = match ours.strip_prefix(VERSION_2) {
        Some(password) => password.len() >= PASSWORD_CHARACTERS_MIN,
        None => ours.starts_with(VERSION_1),
    };
    known && is_name(ours) && is_name(theirs)
}

/// Whether a text is an ICE name: 4 to 256 letters, digits, `+` and `/`.
fn is_name(text: &str) -> bool {
    let is_ice = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    NAME_CHARACTERS.contains(&text.len()) && text.bytes().all(is_ice)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of version 2 whose password has the least length.
    const V2: &str = "libp2p+webrtc+v2/+/3456789012345678901z";

    /// A name of `length` characters.
    fn name(version: &str, length: usize) -> String {
        format!("{version}{}", "p".repeat(length - version.len()))
    }

    #[test]
    fn an_unknown_version_is_refused() {
        assert!(is_well_formed(V2, "dialler"));
        for version in [
            "libp2p+webrtc+v3/",
            "libp2p+webrtc+v22/",
            "libp2p+webrtc+/",
            "",
        ] {
            assert!(!is_well_formed(&name(version, 50), "dialler"), "{version}");
        }
    }

    #[test]
    fn a_password_of_version_2_has_22_characters_or_more() {
        assert!(!is_well_formed(&name(VERSION_2, 17 + 21), "dialler"));
        assert!(is_well_formed(&name(VERSION_2, 17 + 22), "dialler"));
    }

    #[test]
    fn both_names_have_the_lengths_of_ice() {
        for version in [VERSION_1, VERSION_2] {
            assert!(is_well_formed(&name(version, 256), "dialler"));
            assert!(!is_well_formed(&name(version, 257), "dialler"));
        }
        for (length, allowed) in [(3, false), (4, true), (256, true), (257, false)] {
            let theirs = "u".repeat(length);
            assert_eq!(is_well_formed(V2, &theirs), allowed, "{length}");
        }
    }

    #[test]
    fn both_names_have_the_characters_of_ice() {
        for wrong in ["-", "=", " ", "\r\n", "ü", ":"] {
            for version in [VERSION_1, VERSION_2] {
                let ours = format!("{version}{wrong}{}", "p".repeat(22));
                assert!(!is_well_formed(&ours, "dialler"), "{ours}");
            }
            let theirs = format!("dial{wrong}ler");
            assert!(!is_well_formed(V2, &theirs), "{theirs}");
        }
    }
}
