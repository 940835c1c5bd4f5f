//! Runs every command of docs/run-a-drop.md, in order, against a cluster of `holdfast dev`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::holdfast;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/run-a-drop.md");

/// The address that the document uses.
const ADDRESS: &str = "http://127.0.0.1:8080";

/// What each command prints, in the order of the document. An assignment prints nothing.
const PRINTED: &[&[&str]] = &[
    &[],
    &[r#""id":6"#, r#""opens_at":"2030-05-01T10:00:00.000Z""#],
    &[],
    &[r#""status":425"#, r#""error":"sale_not_open""#, r#""retry_after_ms":"#],
    &[r#""success":true"#, r#""id":6"#],
    &[r#""hold_id":1"#, r#""total_amount":"298.00""#],
    &[r#""dry_run":true"#, r#""total_amount":"298.00""#],
    &[r#""status":"PENDING""#, r#""client_reference":"cart-7""#],
    &[r#""order_id":1"#, r#""client_reference":"cart-7""#],
    &[r#""result":"applied""#],
    &["returned", "ann", "149.00"],
    &[r#""stock":499"#, r#""sold":1"#],
    &[r#""cause":"#],
    &[r#""status":"PAID""#, r#""total":1"#],
    &["ID", "EXPIRES"],
];

/// A cluster that is killed on drop.
struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The commands of all `sh` blocks; one that ends with a backslash goes on in the next line. A
/// quote that is open at the end of a line does, too.
fn commands(document: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut in_block, mut is_open) = (false, false);
    for line in document.lines() {
        match line.trim_end() {
            "```sh" => in_block = true,
            "```" => in_block = false,
            line if in_block && !line.is_empty() => {
                match commands.last_mut() {
                    Some(command) if is_open => command.push_str(&format!("\n{line}")),
                    _ => commands.push(line.to_owned()),
                }
                let command = commands.last().expect("there is one now");
                let quotes = command.matches('\'').count();
                is_open = line.ends_with('\\') || quotes % 2 == 1;
            }
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_of_run_a_drop_does_what_it_says() {
    let data = tempfile::tempdir().unwrap();
    let mut child = holdfast(&["dev", "--nodes", "1", "--http", "127.0.0.1:0"])
        .arg("--data")
        .arg(data.path().join("dev"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let dev = Dev(child);
    let url = stdout
        .lines()
        .find_map(|line| {
            let line = line.unwrap();
            let rest = line.trim().strip_prefix("node 1")?.trim().to_owned();
            rest.split(' ').next().map(str::to_owned)
        })
        .expect("the line with the address");
    let document = std::fs::read_to_string(DOCUMENT).unwrap().replace(ADDRESS, &url);
    let commands = commands(&document);
    assert_eq!(commands.len(), PRINTED.len(), "each command has what it prints: {commands:#?}");
    // The variables of earlier commands, and the program, as the reader's shell has them.
    let program = env!("CARGO_BIN_EXE_holdfast");
    let mut before = format!("holdfast() {{ {program} \"$@\" --url {url}; }}\n");
    for (command, printed) in commands.iter().zip(PRINTED) {
        let script = format!("set -eu\n{before}{command}\n");
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command}: {}: {text}{errors}", output.status);
        for part in *printed {
            assert!(text.contains(part), "{command} lacks {part}: {text}");
        }
        if printed.is_empty() {
            assert_eq!(text, "", "{command}");
            before.push_str(&format!("{command}\n"));
        }
    }
    drop(dev);
}

#[test]
fn commands_go_on_over_lines() {
    let text = "a\n```sh\none\ntwo \\\n  2\nthree 'x\ny'   # z\n```\nb\n```sh\nfour\n```\n";
    assert_eq!(commands(text), ["one", "two \\\n  2", "three 'x\ny'   # z", "four"]);
}
