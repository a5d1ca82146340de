use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn tls() -> Tls {
    Tls::new(Authority::ephemeral().unwrap()).unwrap()
}

/// A client that wants `wanted` meets a server that shows what it has for `shown`.
async fn handshake(client: &Tls, wanted: &str, server: &Tls, shown: &str) -> Result<bool, String> {
    let (near, far) = duplex(4_096);
    let config = server.server(&domain(shown), Audience::Home).unwrap();
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(config).accept(far).await?;
        stream.write_all(b"hello").await?;
        stream.flush().await
    });
    let (config, name, check) = client.client(&domain(wanted), false, None).unwrap();
    let connected = TlsConnector::from(config).connect(name, near).await;
    let mut stream = connected.map_err(|error| error.to_string())?;
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).await.map_err(|error| error.to_string())?;
    serving.await.unwrap().unwrap();
    Ok(check.verified())
}

#[tokio::test]
async fn e48_a_minted_certificate_proves_its_name_and_no_other() {
    let tls = tls();
    for name in ["foreign.example", "xn--bcher-kva.example"] {
        assert_eq!(handshake(&tls, name, &tls, name).await, Ok(true));
    }
    let long = format!("{}.{}.example", "a".repeat(63), "b".repeat(63));
    assert_eq!(handshake(&tls, &long, &tls, &long).await, Ok(true));
    assert_eq!(handshake(&tls, "other.example", &tls, "foreign.example").await, Ok(false));
}

#[tokio::test]
async fn e49_an_unknown_authority_is_noted_and_by_default_no_obstacle() {
    let (mut client, server) = (tls(), tls());
    let meet = handshake(&client, "foreign.example", &server, "foreign.example").await;
    assert_eq!(meet, Ok(false));
    client.roots = None;
    let meet = handshake(&client, "foreign.example", &server, "foreign.example").await;
    assert_eq!(meet, Ok(false));
    client.insist = true;
    let refused = handshake(&client, "foreign.example", &server, "foreign.example").await;
    assert!(refused.unwrap_err().contains("certificate"));
}

#[tokio::test]
async fn behind_a_handshake_comes_a_ticket_with_which_nothing_is_resumed() {
    let (tls, name) = (tls(), domain("a.example"));
    let (client, host, _) = tls.client(&name, false, None).unwrap();
    let mut client = ClientConfig::clone(&client);
    client.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let client = TlsConnector::from(Arc::new(client));
    for _ in 0..2 {
        let (near, far) = duplex(4_096);
        let server = TlsAcceptor::from(tls.server(&name, Audience::Home).unwrap());
        let serving = tokio::spawn(async move {
            let mut stream = server.accept(far).await?;
            stream.write_all(b"hello").await?;
            stream.flush().await
        });
        let mut stream = client.connect(host.clone(), near).await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        serving.await.unwrap().unwrap();
        let connection = stream.get_ref().1;
        assert_eq!(connection.tls13_tickets_received(), 1);
        assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn a_minted_certificate_is_kept() {
    let tls = tls();
    let mint = |name| tls.authority.certificate_of(&domain(name), &tls.provider).unwrap();
    assert!(Arc::ptr_eq(&mint("a.example"), &mint("a.example")));
    assert!(!Arc::ptr_eq(&mint("a.example"), &mint("b.example")));
}

/// A directory of its own, gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("openfed-tls-{name}-{}", std::process::id()));
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn the_authority_survives_a_restart() {
    let directory = Directory::new("restart");
    let first = Authority::load_or_create(&directory.0).unwrap();
    let before = Tls::new(first).unwrap();
    let after = Tls::new(Authority::load_or_create(&directory.0).unwrap()).unwrap();
    assert_eq!(before.authority().certificate(), after.authority().certificate());
    assert_eq!(handshake(&before, "a.example", &after, "a.example").await, Ok(true));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = directory.0.join("authority.key");
        let mode = || std::fs::metadata(&key).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        // One that others could read is mended.
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        Authority::load_or_create(&directory.0).unwrap();
        assert_eq!(mode(), 0o600);
    }
}

#[tokio::test]
async fn instances_that_share_a_directory_are_one_even_if_they_begin_together() {
    let directory = Directory::new("shared");
    let begin = || Authority::load_or_create(&directory.0).unwrap();
    let all: Vec<Authority> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|it| it.secret() == all[0].secret()));
    assert_ne!(all[0].secret(), Authority::ephemeral().unwrap().secret());
    let [one, other] = all.into_iter().take(2).collect::<Vec<_>>().try_into().ok().unwrap();
    let (one, other) = (Tls::new(one).unwrap(), Tls::new(other).unwrap());
    assert_eq!(handshake(&one, "a.example", &other, "a.example").await, Ok(true));
}

#[test]
fn the_operators_certificate_is_for_the_public_and_faults_name_their_file() {
    let directory = Directory::new("files");
    let authority = Authority::load_or_create(&directory.0).unwrap();
    drop(authority);
    let files = |certificate: &str, key: &str| settings::Tls {
        identity: Some(settings::Identity {
            certificate: directory.0.join(certificate),
            key: directory.0.join(key),
        }),
        ca: None,
    };
    let load = |files: &settings::Tls| Tls::load(files, &directory.0, false);
    // The authority's own pair will do as a certificate to show
    let tls = load(&files("authority.pem", "authority.key")).unwrap();
    let shown = |name, audience| tls.shown(&domain(name), audience).unwrap();
    let public = shown("corp.example", Audience::Public);
    assert!(Arc::ptr_eq(&public, &shown("im.corp.example", Audience::Public)));
    assert!(!Arc::ptr_eq(&public, &shown("corp.example", Audience::Home)));
    let text = |files: &settings::Tls| load(files).err().unwrap().to_string();
    assert!(text(&files("missing.pem", "authority.key")).contains("missing.pem"));
    assert!(text(&files("authority.pem", "missing.key")).contains("missing.key"));
    assert!(text(&files("authority.key", "authority.key")).contains("no certificate"));
    let ca = settings::Tls { identity: None, ca: Some(directory.0.join("ca.pem")) };
    assert!(text(&ca).contains("ca.pem"));
}
