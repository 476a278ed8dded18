//! The hardware address of the first network interface that has one.

use std::{fs, path::Path};

use super::system_file::read_text;

/// Interfaces looked at; containers can make thousands.
const INTERFACES_MAX: usize = 1024;

pub(super) fn read(sys: &Path) -> Result<String, String> {
    let folder = sys.join("class/net");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("reading {}: {error}", folder.display()))?;
    let mut interfaces: Vec<_> = entries
        .take(INTERFACES_MAX)
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let index: u32 = read_text(&path.join("ifindex")).ok()?.trim().parse().ok()?;
            Some((index, path))
        })
        .collect();
    // The order in which the system numbered them.
    interfaces.sort();
    interfaces
        .iter()
        .find_map(|(_, path)| address(&read_text(&path.join("address")).ok()?))
        .ok_or_else(|| "no interface has a hardware address".to_owned())
}

/// Reads six bytes that are not all zero, as they are on the loopback interface.
fn address(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let mut bytes = text.split(':').map(|part| {
        let digits = part.len() == 2;
        u8::from_str_radix(part, 16).ok().filter(|_| digits)
    });
    let valid = bytes.clone().count() == 6 && bytes.clone().all(|byte| byte.is_some());
    let zero = bytes.all(|byte| byte == Some(0));
    (valid && !zero).then_some(text)
}
