//! The extent of a value for one sample.

use std::fmt;

/// Channels, and the sites that each has a number at: none for plain features, `[height, width]` for images, `[time]` for
/// sequences. In memory a value is (channels, sites.., batch), the batch innermost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    pub channels: usize,
    pub sites: Vec<usize>,
    /// Of tokens, how many different ones there are: a token is a whole number below that, a u32 in memory, and has one
    /// channel. Of lengths, one more than the longest.
    pub vocabulary: Option<usize>,
}

impl Extent {
    /// Numbers at sites.
    pub fn new(channels: usize, sites: Vec<usize>) -> Self {
        Self { channels, sites, vocabulary: None }
    }
    /// Plain features.
    pub fn features(channels: usize) -> Self {
        Self::new(channels, Vec::new())
    }
    /// A sequence of tokens.
    pub fn tokens(vocabulary: usize, steps: usize) -> Self {
        Self { vocabulary: Some(vocabulary), ..Self::new(1, vec![steps]) }
    }
    /// How many steps each sample has, up to `most`: a whole number without sites.
    pub fn lengths(most: usize) -> Self {
        Self { vocabulary: Some(most + 1), ..Self::features(1) }
    }
    /// Of lengths, the longest that there may be.
    pub fn longest(&self) -> Option<usize> {
        self.vocabulary.filter(|_| self.sites.is_empty()).map(|vocabulary| vocabulary - 1)
    }
    /// That of a data set's samples: an image has channels, height and width; all else is plain features.
    pub fn of_samples(shape: &[usize]) -> Self {
        match *shape {
            [channels, height, width] => Self::new(channels, vec![height, width]),
            _ => Self::features(shape.iter().product()),
        }
    }
    /// Whether its sites are steps in time.
    pub fn is_sequence(&self) -> bool {
        self.sites.len() == 1
    }
    /// Numbers of a sample.
    pub fn numbers(&self) -> usize {
        self.channels * self.cols(1)
    }
    /// The same sites, with so many channels.
    pub fn with(&self, channels: usize) -> Self {
        Self::new(channels, self.sites.clone())
    }
    /// Columns of a batch: one for each site and sample.
    pub fn cols(&self, batch: usize) -> usize {
        self.sites.iter().product::<usize>() * batch
    }
}

/// `64`, or `64x28x28`, or `128 tokens of 256`, or `lengths up to 12`.
impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(most) = self.longest() {
            return write!(f, "lengths up to {most}");
        }
        if let Some(vocabulary) = self.vocabulary {
            return write!(f, "{} tokens of {vocabulary}", self.cols(1));
        }
        write!(f, "{}", self.channels)?;
        self.sites.iter().try_for_each(|site| write!(f, "x{site}"))
    }
}
