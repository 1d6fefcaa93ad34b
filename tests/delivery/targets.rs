//! The guard: what is refused when a target is saved, and that nothing private is ever connected to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use taskwire::client::{Lookup, TargetClient};
use taskwire::config::{IndexerSettings, Source};
use taskwire::outcome::{Answer, Failure};
use taskwire::target_guard::check_url;
use tokio::net::TcpListener;

use crate::scene::MASTER_KEY;

/// Stands for a public address: the one address that the settings allow here.
pub(crate) const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) fn settings(more: &[(&str, &str)]) -> Result<IndexerSettings> {
    taskwire_tests::init();
    let mut pairs = vec![("master_key", MASTER_KEY), ("allow_http_targets", "true")];
    pairs.extend(more);
    Ok(IndexerSettings::read(&Source::from_pairs(&pairs)?)?)
}

/// Answers each lookup with the next of these, and the last for ever.
pub(crate) fn answering(answers: Vec<Vec<IpAddr>>) -> Lookup {
    let asked = AtomicUsize::new(0);
    Lookup::new(move |_| {
        let at = asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        let found = answers[at].iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        Box::pin(async move { Ok(found) })
    })
}

pub(crate) async fn post(client: &TargetClient, url: &str, deadline: Duration) -> Result<Answer> {
    Ok(client.post(url.parse()?, HeaderMap::new(), Bytes::from_static(b"{}"), deadline).await)
}

/// Counts the connections to an address, and answers each with an empty 204 before it is closed.
async fn listen(address: SocketAddr) -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind(address).await?;
    let (address, count) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::Relaxed);
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    });
    Ok((address, count))
}

/// What the guard must catch: literals in every spelling, and names that resolve to private addresses.
const LITERALS: [&str; 35] = [
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "2130706433",
    "127.0.0.1.",
    "127.1.",
    "0",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2001:0:53aa:64c::1]",
    "169.254.169.254",
    "0xa9fea9fe",
    "169.254.43518",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "100.64.0.1",
    "100.100.100.200",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "168.63.129.16",
    "224.0.0.1",
];
const NAMES_OF_THIS_MACHINE: [&str; 4] = ["localhost", "LOCALHOST.", "a.localhost", "a.localhost."];
const PRIVATE_ADDRESSES: [&str; 13] = [
    "127.0.0.1",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.168.1.1",
    "0.0.0.0",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "fe80::1",
    "fd00::1",
];

#[tokio::test]
async fn every_trick_is_refused_when_it_is_saved_and_never_connected_to() -> Result<()> {
    let (address, connections) = listen(SocketAddr::new(PRIVATE, 0)).await?;
    let settings = settings(&[])?;
    // Whatever is asked, the answer leads here.
    let client = TargetClient::with_lookup(&settings.client, answering(vec![vec![PRIVATE]]))?;
    for host in LITERALS.iter().chain(&NAMES_OF_THIS_MACHINE) {
        let url = format!("http://{host}:{}/hook", address.port());
        assert!(check_url(&url, &settings.common.targets).is_err(), "{url} can be saved");
        assert_eq!(post(&client, &url, DEADLINE).await?, Answer::Failure(Failure::BadTarget), "{url}");
    }
    let with_user = format!("http://public.test:80@127.0.0.1:{}/", address.port());
    assert!(check_url(&with_user, &settings.common.targets).is_err());
    assert_eq!(post(&client, &with_user, DEADLINE).await?, Answer::Failure(Failure::BadTarget));
    // A name, whether it has the address itself or is an alias of one that has.
    for private in PRIVATE_ADDRESSES {
        let client = TargetClient::with_lookup(&settings.client, answering(vec![vec![private.parse()?]]))?;
        for name in ["alias.test", "alias.test.", "127.0.0.1.nip.test"] {
            let url = format!("http://{name}:{}/hook", address.port());
            assert!(check_url(&url, &settings.common.targets).is_ok(), "{url}");
            assert_eq!(post(&client, &url, DEADLINE).await?, Answer::Failure(Failure::NotPublic), "{url} at {private}");
        }
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_public_first_and_private_later_or_both_at_once_reaches_the_public_address_only() -> Result<()> {
    let (private, connections) = listen(SocketAddr::new(PRIVATE, 0)).await?;
    let (_, public) = listen(SocketAddr::new(PUBLIC, private.port())).await?;
    let settings = settings(&[("target_allowlist", "127.0.0.2/32")])?;
    let url = format!("http://rebinding.test:{}/hook", private.port());
    let delivered = Answer::Response { status: 204, retry_after: None, body: None };
    let later = TargetClient::with_lookup(&settings.client, answering(vec![vec![PUBLIC], vec![PRIVATE]]))?;
    assert_eq!(post(&later, &url, DEADLINE).await?, delivered);
    for _ in 0..3 {
        assert_eq!(post(&later, &url, DEADLINE).await?, Answer::Failure(Failure::NotPublic));
    }
    for order in [vec![PRIVATE, PUBLIC], vec![PUBLIC, PRIVATE]] {
        let both = TargetClient::with_lookup(&settings.client, answering(vec![order]))?;
        assert_eq!(post(&both, &url, DEADLINE).await?, delivered);
    }
    assert_eq!((public.load(Ordering::Relaxed), connections.load(Ordering::Relaxed)), (3, 0));
    Ok(())
}

#[tokio::test]
async fn a_literal_that_was_saved_before_the_allowlist_shrank_is_not_connected_to() -> Result<()> {
    let (address, connections) = listen(SocketAddr::new(PRIVATE, 0)).await?;
    let (before, after) = (settings(&[("target_allowlist", "127.0.0.0/8")])?, settings(&[])?);
    let url = format!("http://{address}/hook");
    assert!(check_url(&url, &before.common.targets).is_ok());
    assert!(matches!(
        post(&TargetClient::new(&before.client)?, &url, DEADLINE).await?,
        Answer::Response { status: 204, .. }
    ));
    assert_eq!(post(&TargetClient::new(&after.client)?, &url, DEADLINE).await?, Answer::Failure(Failure::BadTarget));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn behind_a_proxy_private_targets_are_refused_before_it_is_asked_and_its_own_address_is_not_judged() -> Result<()>
{
    let (proxy, connections) = listen(SocketAddr::new(PRIVATE, 0)).await?;
    let proxy = format!("http://user:pass@{proxy}");
    let settings = settings(&[("egress_proxy", &proxy)])?;
    let public: IpAddr = "93.184.216.34".parse()?;
    let lookup = || answering(vec![vec![PRIVATE], vec![public, PRIVATE], vec![], vec![public]]);
    let client = TargetClient::with_lookup(&settings.client, lookup())?;
    for (url, failure) in [
        ("http://10.0.0.1/", Failure::BadTarget),
        ("http://[::1]/", Failure::BadTarget),
        ("http://private.test/", Failure::NotPublic),
        ("http://mixed.test/", Failure::NotPublic),
        ("http://unknown.test/", Failure::Lookup),
    ] {
        assert_eq!(post(&client, url, DEADLINE).await?, Answer::Failure(failure), "{url}");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
    assert!(matches!(post(&client, "http://public.test/", DEADLINE).await?, Answer::Response { status: 204, .. }));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    Ok(())
}
