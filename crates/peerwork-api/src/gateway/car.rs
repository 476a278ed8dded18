//! `CarRequest` says which blocks of a DAG a CAR holds, and in which form.

use cid::Cid;

/// The blocks that a CAR holds besides those on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The block at the end of the path alone.
    Block,
    /// The blocks that the file, or the listing of the directory, at the end of the path needs.
    Entity,
    /// The whole DAG at the end of the path.
    All,
}

impl Scope {
    /// The word of the query parameter `dag-scope`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Entity => "entity",
            Self::All => "all",
        }
    }

    /// The scope that a word names.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let all = [Self::Block, Self::Entity, Self::All];
        all.into_iter().find(|scope| scope.word() == word)
    }
}

/// The treatment of blocks that occur several times in a DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Each block is sent each time.
    Sent,
    /// Each block is sent once.
    Skipped,
}

/// A range of bytes of a file: `entity-bytes=from:to`, both inclusive. Negative numbers count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityBytes {
    /// The first byte.
    pub from: i64,
    /// The last byte; `None` is the end of the file.
    pub to: Option<i64>,
}

impl EntityBytes {
    /// The range within a file of `size` bytes, or `None` when no byte of the file is in it.
    #[must_use]
    pub fn within(self, size: u64) -> Option<std::ops::Range<u64>> {
        let at = |offset: i64| match offset {
            0.. => i128::from(offset),
            _ => i128::from(size) + i128::from(offset),
        };
        let end = self.to.map_or(i128::from(size), |to| at(to) + 1);
        let (from, end) = (at(self.from).max(0), end.min(i128::from(size)));
        let range = u64::try_from(from).ok()?..u64::try_from(end).ok()?;
        (range.start < range.end).then_some(range)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        Some(Self {
            from: from.parse().ok()?,
            to: match to {
                "*" => None,
                to => Some(to.parse().ok()?),
            },
        })
    }
}

/// A request for a CAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarRequest {
    /// The root of the path; the root that the CAR's header names.
    pub root: Cid,
    /// The names of the path below the root. Each one was found before.
    pub names: Vec<String>,
    /// The blocks that the CAR holds besides those on the path.
    pub scope: Scope,
    /// The bytes of the file that the blocks must cover, in place of the whole file. It counts for files
    /// alone, and makes the scope [`Scope::Entity`].
    pub bytes: Option<EntityBytes>,
    /// The treatment of blocks that occur several times.
    pub duplicates: Duplicates,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn entity_bytes_count_from_both_ends_and_stay_within_the_file() {
        let within = |text: &str| EntityBytes::parse(text).unwrap().within(1000);
        assert_eq!(within("0:*"), Some(0..1000));
        assert_eq!(within("512:*"), Some(512..1000));
        assert_eq!(within("0:0"), Some(0..1));
        assert_eq!(within("-24:*"), Some(976..1000));
        assert_eq!(within("499:-501"), Some(499..500));
        assert_eq!(within("499:-500"), Some(499..501));
        assert_eq!(within("-2000:*"), Some(0..1000));
        assert_eq!(within("999:5000"), Some(999..1000));
        assert_eq!(within("1000:*"), None);
        assert_eq!(within("5:4"), None);
        assert_eq!(
            within("-9223372036854775808:9223372036854775807"),
            Some(0..1000)
        );
        for wrong in [
            "",
            "1",
            ":",
            "*:1",
            "1:",
            "a:b",
            "1:2:3",
            "0x1:2",
            "9223372036854775808:*",
        ] {
            assert_eq!(EntityBytes::parse(wrong), None, "{wrong}");
        }
    }
}
