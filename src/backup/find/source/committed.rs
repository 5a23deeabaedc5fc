//! Reads the caller's database in its committed state.

use rusqlite::{Connection, ffi};

use crate::connection::{Caller, Sidecar, encrypted};
use crate::error::Result;
use crate::host::Transaction;
use crate::progress::Watch;
use crate::settings::Settings;

/// The committed settings.
pub fn settings(caller: &Caller, watch: &mut Watch<'_>) -> Result<Settings> {
    read(caller, watch, Settings::of)
}

/// Reads committed state through a sidecar: a wait by the caller's own busy handler could not be interrupted.
pub fn read<T>(caller: &Caller, watch: &mut Watch<'_>, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let mut caller_state = caller.state()?;
    let own =
        caller.file().is_none() || caller_state.excludes_others() || caller_state.transaction == Transaction::Read;
    if own || encrypted::is_encrypted(caller)? {
        return read(caller.connection());
    }
    let writes = caller_state.transaction == Transaction::Write;
    let sidecar = Sidecar::open_reader(caller, &caller_state)?;
    match sidecar.begin_read(caller, &mut caller_state, watch) {
        // The caller itself locks the sidecar out; use its uncommitted state.
        Err(error) if writes && error.primary_code() == ffi::SQLITE_BUSY => read(caller.connection()),
        outcome => outcome.and_then(|()| read(sidecar.connection())),
    }
}
