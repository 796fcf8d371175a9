//! What Python hands over at start, as values. Python owns defaults and explanations; here a
//! missing or unknown key is an error, because it means that the two halves differ.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_core::durable::Durability as Promise;
use bartizan_core::server::{DeniedPublish, Limits, ListenerRules};
use bartizan_core::wire::Version;
use ipnet::IpNet;
use serde::Deserialize;

use crate::listener::{Bind, ClientCertificates, ListenerConfig, TlsSettings, TlsVersion, WebSocketSettings};
use crate::store::{Durability, StoreConfig};
use crate::tls::TlsMaterial;

/// The whole.
#[derive(Debug, Deserialize)]
pub struct EngineConfig {
    /// The process.
    pub broker: BrokerSection,
    /// The listeners.
    pub listeners: Vec<ListenerSection>,
    /// The store.
    pub store: StoreSection,
    /// Somebody takes the commands that clients publish; else they are denied.
    #[serde(default)]
    pub control: bool,
}

/// The process.
#[derive(Debug, Deserialize)]
pub struct BrokerSection {
    /// Reactors; 0 is one per processor the process may use.
    pub cores: usize,
}

/// Where Sessions outlive the process.
#[derive(Debug, Deserialize)]
pub struct StoreSection {
    /// "embedded" or "memory".
    pub kind: StoreKind,
    /// "fsync", "interval" or "os".
    pub durability: Promise,
    /// Of "interval", here and on listeners.
    pub interval_ms: u32,
    /// The directory.
    pub path: PathBuf,
}

/// Which adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Log and index on disk.
    Embedded,
    /// Nothing outlives the process.
    Memory,
}

/// One listener.
#[derive(Debug, Deserialize)]
pub struct ListenerSection {
    /// Its name.
    pub name: String,
    /// "address:port" or "unix:/path".
    pub bind: String,
    /// "mqtt" or "websocket".
    pub protocol: ProtocolName,
    /// Permission bits of a Unix socket.
    #[serde(default = "default_unix_mode")]
    pub unix_mode: u32,
    /// "3.1", "3.1.1", "5.0".
    pub mqtt_versions: Vec<String>,
    /// What a denied 3.1.1 PUBLISH gets.
    pub denied_publish_v311: DeniedPublish,
    /// Proxies that must send a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Browser origins.
    pub origins: Vec<String>,
    /// The path of the upgrade request.
    pub websocket_path: String,
    /// True when clients without a credential are admitted.
    pub anonymous: bool,
    /// True when a User Name and Password are not looked at: every client is anonymous.
    #[serde(default)]
    pub ignore_credentials: bool,
    /// Refuses to bind anything but loopback.
    #[serde(default)]
    pub loopback_only: bool,
    /// Response Information, `{client_id}` replaced.
    #[serde(default)]
    pub response_information: Option<String>,
    /// What an acknowledgement on it means.
    #[serde(default)]
    pub durability: Promise,
    /// TLS; none is plaintext.
    pub tls: Option<TlsSection>,
    /// Its limits.
    pub limits: Limits,
}

/// What a listener carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolName {
    /// MQTT directly.
    Mqtt,
    /// MQTT over WebSocket.
    Websocket,
}

/// Certificates, key and CRLs.
#[derive(Clone, Deserialize)]
pub struct TlsSection {
    /// The certificate and its intermediates.
    pub chain_pem: String,
    /// The key.
    pub key_pem: String,
    /// CAs of client certificates.
    pub client_roots_pem: String,
    /// CRLs.
    pub crls_pem: Vec<String>,
    /// Whether clients present certificates.
    pub client_certificates: ClientCertificates,
    /// The oldest version.
    pub tls_min: TlsVersion,
    /// Whether the authenticators see what a client sent.
    #[serde(default)]
    pub client_chain: bool,
    /// Whether a CRL counts beyond its end.
    #[serde(default)]
    pub stale_crls: bool,
    /// Whether a certificate is accepted that no CRL speaks for.
    #[serde(default)]
    pub unknown_revocation: bool,
}

impl std::fmt::Debug for TlsSection {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSection").field("client_certificates", &self.client_certificates).finish_non_exhaustive()
    }
}

const fn default_unix_mode() -> u32 {
    0o600
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{where_}: {what}")]
pub struct ConfigError {
    /// The section and key.
    pub where_: String,
    /// What is wrong.
    pub what: String,
}

impl EngineConfig {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// Names what is missing or unknown; never quotes values, as keys are among them.
    pub fn parse(json: &[u8]) -> Result<EngineConfig, ConfigError> {
        serde_json::from_slice(json).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => error.to_string(),
                _ => "not JSON".to_owned(),
            };
            ConfigError { where_: "engine configuration".to_owned(), what }
        })
    }

    /// Reactors to start.
    #[must_use]
    pub fn shards(&self) -> usize {
        match self.broker.cores {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            cores => cores,
        }
    }
}

impl StoreSection {
    /// The embedded store's own form.
    #[must_use]
    pub fn embedded(&self, lanes: usize) -> StoreConfig {
        let durability = match self.durability {
            Promise::Fsync => Durability::Fsync,
            Promise::Interval => Durability::Interval(self.interval_ms),
            Promise::Os => Durability::Os,
        };
        let interval_ms = self.interval_ms;
        StoreConfig { durability, interval_ms, ..StoreConfig::at(&self.path, lanes) }
    }
}

impl ListenerSection {
    fn error(&self, what: impl Into<String>) -> ConfigError {
        ConfigError { where_: format!("listeners.{}", self.name), what: what.into() }
    }

    /// The socket's side of it.
    ///
    /// # Errors
    /// When the address is none, or not loopback where it must be.
    pub fn socket(&self, shards: usize) -> Result<ListenerConfig, ConfigError> {
        let bind = match self.bind.strip_prefix("unix:") {
            Some(path) => Bind::Unix { path: PathBuf::from(path), mode: self.unix_mode },
            None => {
                let address: SocketAddr =
                    self.bind.parse().map_err(|_| self.error(format!("{:?} is not address:port", self.bind)))?;
                if self.loopback_only && !address.ip().is_loopback() {
                    return Err(self.error(format!("{address} is not a loopback address, and loopback_only is set")));
                }
                Bind::Tcp(address)
            }
        };
        Ok(ListenerConfig {
            name: self.name.clone(),
            bind,
            tls: self.tls.as_ref().map(|tls| TlsSettings {
                client_certificates: tls.client_certificates,
                tls_min: tls.tls_min,
                keeps_chain: tls.client_chain,
                ..TlsSettings::default()
            }),
            websocket: (self.protocol == ProtocolName::Websocket).then(|| WebSocketSettings {
                path: self.websocket_path.clone(),
                origins: self.origins.clone(),
                frame_bytes_max: u64::from(self.limits.packet_bytes_max),
            }),
            proxy_protocol_from: self.proxy_protocol_from.clone(),
            reuse_port: shards > 1,
            backlog: 4096,
            // At most a day, as Python checks.
            handshake_timeout_ms: (self.limits.handshake_timeout_s.clamp(0.001, 86_400.0) * 1000.0) as u64,
            tcp_keepalive_s: 60,
        })
    }

    /// Core's side of it.
    ///
    /// # Errors
    /// When a version is none, or the address is.
    pub fn rules(&self) -> Result<ListenerRules, ConfigError> {
        let versions = self
            .mqtt_versions
            .iter()
            .map(|name| match name.as_str() {
                "3.1" => Ok(Version::V31),
                "3.1.1" => Ok(Version::V311),
                "5.0" => Ok(Version::V5),
                other => Err(self.error(format!("{other:?} is not an MQTT version"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(ListenerRules {
            name: Arc::from(self.name.as_str()),
            transport: self.socket(1)?.kind(),
            versions,
            anonymous: self.anonymous,
            ignores_credentials: self.anonymous && self.ignore_credentials,
            denied_publish_v3: self.denied_publish_v311,
            response_information: self.response_information.as_deref().map(Arc::from),
            durability: self.durability,
            limits: Arc::new(self.limits.clone()),
        })
    }
}

impl TlsSection {
    /// As the TLS room takes it.
    #[must_use]
    pub fn material(&self) -> TlsMaterial {
        TlsMaterial {
            chain_pem: self.chain_pem.clone().into_bytes(),
            key_pem: self.key_pem.clone().into_bytes(),
            client_roots_pem: self.client_roots_pem.clone().into_bytes(),
            crls: self.crls_pem.iter().map(|crl| crl.clone().into_bytes()).collect(),
            stale_crls: self.stale_crls,
            unknown_revocation: self.unknown_revocation,
        }
    }
}
