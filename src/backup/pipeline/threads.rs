//! Starts a backup's threads, and waits for their results.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::memory;
use crate::progress::Watch;

/// A thread's stack size, Rust's default.
pub const STACK: usize = 2 << 20;
/// How long a wait lasts between two checks of the caller.
const MOMENT: Duration = Duration::from_millis(20);

/// Starts a thread. `None` if the system has none; `body` is dropped then.
pub fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<JoinHandle<T>>> {
    memory::require(STACK)?;
    Ok(std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(body).ok())
}

/// Waits for a thread's result. Fails with `SQLITE_INTERRUPT`, or if the thread panicked.
pub fn wait_for<T>(answer: &Receiver<T>, watch: &mut Watch<'_>) -> Result<T> {
    loop {
        match in_a_moment(answer) {
            Some(answer) => return answer,
            None => watch.check()?,
        }
    }
}

/// A thread's result, if it comes within [`MOMENT`].
pub(super) fn in_a_moment<T>(answer: &Receiver<T>) -> Option<Result<T>> {
    match answer.recv_timeout(MOMENT) {
        Ok(answer) => Some(Ok(answer)),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Err(panicked())),
    }
}

/// The error for a thread that ended without a result.
pub fn panicked() -> Error {
    Error::internal("a thread of the backup panicked")
}
