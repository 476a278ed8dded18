//! The address of content on the command line: a CID, and a path below it.

use std::str::FromStr;

use cid::Cid;

/// A CID with the path below it: `CID`, `CID/path`, `/ipfs/CID/path` or `ipfs://CID/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) cid: Cid,
    /// The path without slashes at its ends; empty for the root itself.
    pub(super) path: String,
}

/// The longest address.
const BYTES_MAX: usize = 64 << 10;

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("an address has at most {BYTES_MAX} bytes"));
        }
        if text.starts_with("/ipns/") || text.starts_with("ipns://") {
            return Err(
                "this is a name of IPNS, which changes: name the CID that it means".to_owned(),
            );
        }
        let below = ["/ipfs/", "ipfs://"]
            .iter()
            .find_map(|p| text.strip_prefix(p));
        let below = below.unwrap_or(text);
        let (root, path) = below.split_once('/').unwrap_or((below, ""));
        Ok(Self {
            cid: parsed(root)?,
            path: path.trim_matches('/').to_owned(),
        })
    }
}

/// Parses a CID of either version, in any multibase.
///
/// # Errors
/// A text for people: the mistake, and how a CID is written.
pub(super) fn parsed(text: &str) -> Result<Cid, String> {
    let how = "a CID is written like QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG or \
               bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    if text.is_empty() {
        return Err(format!("the CID is missing: {how}"));
    }
    Cid::try_from(text).map_err(|error| {
        let error = peerwork_store::not_a_cid(&error);
        format!("`{text}` is no CID ({error}): {how}")
    })
}

/// Parses a CID that stands alone, perhaps behind `/ipfs/` or `ipfs://`.
///
/// # Errors
/// As [`parsed`], and for a path below the CID.
pub(super) fn root(text: &str) -> Result<Cid, String> {
    let Address { cid, path } = text.parse()?;
    match path.as_str() {
        "" => Ok(cid),
        path => Err(format!(
            "a root is named by its CID alone: what is the CID of `{path}`? (`peerwork store stat` says)"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const V0: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG";
    const V1: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

    #[test]
    fn a_cid_of_both_versions_and_any_multibase_is_read() {
        let cid: Cid = V1.parse().unwrap();
        let hex = format!("f{}", hex::encode(cid.to_bytes()));
        for text in [V1.to_owned(), V1.to_uppercase(), hex] {
            assert_eq!(root(&text), Ok(cid), "{text}");
        }
        assert_eq!(root(V0).unwrap().to_string(), V0);
    }

    #[test]
    fn a_path_stands_below_a_cid_in_three_forms() {
        for (text, path) in [
            (V0.to_owned(), ""),
            (format!("{V0}/"), ""),
            (format!("{V0}/a/b c"), "a/b c"),
            (format!("/ipfs/{V0}/a"), "a"),
            (format!("ipfs://{V0}/a/"), "a"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(
                (address.cid.to_string().as_str(), address.path.as_str()),
                (V0, path)
            );
        }
        assert!(root(&format!("{V0}/a")).unwrap_err().contains("CID of `a`"));
    }

    #[test]
    fn a_wrong_address_is_answered_with_the_mistake() {
        for (text, reason) in [
            ("", "is missing"),
            ("/ipfs/", "is missing"),
            ("hello", "`hello` is no CID"),
            ("/ipns/example.org", "IPNS"),
            (&V0[..45], "is no CID"),
            (&format!("{V0}x"), "is no CID"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let long = format!("{V0}/{}", "x".repeat(BYTES_MAX));
        assert!(long.parse::<Address>().is_err());
        assert!(long[..BYTES_MAX].parse::<Address>().is_ok());
    }
}
