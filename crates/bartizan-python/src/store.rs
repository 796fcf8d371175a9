//! `StoreTool` for Python: work on the store of a broker that does not run. Every call but
//! `progress` waits, without the GIL.

use std::path::{Path, PathBuf};

use bartizan_engine::store::{StoreError, tools};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::engine::json;
use crate::errors::StoreError as StoreUnusable;

/// Work on a store while no broker runs on it.
#[pyclass(frozen, module = "bartizan._engine")]
pub struct StoreTool {
    inner: tools::StoreTool,
}

fn refused(error: StoreError) -> PyErr {
    StoreUnusable::new_err(error.to_string())
}

#[pymethods]
impl StoreTool {
    #[new]
    #[pyo3(signature = (*, path))]
    fn new(path: PathBuf) -> StoreTool {
        StoreTool { inner: tools::StoreTool::at(&path) }
    }

    fn check<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        json(py, &py.detach(|| self.inner.check()).map_err(refused)?)
    }

    #[pyo3(signature = (*, file))]
    #[allow(clippy::needless_pass_by_value)] // what Python passes is owned
    fn export_to<'py>(&self, py: Python<'py>, file: PathBuf) -> PyResult<Bound<'py, PyBytes>> {
        let file: &Path = &file;
        json(py, &py.detach(|| self.inner.export(file)).map_err(refused)?)
    }

    #[pyo3(signature = (*, file))]
    #[allow(clippy::needless_pass_by_value)]
    fn import_from<'py>(&self, py: Python<'py>, file: PathBuf) -> PyResult<Bound<'py, PyBytes>> {
        let file: &Path = &file;
        json(py, &py.detach(|| self.inner.import(file)).map_err(refused)?)
    }

    fn compact<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        json(py, &py.detach(|| self.inner.compact()).map_err(refused)?)
    }

    fn progress(&self) -> (&'static str, u64, u64) {
        self.inner.progress().get()
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<StoreTool>()
}
