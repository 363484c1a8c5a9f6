//! The command line program; see `coppice::cli`.

fn main() -> std::process::ExitCode {
    coppice::cli::main()
}
