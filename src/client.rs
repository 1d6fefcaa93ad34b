//! The HTTP client that attempts go through: one POST each, guarded addresses, one deadline over everything.
//!
//! The guard stands in two places here. The host of each URL is judged before its request, which is what catches IP literals:
//! they are never looked up. Names are judged by the addresses they resolve to, in the resolver that the connector uses, so
//! that the address connected to is the one that was checked. Behind an egress proxy the proxy looks names up; they are looked
//! up and judged here as well, before the request, and all of a name's addresses must be allowed.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ClientSettings, TargetPolicy};
use crate::target_guard;
use bytes::Bytes;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Method, Proxy, Request, Response, Url};
use secrecy::ExposeSecret;
use tower::util::MapResponseLayer;
use url::Host;

use crate::outcome::{Answer, Failure, read_retry_after};

/// Answers are read up to so many bytes, then dropped.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// How long an unused connection is kept. Shorter than the 60 s and more that servers keep theirs for, so that a request
/// seldom meets a connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// How often an HTTP/2 connection is asked whether it still lives, also while it is idle, and how long it may take to say so.
/// All requests to a host share one such connection: a dead one is closed after the two together and not used for ever.
const H2_PING: Duration = Duration::from_secs(5);
const H2_PONG: Duration = Duration::from_secs(5);

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
    /// The proxy. Its URL may hold a password and is not told.
    #[error(
        "TASKWIRE_EGRESS_PROXY cannot be used; it takes an http:// or https:// URL such as http://proxy.internal:3128"
    )]
    EgressProxy,
    /// TLS or the resolver could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// Looks a host name up.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>);

impl Lookup {
    /// By this function.
    pub fn new(
        look_up: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(look_up))
    }

    /// As the system does.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) }))
    }

    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, LookupError> {
        (self.0)(name.to_owned()).await.map_err(|_| LookupError)
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

/// Sends attempts. Cheap to clone: one pool of connections behind it.
#[derive(Debug, Clone)]
pub struct TargetClient {
    http: reqwest::Client,
    policy: TargetPolicy,
    /// Behind a proxy: what judges names, since the connector looks up only the proxy's.
    judge_names: Option<Lookup>,
    keep_error_body: usize,
}

impl TargetClient {
    /// Makes the client. Installs ring as the process's TLS provider unless one is installed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        Self::with_lookup(settings, Lookup::system())
    }

    /// The same with another way to look names up.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn with_lookup(settings: &ClientSettings, lookup: Lookup) -> Result<Self, ClientError> {
        // An error means that a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = settings.targets.clone();
        let opened = metrics::counter!("taskwire_target_connections_opened_total");
        metrics::describe_counter!(
            "taskwire_target_connections_opened_total",
            "Connections made to targets, or to the proxy"
        );
        // With a proxy only its own name is looked up by the connector.
        let guard = settings.egress_proxy.is_none().then(|| policy.clone());
        let mut builder = reqwest::Client::builder()
            .dns_resolver(GuardedResolver { policy: guard, lookup: lookup.clone() })
            .connector_layer(MapResponseLayer::new(move |connection| {
                opened.increment(1);
                connection
            }))
            .http2_keep_alive_interval(H2_PING)
            .http2_keep_alive_timeout(H2_PONG)
            .http2_keep_alive_while_idle(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(settings.idle_per_target)
            .pool_idle_timeout(IDLE_CONNECTION);
        if let Some(path) = &settings.extra_ca_file {
            builder = builder.tls_certs_merge(read_roots(path)?);
        }
        if let Some(url) = &settings.egress_proxy {
            builder = builder.proxy(Proxy::all(url.expose_secret()).map_err(|_| ClientError::EgressProxy)?);
        }
        let http = builder.build().map_err(|error| ClientError::Setup(describe(&error)))?;
        let judge_names = settings.egress_proxy.is_some().then_some(lookup);
        Ok(Self { http, policy, judge_names, keep_error_body: settings.keep_error_body })
    }

    /// Makes one POST. `deadline` covers lookup, connection, headers and body together.
    pub async fn post(&self, url: Url, headers: HeaderMap, body: Bytes, deadline: Duration) -> Answer {
        if target_guard::check_host(&url, &self.policy).is_err() {
            return Answer::Failure(Failure::BadTarget);
        }
        let mut request = Request::new(Method::POST, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        match tokio::time::timeout(deadline, self.exchange(request)).await {
            Ok(answer) => answer.unwrap_or_else(Answer::Failure),
            Err(_elapsed) => Answer::Failure(Failure::Timeout(deadline)),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Answer, Failure> {
        if let (Some(lookup), Some(Host::Domain(name))) = (&self.judge_names, request.url().host()) {
            judge_all(lookup, name, &self.policy).await?;
        }
        let mut response = self.http.execute(request).await.map_err(|error| classify(&error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let most_kept = if status.is_success() { 0 } else { self.keep_error_body };
        let (mut read, mut kept) = (0, Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
            read += chunk.len();
            kept.extend(chunk.iter().take(most_kept - kept.len()));
            if read >= MAX_ANSWER_BYTES {
                break;
            }
        }
        let body = (!kept.is_empty()).then(|| shown(&kept, most_kept));
        Ok(Answer::Response { status: status.as_u16(), retry_after, body })
    }
}

/// An answer's beginning as text of at most so many bytes: what is no UTF-8, and control characters, are replaced.
fn shown(bytes: &[u8], most: usize) -> String {
    let mut text = String::with_capacity(most);
    for c in String::from_utf8_lossy(bytes).chars() {
        let c = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        if text.len() + c.len_utf8() > most {
            break;
        }
        text.push(c);
    }
    text
}

/// Whether a name that somebody else will look up may be sent to: all its addresses must be allowed, since nothing says which
/// will be taken.
async fn judge_all(lookup: &Lookup, name: &str, policy: &TargetPolicy) -> Result<(), Failure> {
    let found = lookup.addresses(name).await.map_err(|_| Failure::Lookup)?;
    match found.iter().all(|address| target_guard::is_allowed(address.ip(), policy)) {
        _ if found.is_empty() => Err(Failure::Lookup),
        true => Ok(()),
        false => Err(Failure::NotPublic),
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

/// Lets only allowed addresses through. The connector uses what comes from here, so the address that is connected to is the
/// one that was checked.
#[derive(Debug)]
struct GuardedResolver {
    /// `None` lets all through: an operator's proxy may stand anywhere.
    policy: Option<TargetPolicy>,
    lookup: Lookup,
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
        let (policy, lookup) = (self.policy.clone(), self.lookup.clone());
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
            let allowed = match policy {
                Some(policy) => only_allowed(found.into_iter(), &policy)?,
                None => found,
            };
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
    fn what_is_kept_of_an_answer_is_short_clean_text() {
        assert_eq!(shown(b"no such hook", 4), "no s");
        assert_eq!(shown(b"a\r\n\x1b[31mb", 64), "a\u{fffd}\u{fffd}\u{fffd}[31mb");
        assert_eq!(shown(b"ok\xff\xc3", 64), "ok\u{fffd}\u{fffd}");
        // A character is whole or not there.
        assert_eq!(shown("aü".as_bytes(), 2), "a");
    }

    #[test]
    fn a_name_with_private_addresses_only_is_told_from_one_without_addresses() {
        let policy = TargetPolicy::default();
        let private = only_allowed(addresses(&["127.0.0.1", "::ffff:10.0.0.1"]).into_iter(), &policy).unwrap_err();
        assert!(private.is::<NotPublicError>());
        assert!(only_allowed(std::iter::empty(), &policy).unwrap_err().is::<LookupError>());
    }
}
