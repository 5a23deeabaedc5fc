//! The threads of a backup, and waiting for what they come to.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::memory;
use crate::progress::Watch;

/// What a thread has for its stack, as much as Rust gives it anyway.
pub const STACK: usize = 2 << 20;
/// How long a wait goes on without asking the caller.
const MOMENT: Duration = Duration::from_millis(20);

/// A thread of ours. `None` when the system gives none; what it should have done is then dropped.
///
/// # Errors
///
/// When there is no memory for its stack.
pub fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<JoinHandle<T>>> {
    memory::require(STACK)?;
    Ok(std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(body).ok())
}

/// Waits for a thread's answer.
///
/// # Errors
///
/// `SQLITE_INTERRUPT`, or a thread that has ended without one.
pub fn wait_for<T>(answer: &Receiver<T>, watch: &mut Watch<'_>) -> Result<T> {
    loop {
        match in_a_moment(answer) {
            Some(answer) => return answer,
            None => watch.check()?,
        }
    }
}

/// A thread's answer, if it comes in a moment.
pub(super) fn in_a_moment<T>(answer: &Receiver<T>) -> Option<Result<T>> {
    match answer.recv_timeout(MOMENT) {
        Ok(answer) => Some(Ok(answer)),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Err(panicked())),
    }
}

/// What is said of a thread that has ended without an answer.
pub fn panicked() -> Error {
    Error::internal("a thread of the backup panicked")
}
