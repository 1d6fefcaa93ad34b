//! The HTTP client that attempts go through: one POST each, guarded addresses, one deadline over everything.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Method, Request, Response, Url};
use taskwire::config::{IndexerSettings, TargetPolicy};
use taskwire::target_guard;

use crate::outcome::{Answer, Failure, read_retry_after};

/// Answers are read up to so many bytes, then dropped.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// How long an unused connection is kept. Shorter than the 60 s and more that servers keep theirs for, so that a request
/// seldom meets a connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// Why the client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of further roots.
    #[error("TASKWIRE_EXTRA_CA_FILE: {path} cannot be used: {cause}; it takes a file of PEM certificates")]
    ExtraRoots {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// TLS or the resolver could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// Sends attempts. Cheap to clone: one pool of connections behind it.
#[derive(Debug, Clone)]
pub struct TargetClient(reqwest::Client);

impl TargetClient {
    /// Makes the client. Installs ring as the process's TLS provider unless one is installed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(settings: &IndexerSettings) -> Result<Self, ClientError> {
        // An error means that a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .dns_resolver(GuardedResolver { policy: settings.common.targets.clone() })
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(settings.max_in_flight_per_webhook)
            .pool_idle_timeout(IDLE_CONNECTION);
        if let Some(path) = &settings.extra_ca_file {
            builder = builder.tls_certs_merge(read_roots(path)?);
        }
        builder.build().map(Self).map_err(|error| ClientError::Setup(describe(&error)))
    }

    /// Makes one POST. `deadline` covers lookup, connection, headers and body together.
    pub async fn post(&self, url: Url, headers: HeaderMap, body: Bytes, deadline: Duration) -> Answer {
        let mut request = Request::new(Method::POST, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        match tokio::time::timeout(deadline, self.exchange(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Failure(classify(&error)),
            Err(_elapsed) => Answer::Failure(Failure::Timeout(deadline)),
        }
    }

    async fn exchange(&self, request: Request) -> reqwest::Result<Answer> {
        let mut response = self.0.execute(request).await?;
        let answer = Answer::Response { status: response.status().as_u16(), retry_after: retry_after(&response) };
        let mut read = 0;
        while let Some(chunk) = response.chunk().await? {
            read += chunk.len();
            if read >= MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok(answer)
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    read_retry_after(text, chrono::Utc::now())
}

fn read_roots(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let wrong = |cause: String| ClientError::ExtraRoots { path: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(describe(&error)))?;
    if roots.is_empty() {
        return Err(wrong("no certificate in it".into()));
    }
    Ok(roots)
}

fn describe(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Resolves through the system and lets only allowed addresses through. The connector uses what comes from here, so the
/// address that is connected to is the one that was checked.
#[derive(Debug)]
struct GuardedResolver {
    policy: TargetPolicy,
}

/// Every address of a name was refused.
#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NotPublicError;

/// The name has no address, or the resolver failed.
#[derive(Debug, thiserror::Error)]
#[error("lookup failed")]
struct LookupError;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| LookupError)?;
            let allowed = only_allowed(found, &policy)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn only_allowed(
    found: impl Iterator<Item = SocketAddr>,
    policy: &TargetPolicy,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut allowed, mut any) = (Vec::new(), false);
    for address in found {
        any = true;
        if target_guard::is_allowed(address.ip(), policy) {
            allowed.push(address);
        }
    }
    match (allowed.is_empty(), any) {
        (false, _) => Ok(allowed),
        (true, true) => Err(NotPublicError.into()),
        (true, false) => Err(LookupError.into()),
    }
}

/// What kind of failure an error of the HTTP client is, told by the types of its causes.
fn classify(error: &reqwest::Error) -> Failure {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(failure) = classify_cause(inner) {
            return failure;
        }
        cause = inner.source();
    }
    if error.is_connect() { Failure::Connect } else { Failure::Closed }
}

fn classify_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    if cause.is::<NotPublicError>() {
        return Some(Failure::NotPublic);
    }
    if cause.is::<LookupError>() {
        return Some(Failure::Lookup);
    }
    if cause.is::<rustls::Error>() {
        return Some(Failure::Tls);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return (error.is_parse() || error.is_parse_status() || error.is_parse_too_large())
            .then_some(Failure::Protocol);
    }
    let error = cause.downcast_ref::<io::Error>()?;
    if let Some(inner) = error.get_ref() {
        // Errors of streams are wrapped in others of the same type, and such a wrapper is no source of what it wraps.
        return classify_cause(inner);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Failure::Refused),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            Some(Failure::Closed)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn a_name_that_resolves_to_public_and_private_addresses_connects_to_the_public_ones_only() {
        let found = addresses(&["10.0.0.1", "93.184.216.34", "::1", "2606:2800:220:1::1"]);
        let allowed = only_allowed(found.into_iter(), &TargetPolicy::default()).unwrap();
        assert_eq!(allowed, addresses(&["93.184.216.34", "2606:2800:220:1::1"]));
    }

    #[test]
    fn a_name_with_private_addresses_only_is_told_from_one_without_addresses() {
        let policy = TargetPolicy::default();
        let private = only_allowed(addresses(&["127.0.0.1", "::ffff:10.0.0.1"]).into_iter(), &policy).unwrap_err();
        assert!(private.is::<NotPublicError>());
        assert!(only_allowed(std::iter::empty(), &policy).unwrap_err().is::<LookupError>());
    }
}
