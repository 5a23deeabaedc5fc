//! Libraries on Windows: the process's modules, and `GetProcAddress` on each.

use std::ffi::{CStr, OsString, c_char, c_void};
use std::os::windows::ffi::OsStringExt;
use std::ptr;

type Module = *mut c_void;

/// `GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS`.
const FROM_ADDRESS: u32 = 4;
/// `GET_MODULE_HANDLE_EX_FLAG_PIN`.
const PIN: u32 = 1;
const LONGEST_PATH: usize = 32_768;

// Declared by hand to save a dependency; see <https://learn.microsoft.com/windows/win32/api/>.
#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetCurrentProcess() -> *mut c_void;
    fn K32EnumProcessModules(process: *mut c_void, modules: *mut Module, size: u32, needed: *mut u32) -> i32;
    fn GetModuleHandleExW(flags: u32, name: *const u16, module: *mut Module) -> i32;
    fn GetModuleFileNameW(module: Module, name: *mut u16, size: u32) -> u32;
    fn GetProcAddress(module: Module, name: *const c_char) -> *mut c_void;
    fn FreeLibrary(module: Module) -> i32;
}

/// A loaded library, or the program.
pub struct Image(Module);

pub fn each(mut visit: impl FnMut(&Image)) {
    for module in modules() {
        let mut held = ptr::null_mut();
        // SAFETY: fails for an address that is no longer in a module; else the module stays loaded until
        // `held` is dropped.
        if unsafe { GetModuleHandleExW(FROM_ADDRESS, module.cast(), &raw mut held) } != 0 {
            visit(&Image(held));
        }
    }
}

pub fn stay() {
    let mut own = ptr::null_mut();
    // SAFETY: the address is in this library.
    unsafe { GetModuleHandleExW(FROM_ADDRESS | PIN, (stay as *const c_void).cast(), &raw mut own) };
}

fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = vec![ptr::null_mut(); 256];
    loop {
        let size = modules.len().saturating_mul(size_of::<Module>());
        let mut needed = 0;
        let room = u32::try_from(size).unwrap_or(u32::MAX);
        // SAFETY: the buffer has `size` bytes.
        let done = unsafe { K32EnumProcessModules(GetCurrentProcess(), modules.as_mut_ptr(), room, &raw mut needed) };
        let count = usize::try_from(needed).unwrap_or_default() / size_of::<Module>();
        if done == 0 {
            return Vec::new();
        }
        let fits = count <= modules.len();
        modules.resize(count, ptr::null_mut());
        if fits {
            return modules;
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: releases the reference that `each` took.
        unsafe { FreeLibrary(self.0) };
    }
}

impl Image {
    /// The path that it was loaded from.
    pub fn name(&self) -> String {
        let mut name = vec![0u16; LONGEST_PATH];
        // SAFETY: the buffer has that many units, and the module is held.
        let length = unsafe { GetModuleFileNameW(self.0, name.as_mut_ptr(), LONGEST_PATH as u32) };
        name.truncate(usize::try_from(length).unwrap_or_default());
        OsString::from_wide(&name).to_string_lossy().into_owned()
    }

    /// Whether an address is in it. Only known for the one that `queuekeeper_binding` points to.
    pub fn holds(&self, address: usize) -> bool {
        self.find(c"queuekeeper_binding").and_then(|place| self.pointer_at(place)) == Some(address)
    }

    /// The word at an address of the module.
    pub fn word_at(&self, address: usize) -> Option<usize> {
        // SAFETY: the address came from a symbol of the module, which is held.
        Some(unsafe { ptr::with_exposed_provenance::<usize>(address).read() })
    }

    /// The pointer at an address of the module.
    pub fn pointer_at(&self, address: usize) -> Option<usize> {
        self.word_at(address).filter(|target| *target != 0)
    }

    /// The address of an exported symbol.
    pub fn find(&self, name: &CStr) -> Option<usize> {
        // SAFETY: the module is held; only the address is taken.
        let found = unsafe { GetProcAddress(self.0, name.as_ptr()) };
        (!found.is_null()).then(|| found.expose_provenance())
    }
}
