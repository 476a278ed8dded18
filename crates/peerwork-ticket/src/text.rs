//! The text form of a ticket: base32 with a checksum, found again in texts that chat programs changed.

use multibase::Base;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{bounds::PAYLOAD_BYTES_MAX, error::ParseTicketError};

/// The beginning of every ticket; the digit after it is the version.
const MARK: &str = "peerwork";
/// The version that this program reads and writes.
const VERSION: u8 = b'1';
/// The bytes of the checksum, which finds missing and changed characters.
const CHECKSUM_BYTES: usize = 4;
/// The longest text that is searched for a ticket, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The most base32 characters of a ticket: five bits each.
const BODY_CHARS_MAX: usize = ((PAYLOAD_BYTES_MAX + CHECKSUM_BYTES) * 8).div_ceil(5);
/// The longest HTML entity, such as `&#x200B;` or `&thinsp;`, in bytes.
const ENTITY_BYTES_MAX: usize = 12;
/// The longest HTML tag with its attributes, in bytes.
const TAG_BYTES_MAX: usize = 256;
/// The HTML elements that stand between pieces of a text.
const TAGS: [&str; 16] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "div",
    "em",
    "font",
    "i",
    "li",
    "p",
    "pre",
    "span",
    "strong",
    "tt",
    "wbr",
];
/// The fewest base32 characters that are taken for a ticket of another version, and not for the name of
/// the program with its version.
const BODY_CHARS_MIN: usize = 16;

/// Writes a payload as a ticket.
pub(crate) fn write(payload: &[u8]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(payload.to_vec());
    bytes.extend(checksum(payload));
    let encoded = Zeroizing::new(Base::Base32Lower.encode(&*bytes));
    Zeroizing::new(format!("{MARK}{}{}", char::from(VERSION), *encoded))
}

/// Finds the ticket in a text and returns its payload.
pub(crate) fn read(text: &str) -> Result<Zeroizing<Vec<u8>>, ParseTicketError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ParseTicketError::TooLong);
    }
    let (letters, word_ends) = letters(text);
    let mut error = ParseTicketError::NotATicket;
    for (start, _) in letters.match_indices(MARK) {
        let at = start + MARK.len();
        let Some(version) = letters.as_bytes().get(at).copied() else {
            continue;
        };
        let body = body(&letters[at..]);
        let mine = match version {
            VERSION if body.is_empty() => continue,
            VERSION => read_body(body, at + 1, &word_ends),
            b'0'..=b'9' if body.len() >= BODY_CHARS_MIN => {
                Err(ParseTicketError::Version(version - b'0'))
            }
            _ => continue,
        };
        match mine {
            Ok(payload) => return Ok(payload),
            Err(mine) => error = mine,
        }
    }
    Err(error)
}

/// The letters and digits of a text in lower case, and the positions among them at which words end.
/// Everything else (white space, invisible characters, quotes, brackets, marks of Markdown and of quoted
/// mail) is left out. A character that is neither stands as `.` when it is a letter of another script.
fn letters(text: &str) -> (Zeroizing<String>, Vec<usize>) {
    let mut letters = Zeroizing::new(String::with_capacity(text.len()));
    let mut word_ends = Vec::new();
    let mut markup_end = 0;
    for (at, character) in text.char_indices() {
        if at < markup_end {
            continue;
        }
        markup_end = at + markup_bytes(&text[at..]);
        match character {
            'a'..='z' | '0'..='9' => letters.push(character),
            'A'..='Z' => letters.push(character.to_ascii_lowercase()),
            _ if character.is_alphanumeric() => letters.push('.'),
            _ if word_ends.last() != Some(&letters.len()) => word_ends.push(letters.len()),
            _ => {}
        }
    }
    word_ends.push(letters.len());
    (letters, word_ends)
}

/// The bytes of the HTML entity or tag at the beginning of a text, whose letters are none of a ticket;
/// 0 when there is neither. Mail programs and web pages put such text between the lines of a ticket.
fn markup_bytes(text: &str) -> usize {
    let bounded = |end: char, bytes: usize| {
        let end = text.bytes().take(bytes).position(|byte| byte == end as u8);
        end.and_then(|end| text.get(1..end).map(|inner| (inner, end + 1)))
    };
    let found = match text.as_bytes().first() {
        Some(b'&') => bounded(';', ENTITY_BYTES_MAX).filter(|(name, _)| is_entity(name)),
        Some(b'<') => bounded('>', TAG_BYTES_MAX).filter(|(inner, _)| is_tag(inner)),
        _ => None,
    };
    found.map_or(0, |(_, bytes)| bytes)
}

fn is_entity(name: &str) -> bool {
    let name = name.strip_prefix('#').unwrap_or(name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_tag(inner: &str) -> bool {
    let inner = inner.strip_prefix('/').unwrap_or(inner);
    let name = inner.split(|c: char| !c.is_ascii_alphanumeric()).next();
    // A ticket may stand between angle brackets too.
    name.is_some_and(|name| TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name)))
}

/// The base32 characters after the version.
fn body(from_version: &str) -> &str {
    let rest = from_version.get(1..).unwrap_or_default();
    let end = rest.find(|c: char| !matches!(c, 'a'..='z' | '2'..='7'));
    &rest[..end.unwrap_or(rest.len())]
}

/// Decodes a body that begins at `start`. Words may follow the ticket, so each end of a word may be its
/// end, and the checksum tells which one is.
fn read_body(
    body: &str,
    start: usize,
    word_ends: &[usize],
) -> Result<Zeroizing<Vec<u8>>, ParseTicketError> {
    let ends = word_ends.iter().filter_map(|end| end.checked_sub(start));
    let ends = ends.filter(|end| (1..body.len()).contains(end));
    for end in ends.chain([body.len()]) {
        if end > BODY_CHARS_MAX {
            return Err(ParseTicketError::TooLong);
        }
        if let Some(payload) = decode(&body[..end]) {
            return Ok(payload);
        }
    }
    Err(ParseTicketError::Damaged)
}

fn decode(encoded: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Base::Base32Lower.decode(encoded).ok()?);
    let (payload, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    if *sum != checksum(payload) {
        return None;
    }
    let length = payload.len();
    bytes.truncate(length);
    Some(bytes)
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(payload));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const PAYLOAD: &[u8] = b"the contents of a ticket, which are not so short";

    fn found(text: &str) -> Vec<u8> {
        read(text)
            .unwrap_or_else(|error| panic!("{text:?}: {error}"))
            .to_vec()
    }

    #[test]
    fn a_ticket_is_found_in_the_forms_that_chat_programs_give_it() {
        let text = write(PAYLOAD).to_string();
        let (front, back) = text.split_at(40);
        let (mark, rest) = text.split_at(5);
        for form in [
            text.to_uppercase(),
            format!("  {text}\r\n"),
            format!("\u{feff}{front}\u{200b}\n  {back}\u{ad}"),
            format!("{mark}\n{rest}"),
            format!("\"{text}\""),
            format!("“{text}”,"),
            format!("```\n{text}\n```"),
            format!("**`{text}`**!"),
            format!("<{text}>."),
            format!("> {front}\n> {back}"),
            format!("{front}-\n{back}"),
            format!("$ peerwork join {text}"),
            format!("peerwork join '{text}' --data-dir home"),
            format!("peerwork node --join={text}"),
            format!("Peerwork 1.2: here is the ticket {text}\nthanks, see you soon"),
            format!("ticket: {text} 你好"),
            format!("你好：{text}。"),
            format!("&gt; {front}<br>\n&gt; {back}"),
            format!("&lt;{front}&nbsp;{back}&gt;&#46;"),
            format!("&quot;{front}&#x200B;{back}&quot;"),
            format!("{front}=\r\n{back}"),
            format!("{front}<wbr/>{back}</p>"),
            format!("peerwork1abc peerwork2aaaaaaaaaaaaaaaaaaaa {text}"),
        ] {
            assert_eq!(found(&form), PAYLOAD, "{form}");
        }
    }

    #[test]
    fn texts_without_a_ticket_are_told_apart() {
        use ParseTicketError as Error;
        let text = write(PAYLOAD).to_string();
        for (form, error) in [
            (String::new(), Error::NotATicket),
            ("peerwork".to_owned(), Error::NotATicket),
            ("peerwork1".to_owned(), Error::NotATicket),
            ("peerwork 3 is out".to_owned(), Error::NotATicket),
            (text["peerwork".len()..].to_owned(), Error::NotATicket),
            (text.replacen('1', "2", 1), Error::Version(2)),
            (text.replacen('1', "9", 1), Error::Version(9)),
            (text[..text.len() - 3].to_owned(), Error::Damaged),
            (format!("{text}a7"), Error::Damaged),
            (text.replacen("peerwork1", "peerwork1a", 1), Error::Damaged),
        ] {
            assert_eq!(read(&form).unwrap_err(), error, "{form}");
        }
    }

    #[test]
    fn texts_and_tickets_are_read_at_their_limits_and_not_beyond() {
        let largest = vec![7; PAYLOAD_BYTES_MAX];
        let text = write(&largest).to_string();
        assert_eq!(text.len(), MARK.len() + 1 + BODY_CHARS_MAX);
        assert_eq!(found(&text), largest);
        let larger = write(&[7; PAYLOAD_BYTES_MAX + 1]);
        assert_eq!(read(&larger), Err(ParseTicketError::TooLong));
        let spaces = " ".repeat(TEXT_BYTES_MAX - text.len());
        assert_eq!(found(&format!("{spaces}{text}")), largest);
        let beyond = read(&format!("{spaces} {text}"));
        assert_eq!(beyond, Err(ParseTicketError::TooLong));
    }

    #[test]
    fn one_wrong_character_is_found() {
        let text = write(PAYLOAD).to_string();
        for at in MARK.len() + 1..text.len() - 1 {
            let mut wrong = text.clone();
            let other = if &text[at..=at] == "a" { "b" } else { "a" };
            wrong.replace_range(at..=at, other);
            assert_eq!(read(&wrong), Err(ParseTicketError::Damaged), "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_is_found_again_with_white_space_anywhere(
            payload in proptest::collection::vec(any::<u8>(), 1..200),
            every in 1usize..40,
            between in "[ \t\r\n\u{200b}\u{feff}>*`-]{1,3}",
        ) {
            let text = write(&payload).to_string();
            let pieces: Vec<&str> = text
                .as_bytes()
                .chunks(every)
                .map(|piece| std::str::from_utf8(piece).unwrap())
                .collect();
            prop_assert_eq!(found(&pieces.join(&between)), payload);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(\\PC|peerwork[0-9]|[a-z2-7]{0,20}){0,40}") {
            let _ = read(&text);
        }
    }
}
