//! Generates the C header from the sources, into the build directory, and keeps the library from being unloaded.
//!
//! `include/queuekeeper.h` is the checked-in copy; a test compares the two. Nothing is written into the source tree, so
//! the crate builds from a read-only checkout, too.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a reader of the header wants first; the other files of src/ffi follow.
const FIRST: &[&str] = &["pointers.rs", "handle.rs", "operations.rs"];

/// The files whose functions are in the header, in its order.
fn sources(root: &Path) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let door = root.join("src/ffi");
    let mut files: Vec<PathBuf> = fs::read_dir(&door)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    // Not mod.rs: from there cbindgen would find the others a second time.
    files.retain(|file| file.extension().is_some_and(|ending| ending == "rs") && !file.ends_with("mod.rs"));
    files.sort_by_key(|file| {
        let place = FIRST.iter().position(|first| file.ends_with(first));
        (place.unwrap_or(FIRST.len()), file.clone())
    });
    files.push(root.join("src/extension/mod.rs"));
    Ok(files)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With a VFS of ours registered in a SQLite that lives on, unloading would leave it with pointers into nothing.
    if env::var_os("CARGO_CFG_UNIX").is_some() && env::var("CARGO_CFG_TARGET_VENDOR")? != "apple" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut builder = cbindgen::Builder::new().with_config(cbindgen::Config::from_file(root.join("cbindgen.toml"))?);
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=src/extension/mod.rs");
    for source in sources(&root)? {
        builder = builder.with_src(source);
    }
    let mut header = Vec::new();
    builder.generate()?.write(&mut header);
    // What Rust's custom heads so is, to a reader of C, what a call requires.
    let header = String::from_utf8(header)?.replace(" # Safety\n\n ", " Requires: ");
    fs::write(out.join("queuekeeper.h"), header)?;
    Ok(())
}
