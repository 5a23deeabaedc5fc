//! One binding for all copies of the library in this process.
//!
//! # Promise
//!
//! A process may load the library twice: one copy from a wheel, another from `/usr/local/lib`. Each has its
//! own statics, and could bind to another SQLite. [`claim`] admits one SQLite for all copies:
//!
//! - all copies may run on one SQLite;
//! - while one copy is bound, every other copy refuses another SQLite. If two try at once, one succeeds;
//! - beside a copy of an older version without this protocol, every SQLite is refused, as nobody can tell
//!   which one that copy uses.
//!
//! A forked child has its parent's binding. Not noticed are an older copy that binds later, until this one is
//! loaded or opened again; and on Linux, a copy in another linker namespace (`dlmopen`).
//!
//! # How
//!
//! Each copy exports a pointer to its [`Slot`]. [`images`] looks for it in every library of the process,
//! whatever its name or path, and even if its symbols are not in the global scope.
//!
//! A copy writes its claim to its own slot, then reads the others', all sequentially consistent: of two
//! concurrent claims at least one sees the other. If both do, the one with the higher address yields.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{ffi::CStr, ffi::c_char, ptr, thread};

use super::images;
use crate::error::{Error, Result};

/// The layout of [`Slot`]. Fields are only added at its end; a change of meaning changes this number.
const LAYOUT: usize = 1;

/// How long another copy may take to bind.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

/// What a copy publishes to the others.
#[repr(C)]
pub struct Slot {
    layout: usize,
    /// The API table that it wants to use, or 0.
    claimed: AtomicUsize,
    /// The API table that it uses, or 0.
    bound: AtomicUsize,
    /// That SQLite's version, a static C string; NULL before.
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

/// Where other copies find this one's slot. Only a pointer is exported: with two copies in the global scope,
/// the linker resolves both to the first one's symbol, and each must still use its own slot.
// Not part of the C ABI or its header.
#[unsafe(no_mangle)]
#[used]
#[allow(non_upper_case_globals)]
pub static queuekeeper_binding: &Slot = &OWN;

/// Another copy's binding.
#[derive(Clone, Copy)]
pub struct Elsewhere {
    /// Address of the API table.
    pub table: usize,
    /// See [`Slot::told`].
    pub told: bool,
}

/// The state of another copy.
enum Seen {
    /// It does not have this protocol.
    Older(String),
    /// Its layout is unknown to this copy.
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

/// An address that is different in each copy.
pub fn address() -> usize {
    &raw const OWN as usize
}

/// The binding of another copy; fails if a copy's state is unknown.
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

/// Claims `table`, whose SQLite has this `version`, for this copy; [`settle`] or [`withdraw`] must follow.
/// Fails if another copy is bound to another SQLite, or its state is unknown.
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

/// Turns the claim into a binding, for the life of the process.
pub fn settle(table: usize, version: &'static CStr) {
    OWN.version.store(version.as_ptr().cast_mut(), Ordering::SeqCst);
    OWN.bound.store(table, Ordering::SeqCst);
}

pub fn withdraw() {
    OWN.claimed.store(0, Ordering::SeqCst);
}

/// Records for later copies that the embedder has vouched for the SQLite.
pub fn vouch() {
    OWN.told.store(1, Ordering::SeqCst);
}

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
        // A library that is still being loaded has run no code.
        let Some(slot) = slot.filter(|slot| *slot != address()) else { return };
        seen.extend(look(image, slot));
    });
    seen
}

fn look(image: &images::Image, slot: usize) -> Option<Seen> {
    if image.word_at(slot)? != LAYOUT {
        return Some(Seen::Newer(image.name()));
    }
    // SAFETY: a slot of this layout, in the memory of a library that is not unloaded while it is visited.
    let slot = unsafe { &*ptr::with_exposed_provenance::<Slot>(slot) };
    let bound = slot.bound.load(Ordering::SeqCst);
    if bound != 0 {
        let version = slot.version.load(Ordering::SeqCst);
        // SAFETY: stored before `bound`, and never changed again.
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
