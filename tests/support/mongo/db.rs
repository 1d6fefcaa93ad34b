//! A database of a random name that is dropped with its handle.

use std::ops::Deref;

use anyhow::Result;
use mongodb::Database;

use super::{Mongo, client_of};

/// A database for one test. It derefs to the driver's [`Database`].
#[derive(Debug)]
pub struct Db {
    uri: String,
    database: Database,
    /// Where no set is shared, the database brings its own.
    own_set: Option<Mongo>,
}

impl Db {
    /// A new database in the set that this test run shares (`TASKWIRE_TEST_MONGODB_URI`), or in a set of its own
    /// where that is unset.
    ///
    /// # Errors
    /// When there is no MongoDB; the text says why.
    pub async fn fresh() -> Result<Self> {
        match std::env::var("TASKWIRE_TEST_MONGODB_URI") {
            Ok(uri) if !uri.is_empty() => Self::at(&uri).await,
            _ => {
                let mongo = Mongo::single().await?;
                let mut db = Self::at(&mongo.uri()).await?;
                db.own_set = Some(mongo);
                Ok(db)
            }
        }
    }

    /// A new database at this connection string.
    ///
    /// # Errors
    /// The driver's.
    pub async fn at(uri: &str) -> Result<Self> {
        let name = format!("taskwire_test_{}", bson::oid::ObjectId::new().to_hex());
        Ok(Self { uri: uri.to_owned(), database: client_of(uri).await?.database(&name), own_set: None })
    }

    /// A database of a given name at this connection string; it is dropped like the others.
    ///
    /// # Errors
    /// The driver's.
    pub async fn named(uri: &str, name: &str) -> Result<Self> {
        Ok(Self { uri: uri.to_owned(), database: client_of(uri).await?.database(name), own_set: None })
    }

    /// The connection string, for the programs' `TASKWIRE_MONGODB_URI`.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The driver's handle.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }
}

impl Deref for Db {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if self.own_set.is_some() || std::env::var_os("TASKWIRE_TEST_KEEP_DB").is_some() {
            return;
        }
        let (uri, name) = (self.uri.clone(), self.database.name().to_owned());
        // Drop is synchronous and may run inside a runtime: a thread with a runtime of its own does the dropping.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let wait = std::time::Duration::from_secs(5);
                tokio::time::timeout(wait, async { client_of(&uri).await.ok()?.database(&name).drop().await.ok() })
                    .await
                    .ok()
                    .flatten()
            })
        });
        let _ = dropping.join();
    }
}
