//! The command line program: runs `coppice::cli` and turns its error into words and an exit code.
#![expect(clippy::print_stderr, reason = "this is where errors are said")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    // Anything that is not the library's own error is a fault of the program.
    ExitCode::from(error.downcast_ref::<coppice::error::Error>().map_or(1, |error| error.kind.exit_code()))
}

fn run() -> anyhow::Result<()> {
    Ok(coppice::cli::main()?)
}
