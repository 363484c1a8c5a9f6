//! Pairs of a source and a target, character by character: what the one is to become.
//!
//! A sample is the source, filled up at its end, and then the target: a network reads both, and is asked for each character of
//! the target and for its end.

use super::letters::Letters;
use super::options::{Options, Vocabulary};
use super::tokens::{Order, Tokens};
use super::{Entry, Source, Split, file};
use crate::error::{Error, Kind, Result};

pub const ENTRY: Entry = Entry {
    name: "pairs",
    argument: "FILE",
    about: "your own pairs: a line each, source and target with a tab between; read by characters",
    keys: &["longest", "test"],
    open: |argument, options| read(&file::read(argument)?, argument, options),
};

/// What fills sources and targets up; what comes before a target, and what ends it.
pub const FILLER: u32 = 0;
pub const BEGIN: u32 = 1;
pub const END: u32 = 2;
const SPECIAL: [&str; 3] = ["<filler>", "<begin>", "<end>"];

/// A side that is so many times as long as the median makes samples of mostly padding.
const FAR: usize = 8;
/// So few characters of padding cost little.
const FEW: usize = 32;

/// A source and its target.
pub type Pair = [String; 2];

/// The pairs of a file, whose name is `argument`.
fn read(bytes: &[u8], argument: &str, options: &Options) -> Result<Source> {
    let text = file::unicode(bytes, argument).map_err(|error| error.hint("save the file as UTF-8"))?;
    let mut all = lines(text, argument)?;
    let mut origin = argument.to_string();
    if let Some(longest) = options.longest {
        let count = all.len();
        all.retain(|(_, pair)| pair.iter().all(|side| length(side) <= longest));
        let left_out = count - all.len();
        origin = format!("{argument}; {left_out} of {count} pairs left out: a side is longer than {longest}");
    }
    let known = options.known.as_ref();
    let source = source(format!("pairs:{argument}"), origin, &all, options.test, known)?;
    // Those of a run are filled up as far as they were in training.
    let sides = [("source", 0), ("target", 1)].into_iter().filter(|_| known.is_none());
    let warnings = sides.filter_map(|(word, side)| far(&all, argument, word, side)).collect();
    Ok(Source { warnings, ..source })
}

/// Each pair and the number of its line.
fn lines(text: &str, origin: &str) -> Result<Vec<(usize, Pair)>> {
    let pair = |(line, text): (usize, &str)| {
        let wrong = |what: &str| {
            Err(Error::data(format!("{origin}, line {line}: {what}"))
                .at("expected: a source, one tab, and a target"))
        };
        match text.split('\t').collect::<Vec<_>>()[..] {
            ["", _] => wrong("an empty source"),
            [source, target] => Ok((line, [source.to_string(), target.to_string()])),
            [_] => wrong("no tab"),
            ref several => wrong(&format!("{} tabs", several.len() - 1)),
        }
    };
    (1..).zip(text.lines()).filter(|(_, text)| !text.is_empty()).map(pair).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// What is said where the longest source or target is far longer than most.
fn far(all: &[(usize, Pair)], origin: &str, word: &str, side: usize) -> Option<Error> {
    let (longest, line) =
        all.iter().map(|(line, pair)| (length(&pair[side]), *line)).max_by_key(|one| one.0)?;
    let mut lengths: Vec<usize> = all.iter().map(|(_, pair)| length(&pair[side])).collect();
    let middle = lengths.len() / 2;
    let median = *lengths.select_nth_unstable(middle).1;
    (longest > FEW && longest >= FAR * median).then(|| {
        Error::data(format!(
            "{origin}, line {line}: a {word} of {longest} characters; the median has {median}"
        ))
        .at(format!("every {word} is filled up to that length"))
        .hint("data.longest = N leaves out pairs with a longer side")
    })
}

impl Vocabulary {
    /// Whether pairs, each with its line, can be read as those of the run were.
    fn check_pairs(&self, all: &[(usize, Pair)], whose: &str) -> Result<()> {
        let Some([sources, targets]) = self.pair else {
            return Err(Error::data(format!("{whose} has pairs, and the run was trained on none"))
                .hint("data of the same kind as the run's"));
        };
        let letters = Letters::new(&self.names).check(&written(all), &['\t', '\n'], whose, Kind::Data);
        letters.map_err(|e| e.hint("pairs in these characters"))?;
        // A target has its end besides.
        for (side, most, what) in [(0, sources, "source"), (1, targets - 1, "target")] {
            if let Some((line, long)) = all.iter().find(|(_, pair)| length(&pair[side]) > most) {
                let found = format!("{whose}, line {line}: a {what} of {} characters", length(&long[side]));
                return Err(Error::data(found)
                    .at(format!("it is `{}`; those of the run have at most {most}", long[side])));
            }
        }
        Ok(())
    }
}

/// The text of pairs, each on its line.
fn written(all: &[(usize, Pair)]) -> String {
    let (mut text, mut at) = (String::new(), 1);
    for (line, pair) in all {
        text.extend(std::iter::repeat_n('\n', line - at));
        text += &pair.join("\t");
        at = *line;
    }
    text
}

/// Pairs, each with its line, by tokens of their own or as a run knows them. The last of them are for testing.
pub fn source(
    name: String,
    origin: String,
    all: &[(usize, Pair)],
    test: f64,
    known: Option<&Vocabulary>,
) -> Result<Source> {
    known.map_or(Ok(()), |known| known.check_pairs(all, &name))?;
    let pairs: Vec<&Pair> = all.iter().map(|(_, pair)| pair).collect();
    if pairs.len() < 2 {
        let error = Error::data(format!("{name} has {} pairs", pairs.len()));
        return Err(error.at("expected: at least 2").at(format!("from {origin}")));
    }
    let names = known.map_or_else(|| names_of(&pairs), |known| known.names.clone());
    let letters = Letters::new(&names);
    let most = |side: usize| pairs.iter().map(|pair| length(&pair[side])).max().unwrap_or(0);
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
    let part = |pairs: &[&Pair]| {
        Split::of_tokens(Tokens {
            stream: pairs.iter().copied().flat_map(row).collect(),
            vocabulary: names.len(),
            every: reads + 1,
            reads,
            skips: sources,
            padding: Some(FILLER),
            order: Order::Shuffled,
            bytes: None,
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
fn names_of(pairs: &[&Pair]) -> Vec<String> {
    let mut letters: Vec<char> = pairs.iter().copied().flatten().flat_map(|text| text.chars()).collect();
    letters.sort_unstable();
    letters.dedup();
    SPECIAL.map(String::from).into_iter().chain(letters.iter().map(|c| c.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str, keys: &str) -> Result<Source> {
        let settings = toml::from_str::<toml::Table>(keys).unwrap().into();
        read(text.as_bytes(), "file", &Options::read(&ENTRY, &settings).unwrap())
    }

    #[test]
    fn sources_are_read_and_targets_are_asked_for() {
        let text = "ab\tba\nabc\tcb\nb\t\n";
        let set = made(text, "test = 0.3").unwrap();
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
        let as_of = |known: &Vocabulary, text: &str, longest: Option<usize>| {
            read(text.as_bytes(), "p", &Options { known: Some(known.clone()), longest, ..Options::default() })
        };
        let own = as_of(&known, "b\tc\r\nc\tb\nb\tb\n", None).unwrap();
        let train = own.train.tokens().unwrap();
        assert_eq!((train.row(0, 0), train.skips, own.classes), (&[4, 0, 0, 1, 5, 2, 0][..], 3, 6));
        for (text, words) in [
            ("a\tb\n\na\tx\n", "p has `x` (line 3, column 3)"),
            ("abca\ta\n", "a source of 4 characters"),
            ("a\tabc\n", "`abc`; those of the run have at most 2"),
        ] {
            let error = as_of(&known, text, None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let left = as_of(&known, "a\tb\nb\txyz\nc\tb\n", Some(2)).unwrap();
        assert_eq!(left.train.len() + left.test.len(), 2, "what is left out may have any characters");
        let text = Vocabulary { pair: None, ..known };
        assert!(as_of(&text, "a\ta\n", None).unwrap_err().to_string().contains("trained on none"));
    }

    #[test]
    fn a_line_that_is_no_pair_is_named() {
        for (text, words) in [
            ("a\tb\nab\n", "file, line 2: no tab\n"),
            ("a\tb\n\na\tb\tc\n", "file, line 3: 2 tabs\n"),
            ("\tb\n", "file, line 1: an empty source\n"),
            ("a\tb\n", "pairs:file has 1 pairs"),
        ] {
            let error = made(text, "").unwrap_err();
            assert!(error.kind == Kind::Data && error.to_string().contains(words), "{error}");
        }
        let error = read(b"a\tb\nc\t\xff", "file", &Options::default()).unwrap_err();
        assert!(error.kind == Kind::Data && error.to_string().contains("line 2, byte 6"), "{error}");
    }

    #[test]
    fn marks_and_line_ends_of_other_systems_are_no_text() {
        let set = made("\u{feff}ab\tba\r\nb\ta\r\n", "").unwrap();
        assert_eq!(set.class_names[SPECIAL.len()..], ["a", "b"]);
    }

    #[test]
    fn a_line_far_longer_than_most_is_told_and_can_be_left_out() {
        let long = |n: usize| format!("a\tb\nab\tba\n{}\tab\na\tb\n", "b".repeat(n));
        let set = made(&long(40), "").unwrap();
        assert_eq!(set.warnings.len(), 1);
        let text = set.warnings[0].to_string();
        assert!(text.starts_with("file, line 3: a source of 40 characters; the median has"), "{text}");
        assert!(text.contains("data.longest = N"), "{text}");
        assert!(made(&long(32), "").unwrap().warnings.is_empty());
        let set = made(&long(40), "longest = 2").unwrap();
        assert!(set.warnings.is_empty() && set.train.tokens().unwrap().skips == 2);
        assert_eq!(set.origin, "file; 1 of 4 pairs left out: a side is longer than 2");
        let error = made(&long(40), "longest = 1\ntest = 0.5").map(|set| set.origin);
        assert_eq!(error.unwrap(), "file; 2 of 4 pairs left out: a side is longer than 1");
    }
}
