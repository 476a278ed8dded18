//! Tips for people who know the commands of `ipfs`: the name here of a command or flag that has another name there.

/// Commands of `ipfs` and the way here, which is the end of a sentence.
const COMMANDS: &[(&[&str], &str)] = &[
    (
        &["pin", "add"],
        "`peerwork store pin CID` fetches all of it and pins it",
    ),
    (
        &["pin", "ls"],
        "`peerwork store ls`, without a CID, lists the pins",
    ),
    (
        &["pin", "rm"],
        "`peerwork store unpin CID` ends a pin, and `rm CID` removes its blocks too",
    ),
    (
        &["pin", "verify"],
        "`peerwork store verify` looks for damaged blocks and for pins that lack some",
    ),
    (
        &["pin", "update"],
        "`peerwork store pin NEW` and then `unpin OLD`: shared blocks are fetched once",
    ),
    (
        &["pin", "remote"],
        "pin it on a node of yours: `peerwork store pin CID --data-dir DIR` there",
    ),
    (
        &["dag", "export"],
        "`peerwork store export-car CID -o FILE` writes a CAR file",
    ),
    (
        &["dag", "import"],
        "`peerwork store import-car FILE` reads a CAR file and pins its roots",
    ),
    (
        &["dag", "stat"],
        "`peerwork store stat CID` describes a file or directory",
    ),
    (
        &["dag"],
        "`peerwork store export-car` and `import-car` move DAGs; blocks of other codecs are not shown",
    ),
    (
        &["repo", "gc"],
        "`peerwork store gc` removes all blocks that nothing keeps",
    ),
    (
        &["repo", "stat"],
        "`peerwork store stat`, without a CID, describes the store",
    ),
    (
        &["repo", "verify"],
        "`peerwork store verify` reads everything and compares it with its checksums",
    ),
    (
        &["repo"],
        "`peerwork store stat`, `gc` and `verify` are about the whole store",
    ),
    (
        &["block", "stat"],
        "`peerwork store stat CID` describes a file or directory",
    ),
    (
        &["block", "rm"],
        "`peerwork store rm CID` removes a DAG that nothing else keeps",
    ),
    (
        &["block", "put"],
        "`peerwork store import-car FILE` adds blocks as they are",
    ),
    (
        &["block"],
        "the gateway gives blocks as they are: `peerwork node --gateway 127.0.0.1:8480`, then /ipfs/CID?format=raw",
    ),
    (
        &["routing", "provide"],
        "`peerwork store provide CID` announces a root",
    ),
    (
        &["dht", "provide"],
        "`peerwork store provide CID` announces a root",
    ),
    (
        &["provide", "stat"],
        "`peerwork store stat` tells whether a node serves the store",
    ),
    (
        &["bitswap"],
        "the node's metrics have the figures of the exchange: `peerwork node --metrics 127.0.0.1:9100`",
    ),
    (
        &["refs"],
        "`peerwork store ls CID` lists a directory, and `ls` without a CID the pins",
    ),
    (
        &["files"],
        "there are no mutable files here: `peerwork store add -r FOLDER` gives the folder's CID",
    ),
    (&["name"], "there is no IPNS here: name the CID"),
    (
        &["daemon"],
        "`peerwork node --store` runs a node that serves the store",
    ),
    (
        &["init"],
        "nothing has to be made first: `peerwork store add FILE` makes the store",
    ),
    (
        &["id"],
        "`peerwork status` shows the node and its addresses",
    ),
    (&["swarm"], "`peerwork peers list` shows the node's peers"),
    (
        &["export"],
        "`peerwork store export-car CID -o FILE` writes a CAR file",
    ),
    (
        &["import"],
        "`peerwork store import-car FILE` reads a CAR file and pins its roots",
    ),
    (&["put"], "`peerwork store add PATH` adds a file"),
    (
        &["fetch"],
        "`peerwork store get CID` writes to the disk, and `pin CID` keeps it in the store",
    ),
];

/// Flags of commands of `ipfs` and the way here.
const FLAGS: &[(&str, &[&str], &str)] = &[
    (
        "add",
        &["--cid-version", "--raw-leaves"],
        "`--profile unixfs-v1-2025` makes CIDs of version 1 with raw leaves",
    ),
    (
        "add",
        &[
            "--chunker",
            "-s",
            "--max-file-links",
            "--trickle",
            "-t",
            "--hash",
            "--inline",
        ],
        "`--profile` names all parameters together, so that a CID can be made again",
    ),
    ("add", &["--pin-name"], "`--name TEXT` names the pin"),
    (
        "add",
        &["--ignore", "--ignore-rules-path"],
        "name the paths to add, with -w for a directory around them",
    ),
    (
        "add",
        &["--nocopy", "--fscache"],
        "files are copied into the store, so that a change to them damages nothing",
    ),
    (
        "add",
        &["--to-files"],
        "there are no mutable files here; the last line has the CID",
    ),
    (
        "add",
        &["--dereference-args", "--dereference-symlinks"],
        "links are added as links: name the file that a link leads to",
    ),
    (
        "get",
        &["--archive", "-a", "--compress", "-C"],
        "`get` writes files; `export-car` writes one archive",
    ),
    (
        "pin",
        &["--recursive", "-r"],
        "a pin always keeps all that is below its CID",
    ),
    (
        "unpin",
        &["--recursive", "-r"],
        "a pin always keeps all that is below its CID",
    ),
    (
        "ls",
        &["--type", "-t"],
        "all pins keep what is below them; `ls` without a CID lists them",
    ),
    ("", &["--progress", "-p"], "`-q` shows no progress"),
    (
        "",
        &["--enc", "--encoding"],
        "`--json` prints one line of JSON for each result",
    ),
    (
        "",
        &["--api"],
        "`--grpc-address HOST:PORT` names the node to ask",
    ),
    (
        "",
        &["--cid-base"],
        "`peerwork store` reads CIDs in any base",
    ),
];

/// Flags with a value in an argument of its own, which is no name of a command.
const VALUED: &[&str] = &[
    "--config",
    "--data-dir",
    "--grpc-address",
    "--ipfs-api",
    "--log-level",
    "--store-ipfs-api",
    "--store-max",
    "--store-reserve",
];

/// A tip for a command line that was not understood: `arguments` are those behind `store`.
pub(super) fn tip(arguments: &[&str]) -> Option<&'static str> {
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if VALUED.contains(argument) {
            rest.next();
        } else if !argument.starts_with('-') {
            names.push(*argument);
        }
    }
    let mut commands = COMMANDS.iter();
    let command = commands.find(|(command, _)| names.starts_with(command));
    if let Some((_, tip)) = command {
        return Some(tip);
    }
    let own = names.first().copied().unwrap_or_default();
    let given: Vec<&str> = arguments
        .iter()
        .map(|argument| argument.split('=').next().unwrap_or(argument))
        .collect();
    let mut flags = FLAGS.iter();
    let flag = flags.find(|(command, flags, _)| {
        (command.is_empty() || *command == own) && flags.iter().any(|flag| given.contains(flag))
    });
    flag.map(|(_, _, tip)| *tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip_of(line: &str) -> Option<&'static str> {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        tip(&arguments)
    }

    #[test]
    fn a_command_of_ipfs_leads_to_the_one_here() {
        for (line, way) in [
            ("pin ls", "store ls`"),
            ("--data-dir pin pin add X", "store pin CID`"),
            ("pin --json rm X", "unpin CID`"),
            ("dag export X", "export-car"),
            ("dag put", "import-car"),
            ("repo gc", "store gc`"),
            ("block get X", "format=raw"),
            ("add --cid-version=1 x", "unixfs-v1-2025"),
            ("add -t x", "--profile"),
            ("pin X --recursive=false", "always"),
            ("ls --enc=json", "--json"),
        ] {
            let tip = tip_of(line);
            assert!(tip.is_some_and(|tip| tip.contains(way)), "{line}: {tip:?}");
        }
    }

    #[test]
    fn other_mistakes_get_no_tip() {
        for line in ["", "pin", "pin X", "add", "cat -t", "--data-dir dag"] {
            let tip = tip_of(line);
            assert!(tip.is_none(), "{line}: {tip:?}");
        }
    }
}
