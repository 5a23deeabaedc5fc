//! Generates the C header from the sources, into the build directory, and keeps the library from being unloaded.
//!
//! `include/queuekeeper.h` is the checked-in copy; a test compares the two. Nothing is written into the source tree, so
//! the crate builds from a read-only checkout, too.

use std::env;
use std::fs;
use std::path::PathBuf;

/// The files whose functions are in the header, in the order in which a reader wants them.
const SOURCES: &[&str] = &[
    "src/ffi/pointers.rs",
    "src/ffi/handle.rs",
    "src/ffi/backups.rs",
    "src/ffi/queue.rs",
    "src/ffi/upkeep.rs",
    "src/extension/mod.rs",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With a VFS of ours registered in a SQLite that lives on, unloading would leave it with pointers into nothing.
    if env::var("CARGO_CFG_TARGET_OS")? == "linux" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut builder = cbindgen::Builder::new().with_config(cbindgen::Config::from_file(root.join("cbindgen.toml"))?);
    println!("cargo:rerun-if-changed=cbindgen.toml");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
        builder = builder.with_src(root.join(source));
    }
    let mut header = Vec::new();
    builder.generate()?.write(&mut header);
    // What Rust's custom heads so is, to a reader of C, what a call requires.
    let header = String::from_utf8(header)?.replace(" # Safety\n\n ", " Requires: ");
    fs::write(out.join("queuekeeper.h"), header)?;
    Ok(())
}
