//! A disk that fills up under the running server, played with the limit that the system sets on the size of files (I21).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::binary::{Server, client};
use super::killed::Street;
use crate::harness::needs;

const SOON: Duration = Duration::from_secs(10);

/// The same command, in a process that a file too large does not end.
fn patient(command: &Command) -> Command {
    let mut patient = Command::new("sh");
    patient.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    patient.stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(folder) = command.get_current_dir() {
        patient.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => patient.env(name, value),
            None => patient.env_remove(name),
        };
    }
    patient
}

/// From now on no file of the server grows beyond this, in bytes.
fn limit(server: &Server, size: &str) {
    let id = server.child.id().to_string();
    let set = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={size}:")]).status();
    assert!(set.expect("prlimit runs").success());
}

async fn ready(server: &Server) -> u16 {
    client().get(format!("http://{}/ready", server.ops)).send().await.expect("the server answers").status().as_u16()
}

#[tokio::test]
async fn a_full_disk_takes_nothing_and_when_space_returns_the_same_server_goes_on() {
    if needs::program("prlimit").is_none() {
        return;
    }
    let street = Street::on_sqlite().await;
    let mut server = Server::start(patient(&street.home.command(&["serve"])));
    assert_eq!(street.send(server.http, street.look(0).1).await, Some(201));
    limit(&server, "4096");
    let looks: Vec<_> = (0..5).map(|number| street.look(number)).collect();
    for (_, look) in &looks {
        assert_eq!(street.send(server.http, look.clone()).await, Some(503));
        assert_eq!(ready(&server).await, 503);
    }
    limit(&server, "unlimited");
    let began = Instant::now();
    while ready(&server).await != 200 {
        assert!(began.elapsed() < SOON, "the server does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (_, look) in &looks {
        assert_eq!(street.send(server.http, look.clone()).await, Some(201), "nothing of the first try was kept");
    }
    assert!(server.child.try_wait().expect("the server is a child").is_none(), "it is the same process");
    server.stop();
    assert_eq!(street.signals().await.len(), 6);
    street.home.run(&["verify"]).succeeded();
}
