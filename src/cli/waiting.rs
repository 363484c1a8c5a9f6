//! What is said while a person waits: nothing for a second, then a bar on a terminal, and one plain line elsewhere.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is over sooner is not worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
const REDRAW: Duration = Duration::from_millis(100);

/// How far something is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub done: u64,
    pub of: u64,
    pub what: String,
}

/// Speaks on stderr until it is dropped.
pub struct Waiting {
    /// Closed when the wait is over.
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// Waits for `what`, in silence if `quiet`. `state` is asked how far it is, again and again.
    pub fn new(quiet: bool, what: &'static str, state: impl Fn() -> State + Send + 'static) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self::speaking(PATIENCE, move |next| match (quiet, terminal) {
            (true, _) => {}
            (false, true) => draw(what, &mut || next().then(&state)),
            (false, false) => eprintln!("{what}"),
        })
    }
    /// As [`Waiting::new`], where a bar of somebody else's is on the terminal: a line elsewhere.
    pub fn beside_a_bar(quiet: bool, what: &'static str) -> Self {
        Self::new(quiet || std::io::stderr().is_terminal(), what, State::default)
    }

    /// `speak` is called if the wait takes longer than `patience`; it may ask whether it goes on.
    fn speaking(patience: Duration, speak: impl FnOnce(&mut dyn FnMut() -> bool) + Send + 'static) -> Self {
        let (over, heard) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let goes_on = |time| heard.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            if goes_on(patience) {
                speak(&mut || goes_on(REDRAW));
            }
        });
        Self { over: Some(over), thread: Some(thread) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn draw(what: &str, next: &mut dyn FnMut() -> Option<State>) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix}  {bar:30} {pos}/{len}  {elapsed}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what.to_string());
    while let Some(State { done, of, what }) = next() {
        bar.set_length(of);
        bar.set_position(done);
        bar.set_message(what);
        bar.tick();
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_wait_is_silent_and_a_long_one_speaks_until_it_is_over() {
        let wait = |patience| {
            let (speaks, heard) = mpsc::channel();
            let waiting = Waiting::speaking(patience, move |goes_on| {
                let _ = speaks.send("begins");
                while goes_on() {}
                let _ = speaks.send("ends");
            });
            (waiting, heard)
        };
        let (waiting, heard) = wait(Duration::from_secs(60));
        drop(waiting); // at once, and not after a minute
        assert!(heard.recv().is_err());
        let (waiting, heard) = wait(Duration::from_millis(1));
        assert_eq!(heard.recv(), Ok("begins"));
        drop(waiting);
        assert_eq!(heard.recv(), Ok("ends"));
    }
}
