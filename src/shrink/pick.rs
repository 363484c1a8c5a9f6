//! What is taken out of a supernet: a subnet, and how many of its weights are kept.
//!
//! Cai et al. 2020 choose kernels, widths and depths. Pruning the subnet that was chosen is a choice besides.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::nn::{Space, Subnet};
use crate::ops::packed::Form;

/// Which weights of every layer are kept: those of the largest magnitude.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Density {
    /// All.
    #[default]
    Full,
    /// This share of each layer, above 0 and below 1.
    Share(f64),
    /// `keep` of every `of` consecutive inputs, at least 1 and fewer than `of`. Layers of one input a group keep all.
    Groups { keep: usize, of: usize },
}

impl Density {
    /// What is kept together; nothing is in common where single weights are chosen.
    pub fn form(self) -> Form {
        match self {
            Density::Groups { keep, of } => Form::Groups { keep, of },
            _ => Form::Free,
        }
    }
}

/// As it is shown: `1`, `0.5` or `2:4`.
impl FromStr for Density {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!("`{text}` is no density"))
                .hint("a share above 0 and up to 1, such as 0.5, or N:M with fewer kept than there are, such as 2:4")
        };
        let text = text.trim();
        if let Some((keep, of)) = text.split_once(':') {
            let [keep, of] = [keep, of].map(|number| number.parse::<usize>().ok());
            return match (keep, of) {
                (Some(keep), Some(of)) if (1..of).contains(&keep) && of <= 256 => {
                    Ok(Density::Groups { keep, of })
                }
                _ => Err(wrong()),
            };
        }
        match text.parse::<f64>() {
            Ok(1.0) => Ok(Density::Full),
            Ok(share) if share > 0.0 && share < 1.0 => Ok(Density::Share(share)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Density {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Density::Full => write!(f, "1"),
            Density::Share(share) => write!(f, "{share}"),
            Density::Groups { keep, of } => write!(f, "{keep}:{of}"),
        }
    }
}

/// One network of a supernet.
#[derive(Clone, Debug, PartialEq)]
pub struct Pick {
    pub subnet: Subnet,
    pub density: Density,
}

impl Pick {
    /// Reads what [`Space::parse`] reads, with a word such as `density=0.5` or `density=2:4` in it or without.
    ///
    /// # Errors
    /// `Kind::Usage` as [`Space::parse`], and for what is no density.
    pub fn parse(space: &Space, text: &str) -> Result<Self> {
        let of_density = |word: &&str| word.starts_with("density=");
        let (density, others): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(of_density);
        let density = match density[..] {
            [] => Density::Full,
            [one] => one["density=".len()..].parse()?,
            _ => return Err(Error::usage(format!("`{text}` has several densities")).hint("one density=")),
        };
        Ok(Self { subnet: space.parse(&others.join(" "))?, density })
    }
}

impl From<Subnet> for Pick {
    fn from(subnet: Subnet) -> Self {
        Self { subnet, density: Density::Full }
    }
}

/// As [`Pick::parse`] reads it.
impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.density {
            Density::Full => write!(f, "{}", self.subnet),
            density => write!(f, "{} density={density}", self.subnet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::space::settings;
    use crate::recipe::Settings;

    #[test]
    fn a_pick_is_read_as_it_is_shown() {
        let space = Space::read(&Settings::default().resolve("preset", &settings()).unwrap()).unwrap();
        for text in ["full", "smallest density=0.25", "density=2:4 ks=3 d=1", "ks=3 density=1"] {
            let pick = Pick::parse(&space, text).unwrap();
            assert_eq!(Pick::parse(&space, &pick.to_string()).unwrap(), pick, "{text}");
        }
        let pick = Pick::parse(&space, "smallest density=2:4").unwrap();
        assert_eq!(pick, Pick { subnet: space.smallest(), density: Density::Groups { keep: 2, of: 4 } });
        for wrong in ["0", "1.5", "-1", "nan", "4:4", "0:4", "2:", "half", "1:300"] {
            let error = Pick::parse(&space, &format!("density={wrong}")).unwrap_err().to_string();
            assert!(error.contains("is no density"), "{wrong}: {error}");
        }
        assert!(Pick::parse(&space, "density=1 density=0.5").unwrap_err().to_string().contains("several"));
        assert!(Pick::parse(&space, "dense=1").unwrap_err().to_string().contains("says nothing of a subnet"));
    }
}
