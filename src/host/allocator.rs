//! The library's allocator: the system's, backed by a reserve.
//!
//! # Promise
//!
//! Rust aborts the process, which is the host's, when an allocation fails. So a small allocation that the
//! system refuses comes from a reserve and is noted: the operation's next [check](crate::memory::check) ends
//! it with `SQLITE_NOMEM`. The cleanup frees the reserve, so the next call has all of it again. Large
//! allocations are refused: they are requested in fallible ways.
//!
//! # How
//!
//! The reserve is static memory that is not touched before, so it takes address space but no memory. It is a
//! bump allocator: the last allocation can grow and be freed, and once all are freed it starts over. One
//! atomic number holds both the end and the count of allocations, so there is no lock that a fork could leave
//! held.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// More than all that is allocated between two checks: the largest allocation, and small ones.
const RESERVE: usize = 2 << 20;
/// The largest allocation from the reserve, such as a reader's buffer; larger ones are requested in fallible
/// ways.
const LARGEST: usize = (1 << 20) + (64 << 10);
/// None of Rust's own allocations needs more.
const ALIGNMENT: usize = 128;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// Whether the reserve was used since [`forget`].
pub fn was_refused() -> bool {
    ALLOCATOR.refused.load(Ordering::Relaxed)
}

/// Resets [`was_refused`] at the beginning or end of a call.
pub fn forget() {
    // Avoids a write in the usual case.
    if was_refused() {
        ALLOCATOR.refused.store(false, Ordering::Relaxed);
    }
}

#[repr(align(128))]
struct Reserve(UnsafeCell<[u8; RESERVE]>);

// SAFETY: `used` hands out each byte to at most one allocation.
unsafe impl Sync for Reserve {}

struct Allocator {
    reserve: Reserve,
    /// The count of live allocations and, in the lower half, the end of the last one.
    used: AtomicU64,
    refused: AtomicBool,
}

/// [`Allocator::used`], unpacked.
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

    /// The offset in the reserve; `None` if the system allocated it.
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

    /// Allocates from the reserve; null if it is too large or the reserve is used up.
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
        // A null is noticed by the caller; an allocation from the reserve must be noted.
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

    /// Resizes the last allocation in place.
    fn resize(&self, place: usize, size: usize, new: usize) -> bool {
        let resized = self.change(|used| {
            let fits = used.end == place + size && new <= LARGEST && place + new <= RESERVE;
            fits.then_some(Used { end: place + new, ..used })
        });
        resized.is_some()
    }
}

// SAFETY: each allocation is the system's or a part of the reserve of its own, and is freed where it was
// allocated.
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
            // SAFETY: the allocation is ours and has that size. The reserve's bytes may be dirty.
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
            // SAFETY: as above. The system may have memory again.
            Some(_) => unsafe { self.alloc(wanted) },
            None => self.take(wanted),
        };
        if !moved.is_null() {
            // SAFETY: two distinct allocations; both have that many bytes.
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
        // A reserve is as large as a thread's stack.
        static OWN: Allocator = Allocator::new();
        let own = &OWN;
        let (first, second) = (own.take(layout(3, 1)), own.take(layout(40, 16)));
        assert!(own.refused.load(Ordering::Relaxed));
        assert_eq!(second.addr() % 16, 0);
        assert!(second.addr() >= first.addr() + 3);
        // SAFETY: allocated by this allocator.
        unsafe {
            first.write_bytes(1, 3);
            second.write_bytes(2, 40);
            // The last one grows in place, the first one moves.
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
