//! Where settings come from, and how one is read.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::keys::KNOWN;
use super::network::read_network;

/// Where settings may stand besides the environment, in the working directory.
const FILE: &str = "taskwire.toml";

/// One setting that is missing or wrong. Its text is one line.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// Not set, and there is no default.
    #[error("{variable} is not set: it takes {takes}")]
    Missing {
        /// The environment variable.
        variable: String,
        /// What it takes.
        takes: String,
    },
    /// Set to something else than it takes.
    #[error("{variable} is wrong ({why}): it takes {takes}")]
    Wrong {
        /// The environment variable.
        variable: String,
        /// What is wrong with it; never the value of a secret.
        why: String,
        /// What it takes.
        takes: String,
    },
    /// `taskwire.toml` could not be read.
    #[error("taskwire.toml cannot be read: {0}")]
    File(String),
}

/// Settings that hold a secret. Each may be given as a file instead: the same name with `_FILE` is its path.
const FROM_FILES: [&str; 4] = ["master_key", "jwt_secret", "mongodb_uri", "egress_proxy"];

/// The environment and `taskwire.toml`, merged, and the files of secrets that they name.
pub struct Source {
    settings: config::Config,
    from_files: BTreeMap<&'static str, String>,
}

impl Source {
    /// Reads `taskwire.toml` (if it is there), the environment, and the files of secrets that they name.
    ///
    /// # Errors
    /// [`SettingError::File`] if the file is no TOML or holds what is no setting, [`SettingError::Wrong`] for a secret's file.
    pub fn load() -> Result<Self, SettingError> {
        check_file(std::fs::read_to_string(FILE).ok().as_deref())?;
        let file = config::File::new(FILE, config::FileFormat::Toml).required(false);
        let environment = config::Environment::with_prefix("TASKWIRE").prefix_separator("_");
        // The variables that OpenTelemetry has given names to keep them whole, in the file too.
        let standard = config::Environment::with_prefix("OTEL").prefix_separator("_").keep_prefix(true);
        Self::build(config::Config::builder().add_source(file).add_source(environment).add_source(standard))
    }

    /// Settings from pairs of key (lower case, without prefix) and value, for tests and embedding programs.
    ///
    /// # Errors
    /// [`SettingError::File`] if a key is no valid path, [`SettingError::Wrong`] for a secret's file.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Result<Self, SettingError> {
        let mut builder = config::Config::builder();
        for (key, value) in pairs {
            builder = builder.set_override(*key, *value).map_err(|error| SettingError::File(error.to_string()))?;
        }
        Self::build(builder)
    }

    fn build(builder: config::ConfigBuilder<config::builder::DefaultState>) -> Result<Self, SettingError> {
        // The file's syntax errors span lines; a setting's message is one.
        let one_line = |error: config::ConfigError| SettingError::File(error.to_string().replace('\n', " "));
        let settings = builder.build().map_err(one_line)?;
        for (key, value) in config::Source::collect(&settings).map_err(one_line)? {
            // Not text, it would count as not set.
            if value.into_string().is_err() {
                let takes = "text, in a file too: several values stand in one, with commas between";
                return Err(wrong(&key, "it is a list or a table".to_owned(), takes));
            }
        }
        let mut source = Self { settings, from_files: BTreeMap::new() };
        for key in FROM_FILES {
            if let Some(secret) = source.read_file(key)? {
                source.from_files.insert(key, secret);
            }
        }
        Ok(source)
    }

    /// The text of the file that `key` with `_file` names, if it is set. No message shows anything of it.
    fn read_file(&self, key: &str) -> Result<Option<String>, SettingError> {
        let file_key = format!("{key}_file");
        let takes = format!("the path of a file that holds what {} takes", variable(key));
        let Some(path) = self.text(&file_key) else { return Ok(None) };
        if self.text(key).is_some() {
            return Err(wrong(
                &file_key,
                format!("{} is set as well", variable(key)),
                &format!("{takes}, instead of it"),
            ));
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| wrong(&file_key, format!("{path} cannot be read: {error}"), &takes))?;
        match text.trim() {
            "" => Err(wrong(&file_key, format!("{path} is empty"), &takes)),
            secret => Ok(Some(secret.to_owned())),
        }
    }

    /// The text of `key`; empty counts as not set.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        debug_assert!(KNOWN.contains(&key), "{key} is missing among the known settings");
        let text = self.from_files.get(key).cloned().or_else(|| self.settings.get_string(key).ok())?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The text of `key`, or `default`.
    #[must_use]
    pub fn text_or(&self, key: &str, default: &str) -> String {
        self.text(key).unwrap_or_else(|| default.to_owned())
    }

    /// The text of `key`, which must be set.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn required(&self, key: &str, takes: &str) -> Result<String, SettingError> {
        self.text(key).ok_or_else(|| SettingError::Missing { variable: variable(key), takes: takes.to_owned() })
    }

    /// A value with a parser of its own.
    ///
    /// # Errors
    /// [`SettingError::Wrong`].
    pub fn parsed<T: FromStr>(&self, key: &str, default: T, takes: &str) -> Result<T, SettingError>
    where
        T::Err: Display,
    {
        self.text(key)
            .map_or(Ok(default), |text| text.parse().map_err(|why: T::Err| wrong(key, why.to_string(), takes)))
    }

    /// A number within a range.
    ///
    /// # Errors
    /// [`SettingError::Wrong`].
    pub fn number(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, SettingError> {
        let takes = format!("a whole number from {} to {}", range.start(), range.end());
        let value = self.parsed(key, default, &takes)?;
        if range.contains(&value) { Ok(value) } else { Err(wrong(key, format!("{value} is out of range"), &takes)) }
    }

    /// A span of time given as a whole number of milliseconds (the key ends in `_ms`).
    ///
    /// # Errors
    /// [`SettingError::Wrong`].
    pub fn millis(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<Duration, SettingError> {
        self.number(key, default, range).map(Duration::from_millis)
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`SettingError::Wrong`].
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, SettingError> {
        match self.text(key).as_deref() {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(wrong(key, "neither".to_owned(), "true or false")),
        }
    }

    /// An address to listen on.
    ///
    /// # Errors
    /// [`SettingError::Wrong`].
    pub fn listen(&self, key: &str, default: SocketAddr) -> Result<SocketAddr, SettingError> {
        self.parsed(key, default, "an address and port such as 127.0.0.1:8080")
    }

    /// A comma-separated list of CIDRs.
    ///
    /// # Errors
    /// [`SettingError::Wrong`].
    pub fn networks(&self, key: &str) -> Result<Vec<IpNet>, SettingError> {
        let takes = "a comma-separated list of CIDRs such as 10.0.0.0/8,fd00::/8";
        let Some(text) = self.text(key) else { return Ok(Vec::new()) };
        text.split(',')
            .map(str::trim)
            .map(|part| read_network(part).map_err(|why| wrong(key, format!("{part:?} {why}"), takes)))
            .collect()
    }
}

/// Finds what is no TOML before the library does, whose message shows the line: a secret may stand there. Keys that are no
/// settings are mistyped ones: what was meant would silently keep its default.
fn check_file(text: Option<&str>) -> Result<(), SettingError> {
    let Some(text) = text else { return Ok(()) };
    let error = match text.parse::<toml::Table>() {
        Ok(table) => return table.keys().try_for_each(|key| check_key(key)),
        Err(error) => error,
    };
    let line =
        error.span().map_or(1, |span| text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1));
    Err(SettingError::File(format!("line {line} is no TOML: a setting stands there as key = \"value\"")))
}

fn check_key(key: &str) -> Result<(), SettingError> {
    // The library reads keys in any case.
    let (key, unprefixed) = (key.to_lowercase(), key.to_lowercase().replacen("taskwire_", "", 1));
    if KNOWN.contains(&key.as_str()) {
        Ok(())
    } else if KNOWN.contains(&unprefixed.as_str()) {
        Err(SettingError::File(format!("{key} is {unprefixed} there: only variables have the prefix")))
    } else {
        Err(SettingError::File(format!("there is no setting {key}: the README lists them all")))
    }
}

fn variable(key: &str) -> String {
    let name = key.to_uppercase();
    if name.starts_with("OTEL_") { name } else { format!("TASKWIRE_{name}") }
}

pub(super) fn wrong(key: &str, why: String, takes: &str) -> SettingError {
    SettingError::Wrong { variable: variable(key), why, takes: takes.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_toml_is_told_by_its_line_without_what_stands_there() {
        assert!(check_file(None).is_ok() && check_file(Some("master_key = \"x\"")).is_ok());
        for bad in ["a = 1\nmaster_key = private", "a = 1\nmaster_key = \"private", "a = 1\nmaster_key = \"\\private\""]
        {
            let error = check_file(Some(bad)).unwrap_err().to_string();
            assert!(error.contains("line 2") && !error.contains("private"), "{error}");
        }
    }

    #[test]
    fn a_mistyped_key_in_the_file_is_named_and_not_passed_over() {
        let refused = |text: &str| check_file(Some(text)).unwrap_err().to_string();
        let unknown = refused("grace_ms = 5\ntarget_allow_list = \"10.0.0.0/8\"");
        assert!(unknown.contains("there is no setting target_allow_list"), "{unknown}");
        let prefixed = refused("TASKWIRE_GRACE_MS = 5");
        assert!(prefixed.contains("taskwire_grace_ms is grace_ms there"), "{prefixed}");
    }

    /// A file of this text, removed when dropped.
    struct Secret(std::path::PathBuf);

    impl Secret {
        fn new(name: &str, text: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("taskwire-{}-{name}", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for Secret {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        Source::from_pairs(pairs).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_list_in_the_file_is_refused_and_not_taken_as_nothing() {
        let source = |text: &str| {
            let file = config::File::from_str(text, config::FileFormat::Toml);
            Source::build(config::Config::builder().add_source(file))
        };
        let refused = source("target_allowlist = [\"10.0.0.0/8\"]").map(drop).unwrap_err().to_string();
        assert!(refused.starts_with("TASKWIRE_TARGET_ALLOWLIST is wrong (it is a list"), "{refused}");
        let taken = source("target_allowlist = \"10.0.0.0/8,fd00::/8\"\ngrace_ms = 5").unwrap();
        assert_eq!(taken.networks("target_allowlist").unwrap().len(), 2);
        assert_eq!(taken.text("grace_ms").as_deref(), Some("5"));
    }

    #[test]
    fn a_network_that_would_mean_another_than_it_says_is_refused() {
        let networks = |text| Source::from_pairs(&[("trusted_proxies", text)]).unwrap().networks("trusted_proxies");
        assert_eq!(networks("::ffff:10.0.0.0/104, fd00::/8").unwrap()[0], "10.0.0.0/8".parse::<IpNet>().unwrap());
        let refused = networks("10.0.0.7/0").unwrap_err().to_string();
        assert!(refused.starts_with("TASKWIRE_TRUSTED_PROXIES is wrong (\"10.0.0.7/0\" would mean every"), "{refused}");
    }

    #[test]
    fn a_secret_is_read_from_the_file_that_its_file_setting_names() {
        let file = Secret::new("whole", b"  of thirty-two bytes\n");
        for key in FROM_FILES {
            let source = Source::from_pairs(&[(&format!("{key}_file"), file.path())]).unwrap();
            assert_eq!(source.text(key).as_deref(), Some("of thirty-two bytes"), "{key}");
        }
        let source = Source::from_pairs(&[("database_file", file.path())]).unwrap();
        assert_eq!(source.text("database"), None, "what is no secret has no file");
    }

    #[test]
    fn a_secret_given_twice_is_refused_and_so_is_a_file_that_gives_none() {
        let file = Secret::new("twice", b"from-the-file");
        let twice = refused(&[("master_key", "from-the-environment"), ("master_key_file", file.path())]);
        assert_eq!(
            twice,
            "TASKWIRE_MASTER_KEY_FILE is wrong (TASKWIRE_MASTER_KEY is set as well): it takes the path of a file that holds \
             what TASKWIRE_MASTER_KEY takes, instead of it"
        );
        let gone = refused(&[("jwt_secret_file", "/nowhere/at/all")]);
        assert!(gone.starts_with("TASKWIRE_JWT_SECRET_FILE is wrong (/nowhere/at/all cannot be read: "), "{gone}");
        let empty = Secret::new("empty", b" \n");
        let none = refused(&[("mongodb_uri_file", empty.path())]);
        assert!(none.starts_with("TASKWIRE_MONGODB_URI_FILE is wrong (") && none.contains(" is empty)"), "{none}");
        let bytes = Secret::new("bytes", b"\xff\xfe");
        assert!(refused(&[("master_key_file", bytes.path())]).contains("cannot be read"));
        // An empty value counts as not set.
        assert!(Source::from_pairs(&[("master_key", ""), ("master_key_file", file.path())]).is_ok());
        assert!(Source::from_pairs(&[("master_key", "x"), ("master_key_file", "")]).is_ok());
    }
}
