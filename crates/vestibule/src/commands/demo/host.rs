//! A web host for a client's document: real TLS under a throw-away authority.

use std::{net::SocketAddr, sync::Arc};

use axum::{Json, Router, routing::get};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::Failure;

/// A host that serves.
pub(super) struct Host {
    /// `https://localhost:PORT`.
    pub(super) origin: String,
    /// The authority, PEM.
    pub(super) ca_pem: String,
}

/// Serve a document that names itself.
pub(super) async fn start() -> Result<Host, Failure> {
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Vestibule demo, thrown away at its end");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];

    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let origin = format!("https://localhost:{}", listener.local_addr()?.port());
    let document = serde_json::json!({
        "client_id": format!("{origin}/agent.json"),
        "client_name": "Demo Agent",
        "client_uri": origin,
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let app = Router::new().route("/agent.json", get(move || async move { Json(document) }));
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), app));
    Ok(Host {
        origin,
        ca_pem: authority.pem(),
    })
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, app: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let connection = hyper::server::conn::http1::Builder::new();
            if let Err(failure) = connection
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                tracing::debug!(%failure, "a connection to the demo's host ended early");
            }
        });
    }
}
