//! A real MongoDB: replica sets of one node or three that live as long as the handle, and databases in them.

mod db;
mod node;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bson::{Document, Timestamp, doc};
use mongodb::Client;
use mongodb::options::ClientOptions;

pub use db::Db;
pub use node::Node;

use crate::{SOON, eventually};

/// How a replica set is started.
#[derive(Debug, Clone)]
pub struct MongoOptions {
    /// 1 or 3.
    pub nodes: usize,
    /// Whether `failCommand` and its like are there.
    pub test_commands: bool,
    /// The oplog's size in megabytes, from 1.
    pub oplog_mb: u32,
    /// Each node's cache, in gigabytes; the least is 0.25.
    pub cache_gb: f32,
    /// Whether the nodes get a process group of their own, so that a Ctrl-C at the terminal does not reach them.
    pub own_process_group: bool,
    /// Further arguments of mongod.
    pub arguments: Vec<String>,
}

impl Default for MongoOptions {
    /// One node with fault commands.
    fn default() -> Self {
        Self {
            nodes: 1,
            test_commands: true,
            oplog_mb: 512,
            cache_gb: 0.5,
            own_process_group: false,
            arguments: Vec::new(),
        }
    }
}

impl MongoOptions {
    /// One node whose oplog rolls over after some tens of megabytes, within seconds.
    #[must_use]
    pub fn rolling_oplog() -> Self {
        Self { oplog_mb: 16, arguments: vec!["--syncdelay".to_owned(), "1".to_owned()], ..Self::default() }
    }
}

/// A replica set of our own. Dropping it kills the nodes and removes their data.
#[derive(Debug)]
pub struct Mongo {
    nodes: Vec<Node>,
    _data: tempfile::TempDir,
}

impl Mongo {
    /// One node.
    ///
    /// # Errors
    /// When there is no mongod, or it does not come up; the text says why.
    pub async fn single() -> Result<Self> {
        Self::start(&MongoOptions::default()).await
    }

    /// Three nodes, which can fail over.
    ///
    /// # Errors
    /// When there is no mongod, or it does not come up; the text says why.
    pub async fn three() -> Result<Self> {
        Self::start(&MongoOptions { nodes: 3, ..MongoOptions::default() }).await
    }

    /// Starts a set on free ports, initiates it and waits until it has a primary.
    ///
    /// # Errors
    /// When there is no mongod, or it does not come up; the text says why.
    pub async fn start(options: &MongoOptions) -> Result<Self> {
        ensure!(matches!(options.nodes, 1 | 3), "a replica set here has 1 node or 3, not {}", options.nodes);
        let program = program()?;
        let data = tempfile::Builder::new().prefix("taskwire-mongo-").tempdir()?;
        let mut nodes = Vec::new();
        for number in 0..options.nodes {
            nodes.push(Node::start(&program, &data.path().join(format!("node{number}")), options).await?);
        }
        let mongo = Self { nodes, _data: data };
        mongo.initiate().await?;
        Ok(mongo)
    }

    async fn initiate(&self) -> Result<()> {
        let members: Vec<Document> = (0i32..)
            .zip(&self.nodes)
            .map(|(id, node)| doc! { "_id": id, "host": format!("127.0.0.1:{}", node.port()) })
            .collect();
        // Short timeouts: a test of a failover should take seconds.
        let settings = doc! { "electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500 };
        let config = doc! { "_id": "rs0", "members": members, "settings": settings };
        let first = self.nodes.first().context("a set has a node")?;
        first.client().await?.database("admin").run_command(doc! { "replSetInitiate": config }).await?;
        self.wait_for_primary(Duration::from_secs(60)).await?;
        if self.nodes.len() > 1 {
            eventually("two secondaries", Duration::from_secs(60), async || match self.count_secondaries().await {
                2 => Ok(()),
                other => Err(format!("{other} are")),
            })
            .await?;
        }
        Ok(())
    }

    async fn count_secondaries(&self) -> usize {
        let mut count = 0;
        for node in &self.nodes {
            count += usize::from(node.hello().await.is_ok_and(|hello| hello.get_bool("secondary").unwrap_or(false)));
        }
        count
    }

    /// The connection string that names every node.
    #[must_use]
    pub fn uri(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("mongodb://{}/?replicaSet=rs0", hosts.join(","))
    }

    /// A node, counted from 0.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn node(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// The process id of a node, counted from 0.
    ///
    /// # Errors
    /// When there is no such node, or it does not run.
    pub fn process(&self, number: usize) -> Result<u32> {
        self.nodes.get(number).and_then(Node::process).with_context(|| format!("node {number} does not run"))
    }

    /// How many nodes the set has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: a set has nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number of the node that is primary now, once there is one.
    ///
    /// # Errors
    /// When none is elected in time.
    pub async fn wait_for_primary(&self, deadline: Duration) -> Result<usize> {
        eventually("a primary", deadline, async || {
            for (number, node) in self.nodes.iter().enumerate() {
                if node.hello().await.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                    return Ok(number);
                }
            }
            Err("no node is primary".to_owned())
        })
        .await
    }

    /// Makes the primary step down and waits until another node (or, with one node, the same) is primary again.
    ///
    /// # Errors
    /// When no election follows in time.
    pub async fn step_down(&mut self) -> Result<usize> {
        let primary = self.wait_for_primary(SOON).await?;
        let command = doc! { "replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 3, "force": true };
        // The server may close the connection as it steps down: an error is no sign of failure.
        let _ = self.nodes[primary].client().await?.database("admin").run_command(command).await;
        self.wait_for_primary(SOON).await
    }

    /// A client of the whole set.
    ///
    /// # Errors
    /// The driver's.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.uri()).await
    }

    /// A database of a random name in this set.
    ///
    /// # Errors
    /// The driver's.
    pub async fn db(&self) -> Result<Db> {
        Db::at(&self.uri()).await
    }

    /// Writes until the oplog no longer reaches back to `time`. Needs a small oplog ([`MongoOptions::rolling_oplog`]).
    ///
    /// # Errors
    /// When it still does after a gigabyte.
    pub async fn roll_oplog_past(&self, time: Timestamp) -> Result<()> {
        let client = self.client().await?;
        let junk = client.database("junk").collection::<Document>("junk");
        let oplog = client.database("local").collection::<Document>("oplog.rs");
        let filler = "x".repeat(1 << 20);
        for _ in 0..64 {
            junk.insert_many((0..16).map(|_| doc! { "filler": &filler })).await?;
            junk.delete_many(doc! {}).await?;
            let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).await?.context("an empty oplog")?;
            let first = first.get_timestamp("ts")?;
            if (first.time, first.increment) > (time.time, time.increment) {
                return Ok(());
            }
        }
        bail!("the oplog still reaches back to {time:?}")
    }

    /// Sets a fail point on the primary, such as `failCommand`.
    ///
    /// # Errors
    /// The server's, for instance when test commands are off.
    pub async fn fail_point(&self, command: Document) -> Result<()> {
        let primary = self.wait_for_primary(SOON).await?;
        self.nodes[primary].client().await?.database("admin").run_command(command).await?;
        Ok(())
    }
}

/// A driver's client with a short server selection, so that a test fails soon.
///
/// # Errors
/// The driver's.
pub async fn client_of(uri: &str) -> Result<Client> {
    let mut options = ClientOptions::parse(uri).await?;
    options.server_selection_timeout = Some(Duration::from_secs(20));
    options.max_pool_size = Some(64);
    Ok(Client::with_options(options)?)
}

/// The mongod to run: `TASKWIRE_TEST_MONGOD`, else what `scripts/mongod path` names.
fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TASKWIRE_TEST_MONGOD") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "TASKWIRE_TEST_MONGOD names {}, which is no file", path.display());
        return Ok(path);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/mongod");
    let output = Command::new(script).arg("path").output().with_context(|| format!("{script} does not run"))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let path = String::from_utf8(output.stdout).map_err(|_| anyhow!("{script} printed no text"))?;
    Ok(PathBuf::from(path.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_single_node_takes_transactions_and_comes_back_after_a_kill_with_what_was_written() {
        let mut mongo = Mongo::single().await.unwrap();
        let db = mongo.db().await.unwrap();
        let mut session = db.client().start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        db.collection::<Document>("c").insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
        session.commit_transaction().await.unwrap();
        mongo.node(0).kill().unwrap();
        mongo.node(0).restart().await.unwrap();
        mongo.wait_for_primary(SOON).await.unwrap();
        assert_eq!(db.collection::<Document>("c").count_documents(doc! {}).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn of_three_nodes_another_takes_over_when_the_primary_steps_down() {
        let mut mongo = Mongo::three().await.unwrap();
        let before = mongo.wait_for_primary(SOON).await.unwrap();
        assert_ne!(mongo.step_down().await.unwrap(), before);
    }
}
