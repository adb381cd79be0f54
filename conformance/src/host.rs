//! A web host for client documents on `https://localhost:PORT`, under an authority that is thrown
//! away with the test.

use std::{fs, path::Path, sync::Arc};

use axum::{Json, Router, routing::get};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A running host.
pub struct DocumentHost {
    /// `https://localhost:PORT`.
    pub origin: String,
}

impl DocumentHost {
    /// Serve `agent.json` (no authentication) and `keyed.json` (`private_key_jwt`, as `ChatGPT`
    /// shapes it), with its keys. Writes `ca.pem` and `client-key.pem` into the folder.
    pub(crate) async fn start(folder: &Path) -> Self {
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::CommonName, "Conformance tests");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority_key = KeyPair::generate().expect("a key");
        let authority =
            CertifiedIssuer::self_signed(authority, authority_key).expect("an authority");
        fs::write(folder.join("ca.pem"), authority.pem()).expect("ca.pem");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .and_then(|params| params.signed_by(&key, &authority))
            .expect("a certificate");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("a certificate that fits its key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let origin = format!("https://localhost:{port}");
        let client_key = KeyPair::generate().expect("a key");
        fs::write(folder.join("client-key.pem"), client_key.serialize_pem()).expect("a key file");
        let app = documents(&origin, &public_jwk(&client_key));
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), app));
        Self { origin }
    }

    /// URL of a file here.
    pub fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.origin)
    }
}

fn documents(origin: &str, jwk: &Value) -> Router {
    let redirects = [
        "http://127.0.0.1/callback",
        "http://localhost/callback",
        "http://127.0.0.1/oauth/callback",
        "http://localhost/oauth/callback",
    ];
    let plain = json!({
        "client_id": format!("{origin}/agent.json"),
        "client_name": "Conformance Agent",
        "client_uri": origin,
        "redirect_uris": redirects,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let keyed = json!({
        "client_id": format!("{origin}/keyed.json"),
        "client_name": "Conformance Agent with a key",
        "redirect_uris": redirects,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks_uri": format!("{origin}/jwks.json"),
    });
    let keys = json!({ "keys": [jwk] });
    let file = |value: Value| get(move || async move { Json(value) });
    Router::new()
        .route("/agent.json", file(plain))
        .route("/keyed.json", file(keyed))
        .route("/jwks.json", file(keys))
}

/// The public half of a P-256 key.
fn public_jwk(key: &KeyPair) -> Value {
    use rcgen::PublicKeyData as _;
    // An uncompressed point: 0x04, x, y.
    let point = key.der_bytes();
    let (x, y) = point[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1", "x": base64url(x), "y": base64url(y)})
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for position in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * position)) & 63;
            text.push(char::from(ALPHABET[usize::try_from(index).unwrap_or(0)]));
        }
    }
    text
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, app: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that hangs up early is no concern of the test.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
