//! One binding for all copies of the library in this process.
//!
//! # Promise
//!
//! A process may load the library twice: one copy from a wheel, another from `/usr/local/lib`. Each has statics of its own, so
//! each would bind by itself, perhaps to two SQLites. [`claim`] lets only one SQLite through for all copies:
//!
//! - all copies may run on one SQLite;
//! - while one copy is bound, another SQLite is refused to every other copy. If two try at once, one of them gets through;
//! - beside a copy of an older version, which does not know of this, every SQLite is refused: nobody can tell which it runs on.
//!
//! A forked child has the binding of its parent. What stays unseen: an older copy that binds later, until this one is loaded
//! or opened again; on Linux, a copy in another linker namespace (`dlmopen`).
//!
//! # How
//!
//! Each copy exports a pointer to its [`Slot`]. [`images`] looks into every library of the process for it, whatever its name
//! or path is, and whether or not its symbols are in the global scope.
//!
//! A copy writes its claim into its own slot, then reads those of the others; all of that is sequentially consistent, so of two
//! that claim at once at least one sees the other. If both do, the one with the higher address gives way.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{ffi::CStr, ffi::c_char, ptr, thread};

use super::images;
use crate::error::{Error, Result};

/// The layout of [`Slot`]. Fields are only ever added at its end; a change of meaning changes this number.
const LAYOUT: usize = 1;

/// How long another copy may take to bind before this one gives up.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

/// What one copy tells the others.
#[repr(C)]
pub struct Slot {
    layout: usize,
    /// The API table that this copy wants to run on, or 0.
    claimed: AtomicUsize,
    /// The API table that it runs on, or 0.
    bound: AtomicUsize,
    /// The version of that SQLite, a C string that stays; NULL before.
    version: AtomicPtr<c_char>,
    /// Not 0 if the embedder has vouched for this SQLite.
    told: AtomicUsize,
}

static OWN: Slot = Slot {
    layout: LAYOUT,
    claimed: AtomicUsize::new(0),
    bound: AtomicUsize::new(0),
    version: AtomicPtr::new(ptr::null_mut()),
    told: AtomicUsize::new(0),
};

/// Where other copies of the library find the slot of this one. Only a pointer is exported: where two copies are in the global
/// scope, the linker gives both the first one's symbol, and each must still use its own slot.
// Not part of the C ABI, and not in its header.
#[unsafe(no_mangle)]
#[used]
#[allow(non_upper_case_globals)]
pub static queuekeeper_binding: &Slot = &OWN;

/// The API table that another copy of the library is bound to, and whether its embedder has vouched for it.
#[derive(Clone, Copy)]
pub struct Elsewhere {
    /// Address of the table.
    pub table: usize,
    /// See [`Slot::told`].
    pub told: bool,
}

/// A copy of the library, as this one sees it.
enum Seen {
    /// It does not know of bindings that are shared.
    Older(String),
    /// Its layout is none that this copy knows.
    Newer(String),
    Claims {
        address: usize,
        table: usize,
    },
    Bound {
        table: usize,
        told: bool,
        version: String,
        path: String,
    },
}

/// An address that no other copy of the library has.
pub fn address() -> usize {
    &raw const OWN as usize
}

/// The binding of another copy, if there is one.
///
/// # Errors
///
/// A copy that cannot tell.
pub fn elsewhere() -> Result<Option<Elsewhere>> {
    let mut found = None;
    for copy in others() {
        match copy {
            Seen::Bound { table, told, .. } => found = Some(Elsewhere { table, told }),
            Seen::Claims { .. } => {}
            Seen::Older(path) => return Err(older(&path)),
            Seen::Newer(path) => return Err(newer(&path)),
        }
    }
    Ok(found)
}

/// Claims `table` for this copy of the library; to be followed by [`settle`] or [`withdraw`].
///
/// # Errors
///
/// Another copy is bound to another SQLite (`version` is that of this one), or cannot tell.
pub fn claim(table: usize, version: &str) -> Result<()> {
    let refused = |error| {
        withdraw();
        Err(error)
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        OWN.claimed.store(table, Ordering::SeqCst);
        let mut contested = false;
        for copy in others() {
            match copy {
                Seen::Older(path) => return refused(older(&path)),
                Seen::Newer(path) => return refused(newer(&path)),
                Seen::Bound { table: theirs, version: first, path, .. } if theirs != table => {
                    return refused(super::second_sqlite(&first, version, Some(&path)));
                }
                Seen::Claims { address: theirs, table: wanted } if wanted != table => {
                    contested = true;
                    if theirs < address() {
                        withdraw();
                    }
                }
                Seen::Bound { .. } | Seen::Claims { .. } => {}
            }
        }
        if !contested {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return refused(Error::busy(
                "another copy of queuekeeper in this process is binding to another SQLite at this moment; try again",
            ));
        }
        thread::sleep(PAUSE);
    }
}

/// Makes the claim a binding, for as long as the process lives.
pub fn settle(table: usize, version: &'static CStr) {
    OWN.version.store(version.as_ptr().cast_mut(), Ordering::SeqCst);
    OWN.bound.store(table, Ordering::SeqCst);
}

/// Takes the claim back.
pub fn withdraw() {
    OWN.claimed.store(0, Ordering::SeqCst);
}

/// Remembers that the embedder has vouched for the SQLite, for copies that come later.
pub fn vouch() {
    OWN.told.store(1, Ordering::SeqCst);
}

/// Whether the embedder has vouched for it.
pub fn is_told() -> bool {
    OWN.told.load(Ordering::SeqCst) != 0
}

fn others() -> Vec<Seen> {
    let mut seen = Vec::new();
    images::each(|image| {
        if image.holds(address()) {
            return;
        }
        let slot = match image.find(c"queuekeeper_binding") {
            None if image.find(c"sqlite3_queuekeeper_init").is_none() => return,
            None => return seen.push(Seen::Older(image.name())),
            Some(place) => image.pointer_at(place),
        };
        // A library that is still being loaded has run nothing yet.
        let Some(slot) = slot.filter(|slot| *slot != address()) else { return };
        seen.extend(look(image, slot));
    });
    seen
}

fn look(image: &images::Image, slot: usize) -> Option<Seen> {
    if image.word_at(slot)? != LAYOUT {
        return Some(Seen::Newer(image.name()));
    }
    // SAFETY: this layout lies there, in the memory of a library that cannot be unloaded while it is looked at.
    let slot = unsafe { &*ptr::with_exposed_provenance::<Slot>(slot) };
    let bound = slot.bound.load(Ordering::SeqCst);
    if bound != 0 {
        let version = slot.version.load(Ordering::SeqCst);
        // SAFETY: written before `bound`, and never taken back.
        let version = unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned();
        let told = slot.told.load(Ordering::SeqCst) != 0;
        return Some(Seen::Bound { table: bound, told, version, path: image.name() });
    }
    let claimed = slot.claimed.load(Ordering::SeqCst);
    let address = ptr::from_ref(slot).addr();
    (claimed != 0).then_some(Seen::Claims { address, table: claimed })
}

fn older(path: &str) -> Error {
    Error::usage(format!(
        "'{path}', an older version of queuekeeper, is loaded in this process and does not tell which SQLite it runs on; two \
         SQLites that share files destroy each other's locks, so this one (version {}) is refused; load only one of them",
        crate::VERSION
    ))
}

fn newer(path: &str) -> Error {
    Error::usage(format!(
        "'{path}', another version of queuekeeper, is loaded in this process and tells in a way that this one (version {}) does \
         not know which SQLite it runs on; load only one of them",
        crate::VERSION
    ))
}
