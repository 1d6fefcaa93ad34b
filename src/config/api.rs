//! Settings of `taskwire-api`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

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
    /// `TASKWIRE_ROTATION_MAX_HOURS` (unset: no limit; 1–8760): how long two secrets sign at most after a rotation. After
    /// that the earlier one no longer does, finalized or not.
    pub rotation_overlap: Option<Duration>,
    /// How targets are reached by tests.
    pub client: ClientSettings,
    /// `TASKWIRE_TRUSTED_PROXIES`: whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl ApiSettings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        Ok(Self {
            common: CommonSettings::read(source)?,
            listen: source.listen("api_listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))?,
            jwt: JwtSettings::read(source)?,
            rotation_overlap: match source.text("rotation_max_hours") {
                None => None,
                Some(_) => Some(Duration::from_secs(source.number("rotation_max_hours", 1, 1..=8760)? * 3600)),
            },
            client: ClientSettings::read(source)?,
            trusted_proxies: source.networks("trusted_proxies")?,
        })
    }
}

impl JwtSettings {
    /// Reads and checks the settings of tokens alone.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        let takes = "the secret with which the task service signs its tokens (HS256), at least 16 bytes";
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
