//! The first of the README's two commands, told to its end.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;

use crate::cli::binary::Installation;

/// The words of the story, in the order in which they are first said.
const STORY: [&str; 9] =
    ["/api/docs", "mqtt://127.0.0.1:", "13900000001", "curtains open", "curtain still shut", "to visit", "level 0", "message →", "level 1"];

#[test]
fn the_demo_tells_how_a_shut_curtain_reaches_a_person_and_then_the_next_and_leaves_nothing_behind() {
    let home = Installation::new();
    let rooms = home.file("tmp");
    std::fs::create_dir(&rooms).expect("the folder is writable");
    let mut child = home.command(&["demo"]).env("TMPDIR", &rooms).stderr(std::process::Stdio::null()).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut told = String::new();
    let mut from = 0;
    for word in STORY {
        while !told[from..].contains(word) {
            let line = lines.next().unwrap_or_else(|| panic!("the story ends before {word:?}: {told}")).expect("UTF-8");
            told.push_str(&line);
            told.push('\n');
        }
        // The first message about her comes right after the rung that it belongs to; the greeting names things in any order.
        from = if word == "level 0" { told.find(word).expect("just found") } else { from };
    }
    for seen in ["sensor", "look", "curtain open"] {
        assert!(told.contains(seen), "{seen} is missing: {told}");
    }
    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(stopped.success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{rest:?}");
    let left: Vec<PathBuf> = std::fs::read_dir(&rooms).expect("readable").map(|file| file.expect("readable").path()).collect();
    assert!(left.is_empty(), "invented data is left: {left:?}");
}
