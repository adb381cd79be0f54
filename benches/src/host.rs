//! A web host for the documents of two clients on `https://localhost:PORT`, under an authority that is
//! thrown away with the run.

use std::{fs, path::Path, sync::Arc};

use axum::{Json, Router, http::header, routing::get};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Outcome;

/// Path of the document of an agent on the person's machine.
pub(crate) const AGENT: &str = "/agent.json";
/// Path of the document of an app that gets its codes by `https`.
pub(crate) const APP: &str = "/app.json";
/// Where that app gets them. Nothing goes there: redirects are not followed.
pub(crate) const APP_CALLBACK: &str = "/callback";

/// Start it; writes `ca.pem` into the folder. Gives `https://localhost:PORT`.
pub(crate) async fn start(folder: &Path) -> Outcome<String> {
    let text = |failure: &dyn std::fmt::Display| format!("the document host: {failure}");
    let config = tls(folder).map_err(|failure| text(&*failure))?;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|failure| text(&failure))?;
    let port = listener
        .local_addr()
        .map_err(|failure| text(&failure))?
        .port();
    let origin = format!("https://localhost:{port}");
    let document = |path: &str, kind: &str, redirect: &str| {
        let document = json!({
            "client_id": format!("{origin}{path}"),
            "client_name": "Bench Agent",
            "application_type": kind,
            "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        get(move || async move { ([(header::CACHE_CONTROL, "max-age=3600")], Json(document)) })
    };
    let callback = format!("{origin}{APP_CALLBACK}");
    let app = Router::new()
        .route(
            AGENT,
            document(AGENT, "native", "http://127.0.0.1/callback"),
        )
        .route(APP, document(APP, "web", &callback));
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), app));
    Ok(origin)
}

fn tls(folder: &Path) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Benchmarks");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    fs::write(folder.join("ca.pem"), authority.pem())?;
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?,
    )
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, app: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that hangs up early is no concern here.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
