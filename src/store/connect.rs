//! Connecting: the server must be a replica set, 5.0 or later.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, ReadConcern, SelectionCriteria, WriteConcern};
use mongodb::{Client, Collection, Database};

use super::layout::{LayoutError, check_layout};
use crate::config::MongoSettings;

/// The database and its collections.
#[derive(Debug, Clone)]
pub struct Store {
    /// The driver's client: one pool for the process.
    pub client: Client,
    /// The task service's database.
    pub db: Database,
}

impl Store {
    /// A collection of this database.
    #[must_use]
    pub fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.db.collection(name)
    }

    /// Ends the client's sessions, for the end of the process; what still uses the store fails. Otherwise the driver ends them
    /// in the background while the runtime goes away under it, and may panic.
    pub async fn close(self) {
        // A server that does not answer must not hold up the end.
        let _in_time = tokio::time::timeout(CLOSING, self.client.shutdown().immediate(true)).await;
    }
}

/// The most that [`Store::close`] takes.
const CLOSING: Duration = Duration::from_secs(2);

/// Why the database cannot be used. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection string is wrong.
    #[error("TASKWIRE_MONGODB_URI cannot be used: {0}")]
    BadUri(String),
    /// The server does not take the user or password.
    #[error("MongoDB refuses the user or password in TASKWIRE_MONGODB_URI: {0}")]
    Refused(String),
    /// Started with `--replSet`, but the set was never made.
    #[error(
        "this MongoDB was started with --replSet but its replica set was never initiated: run rs.initiate() once in mongosh"
    )]
    NotInitiated,
    /// A member of another replica set than the one asked for.
    #[error("this MongoDB belongs to the replica set {found:?}: put ?replicaSet={found} into TASKWIRE_MONGODB_URI")]
    OtherSet {
        /// The set's real name.
        found: String,
    },
    /// Nobody answers.
    #[error("no MongoDB answers at the address in TASKWIRE_MONGODB_URI: {0}")]
    Unreachable(String),
    /// A single server without an oplog.
    #[error(
        "this MongoDB is a standalone server, which has no change streams: start mongod with --replSet rs0, run \
         rs.initiate() once, and put ?replicaSet=rs0 into TASKWIRE_MONGODB_URI"
    )]
    Standalone,
    /// A newer program has been here.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Too old.
    #[error("this MongoDB is version {0}; Taskwire needs 5.0 or later (snapshot reads): upgrade the server")]
    TooOld(String),
}

impl ConnectError {
    /// Whether waiting can help: only for a server that does not answer.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Connects and checks that the server is a replica set of version 5.0 or later, and that no newer Taskwire has been here.
///
/// Reads and writes are majority: what is read is durable, and what was written stays.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(settings: &MongoSettings, program: &str) -> Result<Store, ConnectError> {
    let mut options = match ClientOptions::parse(&settings.uri).await {
        Ok(options) => options,
        Err(error) => return Err(ConnectError::BadUri(fault_of_uri(&settings.uri, &error).await)),
    };
    options.app_name.get_or_insert_with(|| program.to_owned());
    options.server_selection_timeout.get_or_insert(Duration::from_secs(5));
    options.connect_timeout.get_or_insert(Duration::from_secs(5));
    // A server that said it is shutting down, or did not answer, is asked again after so long; the default is 10 s.
    options.heartbeat_freq.get_or_insert(Duration::from_secs(2));
    // The driver's default of 10 is too few: each waiting stream holds one, and outcome writers run side by side.
    options.max_pool_size.get_or_insert(64);
    // Whatever the connection string says: less would tell partners of changes that a failover can take back.
    options.write_concern = Some(WriteConcern::majority());
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary));
    options.cmap_event_handler = Some(super::pool::metered());
    let client = Client::with_options(options.clone()).map_err(|error| ConnectError::BadUri(describe(&error)))?;
    let db = client.database(&settings.database);
    match check_server(&db).await {
        // The driver skips servers that are not the set that was asked for, so they look as if nobody answered.
        Err(ConnectError::Unreachable(why)) => Err(look_closer(options, why).await),
        Err(error) => Err(error),
        Ok(()) => {
            let store = Store { client, db };
            check_layout(&store).await?;
            Ok(store)
        }
    }
}

/// What is wrong with a connection string. The driver's message may repeat a part of it, and a password that is not
/// percent-encoded looks like any part: it is told only of the string without user and password.
async fn fault_of_uri(uri: &str, error: &mongodb::error::Error) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return describe(error) };
    let Some((_, rest)) = rest.rsplit_once('@') else { return describe(error) };
    match ClientOptions::parse(format!("{scheme}://{rest}")).await {
        Err(error) => describe(&error),
        Ok(_) => "user and password do not fit: each character of them that is no letter or digit is written as % and its code \
                  (@ is %40, / is %2F, : is %3A)"
            .to_owned(),
    }
}

async fn check_server(db: &Database) -> Result<(), ConnectError> {
    let hello = db.run_command(doc! { "hello": 1 }).await.map_err(failed)?;
    let is_mongos = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    if !hello.contains_key("setName") && !is_mongos {
        return Err(not_a_member(&hello));
    }
    let build: Document = db.run_command(doc! { "buildInfo": 1 }).await.map_err(failed)?;
    let version = build.get_str("version").unwrap_or("unknown").to_owned();
    let major = version.split('.').next().and_then(|part| part.parse::<u32>().ok());
    if major.is_none_or(|major| major < 5) {
        return Err(ConnectError::TooOld(version));
    }
    Ok(())
}

/// Asks each named server directly why the set could not be reached; the first that answers explains it.
async fn look_closer(options: ClientOptions, why: String) -> ConnectError {
    let wanted = options.repl_set_name.clone();
    for host in options.hosts.clone() {
        let mut direct = options.clone();
        direct.cmap_event_handler = None;
        direct.hosts = vec![host];
        direct.repl_set_name = None;
        direct.load_balanced = None;
        direct.direct_connection = Some(true);
        direct.server_selection_timeout = Some(Duration::from_secs(2));
        let Ok(client) = Client::with_options(direct) else { continue };
        match client.database("admin").run_command(doc! { "hello": 1 }).await {
            Ok(hello) => return explain(&hello, wanted.as_deref(), &why),
            Err(error) if matches!(*error.kind, ErrorKind::Authentication { .. }) => return failed(error),
            Err(_) => {}
        }
    }
    ConnectError::Unreachable(why)
}

/// What one server's own `hello` says about a set that could not be reached.
fn explain(hello: &Document, wanted: Option<&str>, why: &str) -> ConnectError {
    let Ok(found) = hello.get_str("setName") else { return not_a_member(hello) };
    if wanted.is_some_and(|wanted| wanted != found) {
        return ConnectError::OtherSet { found: found.to_owned() };
    }
    let hosts: Vec<_> = hello.get_array("hosts").into_iter().flatten().filter_map(bson::Bson::as_str).collect();
    ConnectError::Unreachable(format!(
        "a member of {found} answers, but no primary at the addresses the set itself names ({}); {why}",
        hosts.join(", ")
    ))
}

/// A server that names no set: one that waits for `rs.initiate()` says so in its `hello`.
fn not_a_member(hello: &Document) -> ConnectError {
    if hello.get_bool("isreplicaset").unwrap_or(false) { ConnectError::NotInitiated } else { ConnectError::Standalone }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn failed(error: mongodb::error::Error) -> ConnectError {
    match *error.kind {
        ErrorKind::Authentication { .. } => ConnectError::Refused(describe(&error)),
        _ => ConnectError::Unreachable(describe(&error)),
    }
}

/// The driver's message on one line, without the connection string's credentials (the driver prints none).
fn describe(error: &mongodb::error::Error) -> String {
    error.kind.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_names_no_set_is_standalone_or_waits_to_be_initiated() {
        let standalone = explain(&doc! { "isWritablePrimary": true }, Some("rs0"), "x");
        assert!(matches!(standalone, ConnectError::Standalone));
        let waiting = explain(&doc! { "isreplicaset": true }, Some("rs0"), "x");
        assert!(matches!(waiting, ConnectError::NotInitiated));
    }

    #[tokio::test]
    async fn a_wrong_connection_string_is_told_without_user_and_password() {
        let mut wrong = 0;
        for rest in ["h:1/?replicaSet=rs0", "h:x/", "h/?w=a&readConcernLevel=x&maxPoolSize=y", "h/a.b", ""] {
            for pair in ["user:pri@vate", "user:pri/vate", "user:pri:vate", "user:pri%vate", "vate:pri?"] {
                let uri = format!("mongodb://{pair}@{rest}");
                let Err(error) = ClientOptions::parse(&uri).await else { continue };
                let told = fault_of_uri(&uri, &error).await;
                assert!(!told.contains("pri") && !told.contains("vate"), "{told}");
                wrong += 1;
            }
        }
        assert!(wrong > 15, "{wrong}");
        let uri = "mongodb://u:pri/vate@h:1/";
        let error = ClientOptions::parse(uri).await.unwrap_err();
        assert!(fault_of_uri(uri, &error).await.contains("%2F"));
    }

    #[test]
    fn another_sets_name_is_told_and_a_set_without_primary_may_pass() {
        let hello = doc! { "setName": "other", "hosts": ["a:1", "b:2"] };
        assert!(explain(&hello, Some("rs0"), "x").to_string().contains("?replicaSet=other"));
        let no_primary = explain(&hello, Some("other"), "x");
        assert!(no_primary.may_pass() && no_primary.to_string().contains("a:1, b:2"), "{no_primary}");
    }
}
