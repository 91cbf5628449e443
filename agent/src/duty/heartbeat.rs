//! When each instance last advertised as master, in a mapped file: a process
//! that follows this one within three intervals goes on as master.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ha_core::Timestamp;
use ha_model::ids::InstanceName;
use ha_model::plan::NodePlan;
use ha_sys::MappedWords;

/// First word of the file: what it is, and its version.
const MAGIC: u64 = u64::from_le_bytes(*b"HABEAT01");
/// The magic word, the boot id and two spare words.
const HEADER_WORDS: usize = 8;
/// A boot id has 36 characters.
const BOOT_ID_WORDS: usize = 5;
/// Name of at most 63 bytes, then the time of the last advert in nanoseconds
/// after boot, or 0.
const NAME_WORDS: usize = 8;
const SLOT_WORDS: usize = NAME_WORDS + 1;
/// More instances than anyone runs; those beyond start as backup after a
/// restart. The file is sparse.
const SLOTS: usize = 4096;
/// RFC 9568 §6.1: peers wait three intervals before they take over.
const INTERVALS: u32 = 3;

/// The mapped file and who is where in it.
#[derive(Debug)]
pub(super) struct Heartbeats {
    map: MappedWords,
    before: BTreeMap<InstanceName, Timestamp>,
    slots: BTreeMap<InstanceName, Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: usize,
    master: bool,
}

impl Heartbeats {
    /// Opens the file at `path` and reads what an earlier process of this boot
    /// left there. A file of another boot or form counts as empty.
    pub(super) fn open(path: &Path, boot_id: &str) -> io::Result<Self> {
        let map = MappedWords::open(path, HEADER_WORDS + SLOTS * SLOT_WORDS)?;
        let before = read(map.words(), boot_id);
        map.words().iter().filter(|word| get(word) != 0).for_each(|word| put(word, 0));
        put_text(&map.words()[1..=BOOT_ID_WORDS], boot_id);
        put(&map.words()[0], MAGIC);
        Ok(Self { map, before, slots: BTreeMap::new() })
    }

    /// Names of the instances of `plan` that advertised as master less than
    /// three intervals before `now`. Answers once: later plans start afresh.
    pub(super) fn resumable(&mut self, plan: &NodePlan, now: Timestamp) -> Vec<InstanceName> {
        let before = std::mem::take(&mut self.before);
        let fresh = |name: &InstanceName, interval: Duration| {
            before.get(name).is_some_and(|last| now.since(*last) < interval * INTERVALS)
        };
        plan.instances
            .iter()
            .filter(|instance| fresh(&instance.name, instance.interval_us.into()))
            .map(|instance| instance.name.clone())
            .collect()
    }

    /// Gives every instance of `plan` a slot and frees those of all others.
    pub(super) fn assign(&mut self, plan: &NodePlan) {
        let words = self.map.words();
        self.slots.retain(|name, slot| {
            let stays = plan.instances.iter().any(|instance| instance.name == *name);
            if !stays {
                slot_words(words, slot.number).iter().for_each(|word| put(word, 0));
            }
            stays
        });
        let mut taken = vec![false; SLOTS];
        self.slots.values().for_each(|slot| taken[slot.number] = true);
        let mut free = (0..SLOTS).filter(|number| !taken[*number]);
        for instance in &plan.instances {
            if self.slots.contains_key(&instance.name) {
                continue;
            }
            let Some(number) = free.next() else { break };
            put_text(&slot_words(words, number)[..NAME_WORDS], instance.name.as_str());
            self.slots.insert(instance.name.clone(), Slot { number, master: false });
        }
    }

    /// The instance became master, or ceased to be.
    pub(super) fn set_master(&mut self, name: &InstanceName, master: bool) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.master = master;
            if !master {
                put(&slot_words(self.map.words(), slot.number)[NAME_WORDS], 0);
            }
        }
    }

    /// The instance sends an advert at `now`.
    pub(super) fn beat(&self, name: &InstanceName, now: Timestamp) {
        if let Some(slot) = self.slots.get(name).filter(|slot| slot.master) {
            put(&slot_words(self.map.words(), slot.number)[NAME_WORDS], now.as_nanos());
        }
    }

    /// Forgets all times: nobody goes on from here.
    pub(super) fn clear(&mut self) {
        for slot in self.slots.values() {
            put(&slot_words(self.map.words(), slot.number)[NAME_WORDS], 0);
        }
    }
}

fn get(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

fn put(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Relaxed);
}

fn slot_words(words: &[AtomicU64], number: usize) -> &[AtomicU64] {
    let start = HEADER_WORDS + number * SLOT_WORDS;
    &words[start..start + SLOT_WORDS]
}

fn read(words: &[AtomicU64], boot_id: &str) -> BTreeMap<InstanceName, Timestamp> {
    let same_boot =
        get(&words[0]) == MAGIC && get_text(&words[1..=BOOT_ID_WORDS]).as_deref() == Some(boot_id);
    if !same_boot {
        return BTreeMap::new();
    }
    (0..SLOTS)
        .map(|number| slot_words(words, number))
        .filter(|slot| get(&slot[NAME_WORDS]) != 0)
        .filter_map(|slot| {
            let name = get_text(&slot[..NAME_WORDS])?.parse().ok()?;
            Some((name, Timestamp::from_nanos(get(&slot[NAME_WORDS]))))
        })
        .collect()
}

fn put_text(words: &[AtomicU64], text: &str) {
    let mut chunks = text.as_bytes().chunks(8);
    for word in words {
        let mut bytes = [0; 8];
        if let Some(chunk) = chunks.next() {
            bytes[..chunk.len()].copy_from_slice(chunk);
        }
        put(word, u64::from_le_bytes(bytes));
    }
}

fn get_text(words: &[AtomicU64]) -> Option<String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| get(word).to_le_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8(bytes[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "6e1c4f0a-2f4b-4a5e-9c55-0123456789ab";

    fn plan(names: &[&str]) -> NodePlan {
        let instances: Vec<_> = names
            .iter()
            .map(|name| {
                serde_json::json!({
                    "name": name, "interface": "eth0", "family": "ipv4", "vrid": 1,
                    "version": 3, "priority": 100, "interval_us": 1_000_000,
                    "addresses": [], "transport": {"multicast": {}},
                })
            })
            .collect();
        let document = serde_json::json!({
            "schema": 1, "cluster": "c", "node": "n", "instances": instances,
        });
        serde_json::from_value(document).unwrap()
    }

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn name(text: &str) -> InstanceName {
        text.parse().unwrap()
    }

    /// A process where `web` was master at 100 s and `db` was not.
    fn earlier_process(path: &Path) -> Heartbeats {
        let mut beats = Heartbeats::open(path, BOOT).unwrap();
        beats.assign(&plan(&["db", "web"]));
        beats.set_master(&name("web"), true);
        beats.beat(&name("web"), seconds(100));
        beats.beat(&name("db"), seconds(100));
        beats
    }

    fn resumable(path: &Path, boot: &str, now: Timestamp) -> Vec<InstanceName> {
        Heartbeats::open(path, boot).unwrap().resumable(&plan(&["db", "web"]), now)
    }

    #[test]
    fn a_master_goes_on_within_three_intervals() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heartbeats");
        let just_before = Timestamp::from_nanos(102_999_999_999);
        drop(earlier_process(&path));
        assert_eq!(resumable(&path, BOOT, just_before), [name("web")]);
        drop(earlier_process(&path));
        assert_eq!(resumable(&path, BOOT, seconds(103)), []);
    }

    #[test]
    fn nobody_goes_on_after_a_reboot_or_from_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heartbeats");
        drop(earlier_process(&path));
        assert_eq!(resumable(&path, "another-boot", seconds(101)), []);
        std::fs::write(&path, "not a table of heartbeats").unwrap();
        assert_eq!(resumable(&path, BOOT, seconds(101)), []);
    }

    #[test]
    fn who_ceased_to_be_master_or_stopped_does_not_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heartbeats");
        let mut beats = earlier_process(&path);
        beats.set_master(&name("web"), false);
        beats.beat(&name("web"), seconds(100));
        assert_eq!(resumable(&path, BOOT, seconds(101)), []);
        earlier_process(&path).clear();
        assert_eq!(resumable(&path, BOOT, seconds(101)), []);
    }

    #[test]
    fn slots_are_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heartbeats");
        let mut beats = earlier_process(&path);
        beats.assign(&plan(&["db", "mail"]));
        beats.set_master(&name("mail"), true);
        beats.beat(&name("mail"), seconds(101));
        let after = Heartbeats::open(&path, BOOT).unwrap();
        assert_eq!(after.before, BTreeMap::from([(name("mail"), seconds(101))]));
    }
}
