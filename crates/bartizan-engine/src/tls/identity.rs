//! What the engine keeps of a verified client certificate.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Error};

/// A verified client certificate, as values. Policy and denylist decide on these, never on X.509.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The subject's only common name; `None` when there is none, or more than one.
    pub common_name: Option<String>,
    /// DNS names among the subject alternative names.
    pub san_dns: Vec<String>,
    /// URIs among the subject alternative names.
    pub san_uri: Vec<String>,
    /// Mail addresses among the subject alternative names.
    pub san_email: Vec<String>,
    /// SHA-256 of the whole certificate.
    pub fingerprint_sha256: [u8; 32],
    /// The serial number: lower-case hexadecimal without leading zeroes.
    pub serial_hex: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// When the certificate ends, in seconds since 1970.
    pub not_after_unix_s: i64,
}

impl PeerIdentity {
    /// Reads a certificate that the verifier has accepted.
    pub(crate) fn from_certificate(der: &CertificateDer<'_>) -> Result<Self, X509Error> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| match error {
            x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => error,
            x509_parser::nom::Err::Incomplete(_) => X509Error::InvalidCertificate,
        })?;
        let mut identity = Self {
            common_name: only_common_name(&certificate),
            san_dns: Vec::new(),
            san_uri: Vec::new(),
            san_email: Vec::new(),
            fingerprint_sha256: [0; 32],
            serial_hex: certificate.tbs_certificate.serial.to_str_radix(16),
            issuer: certificate.issuer().to_string(),
            not_after_unix_s: certificate.validity().not_after.timestamp(),
        };
        for (byte, hashed) in identity.fingerprint_sha256.iter_mut().zip(digest(&SHA256, der).as_ref()) {
            *byte = *hashed;
        }
        let names = certificate.subject_alternative_name()?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => identity.san_dns.push((*name).to_owned()),
                GeneralName::URI(name) => identity.san_uri.push((*name).to_owned()),
                GeneralName::RFC822Name(name) => identity.san_email.push((*name).to_owned()),
                _ => {}
            }
        }
        Ok(identity)
    }
}

/// Two common names would let each reader pick another one, so two are none.
fn only_common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok().map(str::to_owned),
        _ => None,
    }
}
