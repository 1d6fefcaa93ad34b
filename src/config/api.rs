//! Settings of `taskwire-api`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::source::wrong;
use super::{ClientSettings, CommonSettings, SettingError, Source};

/// How admins' tokens are checked.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// `TASKWIRE_JWT_SECRET`: the HS256 key as text; its UTF-8 bytes are the key. Absent only with a JWKS file.
    pub secret: Option<SecretString>,
    /// `TASKWIRE_JWT_JWKS_FILE`: keys for RS256 and ES256.
    pub jwks_file: Option<PathBuf>,
    /// `TASKWIRE_JWT_ISSUER`
    pub issuer: String,
    /// `TASKWIRE_JWT_AUDIENCE`
    pub audience: String,
}

/// Everything `taskwire-api` reads.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// What both programs read.
    pub common: CommonSettings,
    /// `TASKWIRE_API_LISTEN`
    pub listen: SocketAddr,
    /// Tokens.
    pub jwt: JwtSettings,
    /// `TASKWIRE_USER_RATE_PER_MINUTE` (600; 0–1000000): calls of one user a minute in each process; 0: no limit.
    pub user_rate_per_minute: Option<NonZeroU32>,
    /// `TASKWIRE_CORS_ORIGINS` (empty): a comma-separated list of origins such as `https://app.example` whose pages may call
    /// from a browser.
    pub cors_origins: Vec<HeaderValue>,
    /// `TASKWIRE_ROTATION_MAX_HOURS` (unset: no limit; 1–8760): how long two secrets sign at most after a rotation. After
    /// that the earlier one no longer does, finalized or not.
    pub rotation_overlap: Option<Duration>,
    /// How targets are reached by tests.
    pub client: ClientSettings,
    /// `TASKWIRE_TRUSTED_PROXIES`: whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `TASKWIRE_FRAME_ANCESTORS`: origins whose pages may show the admin page in a frame; empty: none.
    pub frame_ancestors: Vec<String>,
}

impl ApiSettings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        Ok(Self {
            common: CommonSettings::read(source)?,
            listen: Self::read_listen(source)?,
            jwt: JwtSettings::read(source)?,
            user_rate_per_minute: NonZeroU32::new(
                u32::try_from(source.number("user_rate_per_minute", 600, 0..=1_000_000)?).unwrap_or(0),
            ),
            cors_origins: {
                let origins = origins(source, "cors_origins")?;
                origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect()
            },
            rotation_overlap: match source.text("rotation_max_hours") {
                None => None,
                Some(_) => Some(Duration::from_secs(source.number("rotation_max_hours", 1, 1..=8760)? * 3600)),
            },
            client: ClientSettings::read(source)?,
            trusted_proxies: source.networks("trusted_proxies")?,
            frame_ancestors: origins(source, "frame_ancestors")?,
        })
    }

    /// Reads `TASKWIRE_API_LISTEN` alone.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read_listen(source: &Source) -> Result<SocketAddr, SettingError> {
        source.listen("api_listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))
    }
}

impl JwtSettings {
    /// Reads and checks the settings of tokens alone.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        let takes = "the secret with which the task service signs its tokens (HS256), at least 16 bytes; or name their public keys \
                     in TASKWIRE_JWT_JWKS_FILE";
        let jwks_file = source.text("jwt_jwks_file").map(PathBuf::from);
        let secret = match source.text("jwt_secret") {
            None if jwks_file.is_some() => None,
            None => Some(source.required("jwt_secret", takes)?),
            Some(text) => Some(text),
        };
        if secret.as_ref().is_some_and(|text| text.len() < 16) {
            return Err(wrong("jwt_secret", "too short".into(), takes));
        }
        if let Some(file) = jwks_file.as_ref().filter(|file| !file.is_file()) {
            let why = format!("{} is no file", file.display());
            return Err(wrong("jwt_jwks_file", why, "the path of a JWKS file with RS256 or ES256 keys"));
        }
        Ok(Self {
            secret: secret.map(SecretString::from),
            jwks_file,
            issuer: source.text_or("jwt_issuer", "TasksTrackerApi"),
            audience: source.text_or("jwt_audience", "TasksTrackerClients"),
        })
    }
}

/// A comma-separated list of origins, each in its one spelling. No wildcards: a frame's messages are checked against these.
fn origins(source: &Source, key: &str) -> Result<Vec<String>, SettingError> {
    let takes = "a comma-separated list of origins such as https://app.example.com";
    let Some(text) = source.text(key) else { return Ok(Vec::new()) };
    let read = |part: &str| {
        let url = Url::parse(part).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let plain = url.username().is_empty() && url.password().is_none() && !part.contains(['*', ';']);
        (bare && plain).then(|| url.origin().ascii_serialization())
    };
    text.split(',')
        .map(str::trim)
        .map(|part| read(part).ok_or_else(|| wrong(key, format!("{part:?} is no origin"), takes)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, SettingError> {
        origins(&Source::from_pairs(&[("frame_ancestors", text)]).unwrap(), "frame_ancestors")
    }

    #[test]
    fn origins_are_brought_into_one_spelling_and_anything_wider_is_refused_by_name() {
        assert_eq!(read("").unwrap(), Vec::<String>::new());
        let two = read("https://App.Example.com/, http://localhost:5173").unwrap();
        assert_eq!(two, ["https://app.example.com", "http://localhost:5173"]);
        for wide in
            ["*", "https://*.example.com", "https://a.example/path", "a.example", "data:x", "https://a.example;x"]
        {
            let error = read(wide).unwrap_err().to_string();
            assert!(error.starts_with("TASKWIRE_FRAME_ANCESTORS is wrong"), "{wide}: {error}");
        }
    }
}
