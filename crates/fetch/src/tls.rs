//! TLS as a client: version 1.2 or later, the name of the URL, the system's trust anchors.
//!
//! The URL is the identity of a client, so TLS is its authentication (threats F18). There is no
//! switch that turns verification off. Sessions are not resumed: nothing is shared between names
//! (F13).
//!
//! Trust anchors are the system's (as everywhere, `SSL_CERT_FILE` and `SSL_CERT_DIR` move them),
//! Mozilla's where the system has none, and those that configuration adds.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use crate::FetchSetupError;

pub(crate) fn connector(extra_ca_pem: &[Vec<u8>]) -> Result<TlsConnector, FetchSetupError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|failure| FetchSetupError::Tls(failure.to_string()))?
        .with_root_certificates(anchors(extra_ca_pem)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn anchors(extra_ca_pem: &[Vec<u8>]) -> Result<RootCertStore, FetchSetupError> {
    let mut anchors = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for failure in &system.errors {
        tracing::warn!(%failure, "a trust anchor of the system could not be read");
    }
    anchors.add_parsable_certificates(system.certs);
    if anchors.is_empty() {
        tracing::info!("the system has no trust anchors: those of Mozilla stand in");
        anchors.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for pem in extra_ca_pem {
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|failure| FetchSetupError::TrustAnchor(failure.to_string()))?;
            anchors
                .add(certificate)
                .map_err(|failure| FetchSetupError::TrustAnchor(failure.to_string()))?;
            found = true;
        }
        if !found {
            let reason = "there is no certificate in it".to_owned();
            return Err(FetchSetupError::TrustAnchor(reason));
        }
    }
    Ok(anchors)
}
