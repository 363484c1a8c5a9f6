//! The command line: flags, commands, exit codes. Results go to stdout, everything else to stderr.
#![expect(clippy::print_stderr, reason = "this room speaks to people and to scripts")]

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::gpu::{Choice, Gpu};
use crate::recipe::built_in;

mod alphabet;
mod bench;
mod cache;
mod data;
mod demo;
mod devices;
mod drive;
mod eval;
mod export;
mod history;
mod init;
mod inspect;
mod list;
mod plan;
mod plasticity;
mod recalibrate;
mod report;
mod resume;
mod sample;
mod search;
mod selftest;
mod subnet;
mod sweep;
mod train;
mod tune;
mod waiting;
mod watch;
mod weights;

#[derive(Parser)]
#[command(
    name = "coppice",
    version,
    about = "Trains neural networks and prunes them while they train, on any GPU."
)]
#[command(
    after_help = "Exit codes: 0 done; 1 internal fault; 2 usage or recipe; 3 data; 4 checkpoint; 5 file system; \
6 memory; 7 device; 8 numbers; 10 a requested check failed; 130, 143 interrupted after a saved checkpoint."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train on the embedded digits, dense and 90 % sparse: a table and a picture of the masks
    Demo(demo::Demo),
    /// Train a recipe: a file or a built-in name (`coppice ls recipes`)
    Train(train::Train),
    /// Continue a run from its last good checkpoint
    Resume(resume::Resume),
    /// Show a run while it trains: loss, accuracy, sparsity by layer, pace, time left; changes nothing
    Watch(watch::Watch),
    /// Train recipes with several seeds and variants, and print one table of means and spreads
    Sweep(sweep::Sweep),
    /// Prune a dense run at several epochs and rates, train further, and report how well it recovers
    Plasticity(plasticity::Plasticity),
    /// Recompute the running statistics of batch norms over training batches
    Recalibrate(recalibrate::Recalibrate),
    /// Measure a trained network on the validation and test parts
    Eval(eval::Eval),
    /// Find the most accurate subnet of a once-for-all network that a budget allows
    Search(search::SearchArgs),
    /// Let a trained network continue a text, or answer a source
    Sample(sample::Sample),
    /// Show what a recipe will do: budgets, schedule, memory, operations, kernels; trains nothing
    Plan(plan::Plan),
    /// Show what a recipe trains on, in numbers and as a picture
    Data(data::Data),
    /// Look into a run, a checkpoint, a dump or any safetensors file
    Inspect(inspect::Inspect),
    /// Show one or several runs as an HTML page: curves, masks, times, memory, recipes
    Report(report::Report),
    /// Write the weights of a run to a file that other programs read
    Export(export::Export),
    /// Measure this device: kernels, a training step, selection of weights, ceilings
    Bench(bench::Bench),
    /// List adapters, their limits and the one that would be chosen
    Devices(devices::Devices),
    /// Run every kernel against its CPU twin on this device
    Selftest(selftest::Selftest),
    /// List recipes, presets, layers, data sets, optimizers, pruning methods, distillation and export formats
    Ls(list::Ls),
    /// Copy a built-in recipe to a file that you can change
    Cp(list::Cp),
}

/// Which device to run on.
#[derive(Args)]
struct Device {
    /// An adapter by number or name (`coppice devices`), `twin` for the CPU twins, or `auto`
    #[arg(long, value_name = "D", default_value = "auto")]
    device: String,
}

impl Device {
    fn choice(&self) -> Result<Choice> {
        self.device.parse()
    }
    fn open(&self) -> Result<Gpu> {
        Gpu::open(&self.choice()?)
    }
}

/// A recipe with what the command line lays over it.
#[derive(Args)]
struct RecipeArgs {
    /// A recipe: a file, or the name of a built-in one
    recipe: String,
    /// Set a key of the recipe, such as `-s optim.lr=0.05`
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The seed of the run
    #[arg(long)]
    seed: Option<u64>,
}

impl RecipeArgs {
    fn read(&self) -> Result<crate::recipe::Recipe> {
        self.read_with(&[])
    }
    /// With more settings, laid over those of the command line.
    fn read_with(&self, more: &[String]) -> Result<crate::recipe::Recipe> {
        let mut set = [&self.set[..], more].concat();
        if built_in(&self.recipe).is_some() && Path::new(&self.recipe).is_file() {
            eprintln!(
                "warning: `{0}` is the built-in recipe; the file of this name is not read\n  try: .{1}{0}",
                self.recipe,
                std::path::MAIN_SEPARATOR
            );
        }
        set.extend(self.seed.map(|seed| format!("run.seed={seed}")));
        crate::train::resolve(&crate::recipe::Recipe::find(&self.recipe, &set)?)
    }
}

/// Parses the command line and runs the command. Wrong flags end the program with code 2.
pub fn main() -> Result<()> {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() && cfg!(target_os = "linux") {
        // SAFETY: the first thing that the program does; no other thread exists. Software drivers print a
        // complaint when this is unset, on every start.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
    run(Cli::parse().command)
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => args.run(),
        Command::Train(args) => args.run(),
        Command::Resume(args) => args.run(),
        Command::Watch(args) => args.run(),
        Command::Sweep(args) => args.run(),
        Command::Plasticity(args) => args.run(),
        Command::Recalibrate(args) => args.run(),
        Command::Eval(args) => args.run(),
        Command::Search(args) => args.run(),
        Command::Sample(args) => args.run(),
        Command::Plan(args) => args.run(),
        Command::Data(args) => args.run(),
        Command::Inspect(args) => args.run(),
        Command::Report(args) => args.run(),
        Command::Export(args) => args.run(),
        Command::Bench(args) => args.run(),
        Command::Devices(args) => args.run(),
        Command::Selftest(args) => args.run(),
        Command::Ls(args) => args.run(),
        Command::Cp(args) => args.run(),
    }
}

/// Prints one JSON object on a line of its own.
fn print_json(value: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string(value).map_err(|e| Error::internal(e.to_string()))?)
}

/// Writes a line to stdout.
fn say(line: &str) -> Result<()> {
    put(format!("{line}\n").as_bytes()).map(drop)
}

/// Writes to stdout at once. A reader that went away (`| head`) is no error; returns whether it is still there.
fn put(bytes: &[u8]) -> Result<bool> {
    use std::io::Write;
    let mut out = std::io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::new(Kind::FileSystem, "cannot write to stdout").at(e.to_string())),
    }
}

/// Writes a line to stdout that begins with `head`. On a terminal a long one goes on below, beside its head.
fn say_beside(head: &str, text: &str) -> Result<()> {
    use std::io::IsTerminal;
    let is_read = std::io::stdout().is_terminal();
    say(&if is_read { crate::report::fit::hang(head, text) } else { format!("{head}{text}") })
}

/// Where runs go unless told otherwise.
fn runs() -> PathBuf {
    PathBuf::from("runs")
}

#[cfg(test)]
#[path = "guide_tests.rs"]
mod guide_tests;
