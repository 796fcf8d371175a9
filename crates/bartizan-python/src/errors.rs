//! One exception per thing a caller can do about it.

use bartizan_engine::engine::EngineError;
use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

create_exception!(_engine, EngineConfigError, PyValueError, "The configuration cannot be used: change it.");
create_exception!(_engine, ListenerError, PyRuntimeError, "A listener cannot be bound: free the address or change it.");
create_exception!(_engine, TlsError, PyValueError, "Certificates, keys or CRLs cannot be used: replace them.");
create_exception!(_engine, StoreError, PyRuntimeError, "The store cannot be used: its text says what to do.");

/// The exception of an error.
pub fn raise(error: EngineError) -> PyErr {
    let text = error.to_string();
    match error {
        EngineError::Config(_) | EngineError::Identities(_) => EngineConfigError::new_err(text),
        EngineError::Listener(_) => ListenerError::new_err(text),
        EngineError::Tls { .. } => TlsError::new_err(text),
        EngineError::Store(_) => StoreError::new_err(text),
        EngineError::System(_) | EngineError::State(_) => PyRuntimeError::new_err(text),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("EngineConfigError", py.get_type::<EngineConfigError>())?;
    module.add("ListenerError", py.get_type::<ListenerError>())?;
    module.add("TlsError", py.get_type::<TlsError>())?;
    module.add("StoreError", py.get_type::<StoreError>())
}
