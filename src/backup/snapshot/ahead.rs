//! Reading ahead: a large piece of the database file at a time instead of a page.
//!
//! # Promise
//!
//! [`Ahead`] hands out only what was read from the file since it was switched on. It never reads behind the end of the file,
//! and never changes bytes that it has lent.
//!
//! # Why it may
//!
//! It is on only during a walk, inside one read transaction. The pages that this transaction reads from the database file
//! (and not from the WAL) cannot change as long as it is open: with a rollback journal the SHARED lock keeps writers out, and
//! in WAL mode a checkpoint copies no page beyond the oldest reader's mark
//! (<https://www.sqlite.org/wal.html>, section 2.2). So a page that was read early is the page that would be read late.

use std::ops::Range;

use super::super::aligned::Aligned;

/// Bytes read at once: many pages, and little enough to stay in the processor's cache.
const PIECE: usize = 128 << 10;
/// Zeros behind the piece. SQLite wants to be allowed to read a little past a page that it has borrowed.
const SLACK: usize = 256;

/// A piece of the file.
#[derive(Default)]
pub struct Ahead {
    on: bool,
    piece: Aligned,
    start: u64,
    length: usize,
    lent: usize,
}

impl Ahead {
    /// Begins or ends reading ahead. What is lent stays where it is.
    pub fn switch(&mut self, on: bool) {
        self.on = on;
        self.forget();
    }

    /// Forgets what was read.
    pub fn forget(&mut self) {
        self.length = 0;
    }

    /// The bytes at `offset`, which `read(buffer, offset)` gets when they are not here yet: it fills the buffer and says how
    /// much of it the file had. `None` when somebody else has to read them.
    pub fn bytes(
        &mut self,
        offset: u64,
        amount: usize,
        read: impl FnOnce(&mut [u8], u64) -> Option<usize>,
    ) -> Option<&mut [u8]> {
        if !self.on || amount > PIECE {
            return None;
        }
        if self.place(offset, amount).is_none() {
            if self.lent > 0 {
                return None;
            }
            if self.piece.is_empty() {
                self.piece = Aligned::new(PIECE + SLACK);
            }
            self.length = 0;
            let Some(length) = read(&mut self.piece[..PIECE], offset) else {
                // Whoever reads a page at a time tells which one is broken; trying again would read all of them twice.
                self.on = false;
                return None;
            };
            self.length = length.min(PIECE);
            self.start = offset;
        }
        let place = self.place(offset, amount)?;
        self.piece.get_mut(place)
    }

    fn place(&self, offset: u64, amount: usize) -> Option<Range<usize>> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(amount)?;
        (end <= self.length).then_some(start..end)
    }

    /// Some of the bytes were lent; until they are back, none are replaced.
    pub fn lend(&mut self) {
        self.lent += 1;
    }

    /// They are back.
    pub fn take_back(&mut self) {
        self.lent = self.lent.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: usize = 2 * PIECE + 700;

    fn read(buffer: &mut [u8], offset: u64) -> Option<usize> {
        let offset = offset as usize;
        let length = buffer.len().min(FILE.saturating_sub(offset));
        for (place, byte) in buffer[..length].iter_mut().enumerate() {
            *byte = ((offset + place) / 512) as u8;
        }
        Some(length)
    }

    fn none(_: &mut [u8], _: u64) -> Option<usize> {
        panic!("read again")
    }

    #[test]
    fn one_reading_serves_many_pages() {
        let mut ahead = Ahead::default();
        assert!(ahead.bytes(0, 512, none).is_none(), "it is off");
        ahead.switch(true);
        assert_eq!(ahead.bytes(512, 512, read).unwrap(), [1; 512]);
        assert_eq!(ahead.bytes(PIECE as u64, 512, none).unwrap(), [0; 512]);
        assert_eq!(ahead.bytes(PIECE as u64 + 512, 512, read).unwrap(), [1; 512]);
        assert_eq!(ahead.bytes(512, 512, read).unwrap(), [1; 512], "back again");
    }

    #[test]
    fn nothing_comes_from_behind_the_end_or_from_a_reading_that_failed() {
        let mut ahead = Ahead::default();
        ahead.switch(true);
        let last = (FILE - 700) as u64;
        assert!(ahead.bytes(last, 512, read).is_some());
        assert!(ahead.bytes(last + 512, 512, read).is_none());
        assert!(ahead.bytes(last + 4096, 512, read).is_none());
        assert!(ahead.bytes(0, PIECE + 1, none).is_none());
        assert!(ahead.bytes(last, 512, |_, _| None).is_none());
        assert!(ahead.bytes(0, 512, none).is_none(), "it has gone off");
    }

    #[test]
    fn what_is_lent_is_not_replaced_and_what_is_forgotten_is_read_again() {
        let mut ahead = Ahead::default();
        ahead.switch(true);
        assert!(ahead.bytes(0, 512, read).is_some());
        ahead.lend();
        assert!(ahead.bytes(PIECE as u64, 512, none).is_none());
        assert!(ahead.bytes(512, 512, none).is_some());
        ahead.take_back();
        assert!(ahead.bytes(PIECE as u64, 512, read).is_some());
        ahead.forget();
        assert!(ahead.bytes(PIECE as u64, 512, |_, _| None).is_none());
    }
}
