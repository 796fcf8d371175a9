//! TLS: the only room that names rustls configuration types.
//!
//! [`TlsMaterial`] (certificates, key, CRLs as bytes) is checked completely and becomes a
//! [`TlsContext`]; a [`TlsSlot`] holds the one that new connections take, and swaps it whole while
//! connections that stand keep theirs. [`PeerIdentity`] is what the core sees of a certificate.

mod context;
mod identity;
mod material;
mod sessions;
mod slot;

pub use context::{Application, TlsContext};
pub use identity::PeerIdentity;
pub use material::{MaterialPart, TlsError, TlsMaterial};
pub use slot::TlsSlot;
