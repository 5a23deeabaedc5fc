//! Libraries on Linux, Android and the BSDs: `dl_iterate_phdr` and ELF's hash tables.
//!
//! # How
//!
//! The linker holds a lock during its callbacks (musl never unloads), so an image stays loaded. Its symbol
//! table is read in memory, as the linker does it. Each read is checked against the loaded segments, so a
//! malformed image has no symbols. `dlsym` would not do: it needs a handle, which is opened by name, and a
//! replaced file no longer has its name. <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html>;
//! the GNU table is described in glibc's `dl-lookup.c`.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

#[cfg(target_pointer_width = "32")]
use libc::{Elf32_Phdr as Phdr, Elf32_Sym as Symbol};
#[cfg(target_pointer_width = "64")]
use libc::{Elf64_Phdr as Phdr, Elf64_Sym as Symbol};

const DT_HASH: usize = 4;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const WORD: usize = size_of::<usize>();

/// A loaded library, or the program.
pub struct Image {
    base: usize,
    name: String,
    /// The readable address ranges.
    ranges: Vec<(usize, usize)>,
    dynamic: usize,
}

pub fn each(visit: impl FnMut(&Image)) {
    let mut visit = visit;
    let mut data: &mut dyn FnMut(&Image) = &mut visit;
    // SAFETY: `call` gets this reference back as its data, before this function returns.
    unsafe { libc::dl_iterate_phdr(Some(call), (&raw mut data).cast()) };
}

unsafe extern "C" fn call(info: *mut libc::dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: the linker passes the description of a loaded image, and the data from `each`.
    let (info, visit) = unsafe { (&*info, &mut *data.cast::<&mut dyn FnMut(&Image)>()) };
    // SAFETY: as above.
    let image = unsafe { Image::of(info) };
    // A panic must not unwind through the linker.
    let _ = catch_unwind(AssertUnwindSafe(|| image.iter().for_each(&mut *visit)));
    0
}

/// Nothing to do: the library is linked as one that is never unloaded.
pub fn stay() {}

/// Types for which any bytes are valid.
trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u32 {}
impl Plain for usize {}
impl Plain for Symbol {}

impl Image {
    /// # Safety
    ///
    /// `info` describes an image that stays loaded while the result is used.
    unsafe fn of(info: &libc::dl_phdr_info) -> Option<Self> {
        let base = usize::try_from(info.dlpi_addr).ok()?;
        if info.dlpi_phdr.is_null() {
            return None;
        }
        // SAFETY: as the caller vouches.
        let headers: &[Phdr] = unsafe { slice::from_raw_parts(info.dlpi_phdr.cast(), usize::from(info.dlpi_phnum)) };
        let (mut ranges, mut dynamic) = (Vec::new(), None);
        for header in headers {
            let start = base.wrapping_add(usize::try_from(header.p_vaddr).ok()?);
            let length = usize::try_from(header.p_memsz).ok()?;
            match header.p_type {
                libc::PT_LOAD if header.p_flags & libc::PF_R != 0 => ranges.push((start, start.checked_add(length)?)),
                libc::PT_DYNAMIC => dynamic = Some(start),
                _ => {}
            }
        }
        let name = match info.dlpi_name.is_null() {
            true => String::new(),
            // SAFETY: as the caller vouches.
            false => unsafe { CStr::from_ptr(info.dlpi_name) }.to_string_lossy().into_owned(),
        };
        Some(Self { base, name, ranges, dynamic: dynamic? })
    }

    /// The linker's name for it.
    pub fn name(&self) -> String {
        if self.name.is_empty() { super::super::libraries::PROGRAM.to_owned() } else { self.name.clone() }
    }

    pub fn holds(&self, address: usize) -> bool {
        self.contains(address, 1)
    }

    fn contains(&self, address: usize, length: usize) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        self.ranges.iter().any(|(start, stop)| *start <= address && end <= *stop)
    }

    fn read<T: Plain>(&self, address: usize) -> Option<T> {
        let readable = self.contains(address, size_of::<T>());
        // SAFETY: these bytes are part of a readable segment, and any bytes are a `T`.
        readable.then(|| unsafe { ptr::with_exposed_provenance::<T>(address).read_unaligned() })
    }

    /// The word at an address, if that is in the image.
    pub fn word_at(&self, address: usize) -> Option<usize> {
        self.read(address)
    }

    /// The pointer at an address, if both are in the image.
    pub fn pointer_at(&self, address: usize) -> Option<usize> {
        self.word_at(address).filter(|target| self.contains(*target, 2 * WORD))
    }

    /// The address of an exported symbol.
    pub fn find(&self, name: &CStr) -> Option<usize> {
        let tables = self.tables()?;
        let index = match (tables.gnu, tables.sysv) {
            (Some(gnu), _) => self.in_gnu_table(gnu, &tables, name),
            (None, Some(sysv)) => self.in_sysv_table(sysv, &tables, name),
            (None, None) => None,
        }?;
        let symbol = self.symbol(&tables, index)?;
        // 0: only used here, and defined elsewhere.
        (symbol.st_shndx != 0).then(|| self.base.wrapping_add(usize::try_from(symbol.st_value).unwrap_or_default()))
    }

    fn tables(&self) -> Option<Tables> {
        let (mut symbols, mut strings, mut gnu, mut sysv) = (None, None, None, None);
        for number in 0.. {
            let entry = self.dynamic.checked_add(number * 2 * WORD)?;
            // Some linkers relocate these addresses in place, others do not.
            let place = |value: usize| if value < self.base { self.base.wrapping_add(value) } else { value };
            let (tag, value) = (self.word_at(entry)?, place(self.word_at(entry + WORD)?));
            match tag {
                0 => break,
                DT_SYMTAB => symbols = Some(value),
                DT_STRTAB => strings = Some(value),
                DT_GNU_HASH => gnu = Some(value),
                DT_HASH => sysv = Some(value),
                _ => {}
            }
        }
        Some(Tables { symbols: symbols?, strings: strings?, gnu, sysv })
    }

    fn symbol(&self, tables: &Tables, index: u32) -> Option<Symbol> {
        self.read(tables.symbols.checked_add(usize::try_from(index).ok()?.checked_mul(size_of::<Symbol>())?)?)
    }

    fn is_called(&self, tables: &Tables, index: u32, name: &CStr) -> bool {
        let Some(symbol) = self.symbol(tables, index) else { return false };
        let Some(start) = usize::try_from(symbol.st_name).ok().and_then(|at| tables.strings.checked_add(at)) else {
            return false;
        };
        let bytes = name.to_bytes_with_nul();
        bytes.iter().enumerate().all(|(at, byte)| self.read::<u8>(start.wrapping_add(at)) == Some(*byte))
    }

    /// The `number`th 32-bit word of a table.
    fn half(&self, table: usize, number: usize) -> Option<u32> {
        self.read(table.checked_add(number.checked_mul(4)?)?)
    }

    fn in_gnu_table(&self, table: usize, tables: &Tables, name: &CStr) -> Option<u32> {
        let hash = gnu_hash(name);
        let (buckets, first, bloom) = (self.half(table, 0)?, self.half(table, 1)?, self.half(table, 2)?);
        let start = table.checked_add(16)?.checked_add(usize::try_from(bloom).ok()?.checked_mul(WORD)?)?;
        let mut index = self.half(start, usize::try_from(hash.checked_rem(buckets)?).ok()?)?;
        let chains = start.checked_add(usize::try_from(buckets).ok()?.checked_mul(4)?)?;
        loop {
            let kept = self.half(chains, usize::try_from(index.checked_sub(first)?).ok()?)?;
            if kept | 1 == hash | 1 && self.is_called(tables, index, name) {
                return Some(index);
            }
            // The lowest bit ends a chain.
            if kept & 1 != 0 {
                return None;
            }
            index = index.checked_add(1)?;
        }
    }

    fn in_sysv_table(&self, table: usize, tables: &Tables, name: &CStr) -> Option<u32> {
        let symbols = self.half(table, 1)?;
        // The count is not trusted: stop at the end of the image.
        let mut there = (1..symbols).take_while(|index| self.symbol(tables, *index).is_some());
        there.find(|index| self.is_called(tables, *index, name))
    }
}

/// The address of a symbol in the image in `memory`, whose dynamic section is at `dynamic`.
#[cfg(any(test, feature = "fuzzing"))]
pub fn find_in(memory: &[u8], dynamic: usize, name: &CStr) -> Option<usize> {
    let base = memory.as_ptr().expose_provenance();
    let ranges = vec![(base, base + memory.len())];
    Image { base, name: String::new(), ranges, dynamic: base.wrapping_add(dynamic) }.find(name)
}

struct Tables {
    symbols: usize,
    strings: usize,
    gnu: Option<usize>,
    sysv: Option<usize>,
}

fn gnu_hash(name: &CStr) -> u32 {
    name.to_bytes().iter().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_dlsym_finds_and_nothing_else() {
        let mut found = Vec::new();
        let absent = c"no_library_exports_this";
        each(|image| {
            found.extend(image.find(c"malloc"));
            assert!(image.find(absent).is_none(), "{}", image.name());
        });
        // SAFETY: only looked up.
        let malloc = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr()) };
        assert!(found.contains(&malloc.addr()), "{found:?}");
    }

    #[test]
    fn an_image_is_read_within_its_segments_alone() {
        let bytes = [7usize; 4];
        let base = bytes.as_ptr().addr();
        let image = Image { base, name: String::new(), ranges: vec![(base, base + 4 * WORD)], dynamic: base };
        assert_eq!(image.word_at(base + 3 * WORD), Some(7));
        assert_eq!(image.word_at(base + 3 * WORD + 1), None);
        assert_eq!(image.word_at(usize::MAX), None);
        assert_eq!(image.pointer_at(base), None);
        assert_eq!(image.find(c"malloc"), None);
    }
}
