//! Graphics cards from `/sys/class/drm` and the PCI id database.

use std::{fmt, fs, io, path::Path};

use super::{json, system_file::read_text};

/// Cards listed; with at most 1 KiB of text each they fit into an advertisement.
const CARDS_MAX: usize = 16;
/// The name of devices that the PCI database does not know.
const UNKNOWN: &str = "unknown";

/// A graphics card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpu {
    /// The number in the device's name, `cardN`.
    pub index: u32,
    /// The card's PCI address, `0000:01:00.0`.
    pub address: String,
    /// The NUMA node of the card, where the system reports it.
    pub numa_node: Option<u32>,
    /// The card's PCI device; `None` for a device without ids.
    pub device: Option<Device>,
    /// The card's memory in bytes, where the driver reports it.
    pub memory_bytes: Option<u64>,
    /// The card's name, where the driver reports it.
    pub name: Option<String>,
}

/// A device as the PCI database names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The driver in charge, or empty.
    pub driver: String,
    /// Name of its class, for instance `Display controller`.
    pub class: String,
    /// Name of its maker.
    pub vendor: String,
    /// Name of the product.
    pub product: String,
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "card #{} ", self.index)?;
        if let Some(node) = self.numa_node {
            write!(f, " [affined to NUMA node {node}]")?;
        }
        write!(f, "@{}", self.address)?;
        let Some(device) = &self.device else {
            return Ok(());
        };
        let Device {
            driver,
            class,
            vendor,
            product,
        } = device;
        write!(
            f,
            " -> driver: '{driver}' class: '{class}' vendor: '{vendor}' product: '{product}'"
        )
    }
}

/// The text form of specification 6.7.
pub(super) fn text(gpus: &[Gpu]) -> String {
    let cards: Vec<_> = gpus
        .iter()
        .map(|gpu| json::quoted(&gpu.to_string()))
        .collect();
    format!(
        "{{\"gpus\":{},\"graphics_card\":[{}]}}",
        gpus.len(),
        cards.join(",")
    )
}

/// The cards in the order of their numbers. A machine without `class/drm` has none.
pub(super) fn read(sys: &Path) -> Result<Vec<Gpu>, String> {
    let folder = sys.join("class/drm");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("reading {}: {error}", folder.display())),
    };
    let mut gpus: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            // Connectors are named `card0-HDMI-A-1`.
            let index = entry
                .file_name()
                .to_str()?
                .strip_prefix("card")?
                .parse()
                .ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            let mut parts = target.iter().filter_map(|part| part.to_str());
            let address = parts.rfind(|part| is_pci_address(part))?.to_owned();
            Some(card(sys, index, address))
        })
        .collect();
    gpus.sort_by_key(|gpu| gpu.index);
    gpus.truncate(CARDS_MAX);
    Ok(gpus)
}

fn card(sys: &Path, index: u32, address: String) -> Gpu {
    let folder = sys.join("bus/pci/devices").join(&address);
    let numa_node = read_text(&folder.join("numa_node")).ok();
    Gpu {
        index,
        // The kernel writes -1 when it does not know.
        numa_node: numa_node.and_then(|node| node.trim().parse().ok()),
        device: device(&folder),
        address,
        ..Gpu::default()
    }
}

fn device(folder: &Path) -> Option<Device> {
    let number = |name| {
        let text = read_text(&folder.join(name)).ok()?;
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let vendor_id = u16::try_from(number("vendor")?).ok()?;
    let device_id = u16::try_from(number("device")?).ok()?;
    let class_id = number("class").and_then(|class| u8::try_from(class >> 16).ok());
    let driver = fs::read_link(folder.join("driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name);
    Some(Device {
        driver: driver.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        class: name(class_id.and_then(class_name)),
        vendor: name(vendor_name(vendor_id)),
        product: name(product_name(vendor_id, device_id)),
    })
}

fn class_name(id: u8) -> Option<&'static str> {
    let class = pci_ids::Classes::iter().find(|class| class.id() == id);
    class.map(pci_ids::Class::name)
}

fn vendor_name(id: u16) -> Option<&'static str> {
    let vendor = pci_ids::Vendors::iter().find(|vendor| vendor.id() == id);
    vendor.map(pci_ids::Vendor::name)
}

fn product_name(vendor: u16, device: u16) -> Option<&'static str> {
    pci_ids::Device::from_vid_pid(vendor, device).map(pci_ids::Device::name)
}

fn name(known: Option<&str>) -> String {
    known.unwrap_or(UNKNOWN).to_owned()
}

/// `domain:bus:device.function`, all hexadecimal.
fn is_pci_address(text: &str) -> bool {
    let hex = |text: &str, digits: usize| {
        text.len() >= digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let Some((rest, function)) = text.rsplit_once('.') else {
        return false;
    };
    let parts: Vec<_> = rest.split(':').collect();
    let [domain, bus, device] = parts[..] else {
        return false;
    };
    hex(domain, 4) && hex(bus, 2) && hex(device, 2) && hex(function, 1)
}
