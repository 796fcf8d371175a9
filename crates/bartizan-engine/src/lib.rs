//! The I/O half of Bartizan.
