//! The rule for symbolic links of a tree: they lead to places of the tree.

/// Why a link may lead out of its tree; `None` when it cannot. `depth` is the number of directories between
/// the tree's root and the link.
///
/// Steps upwards are allowed at the front alone: there they leave real directories, while behind a name they
/// leave the target of a link that may have that name. So each link leads to a place in the tree, and links
/// to links do too.
pub(super) fn refused(target: &[u8], depth: usize) -> Option<&'static str> {
    if target.is_empty() {
        return Some("it has no target");
    }
    if target.contains(&0) {
        return Some("the target has a NUL");
    }
    if target.starts_with(b"/") || cfg!(windows) && is_absolute_on_windows(target) {
        return Some("it is absolute and leads out of the tree");
    }
    let (mut up, mut names) = (0, false);
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if names => {
                return Some("it leads upwards behind a name, perhaps out of the tree");
            }
            b".." => up += 1,
            _ => names = true,
        }
    }
    (up > depth).then_some("it leads out of the tree")
}

fn is_absolute_on_windows(target: &[u8]) -> bool {
    target.starts_with(b"\\") || target.get(1) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn a_link_leads_to_a_place_of_the_tree() {
        for (target, depth) in [
            ("a", 0),
            ("./a/b", 0),
            ("../a", 1),
            ("../../a/b", 2),
            ("..", 1),
        ] {
            assert_eq!(refused(target.as_bytes(), depth), None, "{target}");
        }
    }

    #[test]
    fn a_link_that_may_lead_out_is_refused() {
        for (target, depth) in [
            ("", 0),
            ("/etc/passwd", 3),
            ("..", 0),
            ("../a", 0),
            ("../../a", 1),
            ("a/../../b", 1),
            ("a/..", 0),
            ("a\0b", 0),
            ("./../a", 0),
        ] {
            assert!(refused(target.as_bytes(), depth).is_some(), "{target}");
        }
    }
}
