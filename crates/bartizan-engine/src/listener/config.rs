//! What one listener is told: where it binds, which layers it stacks, whom it believes.
//!
//! Values only. Certificates are not here: they are replaced while the listener runs, so they live
//! in [`crate::tls::TlsMaterial`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use crate::tls::{Application, TlsContext, TlsError, TlsMaterial};

/// One listener. Every limit has a default; absence never widens what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// The name that policy, events and metrics use.
    pub name: String,
    /// Where to listen.
    pub bind: Bind,
    /// TLS; `None` is a plaintext listener.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// WebSocket; `None` carries MQTT directly.
    #[serde(default)]
    pub websocket: Option<WebSocketSettings>,
    /// Addresses that must send a PROXY protocol header. When empty, no header is ever parsed; when
    /// not empty, a connection from any other address is refused.
    #[serde(default)]
    pub proxy_protocol_from: Vec<IpNet>,
    /// One socket per shard (`SO_REUSEPORT`), so that the kernel spreads connections over them.
    #[serde(default)]
    pub reuse_port: bool,
    /// Connections the kernel holds that have not been accepted yet.
    #[serde(default = "default_backlog")]
    pub backlog: u32,
    /// Time from accept until PROXY header, TLS and WebSocket upgrade are done. The reactor owns
    /// the clock and enforces it.
    #[serde(default = "default_handshake_timeout_ms")]
    pub handshake_timeout_ms: u64,
    /// Idle time after which the kernel probes a silent peer.
    #[serde(default = "default_tcp_keepalive_s")]
    pub tcp_keepalive_s: u64,
}

/// Where a listener binds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Bind {
    /// An IPv4 or IPv6 address; `[::]` accepts both families.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// The socket file.
        path: PathBuf,
        /// Its permission bits: they decide who may connect.
        #[serde(default = "default_unix_mode")]
        mode: u32,
    },
}

/// How a TLS listener treats its peers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Whether a client proves its identity with a certificate.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
    /// The oldest protocol version accepted.
    #[serde(default)]
    pub tls_min: TlsVersion,
    /// Sessions kept for resumption; zero turns resumption off.
    #[serde(default = "default_resumption_sessions_max")]
    pub resumption_sessions_max: usize,
    /// Whether the authenticators see what a client sent, and not only what it says.
    #[serde(default)]
    pub keeps_chain: bool,
}

/// Whether clients present certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    /// No valid certificate, no connection.
    #[default]
    Required,
    /// A certificate is asked for and checked; a client without one must prove itself otherwise.
    Optional,
    /// Never asked for.
    Off,
}

/// A TLS protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 with forward-secret AEAD suites.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// How a WebSocket listener treats its peers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketSettings {
    /// The only request path that is upgraded.
    #[serde(default = "default_websocket_path")]
    pub path: String,
    /// Origins a browser may come from. A request without `Origin` is not a browser's and passes.
    #[serde(default)]
    pub origins: Vec<String>,
    /// The longest frame payload accepted.
    #[serde(default = "default_frame_bytes_max")]
    pub frame_bytes_max: u64,
}

/// The address of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerAddr {
    /// An IP address and port; an IPv4 peer of a dual-stack socket is shown as IPv4.
    Ip(SocketAddr),
    /// A local process on a Unix socket.
    Unix,
}

impl ListenerConfig {
    /// The application protocol this listener negotiates.
    #[must_use]
    pub fn application(&self) -> Application {
        if self.websocket.is_some() { Application::WebSocket } else { Application::Mqtt }
    }

    /// `mqtt`, `mqtts`, `ws`, `wss` or `unix`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (&self.bind, &self.websocket, &self.tls) {
            (Bind::Unix { .. }, _, _) => "unix",
            (Bind::Tcp(_), None, None) => "mqtt",
            (Bind::Tcp(_), None, Some(_)) => "mqtts",
            (Bind::Tcp(_), Some(_), None) => "ws",
            (Bind::Tcp(_), Some(_), Some(_)) => "wss",
        }
    }

    /// Checks `material` against this listener's settings; `None` for a plaintext listener.
    pub fn tls_context(&self, material: &TlsMaterial) -> Result<Option<TlsContext>, TlsError> {
        let build = |settings| TlsContext::build(settings, material, self.application());
        self.tls.as_ref().map(build).transpose()
    }

    /// Whether `address` is one that must send a PROXY protocol header.
    #[must_use]
    pub fn is_listed_proxy(&self, address: IpAddr) -> bool {
        self.proxy_protocol_from.iter().any(|net| net.contains(&address))
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            client_certificates: ClientCertificates::default(),
            tls_min: TlsVersion::default(),
            resumption_sessions_max: default_resumption_sessions_max(),
            keeps_chain: false,
        }
    }
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self { path: default_websocket_path(), origins: Vec::new(), frame_bytes_max: default_frame_bytes_max() }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => path.display().fmt(f),
        }
    }
}

impl PeerAddr {
    /// The address of `socket`, with an IPv4-mapped IPv6 address turned back into IPv4, so that
    /// limits and allow-lists see one address per peer.
    #[must_use]
    pub fn from_socket(socket: SocketAddr) -> Self {
        Self::Ip(SocketAddr::new(socket.ip().to_canonical(), socket.port()))
    }

    /// The IP address, if the peer has one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

fn default_backlog() -> u32 {
    4096
}

fn default_handshake_timeout_ms() -> u64 {
    10_000
}

fn default_tcp_keepalive_s() -> u64 {
    60
}

fn default_unix_mode() -> u32 {
    0o600
}

fn default_resumption_sessions_max() -> usize {
    4096
}

fn default_websocket_path() -> String {
    "/mqtt".to_owned()
}

fn default_frame_bytes_max() -> u64 {
    1 << 20
}
