//! Renames an artifact into place and lists it in the catalog.
//!
//! # Promise
//!
//! Under the catalog's lock: hash file, artifact, catalog, in this order, each durable before the next. After
//! a crash behind the artifact's rename, the next writer completes the entry from the hash file. A crash
//! before it leaves a hash file without an artifact, which is set aside later (see [`orphans`]). An artifact
//! that others build on is never replaced. The entry of one that will be replaced is marked first: after a
//! crash in between, the next writer checks which of the two artifacts exists.

use std::path::Path;

use super::produce::Produced;
use super::{Job, Taken, names, parent};
use crate::backup::artifact::PageHash;
use crate::backup::artifact::kind::Kind;
use crate::backup::catalog::Catalog;
use crate::backup::catalog::entry::Entry;
use crate::backup::catalog::{hash_file, orphans};
use crate::backup::find::elsewhere;
use crate::backup::rebuild;
use crate::clock;
use crate::error::{Error, Result};
use crate::files::{self, Directory, Placed, Staged};
use crate::progress::Watch;

impl Job<'_> {
    /// Publishes the artifact; `None` if it must be a full one because its parent is gone or would be
    /// replaced. A failure leaves nothing behind.
    pub(super) fn publish(&self, produced: Produced, watch: &mut Watch<'_>) -> Result<Option<Taken>> {
        let Produced { staged: artifact, mut entry, hashes, blocked_ms, mut notes, .. } = produced;
        let mut writer = self.catalog.open(watch)?;
        notes.extend(writer.set_orphans_aside(self.caller.now()));
        let entries = writer.listing().known();
        if parent::is_gone(&entry, &entries) {
            return Ok(None);
        }
        entry.backup_path = self.free_name(&entry, &entries)?;
        entry.rank_after(&entries);
        let pointers = elsewhere::pointers(self.catalog);
        entry.sequence = entry.sequence.map(|sequence| elsewhere::after(sequence, &pointers));
        let replaces = entries.iter().any(|other| other.backup_path == entry.backup_path);
        if replaces && entry.parent_id.is_some() {
            // It might replace a backup in its own chain.
            return Ok(None);
        }
        entry.duration_ms = Some(clock::milliseconds(self.started.elapsed()));
        let path = entry.place(self.catalog.directory());
        let hashes = self.stage_hashes(writer.directory(), &hashes, &mut entry, &path)?;
        let staged = writer.stage(&entry, self.caller.ownership())?;
        let hash_path = hash_file::path_of(&path);
        writer.mark_replacing(&entry.backup_path)?;
        self.place_hashes(hashes, &path, replaces && self.overwrites(), &mut notes)?;
        let refused = match artifact.place(&path, self.overwrites()) {
            Ok(Placed::Durable) => None,
            Ok(Placed::Fragile(error)) => Some((error, vec![path.as_path(), &hash_path])),
            // The existing file is not ours.
            Ok(Placed::Taken) => Some((names::taken(&path), vec![hash_path.as_path()])),
            Err(error) => Some((error, vec![hash_path.as_path()])),
        };
        if let Some((error, placed)) = refused {
            self.take_back(writer.directory(), &placed);
            return Err(error);
        }
        match writer.commit(staged) {
            Ok((entry, None)) => {
                let entry = entry.shown(self.catalog.directory());
                Ok(Some(Taken { entry, place: path, blocked_ms, notes, warning: None }))
            }
            Ok((_, Some(error))) => Err(error.context(format!(
                "the backup '{}' is made and listed, but may not survive a power cut",
                path.display()
            ))),
            Err(error) => {
                self.take_back(writer.directory(), &[&path, &hash_path]);
                Err(error)
            }
        }
    }

    /// Renames the hash file into place. Replaces only the hash file of an artifact that is being
    /// overwritten.
    fn place_hashes(&self, hashes: Staged, path: &Path, replaces: bool, notes: &mut Vec<String>) -> Result<()> {
        let hash_path = hash_file::path_of(path);
        if !replaces {
            notes.extend(orphans::clear(hashes.directory(), path, self.catalog.live())?);
        }
        let directory = hashes.directory().clone();
        match hashes.place(&hash_path, replaces)? {
            Placed::Durable => Ok(()),
            Placed::Taken => Err(names::taken(&hash_path)),
            Placed::Fragile(error) => {
                self.take_back(&directory, &[&hash_path]);
                Err(error)
            }
        }
    }

    fn overwrites(&self) -> bool {
        self.options.overwrite && self.target.file_name.is_some()
    }

    fn stage_hashes(
        &self,
        directory: &Directory,
        hashes: &[PageHash],
        entry: &mut Entry,
        path: &Path,
    ) -> Result<Staged> {
        let hash_path = hash_file::path_of(path);
        self.check_hash_path(&hash_path)?;
        let staged = Staged::new(directory)?;
        let checksum = hash_file::write(staged.handle()?, &hash_path, entry, rebuild::geometry_of(entry)?, hashes)?;
        if let Some(like) = self.caller.ownership() {
            staged.permit(&like)?;
        }
        staged.sync()?;
        entry.hash_file_checksum = Some(checksum);
        Ok(staged)
    }

    /// Only a hash file may be replaced: one whose artifact is gone or is being overwritten.
    fn check_hash_path(&self, path: &Path) -> Result<()> {
        let Some(file) = self.catalog.open_file(path)? else { return Ok(()) };
        if hash_file::read(file, path)?.is_some() {
            return Ok(());
        }
        Err(Error::usage(format!(
            "'{}' is in the way of the backup's hash file and is none; move it away",
            path.display()
        )))
    }

    /// Removes what was placed. An artifact that replaced another stays: it is the only one left, and the
    /// next writer lists it.
    fn take_back(&self, directory: &Directory, placed: &[&Path]) {
        if !self.overwrites() {
            for path in placed {
                let _ = directory.remove(path);
            }
        }
    }

    /// The first generated name that neither the directory nor the catalog has; the catalog's lock reserves
    /// it.
    fn free_name(&self, new: &Entry, entries: &[Entry]) -> Result<String> {
        let directory = self.catalog.directory();
        let kind = Kind::from_word(&new.backup_type).unwrap_or(self.options.kind);
        let ending = format!("{}{}", kind.ending(), self.options.compression.0.suffix());
        if let Some(name) = &self.target.file_name {
            let path = directory.join(name);
            check_free(self.catalog, &path, entries, self.overwrites())?;
            return Ok(name.clone());
        }
        let taken_at = clock::parse_rfc3339(&new.created_at).unwrap_or_else(|| self.caller.now());
        for name in names::generated_names(new.name.as_deref(), taken_at, &ending) {
            let listed = entries.iter().any(|entry| entry.backup_path == name);
            let path = directory.join(&name);
            // A hash file may wait for its artifact.
            let free = self.catalog.metadata_of(&path)?.is_none()
                && self.catalog.metadata_of(&hash_file::path_of(&path))?.is_none();
            if !listed && free {
                return Ok(name);
            }
        }
        Err(names::taken(&directory.join("queue_backup_…")))
    }
}

fn check_free(catalog: &Catalog<'_>, path: &Path, entries: &[Entry], overwrite: bool) -> Result<()> {
    if !overwrite {
        return match catalog.metadata_of(path)? {
            Some(_) => Err(names::taken(path)),
            None => Ok(()),
        };
    }
    catalog.refuse_redirected(path)?;
    let replaced =
        entries.iter().find(|entry| path.file_name().is_some_and(|name| name == entry.backup_path.as_str()));
    if replaced.is_none()
        && let Some(holder) = files::holder(&[path.to_path_buf()], true)
    {
        return Err(Error::busy(format!(
            "'{}' is no backup and in use, so it is not overwritten: {holder}; choose another name, or stop what uses it",
            path.display()
        )));
    }
    let dependant = replaced.and_then(|old| entries.iter().find(|entry| entry.parent_id.as_ref() == Some(&old.id)));
    match dependant {
        Some(dependant) => Err(Error::usage(format!(
            "'{}' cannot be overwritten, because the backup '{}' builds on it; choose another name",
            path.display(),
            dependant.backup_path
        ))),
        None => Ok(()),
    }
}
