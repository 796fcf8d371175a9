//! Listeners: TCP, Unix, PROXY protocol, TLS and WebSocket as stacked byte streams.
//!
//! ```text
//! config   ListenerConfig: what one listener is told
//! bind     ListenerConfig -> BoundListener -> accepted Transport
//! transport  the stack of one connection, whichever it is: advance, then read and write
//!   websocket/   frames <-> bytes           (Upgrade, then WebSocketStream)
//!   tls_stream   records <-> bytes          (crate::tls holds the configuration)
//!   proxy_protocol   one header before everything, from listed addresses only
//!   socket       TCP or Unix
//! ```
//! Every layer is a [`ByteStream`](socket::ByteStream) over the one below and keeps the same
//! contract with an edge-triggered reactor: read until `WouldBlock`, `Ok(0)`, or a read that did not
//! fill its buffer while `may_have_buffered` is false.

mod bind;
mod config;
pub mod proxy_protocol;
pub mod socket;
mod tls_stream;
mod transport;
mod unix_path;
pub mod websocket;

pub use bind::{BindProblem, BoundListener, ListenerError, bind};
pub use config::{Bind, ClientCertificates, ListenerConfig, PeerAddr, TlsSettings, TlsVersion, WebSocketSettings};
pub use transport::{Handshake, Transport};
