//! Connections that do not see all commits.

use super::Caller;
use crate::error::{Error, Result};
use crate::files;
use crate::host;

impl Caller {
    /// Fails if the connection ignores a journal or WAL beside its database (`immutable`): it sees a past
    /// state, or one that never was.
    pub fn refuse_unseen(&self) -> Result<()> {
        let Some(file) = self.file().filter(|_| host::is_immutable(self.connection())) else { return Ok(()) };
        for companion in ["-wal", "-journal"] {
            let companion = files::with_suffix(&file, companion);
            if files::length(&companion)? > 0 {
                return Err(Error::usage(format!(
                    "this connection was opened with immutable=1, so it does not see what '{}' holds, and neither would the backup; \
                     open the database without it, or with mode=ro, and call again",
                    companion.display()
                )));
            }
        }
        Ok(())
    }
}
