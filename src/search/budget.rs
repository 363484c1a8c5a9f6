//! What a network may cost: limits such as `latency<=3ms`, of which several hold together.

use std::fmt;
use std::str::FromStr;

use super::cost::{Costs, Kind};
use crate::error::{Error, Result};

/// The most that one cost may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub kind: Kind,
    /// In the unit of the kind.
    pub most: f64,
}

/// Limits that hold together: at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub limits: Vec<Limit>,
    text: String,
}

impl Budget {
    pub fn admits(&self, costs: &Costs) -> bool {
        self.limits.iter().all(|limit| costs.of(limit.kind) <= limit.most)
    }
    pub fn names(&self, kind: Kind) -> bool {
        self.limits.iter().any(|limit| limit.kind == kind)
    }
}

/// Such as `latency<=3ms`, or `macs<=2M,bytes<=50kB`.
impl FromStr for Budget {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let limits = text.split(',').map(limit).collect::<Result<_>>()?;
        Ok(Self { limits, text: text.split_whitespace().collect() })
    }
}

/// As it was written.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn limit(text: &str) -> Result<Limit> {
    let wrong = |what: String| {
        Error::usage(format!("budget `{}`: {what}", text.trim()))
            .hint("such as latency<=3ms, macs<=2M, weights<=20k, bytes<=50kB or memory<=1MB; several are joined by commas")
    };
    let (name, amount) = text.split_once("<=").ok_or_else(|| wrong("it has no <=".into()))?;
    let (name, amount) = (name.trim(), amount.trim());
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        wrong(format!("`{name}` is no cost; there are {known}"))
    })?;
    let digits = amount.find(|c: char| c.is_alphabetic()).unwrap_or(amount.len());
    let (number, unit) = (amount[..digits].trim(), &amount[digits..]);
    let units = kind.units();
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| {
        let known: Vec<&str> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        wrong(format!("`{amount}` has no unit of {name}; there are {}", known.join(", ")))
    })?;
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(Limit { kind, most: number * factor }),
        _ => Err(wrong(format!("`{amount}` is no number above 0"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_with_their_units() {
        let one = |text: &str| {
            let budget: Budget = text.parse().unwrap();
            (budget.limits[0].kind, budget.limits[0].most)
        };
        assert_eq!(one("latency<=3ms"), (Kind::Latency, 3.0));
        assert_eq!(one("latency <= 250 us"), (Kind::Latency, 0.25));
        assert_eq!(one("macs<=2M"), (Kind::Macs, 2e6));
        assert_eq!(one("weights<=20000"), (Kind::Weights, 2e4));
        assert_eq!(one("bytes<=50kB"), (Kind::Bytes, 5e4));
        assert_eq!(one("memory<=1MiB"), (Kind::Memory, 1048576.0));
        let both: Budget = "macs<=1.5k, bytes<=8kB".parse().unwrap();
        assert_eq!(both.to_string(), "macs<=1.5k,bytes<=8kB");
        let costs = |macs, bytes| Costs { macs, bytes, ..Costs::default() };
        assert!(both.admits(&costs(1500, 8000)));
        assert!(!both.admits(&costs(1501, 8000)) && !both.admits(&costs(1500, 8001)));
        assert!(both.names(Kind::Bytes) && !both.names(Kind::Latency));
    }

    #[test]
    fn what_is_no_budget_is_refused() {
        let refused = |text: &str| text.parse::<Budget>().unwrap_err().to_string();
        assert!(refused("latency=3ms").contains("has no <="));
        assert!(refused("speed<=3").contains("no cost; there are latency, macs"));
        assert!(refused("latency<=3").contains("no unit of latency; there are us, ms, s"));
        assert!(refused("macs<=2MB").contains("there are k, M, G"));
        assert!(refused("bytes<=-1kB").contains("no number above 0"));
        assert!(refused("macs<=2M,").contains("has no <="));
    }
}
