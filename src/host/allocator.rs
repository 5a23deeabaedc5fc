//! The library's allocator: the system's, and a reserve for when that refuses.
//!
//! # Promise
//!
//! Rust ends the process when it is refused memory, and the process is the host's. So what the system refuses is taken
//! from a reserve, if it is no large piece, and remembered: the next [check](crate::memory::check) of the work ends it with
//! `SQLITE_NOMEM`. What was taken is given back as the work is cleaned up, and the next call has the whole reserve again. Large pieces
//! are refused: they are asked for in ways that can fail.
//!
//! # How
//!
//! The reserve is a part of the library that nothing touches until then, so that it takes addresses but no memory. It is given out from
//! one end; what was given out last can grow and be given back, and when all was given back it begins anew. One number
//! holds both how far it is used and by how many pieces, so there is no lock that a fork could leave held.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// More than what is asked for between two checks: the largest piece, and small ones.
const RESERVE: usize = 2 << 20;
/// The largest piece that comes from it, such as the buffer of a reader; more is asked for in ways that can fail.
const LARGEST: usize = (1 << 20) + (64 << 10);
/// No piece of Rust's own needs more.
const ALIGNMENT: usize = 128;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// Whether something came from the reserve since [`forget`].
pub fn was_refused() -> bool {
    ALLOCATOR.refused.load(Ordering::Relaxed)
}

/// A new call begins, or one has ended: what was refused before is no reason to end it.
pub fn forget() {
    // Nearly always nothing is to be written, and then nothing is.
    if was_refused() {
        ALLOCATOR.refused.store(false, Ordering::Relaxed);
    }
}

#[repr(align(128))]
struct Reserve(UnsafeCell<[u8; RESERVE]>);

// SAFETY: each byte belongs to nobody or to the one piece that it was given out as, which `used` sees to.
unsafe impl Sync for Reserve {}

struct Allocator {
    reserve: Reserve,
    /// The pieces that are out, and, in the lower half, where the next one begins.
    used: AtomicU64,
    refused: AtomicBool,
}

/// How many pieces are out, and where the next one begins.
#[derive(Clone, Copy)]
struct Used {
    pieces: u64,
    end: usize,
}

impl Used {
    fn read(word: u64) -> Self {
        Self { pieces: word >> 32, end: (word & u64::from(u32::MAX)) as usize }
    }

    fn word(self) -> u64 {
        self.pieces << 32 | self.end as u64
    }
}

impl Allocator {
    const fn new() -> Self {
        Self {
            reserve: Reserve(UnsafeCell::new([0; RESERVE])),
            used: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        }
    }

    fn start(&self) -> *mut u8 {
        self.reserve.0.get().cast()
    }

    /// Where in the reserve a piece begins; `None` if it is the system's.
    fn place_of(&self, piece: *mut u8) -> Option<usize> {
        let place = piece.addr().wrapping_sub(self.start().addr());
        (place < RESERVE).then_some(place)
    }

    fn change(&self, change: impl Fn(Used) -> Option<Used>) -> Option<Used> {
        let changed = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| change(Used::read(word)).map(Used::word));
        changed.ok().map(Used::read)
    }

    /// A piece of the reserve, because the system has refused one; null if that is too large, or too much.
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST || layout.align() > ALIGNMENT {
            return null_mut();
        }
        let begin = |used: Used| used.end.next_multiple_of(layout.align());
        let taken = self.change(|used| {
            let end = begin(used) + layout.size();
            (end <= RESERVE).then_some(Used { pieces: used.pieces + 1, end })
        });
        let Some(before) = taken else { return null_mut() };
        // Who is refused a piece hears it at once; who lives on the reserve would not.
        self.refused.store(true, Ordering::Relaxed);
        self.start().wrapping_add(begin(before))
    }

    fn give_back(&self, place: usize, size: usize) {
        let _ = self.change(|used| {
            let end = match used.pieces {
                1 => 0,
                _ if used.end == place + size => place,
                _ => used.end,
            };
            Some(Used { pieces: used.pieces.saturating_sub(1), end })
        });
    }

    /// Gives the piece that was given out last another size, where it is.
    fn resize(&self, place: usize, size: usize, new: usize) -> bool {
        let resized = self.change(|used| {
            let fits = used.end == place + size && new <= LARGEST && place + new <= RESERVE;
            fits.then_some(Used { end: place + new, ..used })
        });
        resized.is_some()
    }
}

// SAFETY: each piece is the system's, or one of the reserve that nobody else has; it goes back to where it is from.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller vouches for the layout, here and below.
        let piece = unsafe { System.alloc(layout) };
        if piece.is_null() { self.take(layout) } else { piece }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let piece = unsafe { System.alloc_zeroed(layout) };
        if !piece.is_null() {
            return piece;
        }
        let piece = self.take(layout);
        if !piece.is_null() {
            // SAFETY: the piece is ours and has that size. Somebody may have used it before.
            unsafe { piece.write_bytes(0, layout.size()) };
        }
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match self.place_of(piece) {
            Some(place) => self.give_back(place, layout.size()),
            // SAFETY: what is not the reserve's is the system's.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let place = self.place_of(piece);
        match place {
            Some(place) if self.resize(place, layout.size(), size) => return piece,
            Some(_) => {}
            None => {
                // SAFETY: as above.
                let moved = unsafe { System.realloc(piece, layout, size) };
                if !moved.is_null() {
                    return moved;
                }
            }
        }
        // SAFETY: the caller vouches for the size; the alignment is that of a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let moved = match place {
            // SAFETY: as above. The system may have some again.
            Some(_) => unsafe { self.alloc(wanted) },
            None => self.take(wanted),
        };
        if !moved.is_null() {
            // SAFETY: two pieces, one of which was just made; both have that many bytes.
            unsafe {
                moved.copy_from_nonoverlapping(piece, layout.size().min(size));
                self.dealloc(piece, layout);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn pieces_of_the_reserve_are_apart_and_aligned_and_come_back() {
        // The reserve is as large as a thread's stack.
        static OWN: Allocator = Allocator::new();
        let own = &OWN;
        let (first, second) = (own.take(layout(3, 1)), own.take(layout(40, 16)));
        assert!(own.refused.load(Ordering::Relaxed));
        assert_eq!(second.addr() % 16, 0);
        assert!(second.addr() >= first.addr() + 3);
        // SAFETY: the pieces are of this allocator.
        unsafe {
            first.write_bytes(1, 3);
            second.write_bytes(2, 40);
            // The last one grows where it is, the first one elsewhere.
            assert_eq!(own.realloc(second, layout(40, 16), 80), second);
            let moved = own.realloc(first, layout(3, 1), 9);
            assert_ne!(moved, first);
            assert_eq!(std::slice::from_raw_parts(moved, 3), [1; 3]);
            assert_eq!(std::slice::from_raw_parts(second, 40), [2; 40]);
            own.dealloc(second, layout(80, 16));
            own.dealloc(moved, layout(9, 1));
        }
        assert_eq!(own.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn it_ends_and_begins_anew() {
        static OWN: Allocator = Allocator::new();
        let own = &OWN;
        let piece = layout(LARGEST, 8);
        let pieces: Vec<*mut u8> =
            std::iter::repeat_with(|| own.take(piece)).take_while(|one| !one.is_null()).collect();
        assert_eq!(pieces.len(), RESERVE / LARGEST);
        assert!(own.take(layout(LARGEST + 1, 1)).is_null());
        for one in pieces {
            own.give_back(own.place_of(one).unwrap(), LARGEST);
        }
        assert!(!own.take(piece).is_null());
    }
}
