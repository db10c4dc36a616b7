//! `firmware-sim`: plays sensors against a broker from the command line. See `--help` and `README.md`.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("firmware-sim: {error}");
            ExitCode::from(2)
        }
    }
}
