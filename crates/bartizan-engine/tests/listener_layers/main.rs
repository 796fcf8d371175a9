//! Listeners over real sockets: an echo server built on the reactor's contract, and real clients.

// Helpers outside #[test] functions fail the test by panicking too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod echo;
mod frames;
mod pki;
mod plain;
mod proxy;
mod tls;
mod tls_material;
mod websocket;
#[path = "../websocket_checks/mod.rs"]
mod websocket_checks;
