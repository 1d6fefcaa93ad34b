//! Connecting: the server must be a replica set, 5.0 or later.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::options::{ClientOptions, ReadConcern, SelectionCriteria, WriteConcern};
use mongodb::{Client, Collection, Database};

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
}

/// Why the database cannot be used. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection string is wrong.
    #[error("TASKWIRE_MONGODB_URI cannot be used: {0}")]
    BadUri(String),
    /// Nobody answers.
    #[error("no MongoDB answers at the address in TASKWIRE_MONGODB_URI: {0}")]
    Unreachable(String),
    /// A single server without an oplog.
    #[error(
        "this MongoDB is a standalone server, which has no change streams: start mongod with --replSet rs0, run \
         rs.initiate() once, and put ?replicaSet=rs0 into TASKWIRE_MONGODB_URI"
    )]
    Standalone,
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

/// Connects and checks that the server is a replica set of version 5.0 or later.
///
/// Reads and writes are majority: what is read is durable, and what was written stays.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(settings: &MongoSettings, program: &str) -> Result<Store, ConnectError> {
    let mut options =
        ClientOptions::parse(&settings.uri).await.map_err(|error| ConnectError::BadUri(describe(&error)))?;
    options.app_name.get_or_insert_with(|| program.to_owned());
    options.server_selection_timeout.get_or_insert(Duration::from_secs(5));
    options.connect_timeout.get_or_insert(Duration::from_secs(5));
    // The driver's default of 10 is too few: each waiting stream holds one, and outcome writers run side by side.
    options.max_pool_size.get_or_insert(64);
    options.write_concern.get_or_insert_with(WriteConcern::majority);
    options.read_concern.get_or_insert_with(ReadConcern::majority);
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary));
    let client = Client::with_options(options).map_err(|error| ConnectError::BadUri(describe(&error)))?;
    let db = client.database(&settings.database);
    check_server(&db).await?;
    Ok(Store { client, db })
}

async fn check_server(db: &Database) -> Result<(), ConnectError> {
    let unreachable = |error: mongodb::error::Error| ConnectError::Unreachable(describe(&error));
    let hello = db.run_command(doc! { "hello": 1 }).await.map_err(unreachable)?;
    let is_replica_set = hello.contains_key("setName");
    let is_mongos = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    if !is_replica_set && !is_mongos {
        return Err(ConnectError::Standalone);
    }
    let build: Document = db.run_command(doc! { "buildInfo": 1 }).await.map_err(unreachable)?;
    let version = build.get_str("version").unwrap_or("unknown").to_owned();
    let major = version.split('.').next().and_then(|part| part.parse::<u32>().ok());
    if major.is_none_or(|major| major < 5) {
        return Err(ConnectError::TooOld(version));
    }
    Ok(())
}

/// The driver's message on one line, without the connection string's credentials (the driver prints none).
fn describe(error: &mongodb::error::Error) -> String {
    error.kind.to_string().replace('\n', " ")
}
