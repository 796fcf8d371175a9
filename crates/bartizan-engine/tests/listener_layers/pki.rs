//! A CA for one test: server and client certificates, CRLs, and rustls clients.

use std::sync::Arc;

use bartizan_engine::listener::{ClientCertificates, ListenerConfig, TlsSettings, TlsVersion};
use bartizan_engine::tls::{TlsMaterial, TlsSlot};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};

use crate::echo::WAIT;

pub type TlsClient = StreamOwned<ClientConnection, TcpStream>;

pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

pub struct Leaf {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn issue(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        Leaf { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    pub fn server(&self) -> Leaf {
        self.issue(&CertificateParams::new(vec!["localhost".to_owned()]).unwrap())
    }

    pub fn client(&self, name: &str, serial: u64) -> Leaf {
        let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
        params.subject_alt_names.push(SanType::URI(format!("urn:{name}").try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name(format!("{name}@example").try_into().unwrap()));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_after = date_time_ymd(2090, 1, 1);
        self.issue(&params)
    }

    /// A CRL that revokes `serials` and is good until `year`.
    pub fn crl(&self, serials: &[u64], year: i32) -> rcgen::CertificateRevocationList {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap()
    }

    /// What a listener needs when this CA issues both sides.
    pub fn material(&self) -> TlsMaterial {
        let server = self.server();
        TlsMaterial {
            chain_pem: server.certificate.pem().into_bytes(),
            key_pem: server.key.serialize_pem().into_bytes(),
            client_roots_pem: self.issuer.pem().into_bytes(),
            crls: Vec::new(),
            ..TlsMaterial::default()
        }
    }

    /// A client that trusts this CA and presents `leaf`.
    pub fn client_config(&self, leaf: Option<&Leaf>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match leaf {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let chain: Vec<CertificateDer<'static>> = vec![leaf.certificate.der().clone()];
                let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.resumption = Resumption::disabled();
        config
    }
}

/// `config` with TLS, and the slot for it.
pub fn with_tls(
    mut config: ListenerConfig,
    certificates: ClientCertificates,
    tls_min: TlsVersion,
    material: &TlsMaterial,
) -> (ListenerConfig, Option<TlsSlot>) {
    config.tls = Some(TlsSettings { client_certificates: certificates, tls_min, ..TlsSettings::default() });
    let context = config.tls_context(material).unwrap().unwrap();
    (config, Some(TlsSlot::new(context)))
}

pub fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.set_write_timeout(Some(WAIT)).unwrap();
    stream
}

pub fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> TlsClient {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp(address))
}
