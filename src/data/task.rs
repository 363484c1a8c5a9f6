//! Pairs that are made up, to try networks of sources and targets by.

use super::Entry;
use super::pairs::{self, Pair};
use crate::error::Error;
use crate::random::{Stream, word};

pub const ENTRY: Entry = Entry {
    name: "task",
    argument: "NAME",
    about: "22,000 pairs that are made up: `reverse` or `sort` up to 12 letters, or `dates`, from words to numbers",
    keys: &[],
    open: |argument, options| {
        let make = match argument {
            "reverse" => reverse,
            "sort" => sort,
            "dates" => dates,
            _ => {
                let error = Error::usage(format!("there is no task \"{argument}\""));
                return Err(error.hint("task:reverse, task:sort or task:dates"));
            }
        };
        let mut draws = Draws::default();
        let all: Vec<(usize, Pair)> = (1..=PAIRS_OF_A_TASK).map(|line| (line, make(&mut draws))).collect();
        let origin = "made up: a function of the task's name".to_string();
        pairs::source(format!("task:{argument}"), origin, &all, TEST, options.known.as_ref())
    },
};

const PAIRS_OF_A_TASK: usize = 22_000;
const TEST: f64 = 1.0 / 11.0;

/// Numbers of the tasks: a function of how many were drawn before.
#[derive(Default)]
struct Draws(u32);

impl Draws {
    fn below(&mut self, end: u32) -> u32 {
        self.0 += 1;
        word(2, Stream::Synthetic, 0, 0, self.0) % end
    }
    /// 3 to 12 letters.
    fn letters(&mut self) -> String {
        let len = 3 + self.below(10);
        (0..len).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }
}

fn reverse(draws: &mut Draws) -> Pair {
    let text = draws.letters();
    [text.clone(), text.chars().rev().collect()]
}

fn sort(draws: &mut Draws) -> Pair {
    let text = draws.letters();
    let mut sorted: Vec<char> = text.chars().collect();
    sorted.sort_unstable();
    [text, sorted.into_iter().collect()]
}

/// Such as "7 march 1998" and "1998-03-07"; some write the month first, or leave letters of it out.
fn dates(draws: &mut Draws) -> Pair {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let (year, month, day) = (1900 + draws.below(150), draws.below(12), 1 + draws.below(28));
    let name = MONTHS[month as usize];
    let name = if draws.below(2) == 0 { name } else { &name[..3] };
    let text = match draws.below(3) {
        0 => format!("{day} {name} {year}"),
        1 => format!("{name} {day}, {year}"),
        _ => format!("{day} of {name}, {year}"),
    };
    [text, format!("{year}-{:02}-{day:02}", month + 1)]
}

#[cfg(test)]
mod tests {
    use super::super::Dataset;
    use super::super::options::{Options, Vocabulary};
    use super::*;

    #[test]
    fn tasks_are_what_they_are_called_and_the_same_each_time() {
        for task in ["reverse", "sort", "dates"] {
            let open = || {
                let source = (ENTRY.open)(task, &Options::default()).unwrap();
                Dataset::from_arrays(source, 0.1).unwrap()
            };
            let set = open();
            assert_eq!((set.train.len(), set.validation.len(), set.test.len()), (18_000, 2_000, 2_000));
            assert_eq!(set.hash, open().hash);
        }
        let mut draws = Draws::default();
        for _ in 0..50 {
            let [from, to] = reverse(&mut draws);
            assert_eq!(from.chars().rev().collect::<String>(), to);
            assert!((3..=12).contains(&from.len()));
            let [from, to] = sort(&mut draws);
            assert!(from.len() == to.len() && to.as_bytes().is_sorted());
            let [from, to] = dates(&mut draws);
            assert!(to.len() == 10 && from.contains(&to[..4]), "{from} {to}");
        }
    }

    #[test]
    fn a_task_is_read_as_the_pairs_of_a_run_were() {
        let open =
            |known: Vocabulary| (ENTRY.open)("dates", &Options { known: Some(known), ..Options::default() });
        let own = (ENTRY.open)("dates", &Options::default()).unwrap();
        let known = |pair| Vocabulary { names: own.class_names.clone(), pair };
        let wide = open(known(Some([30, 12]))).unwrap();
        let tokens = wide.train.tokens().unwrap();
        assert_eq!((tokens.skips, tokens.labels(), wide.classes), (30, 12, own.classes));
        for (pair, words) in [(Some([9, 12]), "those of the run have at most 9"), (None, "trained on none")] {
            let error = open(known(pair)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_unknown_task_is_told_the_known_ones() {
        let error = (ENTRY.open)("revers", &Options::default()).unwrap_err().to_string();
        assert!(error.contains("task:reverse"), "{error}");
    }
}
