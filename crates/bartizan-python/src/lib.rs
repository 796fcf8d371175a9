//! The seam: conversion between Python values and the engine, and nothing else.
//!
//! | file      | what crosses                                                          |
//! |-----------|-----------------------------------------------------------------------|
//! | `topics`  | text -> Topic Names and Filters: parse, match, cover                  |
//! | `policy`  | `CompiledPolicy`: image bytes in, decisions out                       |
//! | `engine`  | `Engine`: start, stop, apply, metrics                                 |
//! | `desk`    | `AuthRequest`, `AuthVerdict`: questions and answers                   |
//! | `store`   | `StoreTool`: check, export, import, compact                           |
//! | `bench`   | the load generator: words in, exit code out                            |
//! | `errors`  | one exception per thing a caller can do about it                      |
//!
//! Keyword-only; values in, values out; no callback, no async.

mod bench;
mod desk;
mod engine;
mod errors;
mod policy;
mod store;
mod topics;

use pyo3::prelude::*;

/// Of the Rust half; Python keeps its own. By size class and without a header for each allocation,
/// so that what a connection takes is what it asks for (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory that has been free for a while back to the system.
fn tidy() {
    // SAFETY: it takes no pointer, and may be called at any time by any thread: the allocator looks
    // at what this thread has freed, and at nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

/// The engine of Bartizan.
#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    topics::register(module)?;
    policy::register(module)?;
    errors::register(module)?;
    desk::register(module)?;
    engine::register(module)?;
    store::register(module)?;
    bench::register(module)?;
    Ok(())
}
