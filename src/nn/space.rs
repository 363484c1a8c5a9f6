//! The networks that one supernet holds, and one of them: kernel and expansion of each block, blocks of each stage, and the
//! size of what it reads.
//!
//! Cai et al., 2020, "Once-for-All: Train One Network and Specialize it for Efficient Deployment", Section 3.

use std::fmt;

use toml::Value;

use crate::error::{Error, Result};
use crate::recipe::{Model, Settings};

/// The preset whose networks a space holds.
pub const PRESET: &str = "once-for-all";

/// What a network may choose from. The largest of everything is the full network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Channels of the first convolution, and its stride.
    pub stem: [usize; 2],
    /// Channels and first stride of each stage.
    pub stages: Vec<[usize; 2]>,
    /// Channels of the last convolution.
    pub last: usize,
    /// Kernel sizes, the largest first, as all that follow.
    pub kernels: Vec<usize>,
    /// By what factor a block widens its input.
    pub expansions: Vec<usize>,
    /// Blocks of a stage.
    pub depths: Vec<usize>,
    /// Sides that pictures are resized to; the first is 0: they stay as they are.
    pub resolutions: Vec<usize>,
}

/// One network of a space. Blocks are numbered stage by stage, skipped ones included; what is said of those is the largest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subnet {
    pub kernels: Vec<usize>,
    pub expansions: Vec<usize>,
    /// By stage.
    pub depths: Vec<usize>,
    /// The side of the pictures that it reads; 0: as they are.
    pub resolution: usize,
}

/// The settings of the preset, with their defaults.
pub fn settings() -> Vec<(&'static str, Value)> {
    let list = |values: &[i64]| Value::Array(values.iter().map(|&value| Value::Integer(value)).collect());
    vec![
        ("stem", Value::Integer(16)),
        ("stem_stride", Value::Integer(2)),
        ("channels", list(&[16, 24, 40])),
        ("strides", list(&[1, 2, 2])),
        ("last", Value::Integer(128)),
        ("kernels", list(&[7, 5, 3])),
        ("expansions", list(&[6, 4, 3])),
        ("depths", list(&[2, 1])),
        ("resolutions", list(&[])),
    ]
}

impl Space {
    /// The space of a model's preset; `None` of any other model.
    ///
    /// # Errors
    /// `Kind::Usage` as [`Space::read`].
    pub fn of(model: &Model) -> Result<Option<Self>> {
        match model {
            Model::Preset { name, settings: own } if name == PRESET => {
                Self::read(&own.resolve(&format!("preset `{name}`"), &settings())?).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// # Errors
    /// `Kind::Usage` for what makes no network, and for choices that do not fall.
    pub fn read(settings: &Settings) -> Result<Self> {
        let wrong = |key: &str| settings.wrong(key, "a list of whole numbers from 1 to 4096");
        let any = |key: &str| -> Result<Vec<usize>> {
            let count = |value: &Value| value.as_integer().filter(|n| (1..=4096).contains(n));
            let all = settings.values().get(key).and_then(Value::as_array);
            let all = all.and_then(|all| all.iter().map(|n| Some(count(n)? as usize)).collect());
            all.ok_or_else(|| wrong(key))
        };
        let counts =
            |key: &str| any(key).and_then(|all| if all.is_empty() { Err(wrong(key)) } else { Ok(all) });
        let fallen = |key: &str, all: Vec<usize>| {
            let falls = all.windows(2).all(|pair| pair[0] > pair[1]);
            if falls { Ok(all) } else { Err(settings.wrong(key, "numbers from the largest to the smallest")) }
        };
        let falling = |key: &str| counts(key).and_then(|all| fallen(key, all));
        let count = |key: &str| match settings.u32(key)? {
            0 => Err(settings.wrong(key, "a whole number of at least 1")),
            count => Ok(count as usize),
        };
        let (channels, strides, kernels) = (counts("channels")?, counts("strides")?, falling("kernels")?);
        if strides.len() != channels.len() {
            return Err(settings.wrong("strides", &format!("a stride for each of {} stages", channels.len())));
        }
        if kernels.iter().any(|kernel| kernel % 2 == 0) {
            return Err(
                settings.wrong("kernels", "odd numbers: a smaller kernel is the middle of a larger one")
            );
        }
        Ok(Self {
            stem: [count("stem")?, count("stem_stride")?],
            stages: channels.into_iter().zip(strides).map(|(channels, stride)| [channels, stride]).collect(),
            last: count("last")?,
            kernels,
            expansions: falling("expansions")?,
            depths: falling("depths")?,
            resolutions: [vec![0], fallen("resolutions", any("resolutions")?)?].concat(),
        })
    }

    /// Blocks of a stage, skipped ones included.
    pub fn deepest(&self) -> usize {
        self.depths[0]
    }
    pub fn blocks(&self) -> usize {
        self.stages.len() * self.deepest()
    }
    /// Channels that a block reads: those of the stage before, or of its own.
    pub fn inputs(&self, block: usize) -> usize {
        let (stage, place) = (block / self.deepest(), block % self.deepest());
        match (stage, place) {
            (0, 0) => self.stem[0],
            (_, 0) => self.stages[stage - 1][0],
            _ => self.stages[stage][0],
        }
    }
    /// Channels between the convolutions of a block.
    pub fn width(&self, block: usize, expansion: usize) -> usize {
        eighths((self.inputs(block) * expansion) as f64)
    }

    /// The network of the largest of everything.
    pub fn full(&self) -> Subnet {
        self.uniform(|all| all[0])
    }
    /// That of the smallest.
    pub fn smallest(&self) -> Subnet {
        self.of_whole(self.uniform(|all| all[all.len() - 1]))
    }
    fn uniform(&self, of: impl Fn(&[usize]) -> usize) -> Subnet {
        Subnet {
            kernels: vec![of(&self.kernels); self.blocks()],
            expansions: vec![of(&self.expansions); self.blocks()],
            depths: vec![of(&self.depths); self.stages.len()],
            resolution: of(&self.resolutions),
        }
    }
    /// The same network, with the largest said of skipped blocks.
    pub fn of_whole(&self, mut subnet: Subnet) -> Subnet {
        for block in (0..self.blocks()).filter(|block| !self.has(&subnet, *block)).collect::<Vec<_>>() {
            (subnet.kernels[block], subnet.expansions[block]) = (self.kernels[0], self.expansions[0]);
        }
        subnet
    }
    /// Whether a network has a block.
    pub fn has(&self, subnet: &Subnet, block: usize) -> bool {
        block % self.deepest() < subnet.depths[block / self.deepest()]
    }

    /// Reads `full`, `smallest`, or words such as `ks=3 e=4,3,4 d=1 r=24`: one number for all blocks, one for each stage, or
    /// one for each block; of depths, for all stages or for each. What is not named is the largest.
    ///
    /// # Errors
    /// `Kind::Usage` for an unknown word, another number of numbers, or one that the space does not have.
    pub fn parse(&self, text: &str) -> Result<Subnet> {
        match text.trim() {
            "full" => return Ok(self.full()),
            "smallest" => return Ok(self.smallest()),
            _ => {}
        }
        let mut subnet = self.full();
        for word in text.split_whitespace() {
            let unknown = || {
                Error::usage(format!("`{word}` says nothing of a subnet"))
                    .hint("\"full\", \"smallest\", or ks=, e=, d= and r=, such as \"ks=3 e=4,3,3 d=1\"")
            };
            let (key, numbers) = word.split_once('=').ok_or_else(unknown)?;
            let mut resolution = [subnet.resolution];
            let (has, to) = match key {
                "ks" => (&self.kernels, &mut subnet.kernels[..]),
                "e" => (&self.expansions, &mut subnet.expansions[..]),
                "d" => (&self.depths, &mut subnet.depths[..]),
                "r" => (&self.resolutions, &mut resolution[..]),
                _ => return Err(unknown()),
            };
            let numbers: Option<Vec<usize>> = numbers.split(',').map(|n| n.parse().ok()).collect();
            let numbers = numbers.ok_or_else(unknown)?;
            if let Some(other) = numbers.iter().find(|n| !has.contains(n)) {
                return Err(Error::usage(format!("the space has no {key}={other}")).at(match has[..] {
                    [0] => format!("it has no {key}= at all"),
                    [0, ref others @ ..] => format!("it has {key}={}", joined(others)),
                    _ => format!("it has {key}={}", joined(has)),
                }));
            }
            let places = to.len();
            let each = numbers.len();
            if key == "r" && each > 1 {
                return Err(Error::usage(format!("`{word}` has {each} numbers"))
                    .at("a network reads pictures of one size"));
            }
            if ![1, self.stages.len(), places].contains(&each) {
                return Err(Error::usage(format!("`{word}` has {each} numbers")).at(format!(
                    "expected: one, one for each of {} stages, or {places} in all",
                    self.stages.len()
                )));
            }
            to.iter_mut().enumerate().for_each(|(at, own)| *own = numbers[at * each / places]);
            [subnet.resolution] = resolution;
        }
        Ok(self.of_whole(subnet))
    }
}

/// A multiple of eight near a width, not below nine tenths of it (MobileNetV2, `make_divisible`).
pub fn eighths(width: f64) -> usize {
    let near = (((width + 4.0) / 8.0).floor() * 8.0).max(8.0);
    (if near < 0.9 * width { near + 8.0 } else { near }) as usize
}

fn joined(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// As [`Space::parse`] reads it.
impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kernels, expansions, depths] =
            [&self.kernels, &self.expansions, &self.depths].map(|all| joined(all));
        write!(f, "ks={kernels} e={expansions} d={depths}")?;
        if self.resolution > 0 { write!(f, " r={}", self.resolution) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        Space::read(&Settings::default().resolve("preset", &settings()).unwrap()).unwrap()
    }

    /// `make_divisible` of the paper's own code.
    #[test]
    fn widths_are_multiples_of_eight() {
        for (width, want) in [(12.0, 16), (20.0, 24), (72.0, 72), (10.0, 16), (1.0, 8)] {
            assert_eq!(eighths(width), want, "{width}");
        }
    }

    #[test]
    fn a_subnet_is_read_as_it_is_shown() {
        let space = space();
        let full = space.full();
        assert_eq!(full.to_string(), "ks=7,7,7,7,7,7 e=6,6,6,6,6,6 d=2,2,2");
        let smallest = space.smallest();
        assert_eq!(
            smallest.to_string(),
            "ks=3,7,3,7,3,7 e=3,6,3,6,3,6 d=1,1,1",
            "skipped blocks say nothing"
        );
        let some = space.parse("ks=3,5,7 e=4 d=2,1,2").unwrap();
        assert_eq!(some.to_string(), "ks=3,3,5,7,7,7 e=4,4,4,6,4,4 d=2,1,2");
        for (text, want) in
            [("", &full), ("full", &full), ("ks=3 e=3 d=1", &smallest), ("smallest", &smallest)]
        {
            assert_eq!(space.parse(text).unwrap(), *want, "{text}");
        }
        for subnet in [full, smallest, some] {
            assert_eq!(space.parse(&subnet.to_string()).unwrap(), subnet);
        }
    }

    #[test]
    fn what_makes_no_subnet_is_refused() {
        let refused = |text: &str| space().parse(text).unwrap_err().to_string();
        assert!(refused("ks=4").contains("it has ks=7,5,3"));
        assert!(refused("ks=3,5").contains("one for each of 3 stages, or 6 in all"));
        assert!(refused("k=3").contains("says nothing of a subnet"));
        assert!(refused("d=two").contains("says nothing of a subnet"));
        let read = |text: &str| {
            let own: Settings = text.parse::<toml::Table>().unwrap().into();
            Space::read(&own.resolve("preset", &settings()).unwrap()).unwrap_err().to_string()
        };
        assert!(read("kernels = [3, 5]").contains("from the largest to the smallest"));
        assert!(read("kernels = [4]").contains("odd numbers"));
        assert!(read("strides = [1]").contains("each of 3 stages"));
        assert!(read("depths = []").contains("a list of whole numbers"));
        assert!(read("resolutions = [20, 24]").contains("from the largest to the smallest"));
        assert!(refused("r=24").contains("it has no r= at all"));
        assert!(read("stem = 0").contains("at least 1"));
    }
}
