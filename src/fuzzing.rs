//! The fuzz targets: each reader of data that others may write, with its invariants.
//!
//! # Promise
//!
//! A target takes any bytes. It panics only if the library breaks a promise: what is read can be written and
//! reads back the same, nothing exceeds its bound, a refusal leaves nothing behind. Crashes, hangs and memory
//! use are the fuzzer's to detect.
//!
//! # How
//!
//! Compiled only for the fuzzers in `fuzz/`, and for the tests, which run the seeds in `fuzz/seeds`. A new
//! target needs a function in [`TARGETS`], a file in `fuzz/fuzz_targets`, its name in `fuzz/Cargo.toml`, and
//! seeds (`fuzz/make_seeds.py`).

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::types::Value;

use crate::backup::artifact::compression::{self, Compression, Compressor};
use crate::backup::artifact::kind::Geometry;
use crate::backup::artifact::{delta as deltas, recognize};
use crate::backup::catalog::bounded;
use crate::backup::catalog::chain;
use crate::backup::catalog::entry::{Entry, LARGEST_SEQUENCE};
use crate::backup::catalog::hash_file;
use crate::backup::find::elsewhere;
use crate::backup::{artifact, catalog, rebuild};
use crate::bounds;
use crate::connection::Caller;
use crate::cron::{Cron, Zone};
use crate::host::discovery;
use crate::progress::Watch;
use crate::retention::item::Item;
use crate::retention::plan::plan;
use crate::retention::policy::Policy;
use crate::settings::{registry, status_list};

pub type Target = fn(&[u8]);

/// By name.
pub const TARGETS: &[(&str, Target)] = &[
    ("cron", cron),
    ("delta", delta),
    ("entry", entry),
    ("gzip", gzip),
    ("hash_file", hash_file),
    ("image", image),
    ("manifest", manifest),
    ("settings", settings),
    ("zstd", zstd),
];

/// The parent digest in the deltas under test.
pub const PARENT: &str = "parent";
/// Expansion stops here.
const LIMIT: usize = 1 << 18;

/// A manifest and a pointer file.
pub fn manifest(text: &[u8]) {
    let pointers = elsewhere::parse(text);
    assert!(pointers.iter().all(|pointer| Path::new(&pointer.backup_path).is_absolute()), "{pointers:?}");
    let path = Path::new("/backups/backup_manifest.json");
    let Ok(Some(entries)) = catalog::manifest::parsed(text, path) else { return };
    assert!(entries.len() <= bounds::CATALOG_ENTRIES);
    for entry in entries.iter().take(8) {
        assert!(!entry.backup_path.contains(['/', '\0']), "{entry:?}");
        let chain = chain::chain(&entries, entry).unwrap_or_default();
        assert!(chain.len() <= entries.len());
        let _ = rebuild::space_for(&entries, entry);
    }
    let written = serde_json::to_vec(&entries).unwrap_or_default();
    assert_eq!(catalog::manifest::parsed(&written, path).ok().flatten(), Some(entries));
}

/// A catalog entry.
pub fn entry(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let _ = bounded::is_deep(text);
    let Ok(entry) = serde_json::from_str::<Entry>(text) else { return };
    reads_back(&entry);
    let mut sealed = entry.clone();
    sealed.seal();
    // Values that JSON cannot represent have no digest.
    assert_eq!(sealed.is_intact(), sealed.object_digest.is_some());
    let mut marked = sealed.clone();
    marked.mark_deleting();
    assert!(marked.is_deleting() && marked.is_intact() == sealed.is_intact());
    reads_back(&marked);
    marked.unmark();
    assert!(!marked.is_deleting() && !marked.is_replacing());
    let mut next = entry.clone();
    next.rank_after(std::slice::from_ref(&entry));
    assert!(next.made() > entry.made() || next.made() == LARGEST_SEQUENCE - 1);
}

fn reads_back(entry: &Entry) {
    let written = serde_json::to_string(entry).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Entry>(&written).ok().as_ref(), Some(entry), "{written}");
}

/// A hash file as it is, and with its correct checksum appended.
pub fn hash_file(bytes: &[u8]) {
    hash_file_as_it_is(bytes);
    hash_file_as_it_is(&[bytes, &decoded(&artifact::sha256(bytes))].concat());
}

fn decoded(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).filter_map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

fn hash_file_as_it_is(bytes: &[u8]) {
    let read = |keep| hash_file::parse(bytes, bytes.len() as u64, keep).ok().flatten();
    let (whole, bare) = (read(true), read(false));
    assert_eq!(whole.is_some(), bare.is_some());
    let (Some(whole), Some(bare)) = (whole, bare) else { return };
    assert_eq!(whole.hashes.len(), whole.geometry.page_count as usize);
    assert!(bare.hashes.is_empty() && bare.entry == whole.entry && bare.geometry == whole.geometry);
    assert_eq!(whole.checksum, artifact::sha256(bytes));
    let mut written = Vec::new();
    let checksum = hash_file::write(&mut written, Path::new("x"), &whole.entry, whole.geometry, &whole.hashes);
    let again = hash_file::parse(written.as_slice(), written.len() as u64, true).ok().flatten();
    let again = again.map(|again| (again.geometry, again.hashes, again.checksum, again.entry.id));
    assert_eq!(again, checksum.ok().map(|sum| (whole.geometry, whole.hashes, sum, whole.entry.id)));
}

pub fn gzip(bytes: &[u8]) {
    framed(bytes, Compression::Gzip);
}

pub fn zstd(bytes: &[u8]) {
    framed(bytes, Compression::Zstd);
}

/// The bytes as frames, and as content of frames.
fn framed(bytes: &[u8], compression: Compression) {
    let (whole, sound) = expanded(bytes, compression, 1 << 16);
    let (pieces, likewise) = expanded(bytes, compression, 509);
    let common = whole.len().min(pieces.len());
    assert!(sound == likewise && whole[..common] == pieces[..common] && (!sound || whole.len() == pieces.len()));
    let limit = whole.len() / 2;
    let mut out = Vec::new();
    let copied =
        watched(|watch| rebuild::copy(bytes, compression, &mut out, limit as u64, Path::new("x"), watch).is_ok());
    assert!(out.len() <= limit && whole.starts_with(&out) && (copied != Some(true) || out == whole));
    let page = &bytes[..bytes.len().min(65_536)];
    let mut frame = compression::stored_frame(compression, page);
    assert_eq!(frame.len(), compression::stored_length(compression, page.len()));
    // Starting its threads takes most of the time, so only now and then.
    if bytes.first().is_some_and(|first| first % 32 == 0) {
        let packed = Compressor::new(compression, 1).map(|mut packing| {
            let _ = packing.write(page, &mut frame);
            packing.finish(&mut frame)
        });
        assert!(packed.is_ok_and(|packed| packed.is_ok()));
        assert_eq!(expanded(&frame, compression, 1 << 16), ([page, page].concat(), true));
    } else {
        assert_eq!(expanded(&frame, compression, 1 << 16), (page.to_vec(), true));
    }
}

/// The content of frames up to a limit, read with a buffer of that size, and whether it is sound so far.
fn expanded(bytes: &[u8], compression: Compression, buffer: usize) -> (Vec<u8>, bool) {
    let Ok(mut plain) = compression::reader(bytes, compression) else { return (Vec::new(), false) };
    let (mut content, mut buffer) = (Vec::new(), vec![0; buffer]);
    while content.len() < LIMIT {
        let room = buffer.len().min(LIMIT - content.len());
        match plain.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(length) => content.extend_from_slice(&buffer[..length]),
            Err(_) => return (content, false),
        }
    }
    (content, true)
}

/// A plain delta after four bytes: pages of the parent, the page size (512 shifted), and the catalog's page
/// count.
pub fn delta(bytes: &[u8]) {
    let Some((&[before, exponent, low, high], file)) = bytes.split_first_chunk::<4>() else { return };
    let page_size = 512 << (exponent % 8);
    let geometry = Geometry { page_size, page_count: u16::from_le_bytes([low, high]).into() };
    let size = |pages: u32| u64::from(pages) * u64::from(page_size);
    let (before, after) = (size(before.into()), size(geometry.page_count));
    watched(|watch| {
        let place = tempfile::tempdir().ok();
        let Some(path) = place.as_ref().map(|place| place.path().join("delta")) else { return };
        let mut options = File::options();
        let base = options.read(true).write(true).create(true).truncate(true).open(path.with_file_name("base"));
        let Ok(mut base) = base else { return };
        if fs::write(&path, file).is_err() || base.set_len(before).is_err() {
            return;
        }
        let Ok(delta) = File::open(&path) else { return };
        let Ok(again) = delta.try_clone() else { return };
        let applied = deltas::apply(delta, &path, &mut base, PARENT, geometry, watch);
        let length = base.metadata().map_or(0, |found| found.len());
        assert!(length <= before.max(after), "{length} bytes: {applied:?}");
        assert!(applied.is_err() || length == after, "{length} bytes instead of {after}");
        if let Ok(conn) = artifact::open_immutable(again, &path) {
            let _ = watch.run(&conn, || recognize::refuse_delta(&conn, &path));
        }
    });
}

/// Runs `work` with a watch of its own.
fn watched<T>(work: impl FnOnce(&mut Watch<'_>) -> T) -> Option<T> {
    thread_local!(static CALLER: Option<Caller> = {
        let bound = discovery::ensure(None).is_ok();
        bound.then(|| Caller::open(Path::new(":memory:")).ok()).flatten()
    });
    CALLER.with(|caller| {
        assert!(caller.is_some(), "there is no SQLite library on this system");
        Some(work(&mut Watch::new(caller.as_ref()?, None)))
    })
}

/// A value for each setting, policies included.
pub fn settings(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let value = Value::Text(text.to_owned());
    for setting in registry::ALL {
        if let Some(stored) = setting.kind.accept(&value) {
            assert_eq!(setting.kind.accept(&stored).as_ref(), Some(&stored), "{}", setting.name);
        }
    }
    let _ = (status_list::some(&value), status_list::finished(&value));
    if let Ok(policy) = Policy::from_text(text) {
        let items = items();
        let decisions = plan(time(1_800_000_000), &items, &policy);
        assert_eq!(decisions.len(), items.len());
        assert!(decisions.iter().any(|one| one.keep), "{policy:?}");
    }
}

/// A backup every eleven hours, in two series, every third one full.
fn items() -> Vec<Item> {
    let item = |number: u64| Item {
        id: number.to_string(),
        made: number,
        created_at: time(1_799_000_000) + TimeDelta::hours(11 * number.cast_signed()),
        size_bytes: 1 << number,
        name: number.is_multiple_of(2).then(|| "daily".to_owned()),
        parent_id: (!number.is_multiple_of(3)).then(|| (number - 1).to_string()),
        verified: number == 5,
        ..Item::default()
    };
    (0..24).map(item).collect()
}

fn time(seconds: u32) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds.into())
}

/// A cron expression after a time of four bytes.
pub fn cron(bytes: &[u8]) {
    let Some((&seconds, text)) = bytes.split_first_chunk::<4>() else { return };
    let Some(cron) = str::from_utf8(text).ok().and_then(|text| Cron::parse(text).ok()) else { return };
    assert!(Cron::parse(cron.text()).is_ok(), "{}", cron.text());
    let time = time(u32::from_le_bytes(seconds));
    let (last, next) = (cron.last(time, Zone::Utc), cron.next(time, Zone::Utc));
    assert!(last.is_none_or(|last| last <= time) && next.is_none_or(|next| next > time), "{last:?} {time} {next:?}");
    if let (Some(last), Some(next)) = (last, next) {
        assert_eq!(cron.next(last, Zone::Utc), Some(next), "{}", cron.text());
        assert_eq!(cron.last(next, Zone::Utc), Some(next), "{}", cron.text());
    }
}

/// The memory image of a loaded library, after the offset of its dynamic section in words.
#[cfg(all(any(test, feature = "fuzzing"), unix, not(target_vendor = "apple")))]
pub fn image(bytes: &[u8]) {
    let Some((&place, memory)) = bytes.split_first() else { return };
    for name in [c"queuekeeper_binding", c"a"] {
        let found = crate::host::find_in(memory, usize::from(place) * size_of::<usize>(), name);
        let named = memchr::memmem::find(memory, name.to_bytes_with_nul()).is_some();
        assert!(found.is_none() || named);
    }
}

/// Other systems look up symbols themselves.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub fn image(_bytes: &[u8]) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    #[test]
    fn every_seed_of_every_target_holds() {
        for (name, target) in TARGETS {
            let seeds: Vec<_> = fs::read_dir(place().join("seeds").join(name)).unwrap().collect();
            assert!(!seeds.is_empty(), "{name}");
            for seed in seeds {
                let path = seed.unwrap().path();
                println!("{}", path.display());
                target(&fs::read(path).unwrap());
            }
        }
    }

    #[test]
    fn every_target_is_a_program_of_its_own() {
        let manifest = fs::read_to_string(place().join("Cargo.toml")).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            let program = fs::read_to_string(place().join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("queuekeeper::fuzzing::{name}(")), "{name}");
        }
    }
}
