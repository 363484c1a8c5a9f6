//! One grammar for spans of training: `"20ep"` (epochs), `"1200"` (steps), `"35%"` (of the run).

use std::fmt;
use std::str::FromStr;

use toml::Value;

/// A span of training, counted from step 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duration {
    /// Epochs, also broken ones: `"0.5ep"`.
    Epochs(f64),
    /// Optimizer steps: `"1200"`, or the bare integer 1200.
    Steps(u64),
    /// Percent of all steps of the run, 0 to 100: `"35%"`.
    Percent(f64),
}

/// What a duration looks like, for messages.
pub const EXPECTED: &str = "a duration such as \"20ep\", \"1200\" (steps) or \"35%\" (of the run)";

impl Duration {
    pub const ZERO: Duration = Duration::Steps(0);

    /// In optimizer steps, rounded to the nearest (halves up).
    pub fn steps(&self, total_steps: u64, steps_per_epoch: u64) -> u64 {
        match *self {
            // Multiplied before it is divided: 35 % of 100 is then 35, not 34.99....
            Duration::Percent(percent) => (percent * total_steps as f64 / 100.0).round() as u64,
            Duration::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as u64,
            Duration::Steps(steps) => steps,
        }
    }

    /// In optimizer steps, as the distance between two events: at least 1.
    pub fn period(&self, total_steps: u64, steps_per_epoch: u64) -> u64 {
        self.steps(total_steps, steps_per_epoch).max(1)
    }

    pub fn is_zero(&self) -> bool {
        match *self {
            Duration::Epochs(x) | Duration::Percent(x) => x == 0.0,
            Duration::Steps(n) => n == 0,
        }
    }

    /// Whether this surely lies behind `other`; spans of different units are compared once the run's length
    /// is known.
    pub fn surely_after(&self, other: &Duration) -> bool {
        match (self, other) {
            (Duration::Epochs(a), Duration::Epochs(b)) | (Duration::Percent(a), Duration::Percent(b)) => {
                a > b
            }
            (Duration::Steps(a), Duration::Steps(b)) => a > b,
            _ => false,
        }
    }

    /// From a recipe's value: a string of the grammar, or an integer of steps.
    pub fn from_value(value: &Value) -> Option<Duration> {
        match value {
            Value::String(text) => text.parse().ok(),
            // TOML's integers end at 2^63 - 1; so do ours, lest a written duration could not be read again.
            Value::Integer(steps) => u64::try_from(*steps).ok().map(Duration::Steps),
            _ => None,
        }
    }
}

impl FromStr for Duration {
    type Err = ();

    /// Plain decimal digits only: no sign, no exponent, no space.
    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |digits: &str| -> Result<f64, ()> {
            let plain = digits.starts_with(|c: char| c.is_ascii_digit())
                && digits.ends_with(|c: char| c.is_ascii_digit())
                && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
            let value: f64 = digits.parse().map_err(|_| ())?;
            if plain && value.is_finite() { Ok(value) } else { Err(()) }
        };
        if let Some(digits) = text.strip_suffix("ep") {
            return number(digits).map(Duration::Epochs);
        }
        if let Some(digits) = text.strip_suffix('%') {
            let percent = number(digits)?;
            return if percent <= 100.0 { Ok(Duration::Percent(percent)) } else { Err(()) };
        }
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(());
        }
        let steps: u64 = text.parse().map_err(|_| ())?;
        Ok(Duration::Steps(steps))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duration::Epochs(epochs) => write!(f, "{epochs}ep"),
            Duration::Steps(steps) => write!(f, "{steps}"),
            Duration::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_grammar() {
        for (text, want) in [
            ("20ep", Duration::Epochs(20.0)),
            ("0.5ep", Duration::Epochs(0.5)),
            ("1200", Duration::Steps(1200)),
            ("0", Duration::ZERO),
            ("35%", Duration::Percent(35.0)),
            ("100%", Duration::Percent(100.0)),
        ] {
            assert_eq!(text.parse(), Ok(want));
            assert_eq!(want.to_string(), text, "written as it was read");
        }
        let wrong =
            ["", "ep", "%", "-1", "-1ep", "+5", "1e3ep", "infep", "nan%", "101%", "1.5", ".5ep", "5.ep"];
        for text in wrong.into_iter().chain(["1 ep", "5 %", "1..2ep", "20epochs", "99999999999999999999"]) {
            assert!(text.parse::<Duration>().is_err(), "{text:?} was taken");
        }
        assert_eq!(Duration::from_value(&Value::Integer(1200)), Some(Duration::Steps(1200)));
        assert_eq!(Duration::from_value(&Value::Integer(-1)), None);
        assert_eq!(Duration::from_value(&Value::Float(1.0)), None);
    }

    #[test]
    fn steps_are_rounded_to_the_nearest() {
        let steps = |text: &str, total, epoch| text.parse::<Duration>().unwrap().steps(total, epoch);
        assert_eq!(steps("2ep", 7035, 469), 938);
        assert_eq!(steps("0.5ep", 7035, 469), 235); // 234.5
        assert_eq!(steps("75%", 7035, 469), 5276); // 5276.25
        assert_eq!(steps("35%", 100, 1), 35);
        assert_eq!(steps("100%", 7035, 469), 7035);
        assert_eq!(steps("1200", 10, 1), 1200);
        assert_eq!("0.001ep".parse::<Duration>().unwrap().period(100, 10), 1);
        assert_eq!("3ep".parse::<Duration>().unwrap().period(100, 10), 30);
    }

    #[test]
    fn only_like_units_are_compared() {
        assert!(Duration::Percent(80.0).surely_after(&Duration::Percent(75.0)));
        assert!(!Duration::Percent(75.0).surely_after(&Duration::Percent(75.0)));
        assert!(!Duration::Steps(9).surely_after(&Duration::Epochs(1.0)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(steps in any::<u64>(), epochs in 0.0..1e6f64, percent in 0.0..=100.0f64) {
            for d in [Duration::Steps(steps), Duration::Epochs(epochs), Duration::Percent(percent)] {
                prop_assert_eq!(d.to_string().parse(), Ok(d));
            }
        }

        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,12}") {
            let _ = text.parse::<Duration>();
        }
    }
}
