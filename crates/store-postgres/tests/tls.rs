//! TLS to the database: whom each `sslmode` lets in.

#![expect(clippy::unwrap_used, reason = "tests")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use vestibule_store::Store;
use vestibule_store_postgres::{
    PostgresOptions, PostgresStore, PostgresUrl,
    throw_away::{Cluster, Setup},
};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key for a name.
fn certificate(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_checked_unless_the_url_says_otherwise() {
    let (authority, stranger) = (authority(), authority());
    let cluster = Cluster::start(&Setup {
        tcp: true,
        tls: Some(certificate(&authority, "localhost")),
        ..Setup::default()
    })
    .unwrap();
    let setup = "CREATE ROLE hub LOGIN PASSWORD 's3cret'; CREATE DATABASE hub OWNER hub";
    cluster.run("postgres", setup).await;

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let ours = file("ca.pem", &authority.pem());
    let theirs = file("other.pem", &stranger.pem());
    let nothing = file("empty.pem", "");
    #[rustfmt::skip]
    let cases = [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ours}"),     Ok(())),
        ("localhost", format!("sslmode=verify-full&sslrootcert={theirs}"),   Err("invalid peer certificate")),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ours}"),     Err("not valid for name")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={nothing}"),  Err("no certificate in it")),
        ("localhost", "sslmode=verify-full".to_owned(),                      Err("UnknownIssuer")),
        ("127.0.0.1", "sslmode=require".to_owned(),                          Ok(())),
        ("localhost", "sslmode=prefer".to_owned(),                           Ok(())),
        ("localhost", "sslmode=disable".to_owned(),                          Err("no encryption")),
        // Nothing leaves the machine: nothing is encrypted unless that is asked for.
        ("localhost", String::new(),                                         Err("no encryption")),
    ];
    for (host, query, expected) in cases {
        let port = cluster.port();
        let url = format!("postgres://hub:s3cret@{host}:{port}/hub?{query}");
        let url = PostgresUrl::parse(&url).unwrap();
        let opened = PostgresStore::open(&url, PostgresOptions::default()).await;
        match (opened, expected) {
            (Ok(store), Ok(())) => store.ping().await.unwrap(),
            (Err(failure), Err(says)) => {
                let said = failure.to_string();
                assert!(said.contains(says), "{host} {query}: {said}");
            }
            (opened, expected) => {
                let opened = opened.map(drop);
                unreachable!("{host} {query}: {opened:?}, not {expected:?}")
            }
        }
    }
}
