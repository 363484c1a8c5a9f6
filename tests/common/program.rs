//! The program as a child process: its output, its exit code, its messages.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A command to be run in `folder`, with a cache of its own.
pub fn coppice(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coppice"));
    command.args(args).current_dir(folder).env("COPPICE_CACHE", folder.join("cache"));
    command.env("XDG_RUNTIME_DIR", folder);
    command
}

pub fn run(folder: &Path, args: &[&str]) -> Output {
    coppice(folder, args).output().unwrap()
}

/// Runs a command that must succeed; returns the JSON object on the last line of stdout.
pub fn json(folder: &Path, args: &[&str]) -> Value {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let value: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(value["schema"], 1, "{args:?}");
    value
}

/// Runs a command that must fail with this exit code; returns stderr.
pub fn fails(folder: &Path, code: i32, args: &[&str]) -> String {
    let output = run(folder, args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}
