//! A sample receiver as a program of its own: verifies each delivery with an independent library and prints it. `GET`
//! on any path gives its totals as JSON.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use taskwire::healthcheck::{self, Question};
use taskwire_tests::receiver::Receiver;

/// Takes deliveries, verifies and prints them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// The path that deliveries come to.
    #[arg(long, default_value = "/hook")]
    path: String,
    /// The webhook's secret; two, separated by a comma, while a rotation is open.
    #[arg(long, env = "RECEIVER_SECRET", hide_env_values = true, required_unless_present_any = ["secret_file", "healthcheck"])]
    secret: Option<String>,
    /// A file that holds it instead.
    #[arg(long, env = "RECEIVER_SECRET_FILE", conflicts_with = "secret")]
    secret_file: Option<PathBuf>,
    /// Ask the receiver that listens there whether it serves, and end: exit 0 if it does.
    #[arg(long)]
    healthcheck: bool,
}

impl Arguments {
    fn secrets(&self) -> Result<String> {
        match (&self.secret, &self.secret_file) {
            (Some(secret), _) => Ok(secret.clone()),
            (None, Some(file)) => {
                std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
            }
            (None, None) => bail!("RECEIVER_SECRET or RECEIVER_SECRET_FILE must be set"),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.healthcheck {
        println!("{}", healthcheck::ask(arguments.listen, Question::Serves).await?);
        return Ok(());
    }
    let secrets = arguments.secrets()?;
    let receiver = Receiver::listen(arguments.listen).await?;
    for secret in secrets.split(',') {
        receiver.add_secret(&arguments.path, secret.trim());
    }
    println!("listening on {}", receiver.url(&arguments.path));
    let printing = async {
        loop {
            print_new(&receiver);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = printing => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}

/// Prints what came and forgets it, so that memory does not grow.
fn print_new(receiver: &Receiver) {
    for one in receiver.take_received() {
        let outcome = match &one.verdict {
            Ok(()) => "verified".to_owned(),
            Err(why) => format!("REFUSED: {why}"),
        };
        let (event, delivery) = (one.header("x-event"), one.header("x-delivery-id"));
        println!("{} {event} {delivery} attempt {}: {outcome}", one.path, one.attempt());
    }
}
