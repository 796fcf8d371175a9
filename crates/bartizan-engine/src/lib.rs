//! The I/O half of Bartizan.

pub mod store;
