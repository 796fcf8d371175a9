//! Topic Names and Topic Filters for Python: one implementation of the rules of 4.7, this one.

use bartizan_core::topic::{TopicError, TopicFilter, TopicName};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

fn refuse(error: TopicError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The Topic Name of this text, as it is; ValueError where it is none.
#[pyfunction]
#[pyo3(signature = (*, text))]
fn parse_topic_name(text: &str) -> PyResult<&str> {
    TopicName::parse(text).map_err(refuse)?;
    Ok(text)
}

/// The Topic Filter of this text, as it is; ValueError where it is none.
#[pyfunction]
#[pyo3(signature = (*, text))]
fn parse_topic_filter(text: &str) -> PyResult<&str> {
    TopicFilter::parse(text).map_err(refuse)?;
    Ok(text)
}

/// True if the filter matches the name.
#[pyfunction]
#[pyo3(signature = (*, filter, name))]
fn filter_matches(filter: &str, name: &str) -> PyResult<bool> {
    Ok(TopicFilter::parse(filter).map_err(refuse)?.matches(&TopicName::parse(name).map_err(refuse)?))
}

/// True if the filter matches every name that the other filter matches.
#[pyfunction]
#[pyo3(signature = (*, filter, other))]
fn filter_covers(filter: &str, other: &str) -> PyResult<bool> {
    Ok(TopicFilter::parse(filter).map_err(refuse)?.covers(&TopicFilter::parse(other).map_err(refuse)?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parse_topic_name, module)?)?;
    module.add_function(wrap_pyfunction!(parse_topic_filter, module)?)?;
    module.add_function(wrap_pyfunction!(filter_matches, module)?)?;
    module.add_function(wrap_pyfunction!(filter_covers, module)?)
}
