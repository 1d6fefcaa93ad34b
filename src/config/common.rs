//! Settings that both programs read.

use std::sync::Arc;

use ipnet::IpNet;

use super::TraceSettings;
use super::source::{SettingError, Source, wrong};
use crate::mapping::Mapping;
use crate::secrets::MasterKeys;

/// Where the database is.
#[derive(Debug, Clone)]
pub struct MongoSettings {
    /// `TASKWIRE_MONGODB_URI`: a replica set. May hold a password: never logged.
    pub uri: String,
    /// `TASKWIRE_DATABASE`: the task service's database.
    pub database: String,
}

/// Which targets may be sent to.
#[derive(Debug, Clone, Default)]
pub struct TargetPolicy {
    /// `TASKWIRE_TARGET_ALLOWLIST`: networks let through although they are not public.
    pub allowlist: Vec<IpNet>,
    /// `TASKWIRE_ALLOW_HTTP_TARGETS`: plain `http://` too.
    pub allow_http: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What both programs read.
#[derive(Debug, Clone)]
pub struct CommonSettings {
    /// The database.
    pub mongo: MongoSettings,
    /// `TASKWIRE_MAPPING`: how the service's documents are read.
    pub mapping: Arc<Mapping>,
    /// `TASKWIRE_MASTER_KEY`: seals secrets at rest.
    pub master_keys: Arc<MasterKeys>,
    /// The address guard.
    pub targets: TargetPolicy,
    /// Traces.
    pub traces: TraceSettings,
}

impl MongoSettings {
    /// Reads the database's settings; they have defaults.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        let uri = source.text_or("mongodb_uri", "mongodb://127.0.0.1:27017/?replicaSet=rs0");
        let takes = "a connection string such as mongodb://127.0.0.1:27017/?replicaSet=rs0";
        if !(uri.starts_with("mongodb://") || uri.starts_with("mongodb+srv://")) {
            return Err(wrong("mongodb_uri", "it starts neither with mongodb:// nor mongodb+srv://".into(), takes));
        }
        let database = source.text_or("database", "TasksTrackerDb");
        if database.len() > 63 || database.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
            return Err(wrong("database", "not a database name".into(), "a MongoDB database name of up to 63 bytes"));
        }
        Ok(Self { uri, database })
    }
}

impl TargetPolicy {
    /// Reads both; they have defaults.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        Ok(Self {
            allowlist: source.networks("target_allowlist")?,
            allow_http: source.flag("allow_http_targets", false)?,
        })
    }
}

impl LogFormat {
    /// Reads `TASKWIRE_LOG_FORMAT`.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        match source.text_or("log_format", "text").as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(wrong("log_format", "neither".into(), "text or json")),
        }
    }
}

impl CommonSettings {
    /// Reads what both programs need.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        let takes = "the base64 of 32 bytes, or a comma-separated list of such keys (openssl rand -base64 32)";
        let key_list = source.required("master_key", takes)?;
        let master_keys = MasterKeys::parse(&key_list).map_err(|why| wrong("master_key", why.to_string(), takes))?;
        Ok(Self {
            mongo: MongoSettings::read(source)?,
            mapping: Self::read_mapping(source)?,
            master_keys: Arc::new(master_keys),
            targets: TargetPolicy::read(source)?,
            traces: TraceSettings::read(source)?,
        })
    }

    /// Reads `TASKWIRE_MAPPING` alone.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read_mapping(source: &Source) -> Result<Arc<Mapping>, SettingError> {
        let takes = "tasks-tracker, camel-case or the path of a TOML file";
        let mapping = Mapping::load(&source.text_or("mapping", "tasks-tracker"));
        mapping.map(Arc::new).map_err(|why| wrong("mapping", why.to_string(), takes))
    }
}
