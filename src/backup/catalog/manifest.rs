//! What is taken from a catalog's file: entries within bounds, which name files of its own directory.

use std::io::Read;
use std::path::{Component, Path};

use super::entry::Entry;
use crate::backup::json::bounded::{self, Exceeded, Listed};
use crate::bounds;
use crate::error::{Error, Result};
use crate::files::{self, Directory, LiveFiles};
use crate::memory;

/// The catalog at `path`, which lies in that directory.
///
/// # Errors
///
/// A file that must not be opened or read, and as for [`parsed`].
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

/// The entries in the text of a manifest, which lies at `path`; `None` if it is none.
///
/// # Errors
///
/// One that exceeds a bound, or names a file of another directory.
pub fn parsed(text: &[u8], path: &Path) -> Result<Option<Vec<Entry>>> {
    // Its objects take more room than their text.
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

/// Looks whether there is memory for what is done with a list of entries: it is copied, parted, sorted and written.
pub(super) fn require_room(entries: &[Entry]) -> Result<()> {
    /// Of each entry, its texts included: those take about as much as it does itself.
    const COPIES: usize = 8;
    memory::require(entries.len() * COPIES * size_of::<Entry>())
}

/// What lies at the manifest's name.
pub(super) enum Manifest {
    Missing,
    /// A file, but no catalog.
    Foreign,
    /// The entries, and the stranger whose file it is, if so.
    Catalog(Vec<Entry>, Option<u32>),
}

/// An artifact lies in the directory itself: anything else could name any file of the machine.
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
