//! How targets are reached, in both programs.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::source::wrong;
use super::{SettingError, Source, TargetPolicy};

/// Unused connections that are kept for each target, where nothing else is said.
const IDLE_PER_TARGET: usize = 4;

/// Settings of the HTTP client that sends to targets.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Which targets may be sent to.
    pub targets: TargetPolicy,
    /// `TASKWIRE_EXTRA_CA_FILE`: further trusted roots for targets, PEM.
    pub extra_ca_file: Option<PathBuf>,
    /// `TASKWIRE_EGRESS_PROXY`: an `http://` or `https://` URL through which all targets are reached, with
    /// `user:password@` if need be; unset: none, whatever else the environment says.
    pub egress_proxy: Option<SecretString>,
    /// `TASKWIRE_KEEP_ERROR_BODY_BYTES` (0; 0–4096): so much of a failed answer's body is kept with its attempt.
    pub keep_error_body: usize,
    /// How many unused connections are kept for each target.
    pub idle_per_target: usize,
}

impl ClientSettings {
    /// Reads and checks everything; all of it has defaults.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        Ok(Self {
            targets: TargetPolicy::read(source)?,
            extra_ca_file: source.text("extra_ca_file").map(PathBuf::from),
            egress_proxy: read_egress_proxy(source)?,
            keep_error_body: usize::try_from(source.number("keep_error_body_bytes", 0, 0..=4096)?).unwrap_or(0),
            idle_per_target: IDLE_PER_TARGET,
        })
    }
}

/// It may hold a password: no message repeats it.
fn read_egress_proxy(source: &Source) -> Result<Option<SecretString>, SettingError> {
    const KEY: &str = "egress_proxy";
    const TAKES: &str = "an http:// or https:// URL of host and port, with user:password@ if need be";
    let Some(text) = source.text(KEY) else { return Ok(None) };
    let url = Url::parse(&text).map_err(|error| wrong(KEY, error.to_string(), TAKES))?;
    let fault = match url.scheme() {
        "http" | "https" if !url.has_host() => Some("it has no host"),
        "http" | "https" if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            Some("it has more than a host and a port")
        }
        "http" | "https" => None,
        _ => Some("another scheme"),
    };
    match fault {
        None => Ok(Some(SecretString::from(text))),
        Some(fault) => Err(wrong(KEY, fault.to_owned(), TAKES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_egress_proxy_is_a_url_of_host_and_port_and_no_message_shows_its_password() {
        let read = |text| read_egress_proxy(&Source::from_pairs(&[("egress_proxy", text)]).unwrap());
        assert!(read("").unwrap().is_none());
        for good in ["http://proxy:3128", "https://user:secret@10.0.0.1/", "http://[::1]:8080"] {
            let proxy = read(good).unwrap().unwrap();
            assert!(!format!("{proxy:?}").contains("secret"), "{good}");
        }
        for bad in [
            "socks5://u:secret@p:1",
            "u:secret@proxy",
            "http://u:secret@",
            "http://u:secret@p/x",
            "http://u:secret@p?q",
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("TASKWIRE_EGRESS_PROXY") && !error.contains("secret"), "{error}");
        }
    }
}
