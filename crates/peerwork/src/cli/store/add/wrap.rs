//! The directory around the paths of `--wrap-with-directory`.

use bytes::Bytes;
use cid::Version;
use peerwork_store::{
    Block, DAG_PB,
    dag::{Node, NodeLink},
    unixfs::{Profile, Root},
};

/// Builds the directory that holds `roots`, and its root, whose path is empty. `stdin_name` is the name of the
/// only root where that is standard input.
///
/// # Errors
/// When two roots have one name.
pub(super) fn directory(
    roots: &[Root],
    stdin_name: Option<&str>,
    profile: Profile,
) -> anyhow::Result<(Block, Root)> {
    let name = |root: &Root| stdin_name.map_or_else(|| root.path.clone(), str::to_owned);
    let mut links: Vec<NodeLink> = roots
        .iter()
        .map(|root| NodeLink {
            name: Bytes::from(name(root)),
            cid: root.cid,
            tsize: root.size,
        })
        .collect();
    links.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twice) = links.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let name = String::from_utf8_lossy(&twice[0].name).into_owned();
        anyhow::bail!("two paths are called `{name}`: a directory has each name once");
    }
    let tsize: u64 = links.iter().map(|link| link.tsize).sum();
    let node = Node {
        links,
        // A UnixFS message with the kind of a directory alone.
        data: Some(Bytes::from_static(&[8, 1])),
    };
    let version = roots.first().map_or(Version::V0, |root| match profile {
        Profile::UnixfsV0_2015 => Version::V0,
        _ => root.cid.version(),
    });
    let block = Block::new(version, DAG_PB, node.encode())?;
    let root = Root {
        cid: *block.cid(),
        path: String::new(),
        size: tsize + block.data().len() as u64,
        content: roots.iter().map(|root| root.content).sum(),
    };
    Ok((block, root))
}
