//! The processor from `/proc/cpuinfo` and cpufreq.

use std::path::Path;

use super::{forms::Cpu, system_file::read_text};

pub(super) fn read(proc: &Path, sys: &Path) -> Result<String, String> {
    let cpuinfo = read_text(&proc.join("cpuinfo"))?;
    let max = sys.join("devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
    let max_khz = read_text(&max).ok();
    text(&cpuinfo, max_khz.as_deref())
}

fn text(cpuinfo: &str, max_khz: Option<&str>) -> Result<String, String> {
    let lines = || {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.trim(), value.trim()))
    };
    let count = lines().filter(|(name, _)| *name == "processor").count();
    if count == 0 {
        return Err("cpuinfo lists no processor".to_owned());
    }
    // The names on x86, then those on ARM.
    let first = |names: &[&str]| {
        let of = |wanted: &&str| lines().find(|(name, _)| name == wanted);
        let found = names.iter().find_map(of);
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    };
    let max_mhz = max_khz.and_then(|khz| khz.trim().parse::<f64>().ok());
    let mhz = max_mhz
        .map(|khz| khz / 1000.0)
        .or_else(|| first(&["cpu MHz"]).parse().ok());
    Ok(Cpu {
        count,
        vendor: first(&["vendor_id", "CPU implementer"]),
        family: first(&["cpu family"]),
        model: first(&["model", "CPU part"]),
        model_name: first(&["model name"]),
        mhz: mhz.filter(|mhz| mhz.is_finite()).unwrap_or_default(),
    }
    .text())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::text;

    const CPUINFO: &str = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 23\n\
        model\t\t: 49\nmodel name\t: AMD EPYC 7302 16-Core Processor\ncpu MHz\t\t: 1500.125\n\
        cpu cores\t: 16\n\nprocessor\t: 1\nvendor_id\t: Other\nmodel\t\t: 1\n";

    #[test]
    fn the_form_is_that_of_the_published_sample() {
        let expected = r#"{"Cpus":2,"VendorId":"AuthenticAMD","Family":"23","Model":"49","Cores":1,"ModelName":"AMD EPYC 7302 16-Core Processor","Mhz":3000}"#;
        assert_eq!(text(CPUINFO, Some("3000000\n")).as_deref(), Ok(expected));
    }

    #[test]
    fn without_cpufreq_the_present_frequency_counts() {
        assert!(text(CPUINFO, None).unwrap().ends_with("\"Mhz\":1500.125}"));
    }

    #[test]
    fn names_are_escaped() {
        let strange = "processor : 0\nmodel name : a<b>&\"c\"\n";
        let text = text(strange, None).unwrap();
        assert!(
            text.contains(r#""ModelName":"a\u003cb\u003e\u0026\"c\"""#),
            "{text}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn an_empty_list_is_an_error() {
        assert!(text("", None).is_err());
    }
}
