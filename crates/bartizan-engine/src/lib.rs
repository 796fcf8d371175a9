//! The I/O half of Bartizan.

pub mod listener;
pub mod store;
pub mod tls;
