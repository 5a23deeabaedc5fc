//! Names of queues and of series of backups.

/// The longest one, in bytes: file names of 255 bytes are allowed nearly everywhere.
pub const LONGEST: usize = 64;

/// Whether a text can name a series, or a queue.
pub fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.') && name.chars().all(fine)
}
