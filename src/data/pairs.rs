//! Pairs of a source and a target, character by character: what the one is to become.
//!
//! A sample is the source, filled up at its end, and then the target: a network reads both, and is asked for each character of
//! the target and for its end.

use std::path::Path;

use super::letters::Letters;
use super::options::Vocabulary;
use super::tokens::{Order, Tokens};
use super::{Entry, Source, Split};
use crate::error::{Error, Kind, Result};
use crate::random::{Stream, word};

pub const PAIRS: Entry = Entry {
    name: "pairs",
    argument: "FILE",
    about: "your own pairs: a line each, source and target with a tab between; read by characters",
    keys: &["test"],
    open: |argument, options| {
        let text =
            std::fs::read_to_string(argument).map_err(|e| Error::file("read", Path::new(argument), e))?;
        let pairs = lines(&text, argument)?;
        let check = |own: &Vocabulary| own.check_pairs(&text, &pairs, argument);
        options.known.as_ref().map_or(Ok(()), check)?;
        source(format!("pairs:{argument}"), argument.into(), pairs, options.test, options.known.as_ref())
    },
};

pub const TASK: Entry = Entry {
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
        let pairs: Vec<Pair> = (0..PAIRS_OF_A_TASK).map(|_| make(&mut draws)).collect();
        let text = || pairs.iter().map(|pair| pair.join("\t")).collect::<Vec<_>>().join("\n");
        let name = format!("task:{argument}");
        let check = |own: &Vocabulary| own.check_pairs(&text(), &pairs, &name);
        options.known.as_ref().map_or(Ok(()), check)?;
        let origin = "made up: a function of the task's name".to_string();
        source(name, origin, pairs, TEST, options.known.as_ref())
    },
};

/// What fills sources and targets up; what comes before a target, and what ends it.
pub const FILLER: u32 = 0;
pub const BEGIN: u32 = 1;
pub const END: u32 = 2;
const SPECIAL: [&str; 3] = ["<filler>", "<begin>", "<end>"];

const PAIRS_OF_A_TASK: usize = 22_000;
const TEST: f64 = 1.0 / 11.0;

type Pair = [String; 2];

fn lines(text: &str, origin: &str) -> Result<Vec<Pair>> {
    let pair = |(number, line): (usize, &str)| match line.split('\t').collect::<Vec<_>>()[..] {
        [source, target] if !source.is_empty() => Ok([source.to_string(), target.to_string()]),
        _ => Err(Error::data(format!("{origin}, line {}: no source and target", number + 1))
            .at("expected: a text, a tab, and another text")),
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(pair).collect()
}

impl Vocabulary {
    /// Whether pairs, and the text that they were read from, can be read as those of the run were.
    fn check_pairs(&self, text: &str, pairs: &[Pair], whose: &str) -> Result<()> {
        let Some([sources, targets]) = self.pair else {
            return Err(Error::data(format!("{whose} has pairs, and the run was trained on none"))
                .hint("data of the same kind as the run's"));
        };
        let between = ['\t', '\r', '\n'];
        let letters = Letters::new(&self.names).check(text, &between, whose, Kind::Data);
        letters.map_err(|e| e.hint("pairs in these characters"))?;
        // A target has its end besides.
        for (side, most, what) in [(0, sources, "source"), (1, targets - 1, "target")] {
            let len = |pair: &Pair| pair[side].chars().count();
            if let Some(long) = pairs.iter().find(|pair| len(pair) > most) {
                return Err(Error::data(format!("{whose} has a {what} of {} characters", len(long)))
                    .at(format!("it is `{}`; those of the run have at most {most}", long[side])));
            }
        }
        Ok(())
    }
}

/// The last of the pairs are for testing.
fn source(
    name: String,
    origin: String,
    pairs: Vec<Pair>,
    test: f64,
    known: Option<&Vocabulary>,
) -> Result<Source> {
    if pairs.len() < 2 {
        return Err(Error::data(format!("{name} has {} pairs", pairs.len())).at("expected: at least 2"));
    }
    let names = known.map_or_else(|| names_of(&pairs), |known| known.names.clone());
    let letters = Letters::new(&names);
    let most = |side: usize| pairs.iter().map(|pair| pair[side].chars().count()).max().unwrap_or(0);
    // A target has its end besides.
    let [sources, targets] = known.and_then(|known| known.pair).unwrap_or([most(0), most(1) + 1]);
    let filled = |text: &str, len: usize, end: &[u32]| -> Vec<u32> {
        let all = text.chars().filter_map(|c| letters.number(c)).chain(end.iter().copied());
        all.chain(std::iter::repeat(FILLER)).take(len).collect()
    };
    let row =
        |[from, to]: &Pair| [filled(from, sources, &[]), vec![BEGIN], filled(to, targets, &[END])].concat();
    let split = pairs.len() - ((test * pairs.len() as f64).round() as usize).clamp(1, pairs.len() - 1);
    let reads = sources + targets;
    let part = |pairs: &[Pair]| {
        Split::of_tokens(Tokens {
            stream: pairs.iter().flat_map(row).collect(),
            vocabulary: names.len(),
            every: reads + 1,
            reads,
            skips: sources,
            padding: Some(FILLER),
            order: Order::Shuffled,
            bytes_per_token: None,
        })
    };
    let (train, test) = (part(&pairs[..split]), part(&pairs[split..]));
    Ok(Source {
        class_names: names.clone(),
        origin,
        ..Source::new(name, vec![reads], names.len(), train, test)
    })
}

/// What stands for no character, and all characters in the order of Unicode.
fn names_of(pairs: &[Pair]) -> Vec<String> {
    let mut letters: Vec<char> = pairs.iter().flatten().flat_map(|text| text.chars()).collect();
    letters.sort_unstable();
    letters.dedup();
    SPECIAL.map(String::from).into_iter().chain(letters.iter().map(|c| c.to_string())).collect()
}

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
    use super::super::options::Options;
    use super::*;

    #[test]
    fn sources_are_read_and_targets_are_asked_for() {
        let text = "ab\tba\nabc\tcb\nb\t\n";
        let set = source("p".into(), "p".into(), lines(text, "p").unwrap(), 0.3, None).unwrap();
        assert_eq!(set.class_names, ["<filler>", "<begin>", "<end>", "a", "b", "c"]);
        let train = set.train.tokens().unwrap();
        assert_eq!((train.len(), train.reads, train.skips, train.labels()), (2, 6, 3, 3));
        assert_eq!(train.row(0, 0), [3, 4, 0, 1, 4, 3, 2]);
        assert_eq!(train.row(1, 0), [3, 4, 5, 1, 5, 4, 2]);
        let test = set.test.tokens().unwrap();
        assert_eq!((test.row(0, 0), test.asked()), (&[4, 0, 0, 1, 2, 0, 0][..], vec![1]));
    }

    #[test]
    fn pairs_are_read_as_those_of_a_run_were() {
        let names = ["<filler>", "<begin>", "<end>", "a", "b", "c"].map(String::from).to_vec();
        let known = Vocabulary { names, pair: Some([3, 3]) };
        let read = |text: &str| {
            let pairs = lines(text, "p").unwrap();
            known.check_pairs(text, &pairs, "p")?;
            source("p".into(), "p".into(), pairs, 0.3, Some(&known))
        };
        let own = read("b\tc\nc\tb\nb\tb\n").unwrap();
        let train = own.train.tokens().unwrap();
        assert_eq!((train.row(0, 0), train.skips, own.classes), (&[4, 0, 0, 1, 5, 2, 0][..], 3, 6));
        for (text, words) in [
            ("a\tx\n", "p has `x` (line 1, column 3)"),
            ("abca\ta\n", "a source of 4 characters"),
            ("a\tabc\n", "`abc`; those of the run have at most 2"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let text = Vocabulary { pair: None, ..known.clone() };
        assert!(text.check_pairs("a\ta", &[], "p").unwrap_err().to_string().contains("trained on none"));
    }

    #[test]
    fn tasks_are_what_they_are_called_and_the_same_each_time() {
        for task in ["reverse", "sort", "dates"] {
            let open = || {
                let source = (TASK.open)(task, &Options::default()).unwrap();
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
    fn a_line_without_a_target_is_named() {
        let error = lines("a\tb\nab\n", "file").unwrap_err().to_string();
        assert!(error.contains("file, line 2"), "{error}");
        assert!((TASK.open)("revers", &Options::default()).unwrap_err().to_string().contains("task:reverse"));
    }
}
