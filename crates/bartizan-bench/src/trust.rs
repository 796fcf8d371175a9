//! The TLS side of the generator: whom it trusts, what it shows, whether it resumes; and that of the relay.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme};

use crate::failure::Failure;
use crate::target::TlsOptions;
use crate::tickets::Tickets;

/// The key exchange is named, so that every broker is asked for the same work: X25519, and before it the hybrid
/// one where the command line says so.
fn provider(post_quantum: bool) -> Arc<CryptoProvider> {
    let mut groups = vec![kx_group::X25519, kx_group::SECP256R1];
    if post_quantum {
        groups.insert(0, kx_group::X25519MLKEM768);
    }
    Arc::new(CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() })
}

/// Reads the files and makes the configuration of all connections of a run.
pub fn client_config(options: &TlsOptions, resumes: bool) -> Result<ClientConfig, Failure> {
    let provider = provider(options.post_quantum);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Usage(format!("TLS cannot be used: {error}")))?;
    let builder = if options.danger_unverified {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        builder.with_root_certificates(roots(options.ca.as_deref())?)
    };
    let mut config = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| Failure::Usage(format!("client certificate and key cannot be used: {error}")))?,
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(Failure::Usage("--cert and --key go together".into())),
    };
    config.resumption = if resumes { Resumption::store(Arc::new(Tickets::default())) } else { Resumption::disabled() };
    Ok(config)
}

/// What the relay shows: certificate chain and key; tickets for resumption without state.
pub fn server_config(chain: &Path, key: &Path) -> Result<ServerConfig, Failure> {
    let unusable = |error| Failure::Usage(format!("{} and {} cannot be used: {error}", chain.display(), key.display()));
    let mut config = ServerConfig::builder_with_provider(provider(true))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates(chain)?, private_key(key)?)
        .map_err(unusable)?;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
    Ok(config)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Failure> {
    let Some(ca) = ca else {
        return Err(Failure::Usage("--tls needs --ca FILE (or --danger-tls-unverified)".into()));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| Failure::Usage(format!("{}: {error}", ca.display())))?;
    }
    Ok(roots)
}

/// All certificates of a PEM file; none is a mistake.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let unreadable = |error| Failure::Usage(format!("{}: {error}", file.display()));
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(unreadable)?.collect();
    match found.map_err(unreadable)? {
        found if found.is_empty() => Err(Failure::Usage(format!("{}: there is no certificate in it", file.display()))),
        found => Ok(found),
    }
}

/// The private key of a PEM file.
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

/// Trusts every certificate, but still has its owner prove to hold the key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
