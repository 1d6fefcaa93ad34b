//! The HTTP client by itself: which connections it makes and keeps, whom it trusts, and what its deadline covers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use taskwire::client::{Lookup, TargetClient};
use taskwire::outcome::{Answer, Failure};
use taskwire_tests::SOON;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::targets::{answering, post, settings};

const DEADLINE: Duration = Duration::from_secs(5);
const LOCAL: [(&str, &str); 1] = [("target_allowlist", "127.0.0.0/8")];

/// What a server saw.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    versions: Mutex<Vec<Version>>,
    names: Mutex<Vec<Option<String>>>,
}

/// `tests/support/certificates.sh` made it.
fn tls_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("delivery/tls").join(name)
}

fn acceptor() -> Result<TlsAcceptor> {
    taskwire_tests::init();
    let certificate = CertificateDer::from_pem_file(tls_file("server.pem"))?;
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key"))?;
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves HTTP on 127.0.0.1, each answer after a moment, so that requests at once overlap.
async fn serve(tls: Option<TlsAcceptor>) -> Result<(SocketAddr, Arc<Seen>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (address, seen) = (listener.local_addr()?, Arc::new(Seen::default()));
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
        }
    });
    Ok((address, seen))
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    let shared = Arc::clone(&seen);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        shared.versions.lock().unwrap_or_else(PoisonError::into_inner).push(request.version());
        async {
            // Slow enough for requests to overlap.
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        }
    });
    let Some(tls) = tls else {
        let mut http = hyper::server::conn::http1::Builder::new();
        let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        return;
    };
    let Ok(stream) = tls.accept(stream).await else { return };
    let name = stream.get_ref().1.server_name().map(str::to_owned);
    seen.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// A client that trusts the test root, and for which every name is 127.0.0.1.
fn trusting() -> Result<TargetClient> {
    let roots = tls_file("ca.pem");
    let roots = roots.to_str().context("a path that is no text")?;
    let settings = settings(&[LOCAL[0], ("extra_ca_file", roots)])?;
    Ok(TargetClient::with_lookup(&settings.client, answering(vec![vec!["127.0.0.1".parse()?]]))?)
}

fn is_delivered(answer: &Answer) -> bool {
    matches!(answer, Answer::Response { status: 200, .. })
}

#[tokio::test]
async fn deliveries_one_after_the_other_share_one_connection() -> Result<()> {
    let (address, seen) = serve(None).await?;
    let client = TargetClient::new(&settings(&LOCAL)?.client)?;
    for _ in 0..20 {
        assert!(is_delivered(&post(&client, &format!("http://{address}/"), DEADLINE).await?));
    }
    assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn over_tls_requests_at_once_share_one_http2_connection_that_names_its_host() -> Result<()> {
    let (address, seen) = serve(Some(acceptor()?)).await?;
    let client = trusting()?;
    let url = format!("https://receiver.test:{}/", address.port());
    assert!(is_delivered(&post(&client, &url, DEADLINE).await?));
    let answers = futures::future::try_join_all((0..30).map(|_| post(&client, &url, DEADLINE))).await?;
    assert!(answers.iter().all(is_delivered), "{answers:?}");
    assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
    let versions = seen.versions.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(versions.len() == 31 && versions.iter().all(|version| *version == Version::HTTP_2));
    let names = seen.names.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(*names, [Some("receiver.test".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn a_certificate_for_another_name_or_from_an_unknown_root_is_refused_as_a_failure_of_tls() -> Result<()> {
    let (address, seen) = serve(Some(acceptor()?)).await?;
    let other = format!("https://other.test:{}/", address.port());
    assert_eq!(post(&trusting()?, &other, DEADLINE).await?, Answer::Failure(Failure::Tls));
    let here = answering(vec![vec!["127.0.0.1".parse()?]]);
    let without_root = TargetClient::with_lookup(&settings(&LOCAL)?.client, here)?;
    let url = format!("https://receiver.test:{}/", address.port());
    assert_eq!(post(&without_root, &url, DEADLINE).await?, Answer::Failure(Failure::Tls));
    assert!(Failure::Tls.to_string().contains("names another host"));
    assert!(seen.versions.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    Ok(())
}

/// Passes bytes on, both ways, until it is told to swallow those of the connections that stand then.
async fn forward(to: SocketAddr) -> Result<(SocketAddr, Arc<AtomicBool>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (address, dead) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
    let shared = Arc::clone(&dead);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(to).await else { continue };
            // Those that come later live.
            let dead = if shared.load(Ordering::Relaxed) { Arc::default() } else { Arc::clone(&shared) };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(pump(near_in, far_out, Arc::clone(&dead)));
            tokio::spawn(pump(far_in, near_out, dead));
        }
    });
    Ok((address, dead))
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    dead: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        if dead.load(Ordering::Relaxed) {
            // Neither an answer nor an end: as behind a firewall that forgot the connection.
            std::future::pending::<()>().await;
        }
        if count == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..count]).await?;
    }
}

#[tokio::test]
async fn a_dead_http2_connection_is_given_up_and_a_new_one_made() -> Result<()> {
    let (server, _) = serve(Some(acceptor()?)).await?;
    let (address, dead) = forward(server).await?;
    let client = trusting()?;
    let url = format!("https://receiver.test:{}/", address.port());
    assert!(is_delivered(&post(&client, &url, DEADLINE).await?));
    dead.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let short = Duration::from_millis(500);
    while !is_delivered(&post(&client, &url, short).await?) {
        assert!(began.elapsed() < SOON, "the dead connection is used for ever");
    }
    Ok(())
}

#[tokio::test]
async fn the_deadline_covers_lookup_connection_headers_and_body() -> Result<()> {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await?;
    let receiver = taskwire_tests::Receiver::start().await?;
    receiver.always("/headers", taskwire_tests::Answer::Hang);
    receiver.always("/body", taskwire_tests::Answer::EndlessBody);
    let settings = settings(&LOCAL)?;
    let client = TargetClient::with_lookup(&settings.client, Lookup::new(|_| Box::pin(std::future::pending())))?;
    let deadline = Duration::from_millis(300);
    for (phase, url) in [
        ("lookup", "http://slow.test/".to_owned()),
        ("connection", format!("https://{}/", silent.local_addr()?)),
        ("headers", receiver.url("/headers")),
        ("body", receiver.url("/body")),
    ] {
        let began = Instant::now();
        let answer = post(&client, &url, deadline).await?;
        assert_eq!(answer, Answer::Failure(Failure::Timeout(deadline)), "{phase}");
        assert!((deadline..Duration::from_secs(10)).contains(&began.elapsed()), "{phase}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_answers_beginning_is_kept_only_where_a_setting_says_so() -> Result<()> {
    let receiver = taskwire_tests::Receiver::start().await?;
    receiver.always("/failed", taskwire_tests::Answer::WithBody(500, 100));
    let (fine, _) = serve(None).await?;
    let kept = async |most: &str, url: &str| {
        let client = TargetClient::new(&settings(&[LOCAL[0], ("keep_error_body_bytes", most)])?.client)?;
        match post(&client, url, DEADLINE).await? {
            Answer::Response { status, body, .. } => anyhow::Ok((status, body)),
            Answer::Failure(failure) => anyhow::bail!("{failure}"),
        }
    };
    let failed = receiver.url("/failed");
    assert_eq!(kept("0", &failed).await?, (500, None));
    assert_eq!(kept("10", &failed).await?, (500, Some("xxxxxxxxxx".to_owned())));
    assert_eq!(kept("4096", &failed).await?, (500, Some("x".repeat(100))));
    assert_eq!(kept("4096", &format!("http://{fine}/")).await?, (200, None));
    Ok(())
}
