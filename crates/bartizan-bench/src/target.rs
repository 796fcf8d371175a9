//! Which broker, over what, and as whom.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_core::wire::Version;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::failure::Failure;
use crate::scram::{Mechanism, Scram};
use crate::trust;

/// Connections from one loopback address: fewer than it has ephemeral ports.
const CONNECTIONS_PER_SOURCE: usize = 20_000;
/// Local addresses of connections that come and go, unless the command line says how many.
pub const SOURCES_IN_TURN: u8 = 100;

/// As the command line says it.
#[derive(Clone, Debug)]
pub struct TargetOptions {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Version of MQTT.
    pub version: Version,
    /// How to trust it, if TLS is spoken.
    pub tls: Option<TlsOptions>,
    /// Who to be.
    pub login: Option<Login>,
    /// By what that is proved, if not by Password.
    pub mechanism: Option<Mechanism>,
    /// Client Identifiers are this, a `-`, and a number.
    pub client_id: String,
    /// Topics begin with this.
    pub topic: String,
    /// Local addresses of connections that come and go.
    pub sources: u8,
}

/// TLS, as the command line says it.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// File of CA certificates.
    pub ca: Option<PathBuf>,
    /// File of the client certificate.
    pub certificate: Option<PathBuf>,
    /// File of its key.
    pub key: Option<PathBuf>,
    /// Trusts whoever answers.
    pub danger_unverified: bool,
    /// Offers the hybrid key exchange X25519MLKEM768 first.
    pub post_quantum: bool,
}

/// User Name and Password.
#[derive(Clone)]
pub struct Login {
    /// User Name.
    pub user: String,
    /// Password. Secret.
    pub password: Vec<u8>,
}

impl fmt::Debug for Login {
    /// Without the Password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A broker that can be connected to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Version of MQTT.
    pub version: Version,
    /// TLS, and the name its certificate must have.
    pub tls: Option<Tls>,
    /// Whose User Name and Password CONNECT carries.
    pub login: Option<Login>,
    /// Who is proved by an exchange instead.
    pub scram: Option<Arc<Scram>>,
    /// Client Identifiers are this, a `-`, and a number.
    pub client_id: String,
    /// Topics begin with this.
    pub topic: String,
    sources: u8,
}

/// TLS, ready to be used.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Trust, client certificate, resumption.
    pub config: Arc<ClientConfig>,
    /// The name its certificate must have.
    pub name: ServerName<'static>,
    /// As it was asked for, to make another.
    pub options: TlsOptions,
}

impl Target {
    /// Resolves the name and reads the files.
    pub fn resolve(options: &TargetOptions) -> Result<Target, Failure> {
        let unknown = || Failure::Usage(format!("host {} is unknown", options.host));
        let found = (options.host.as_str(), options.port).to_socket_addrs().map_err(|_| unknown())?;
        let mut found: Vec<SocketAddr> = found.collect();
        // `localhost` is often ::1 first, where few brokers listen.
        found.sort_by_key(|address| address.is_ipv6());
        let address = found.first().copied().ok_or_else(unknown)?;
        let tls = match &options.tls {
            None => None,
            Some(tls) => Some(Tls {
                config: Arc::new(trust::client_config(tls, true)?),
                options: tls.clone(),
                name: ServerName::try_from(options.host.clone()).map_err(|_| unknown())?,
            }),
        };
        let (login, scram) = proofs(options)?;
        Ok(Target {
            address,
            version: options.version,
            tls,
            login,
            scram,
            client_id: options.client_id.clone(),
            topic: options.topic.clone(),
            sources: options.sources.max(1),
        })
    }

    /// The local address of the n-th connection, where one address has too few ports for all of them.
    #[must_use]
    pub fn source(&self, index: usize) -> Option<SocketAddr> {
        let alias = u8::try_from(index / CONNECTIONS_PER_SOURCE).ok()?;
        (self.is_on_loopback() && alias > 0).then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 1, alias), 0)))
    }

    /// Local addresses in turn, for connections that come and go: each leaves its port unusable for a while.
    #[must_use]
    pub fn source_in_turn(&self, count: u64) -> Option<SocketAddr> {
        let alias = (count % u64::from(self.sources)) as u8 + 1;
        self.is_on_loopback().then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 2, alias), 0)))
    }

    fn is_on_loopback(&self) -> bool {
        matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }

    /// The same broker, with TLS resumed or always anew.
    pub fn resuming(&self, resumes: bool) -> Result<Target, Failure> {
        let mut target = self.clone();
        if let Some(tls) = &mut target.tls {
            tls.config = Arc::new(trust::client_config(&tls.options, resumes)?);
        }
        Ok(target)
    }

    /// The version of MQTT, for reports.
    #[must_use]
    pub fn version_text(&self) -> &'static str {
        match self.version {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5",
        }
    }
}

/// What CONNECT carries: User Name and Password, or the begin of an exchange.
fn proofs(options: &TargetOptions) -> Result<(Option<Login>, Option<Arc<Scram>>), Failure> {
    match (options.mechanism, &options.login) {
        (None, login) => Ok((login.clone(), None)),
        (Some(_), _) if !options.version.is_v5() => Err(Failure::Usage("--auth-method needs --mqtt 5".into())),
        (Some(_), None) => Err(Failure::Usage("--auth-method needs --user and --password-file".into())),
        (Some(mechanism), Some(login)) => Ok((None, Some(Arc::new(Scram::new(mechanism, login.clone())?)))),
    }
}
