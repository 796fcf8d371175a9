//! One generation of a listener's TLS configuration, complete and checked.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, StoresServerSessions};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{CipherSuite, ServerConfig, SupportedProtocolVersion, version};

use super::material::{MaterialPart, TlsError, TlsMaterial, guarded};
use super::sessions::Sessions;
use crate::listener::{ClientCertificates, TlsSettings, TlsVersion};

/// What is spoken inside TLS; a client that offers ALPN must offer this (no cross-protocol attacks).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// MQTT directly: ALPN `mqtt`.
    Mqtt,
    /// MQTT over WebSocket: ALPN `http/1.1`.
    WebSocket,
}

/// A checked configuration with its own resumption cache.
#[derive(Clone)]
pub struct TlsContext {
    config: Arc<ServerConfig>,
}

impl fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsContext").finish_non_exhaustive()
    }
}

impl TlsContext {
    /// Checks everything and builds. An error names the part that is wrong and what to do.
    pub fn build(settings: &TlsSettings, material: &TlsMaterial, application: Application) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let certified_key = material.certified_key(&provider)?;
        let verifier = client_verifier(settings, material, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(settings.tls_min))
            .map_err(|error| TlsError::new(MaterialPart::Chain, error, "report this: no setting causes it"))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified_key)));
        config.alpn_protocols = vec![application.alpn().to_vec()];
        // Ours is the order of the suites: a storm of reconnects is our work, not the client's.
        config.ignore_client_order = true;
        config.session_storage = session_storage(settings.resumption_sessions_max);
        // Stateful tickets only, and one of them: the old generation's cache dies with it, and a
        // ticket sealed with a key of ours would outlive a revocation.
        config.send_tls13_tickets = usize::from(settings.resumption_sessions_max > 0);
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config) })
    }

    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl Application {
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Mqtt => b"mqtt",
            Self::WebSocket => b"http/1.1",
        }
    }
}

/// AES-128-GCM with SHA-256 first: as good against anything known as AES-256 with SHA-384, and its
/// key schedule, a dozen hashes for each handshake, runs on the processor's own SHA-256.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384 | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 1,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 2,
        _ => 3,
    });
    provider
}

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    static FROM_1_3: [&SupportedProtocolVersion; 1] = [&version::TLS13];
    match oldest {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_3,
    }
}

fn session_storage(sessions_max: usize) -> Arc<dyn StoresServerSessions> {
    match sessions_max {
        0 => Arc::new(NoServerSessionStorage {}),
        _ => Arc::new(Sessions::new(sessions_max)),
    }
}

/// The one verifier of every TLS listener.
fn client_verifier(
    settings: &TlsSettings,
    material: &TlsMaterial,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if settings.client_certificates == ClientCertificates::Off {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let roots = Arc::new(material.client_roots()?);
    let lists = material.revocation_lists()?;
    let part = lists.first().map_or(MaterialPart::ClientRoots, |(position, _)| MaterialPart::Crl(*position));
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    if !lists.is_empty() {
        // With CRLs, a certificate no CRL speaks for is refused (the default), and so is one whose
        // CRL has expired.
        builder = builder.with_crls(lists.into_iter().map(|(_, list)| list));
        if !material.stale_crls {
            builder = builder.enforce_revocation_expiration();
        }
        if material.unknown_revocation {
            builder = builder.allow_unknown_revocation_status();
        }
    }
    if settings.client_certificates == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    guarded(part, || builder.build())?.map_err(|error| match error {
        VerifierBuilderError::NoRootAnchors => {
            TlsError::new(MaterialPart::ClientRoots, "no CA certificate", "give the CA of the clients")
        }
        error => TlsError::new(part, error, "fetch a version 2 CRL from the CA again"),
    })
}
