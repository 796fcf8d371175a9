//! The load generator for Python: its command line goes in, its exit code comes out.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Does what these words say, without the GIL; writes to the process's own standard output and standard error.
#[pyfunction]
#[pyo3(name = "bench", signature = (*, arguments))]
fn generate(py: Python<'_>, arguments: Vec<OsString>) -> i32 {
    py.detach(|| bartizan_bench::main("bartizan bench", arguments))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(generate, module)?)
}
