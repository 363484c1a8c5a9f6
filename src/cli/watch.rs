//! `coppice watch`: shows a run while it trains, from the files in its folder.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use console::Term;

use super::{drive, print_json, say};
use crate::error::{Error, Kind, Result};
use crate::report::live::{Live, Look, State, news, picture};

#[derive(clap::Args)]
pub struct Watch {
    /// The folder of a run, which need not have begun
    run: PathBuf,
    /// Print one picture and end
    #[arg(long)]
    once: bool,
    /// Print one JSON object and end
    #[arg(long)]
    json: bool,
}

/// Between two looks into the folder.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a signal may wait.
const MOMENT: Duration = Duration::from_millis(100);
/// Lines of a picture that nobody has to scroll.
const LINES: usize = 48;

impl Watch {
    pub fn run(&self) -> Result<()> {
        let mut live = Live::open(&self.run)?;
        live.look()?;
        if self.json {
            return print_json(&live.json());
        }
        let terminal = std::io::stdout().is_terminal();
        if self.once {
            let look = Look { colour: terminal && console::colors_enabled(), lines: LINES };
            return say(&picture(&live, look).join("\n"));
        }
        if terminal { draw(live) } else { tell(live) }
    }
}

/// Draws the run anew each second, until it is over or somebody goes away.
fn draw(mut live: Live) -> Result<()> {
    let term = Term::buffered_stdout();
    let goes_on = watching()?;
    let mut drawn = 0;
    loop {
        let (rows, columns) = term.size_checked().unwrap_or((24, 80));
        let look = Look { colour: console::colors_enabled(), lines: usize::from(rows).saturating_sub(1) };
        let lines = picture(&live, look);
        let lines = &lines[..lines.len().min(look.lines)];
        // A line that is broken by the terminal would count as two.
        let show = || -> std::io::Result<()> {
            term.clear_last_lines(drawn)?;
            let cut = |line: &String| console::truncate_str(line, usize::from(columns), "").into_owned();
            lines.iter().try_for_each(|line| term.write_line(&cut(line)))?;
            term.flush()
        };
        show().map_err(unwritten)?;
        drawn = lines.len();
        if State::of(&live).is_over() {
            return Ok(());
        }
        if !goes_on() {
            let run = if State::of(&live) == State::NotBegun { "has not begun" } else { "goes on" };
            // Over the ^C that the terminal shows.
            return say(&format!("\rthe run {run}; watch it again at any time"));
        }
        live.look()?;
    }
}

/// Prints a line for what the run is at, and one for each thing that happens from now on.
fn tell(mut live: Live) -> Result<()> {
    let goes_on = watching()?;
    let (mut told, mut lines) = (None, Vec::new());
    loop {
        let state = State::of(&live);
        let is_over = state.is_over();
        if told.as_ref() != Some(&state) {
            // What ended comes after what happened in it.
            let place = if is_over { lines.len() } else { 0 };
            lines.insert(place, state.told(&live));
        }
        told = Some(state);
        for line in lines.drain(..) {
            if !write(&line)? {
                return Ok(());
            }
        }
        if is_over || !goes_on() {
            return Ok(());
        }
        lines.extend(live.look()?.iter().filter_map(news));
    }
}

/// Writes a line now. Whether there is still a reader.
fn write(line: &str) -> Result<bool> {
    let mut out = std::io::stdout();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(unwritten(e)),
    }
}

fn unwritten(error: std::io::Error) -> Error {
    Error::new(Kind::FileSystem, "cannot write to stdout").at(error.to_string())
}

/// Waits for the next look; false once a signal came.
fn watching() -> Result<impl Fn() -> bool> {
    let signal = drive::signals()?;
    Ok(move || {
        let begun = Instant::now();
        while begun.elapsed() < PERIOD {
            if signal.load(Ordering::Relaxed) != 0 {
                return false;
            }
            sleep(MOMENT);
        }
        true
    })
}
