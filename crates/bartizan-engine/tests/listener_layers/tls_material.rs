//! What `TlsContext::build` refuses, and what it says.

use bartizan_engine::listener::TlsSettings;
use bartizan_engine::tls::{Application, MaterialPart, TlsContext, TlsError, TlsMaterial};
use rcgen::{CertificateParams, date_time_ymd};

use crate::pki::Ca;

fn refused(material: &TlsMaterial) -> TlsError {
    TlsContext::build(&TlsSettings::default(), material, Application::Mqtt).unwrap_err()
}

fn usable(material: &TlsMaterial) -> bool {
    TlsContext::build(&TlsSettings::default(), material, Application::Mqtt).is_ok()
}

#[test]
fn complete_material_is_accepted_with_crls_in_der_and_pem() {
    let ca = Ca::new("ca");
    let mut material = ca.material();
    assert!(usable(&material));
    let list = ca.crl(&[1], 2090);
    material.crls = vec![list.der().to_vec(), list.pem().unwrap().into_bytes()];
    assert!(usable(&material));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let ca = Ca::new("ca");
    let material = TlsMaterial { key_pem: ca.server().key.serialize_pem().into_bytes(), ..ca.material() };
    let error = refused(&material);
    assert_eq!(error.part, MaterialPart::Key);
    assert!(error.to_string().contains("does not belong to the server certificate"), "{error}");
}

#[test]
fn a_certificate_outside_its_time_is_refused_with_the_date() {
    let ca = Ca::new("ca");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    let with = |params: &CertificateParams| {
        let leaf = ca.issue(params);
        TlsMaterial {
            chain_pem: leaf.certificate.pem().into_bytes(),
            key_pem: leaf.key.serialize_pem().into_bytes(),
            ..ca.material()
        }
    };
    let error = refused(&with(&params));
    assert_eq!(error.part, MaterialPart::Chain);
    assert!(error.problem.contains("expired on Jan  1 00:00:00 2020"), "{error}");
    params.not_before = date_time_ymd(2090, 1, 1);
    params.not_after = date_time_ymd(2091, 1, 1);
    assert!(refused(&with(&params)).problem.contains("not valid before"));
}

#[test]
fn missing_and_broken_parts_are_named() {
    let good = Ca::new("ca").material();
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let cases = [
        (TlsMaterial { chain_pem: Vec::new(), ..good.clone() }, MaterialPart::Chain),
        (TlsMaterial { chain_pem: broken.clone(), ..good.clone() }, MaterialPart::Chain),
        (TlsMaterial { key_pem: Vec::new(), ..good.clone() }, MaterialPart::Key),
        (TlsMaterial { key_pem: b"-----BEGIN PRIVATE KEY-----\n*".to_vec(), ..good.clone() }, MaterialPart::Key),
        (TlsMaterial { client_roots_pem: Vec::new(), ..good.clone() }, MaterialPart::ClientRoots),
        (TlsMaterial { client_roots_pem: broken, ..good.clone() }, MaterialPart::ClientRoots),
        (TlsMaterial { crls: vec![b"junk".to_vec()], ..good.clone() }, MaterialPart::Crl(0)),
    ];
    for (material, part) in cases {
        let error = refused(&material);
        assert_eq!(error.part, part, "{error}");
        assert!(!error.remedy.is_empty());
    }
}

#[test]
fn an_expired_crl_is_refused_by_its_position() {
    let ca = Ca::new("ca");
    let crls = vec![ca.crl(&[], 2090).der().to_vec(), ca.crl(&[], 2025).der().to_vec()];
    let error = refused(&TlsMaterial { crls, ..ca.material() });
    assert_eq!(error.part, MaterialPart::Crl(1));
    assert!(error.problem.starts_with("expired on"), "{error}");
}

#[test]
fn an_expired_crl_counts_on_where_somebody_else_watches_over_its_end() {
    let ca = Ca::new("ca");
    let crls = vec![ca.crl(&[7], 2025).der().to_vec()];
    assert!(usable(&TlsMaterial { crls, stale_crls: true, ..ca.material() }));
}

#[test]
fn revocations_are_serials_by_issuer_spelt_as_in_an_identity() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let crls = vec![ca.crl(&[0x0abc, 7], 2090).pem().unwrap().into_bytes(), other.crl(&[], 2090).der().to_vec()];
    let revoked = TlsMaterial { crls, ..ca.material() }.revocations().unwrap();
    assert_eq!(revoked["CN=ca"], ["abc".to_owned(), "7".to_owned()].into());
    assert!(revoked["CN=other"].is_empty());
    assert!(ca.material().revocations().unwrap().is_empty());
}

#[test]
fn malformed_and_oversized_crls_are_refused_without_a_panic() {
    let ca = Ca::new("ca");
    let der = ca.crl(&[7], 2090).der().to_vec();
    for cut in 1..der.len() {
        let error = refused(&TlsMaterial { crls: vec![der[..cut].to_vec()], ..ca.material() });
        assert_eq!(error.part, MaterialPart::Crl(0));
    }
    for at in 0..der.len() {
        let mut flipped = der.clone();
        flipped[at] ^= 0x5a;
        // Some flips only change the signature or a name; what matters is that it returns.
        usable(&TlsMaterial { crls: vec![flipped], ..ca.material() });
    }
    let huge = vec![0x30; 9 << 20];
    assert!(refused(&TlsMaterial { crls: vec![huge], ..ca.material() }).problem.contains("too large"));
    let many = vec![der; 65];
    assert_eq!(refused(&TlsMaterial { crls: many, ..ca.material() }).part, MaterialPart::Crl(64));
}

#[test]
fn debug_output_holds_no_key() {
    let material = Ca::new("ca").material();
    let text = format!("{material:?}");
    assert!(!text.contains("key"), "{text}");
}
