//! Reads a catalog's file: a bounded number of entries, which name files of its own directory.

use std::io::Read;
use std::path::{Component, Path};

use super::entry::Entry;
use crate::backup::catalog::bounded::{self, Exceeded, Listed};
use crate::bounds;
use crate::error::{Error, Result};
use crate::files::{self, Directory, LiveFiles};
use crate::memory;

/// Reads the catalog at `path` in that directory.
pub(super) fn read(directory: &Directory, path: &Path, live: &LiveFiles) -> Result<Manifest> {
    let Some(file) = files::open_own(directory, path, live)? else { return Ok(Manifest::Missing) };
    let stranger = files::stranger(&file, directory, path)?;
    let mut text = Vec::new();
    file.take(bounds::CATALOG_BYTES + 1).read_to_end(&mut text).map_err(|error| Error::io("read", path, &error))?;
    if text.len() as u64 > bounds::CATALOG_BYTES {
        return Err(bounded::refusal(path, Exceeded::Length(bounds::CATALOG_BYTES)));
    }
    Ok(parsed(&text, path)?.map_or(Manifest::Foreign, |entries| Manifest::Catalog(entries, stranger)))
}

/// Parses a manifest; `None` if it is none. Fails if it exceeds a bound, or names a file of another
/// directory. `path` is for errors.
pub fn parsed(text: &[u8], path: &Path) -> Result<Option<Vec<Entry>>> {
    // The objects take more memory than their text.
    memory::require(4 * text.len())?;
    let entries = match bounded::each(text, bounds::CATALOG_ENTRIES, |text| serde_json::from_str::<Entry>(text).ok())?
    {
        Listed::All(entries) => entries,
        Listed::Foreign => return Ok(None),
        Listed::Beyond(why) => return Err(bounded::refusal(path, why)),
    };
    for entry in &entries {
        check_name(&entry.backup_path, path)?;
    }
    require_room(&entries)?;
    Ok(Some(entries))
}

/// Checks that there is memory to copy, split, sort and write the entries.
pub(super) fn require_room(entries: &[Entry]) -> Result<()> {
    /// Copies of each entry with its texts, which take about as much as the entry itself.
    const COPIES: usize = 8;
    memory::require(entries.len() * COPIES * size_of::<Entry>())
}

pub(super) enum Manifest {
    Missing,
    /// A file, but no catalog.
    Foreign,
    /// The entries, and the file's owner if that is a stranger.
    Catalog(Vec<Entry>, Option<u32>),
}

/// Artifacts must be in the directory itself: another path could name any file of the machine.
fn check_name(name: &str, manifest: &Path) -> Result<()> {
    let mut parts = Path::new(name).components();
    if matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.contains('\0') {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "'{}' names '{name}', which is not a file of its own directory; queuekeeper did not write that; nothing was \
         changed; move the manifest away or correct it",
        manifest.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_names_are_taken_from_a_manifest() {
        let manifest = Path::new("/b/backup_manifest.json");
        assert!(check_name("queue_backup_20260101_000000.db", manifest).is_ok());
        for name in ["../x.db", "/etc/passwd", "a/b.db", "..", ".", "", "a/../b", "a\0b"] {
            let error = check_name(name, manifest).unwrap_err();
            assert!(error.message().contains("nothing was"), "{name}: {error}");
        }
    }
}
