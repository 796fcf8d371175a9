//! Certificates, key, roots and CRLs as they come from files: parsed and checked one by one, so that
//! a refusal names the part and what to do.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{RootCertStore, crypto::CryptoProvider, sign::CertifiedKey};
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer, X509Certificate};

/// A CRL larger than this is refused before it is parsed.
const CRL_BYTES_MAX: usize = 8 << 20;
const CRLS_MAX: usize = 64;

/// What a TLS listener needs, unparsed.
#[derive(Clone, Default)]
pub struct TlsMaterial {
    /// The server certificate, then its intermediates, PEM.
    pub chain_pem: Vec<u8>,
    /// The server's private key, PEM.
    pub key_pem: Vec<u8>,
    /// The CAs that client certificates must come from, PEM.
    pub client_roots_pem: Vec<u8>,
    /// CRLs, each PEM (one or several) or DER.
    pub crls: Vec<Vec<u8>>,
    /// Whether a CRL counts beyond its end. Who sets this watches over it.
    pub stale_crls: bool,
    /// Whether a certificate is accepted that no CRL speaks for.
    pub unknown_revocation: bool,
}

// By hand: the key must not reach a log.
impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial")
            .field("chain_bytes", &self.chain_pem.len())
            .field("client_roots_bytes", &self.client_roots_pem.len())
            .field("crls", &self.crls.len())
            .finish_non_exhaustive()
    }
}

/// The part of the material that an error is about; the caller knows which file it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaterialPart {
    /// The server certificate and its intermediates.
    Chain,
    /// The private key.
    Key,
    /// The CAs of client certificates.
    ClientRoots,
    /// The CRL with this position.
    Crl(usize),
}

impl fmt::Display for MaterialPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("server certificate"),
            Self::Key => f.write_str("private key"),
            Self::ClientRoots => f.write_str("client CA certificates"),
            Self::Crl(position) => write!(f, "CRL {}", position + 1),
        }
    }
}

/// Why material is unusable. Nothing has been changed when this is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {problem}; {remedy}")]
pub struct TlsError {
    /// The part that is wrong.
    pub part: MaterialPart,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl TlsError {
    pub(super) fn new(part: MaterialPart, problem: impl ToString, remedy: &'static str) -> Self {
        Self { part, problem: problem.to_string(), remedy }
    }
}

impl TlsMaterial {
    /// The chain with the key that signs for it.
    pub(super) fn certified_key(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.chain_pem, MaterialPart::Chain)?;
        for certificate in &chain {
            check_validity(certificate, MaterialPart::Chain)?;
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::new(
                MaterialPart::Key,
                "no unencrypted private key found",
                "give a PEM file with PRIVATE KEY, without a passphrase",
            ),
            // The text of a PEM error can quote the file, and this file is a secret.
            _ => TlsError::new(MaterialPart::Key, "not valid PEM", "write the file again from its source"),
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::new(
                MaterialPart::Key,
                "does not belong to the server certificate",
                "give the key the certificate was issued for",
            ),
            error => TlsError::new(MaterialPart::Key, error, "use an ECDSA P-256, Ed25519 or RSA key"),
        })
    }

    /// The CAs of client certificates.
    pub(super) fn client_roots(&self) -> Result<RootCertStore, TlsError> {
        let part = MaterialPart::ClientRoots;
        let mut store = RootCertStore::empty();
        for certificate in certificates(&self.client_roots_pem, part)? {
            check_validity(&certificate, part)?;
            store
                .add(certificate)
                .map_err(|error| TlsError::new(part, error, "give X.509 version 3 CA certificates"))?;
        }
        Ok(store)
    }

    /// The CRLs, each with the position it was given in.
    pub(super) fn revocation_lists(&self) -> Result<Vec<(usize, CertificateRevocationListDer<'static>)>, TlsError> {
        let mut lists = Vec::new();
        for (position, bytes) in self.crls.iter().enumerate() {
            let part = MaterialPart::Crl(position);
            if bytes.len() > CRL_BYTES_MAX || lists.len() >= CRLS_MAX {
                return Err(TlsError::new(part, "too many or too large CRLs", "split the CA, or shorten its CRL"));
            }
            for list in crl_ders(bytes, part)? {
                check_crl(&list, part, self.stale_crls)?;
                lists.push((position, list));
            }
        }
        Ok(lists)
    }

    /// What the CRLs revoke: serial numbers by issuer, spelt as in `PeerIdentity`.
    pub fn revocations(&self) -> Result<HashMap<String, HashSet<String>>, TlsError> {
        let mut found: HashMap<String, HashSet<String>> = HashMap::new();
        for (position, list) in self.revocation_lists()? {
            let part = MaterialPart::Crl(position);
            let revoked = guarded(part, || {
                let (_, parsed) = CertificateRevocationList::from_der(&list).ok()?;
                let serials = parsed.iter_revoked_certificates().map(|entry| entry.serial().to_str_radix(16));
                Some((parsed.issuer().to_string(), serials.collect::<HashSet<_>>()))
            })?;
            if let Some((issuer, serials)) = revoked {
                found.entry(issuer).or_default().extend(serials);
            }
        }
        Ok(found)
    }
}

fn certificates(pem: &[u8], part: MaterialPart) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let remedy = "give a PEM file with CERTIFICATE sections";
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::new(part, "no certificate found", remedy)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::new(part, format!("not valid PEM ({error})"), remedy)),
    }
}

fn check_validity(certificate: &CertificateDer<'_>, part: MaterialPart) -> Result<(), TlsError> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Err(TlsError::new(part, "not an X.509 certificate", "issue it again"));
    };
    let (validity, now) = (parsed.validity(), ASN1Time::now());
    if now > validity.not_after {
        let problem = format!("{} expired on {}", parsed.subject(), validity.not_after);
        return Err(TlsError::new(part, problem, "issue a new one and reload"));
    }
    if now < validity.not_before {
        let problem = format!("{} is not valid before {}", parsed.subject(), validity.not_before);
        return Err(TlsError::new(part, problem, "check the clock of this machine"));
    }
    Ok(())
}

/// A file that starts with SEQUENCE is DER, anything else must be PEM.
fn crl_ders(bytes: &[u8], part: MaterialPart) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        _ => Err(TlsError::new(part, "neither DER nor PEM with X509 CRL", "fetch it from the CA again")),
    }
}

/// An expired CRL is refused here, while the one before it is still in force; handshakes refuse it too.
fn check_crl(list: &CertificateRevocationListDer<'_>, part: MaterialPart, may_be_stale: bool) -> Result<(), TlsError> {
    let next_update =
        guarded(part, || CertificateRevocationList::from_der(list).ok().map(|(_, parsed)| parsed.next_update()))?;
    match next_update {
        None => Err(TlsError::new(part, "not an X.509 CRL", "fetch it from the CA again")),
        Some(None) => Err(TlsError::new(part, "has no next update time", "have the CA state nextUpdate")),
        Some(Some(end)) if end < ASN1Time::now() && !may_be_stale => {
            Err(TlsError::new(part, format!("expired on {end}"), "fetch the current one from the CA"))
        }
        Some(Some(_)) => Ok(()),
    }
}

/// Runs a CRL parser so that a panic in it (RUSTSEC-2026-0104 was one) is a refusal, not an outage.
pub(super) fn guarded<T>(part: MaterialPart, parse: impl FnOnce() -> T) -> Result<T, TlsError> {
    catch_unwind(AssertUnwindSafe(parse))
        .map_err(|_| TlsError::new(part, "could not be parsed", "fetch it from the CA again"))
}
