//! Memory from `/proc/meminfo`.

use std::{collections::HashMap, path::Path};

use super::{forms::memory_text, system_file::read_text};

pub(super) fn read(proc: &Path) -> Result<String, String> {
    text(&read_text(&proc.join("meminfo"))?)
}

fn text(meminfo: &str) -> Result<String, String> {
    let lines = meminfo.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let kib: u64 = value.split_whitespace().next()?.parse().ok()?;
        Some((name, kib.saturating_mul(1024)))
    });
    let fields: HashMap<_, _> = lines.collect();
    let field = |name| fields.get(name).copied();
    let total = field("MemTotal").filter(|total| *total > 0);
    let total = total.ok_or("meminfo has no MemTotal")?;
    let free = field("MemFree").ok_or("meminfo has no MemFree")?;
    // Buffers and caches are given back when they are needed. Old kernels lack some of these lines.
    let caches = ["Buffers", "Cached", "SReclaimable"];
    let caches: u64 = caches.into_iter().filter_map(field).sum();
    let used = total.saturating_sub(free).saturating_sub(caches);
    #[allow(clippy::cast_precision_loss)] // Far below 2^53 bytes.
    let used_percent = 100.0 * used as f64 / total as f64;
    Ok(memory_text(total, free, used_percent))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn the_form_is_that_of_the_specification() {
        let meminfo = "MemTotal:       1000 kB\nMemFree:         400 kB\nMemAvailable: 900 kB\n\
                       Buffers:          50 kB\nCached:          100 kB\nSwapCached: 7 kB\n\
                       SReclaimable:     25 kB\nHugePages_Total: 0\n";
        let expected = r#"{"total": 1024000, "free":409600, "used_percent":42.500000}"#;
        assert_eq!(text(meminfo).as_deref(), Ok(expected));
    }

    #[test]
    fn missing_lines_are_not_guessed() {
        assert!(text("MemFree: 1 kB\n").is_err());
        assert!(text("MemTotal: 0 kB\nMemFree: 0 kB\n").is_err());
        assert!(text("MemTotal: many kB\n").is_err());
        assert!(text("").is_err());
    }
}
