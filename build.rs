//! Generates the C header from the sources, into the build directory.
//!
//! `include/queuekeeper.h` is the checked-in copy; a test compares the two. Nothing is written into the source tree, so
//! the crate builds from a read-only checkout, too.

use std::env;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=src/extension/mod.rs");
    let header = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(root.join("cbindgen.toml"))?)
        .with_src(root.join("src/ffi/mod.rs"))
        .with_src(root.join("src/extension/mod.rs"))
        .generate()?;
    header.write_to_file(out.join("queuekeeper.h"));
    Ok(())
}
