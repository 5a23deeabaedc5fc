//! Names of queues and of backup series.

/// In bytes. Nearly all file systems allow file names of 255 bytes.
pub const LONGEST: usize = 64;

pub fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.') && name.chars().all(fine)
}
