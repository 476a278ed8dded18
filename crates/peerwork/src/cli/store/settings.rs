//! The settings of the content store: flags of `peerwork node` and `peerwork server`, and, for a store
//! without a running node, of `peerwork store`.

use std::{fmt, str::FromStr};

use clap::Args;
use peerwork::config::{self, ApiAddress};

/// The settings of the content store.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Content store")]
pub(crate) struct StoreFlags {
    /// Serve the content store's blocks to the nodes of the network, and announce what is pinned; without
    /// it, the store is for `peerwork store` alone
    #[arg(long)]
    pub(crate) store: bool,
    #[command(flatten)]
    pub(crate) room: RoomFlags,
}

/// The room of the content store, and the place of further blocks.
#[derive(Args, Debug, Clone)]
pub(crate) struct RoomFlags {
    /// The most bytes that the content store's files take: 10GB, 500MiB, or bytes
    #[arg(long, value_name = "SIZE", default_value = "10GB")]
    pub(crate) store_max: ByteSize,
    /// The bytes of the disk that the content store leaves free
    #[arg(long, value_name = "SIZE", default_value = "1GB")]
    pub(crate) store_reserve: ByteSize,
    /// The RPC API of a kubo daemon that is asked for blocks too, such as /ip4/127.0.0.1/tcp/5001
    #[arg(long, visible_alias = "ipfs-api", value_name = "MULTIADDR")]
    pub(crate) store_ipfs_api: Option<ApiAddress>,
}

impl StoreFlags {
    /// The settings of the node's store.
    pub(crate) fn config(&self) -> config::Store {
        let RoomFlags {
            store_max,
            store_reserve,
            store_ipfs_api,
        } = &self.room;
        config::Store {
            serve: self.store,
            max: store_max.0,
            reserve: store_reserve.0,
            ipfs_api: store_ipfs_api.clone(),
        }
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

/// The units, each with its bytes; the longest names come first.
const UNITS: [(&str, u64); 10] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
    ("", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how = || "write it like 10GB, 10GiB, 1.5TB, 500MB or 1048576".to_owned();
        let lower = text.trim().to_ascii_lowercase();
        let end = lower
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(lower.len());
        let (number, unit) = lower.split_at(end);
        let unit = unit.trim_start();
        let (_, unit) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(how)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let fits = !whole.is_empty() && part.len() <= 9 && !part.contains('.');
        if !fits || (number.contains('.') && part.is_empty()) {
            return Err(how());
        }
        let whole: u128 = whole.parse().map_err(|_| how())?;
        let scale = 10_u128.pow(u32::try_from(part.len()).unwrap_or_default());
        let part: u128 = match part {
            "" => 0,
            part => part.parse().map_err(|_| how())?,
        };
        let unit = u128::from(*unit);
        let bytes = whole.checked_mul(unit).ok_or_else(how)? + part * unit / scale;
        let bytes = u64::try_from(bytes).map_err(|_| "that is more than 16 EiB".to_owned());
        bytes.map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_size_has_a_decimal_or_binary_unit_or_is_in_bytes() {
        for (text, bytes) in [
            ("10GB", 10_000_000_000),
            ("10GiB", 10 << 30),
            ("500MB", 500_000_000),
            ("500 mb", 500_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("0.5KiB", 512),
            ("3b", 3),
            ("1048576", 1 << 20),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for wrong in [
            "",
            "GB",
            "10XB",
            "-1",
            "1.GB",
            ".5GB",
            "1.2.3GB",
            "1e9",
            "99999999999TB",
        ] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
        let beyond = "18446744073709551616".parse::<ByteSize>().unwrap_err();
        assert!(beyond.contains("16 EiB"), "{beyond}");
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let default = config::Store::default();
        assert_eq!("10GB".parse(), Ok(ByteSize(default.max)));
        assert_eq!("1GB".parse(), Ok(ByteSize(default.reserve)));
    }
}
