//! An axis of a plot: its range, where its ticks are, and how they are written.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// How values become lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    #[default]
    Linear,
    /// Values that are not positive have no place.
    Log,
}

/// What an axis says: a label with its unit, a scale, and where it ends at the latest.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub label: String,
    pub scale: Scale,
    pub limits: [f64; 2],
}

const UNLIMITED: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

impl Axis {
    pub fn linear(label: &str) -> Self {
        Self { label: label.into(), scale: Scale::Linear, limits: UNLIMITED }
    }
    pub fn log(label: &str) -> Self {
        Self { scale: Scale::Log, ..Self::linear(label) }
    }
    /// Shares of something, from 0 to 100.
    pub fn percent(label: &str) -> Self {
        Self { limits: [0.0, 100.0], ..Self::linear(label) }
    }
    /// Around all `values`: see [`Span::around`].
    pub fn around(&self, values: impl Iterator<Item = f64>, round: bool) -> Span {
        Span::around(values, self.scale, round).within(self.limits)
    }
}

/// Pixels of a letter of an axis, more or less.
pub const LETTER: i32 = 9;
/// Ticks that an axis has, more or less.
const TICKS: f64 = 6.0;

/// A range with ticks at 1, 2 or 5 times a power of ten.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    scale: Scale,
    from: f64,
    to: f64,
    pub ticks: Vec<f64>,
}

impl Span {
    /// Around all `values` that have a place. With `round` both ends are ticks; else they are the outermost values.
    pub fn around(values: impl Iterator<Item = f64>, scale: Scale, round: bool) -> Self {
        let has_place = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let ends = |(a, b): (f64, f64), v: f64| (a.min(v), b.max(v));
        let (low, high) = values.filter(has_place).fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        match (scale, low <= high) {
            (Scale::Linear, false) => Self::linear(0.0, 1.0, round),
            (Scale::Log, false) => Self::log(1.0, 10.0, round),
            (Scale::Linear, true) => Self::linear(low, high, round),
            (Scale::Log, true) => Self::log(low, high, round),
        }
    }

    fn linear(low: f64, high: f64, round: bool) -> Self {
        // Zero is shown where that costs little.
        let low = if round && low > 0.0 && low < 0.5 * high { 0.0 } else { low };
        // A single value lies in the middle.
        let around = if high > low { 0.0 } else { (0.5 * low.abs()).max(0.5) };
        let (low, high) = (low - around, high + around);
        let step = nice((high - low) / TICKS);
        let (from, to) = match round {
            true => ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step),
            false => (low, high),
        };
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        Self { scale: Scale::Linear, from, to, ticks: (first..=last).map(|i| i as f64 * step).collect() }
    }

    /// The same, ending at these limits at the latest, where something is left between them.
    fn within(mut self, [least, most]: [f64; 2]) -> Self {
        let (from, to) = (self.from.max(least), self.to.min(most));
        if from < to {
            (self.from, self.to) = (from, to);
            self.ticks.retain(|tick| (from..=to).contains(tick));
        }
        self
    }

    fn log(low: f64, high: f64, round: bool) -> Self {
        // A single value lies in the middle.
        let (low, high) = if high > low { (low, high) } else { (low / 3.0, high * 3.0) };
        let decades = high.log10() - low.log10();
        let leads: &[f64] = match decades {
            0.0..0.5 => &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
            0.5..2.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let every = (decades / (2.0 * TICKS)).ceil().max(1.0) as i32;
        let decade = |d: i32| leads.iter().map(move |lead| lead * 10f64.powi(d));
        let all: Vec<f64> = (low.log10().floor() as i32 - every..=high.log10().ceil() as i32 + every)
            .filter(|d| d % every == 0)
            .flat_map(decade)
            .collect();
        let (from, to) = match round {
            true => (
                all.iter().copied().rfind(|&tick| tick <= low * (1.0 + 1e-9)).unwrap_or(low),
                all.iter().copied().find(|&tick| tick >= high * (1.0 - 1e-9)).unwrap_or(high),
            ),
            false => (low, high),
        };
        let inside = |tick: &f64| (from * (1.0 - 1e-9)..=to * (1.0 + 1e-9)).contains(tick);
        Self { scale: Scale::Log, from, to, ticks: all.into_iter().filter(inside).collect() }
    }

    /// Leaves out ticks whose numbers would run into the one before, written along an axis of so many pixels.
    pub fn legible(mut self, pixels: i32) -> Self {
        let mut taken = i32::MIN;
        let place = |tick: f64| self.map(&tick, (0, pixels));
        let is_free = |tick: &f64| {
            let half = LETTER * tick_text(*tick).len() as i32 / 2;
            let is_free = place(*tick) - half > taken;
            taken = if is_free { place(*tick) + half } else { taken };
            is_free
        };
        let ticks = self.ticks.iter().copied().filter(is_free).collect();
        self.ticks = ticks;
        self
    }

    /// Whether a value has a place.
    pub fn holds(&self, value: f64) -> bool {
        let slack = 1e-9 * (self.to - self.from);
        value.is_finite() && (self.from - slack..=self.to + slack).contains(&value)
    }
}

/// The nearest of 1, 2, 5 and 10 times a power of ten from `least` on.
fn nice(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let lead = [1.0, 2.0, 5.0].into_iter().find(|lead| lead * power >= least * (1.0 - 1e-9));
    lead.unwrap_or(10.0) * power
}

/// A number on an axis: `0`, `0.25`, `12,000`, `1e-7`.
pub fn tick_text(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{value:e}");
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// A value in at most four digits, but for those before its point: `45.97`, `0.001234`.
pub fn value_text(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return tick_text(value);
    }
    let digits = (3 - value.abs().log10().floor() as i32).max(0);
    if digits > 300 {
        return tick_text(value);
    }
    let scale = 10f64.powi(digits);
    tick_text((value * scale).round() / scale)
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (begin, end): (i32, i32)) -> i32 {
        let along = |v: f64| if self.scale == Scale::Log { v.max(f64::MIN_POSITIVE).ln() } else { v };
        let share = (along(*value) - along(self.from)) / (along(self.to) - along(self.from));
        begin + (f64::from(end - begin) * share).round() as i32
    }
    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }
    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Span {
    fn format_ext(&self, value: &f64) -> String {
        tick_text(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(values: &[f64], scale: Scale, round: bool) -> Span {
        Span::around(values.iter().copied(), scale, round)
    }

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        let s = span(&[3.0, 97.0, f64::NAN], Scale::Linear, true);
        assert_eq!(s.range(), 0.0..100.0);
        assert_eq!(s.ticks, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(span(&[95.0, 97.0], Scale::Linear, true).range(), 95.0..97.0);
        let s = span(&[0.0, 126.0], Scale::Linear, false);
        assert_eq!((s.range(), s.ticks), (0.0..126.0, vec![0.0, 50.0, 100.0]));
        let s = span(&[1.5, 90.0, 0.0, -2.0], Scale::Log, true);
        assert_eq!((s.range(), s.ticks), (1.0..100.0, vec![1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]));
        assert_eq!(span(&[1e-7, 1.0], Scale::Log, true).ticks.len(), 8);
        assert_eq!(span(&[4.3e9, 5.1e9], Scale::Log, true).ticks, [4e9, 5e9, 6e9]);
    }

    #[test]
    fn every_range_has_an_extent_and_a_tick() {
        for values in [&[][..], &[0.0], &[5.0], &[-3.0, -3.0], &[1e-30, 2e-30], &[1e300, 1e301], &[f64::NAN]]
        {
            for (scale, round) in [(Scale::Linear, true), (Scale::Linear, false), (Scale::Log, true)] {
                let s = span(values, scale, round);
                assert!(s.from < s.to && !s.ticks.is_empty(), "{values:?}: {s:?}");
                assert!(s.ticks.len() < 20, "{values:?}: {s:?}");
            }
        }
    }

    #[test]
    fn a_single_value_lies_in_the_middle_and_shares_end_at_100() {
        assert_eq!(span(&[5.0, 5.0], Scale::Linear, false).range(), 2.5..7.5);
        let percent = |values: &[f64]| Axis::percent("kept (%)").around(values.iter().copied(), true);
        let all = percent(&[100.0]);
        assert!(all.from < 100.0 && all.to == 100.0 && all.ticks.ends_with(&[100.0]));
        assert!(percent(&[50.0, 900.0]).holds(50.0) && !percent(&[50.0, 900.0]).holds(900.0));
        assert!(percent(&[0.0]).from == 0.0 && percent(&[0.0]).to < 1.0);
        assert_eq!(percent(&[92.0, 99.9]).range(), 92.0..100.0);
    }

    #[test]
    fn lengths_follow_the_scale() {
        let linear = span(&[0.0, 100.0], Scale::Linear, true);
        assert_eq!([0.0, 25.0, 100.0].map(|v| linear.map(&v, (400, 0))), [400, 300, 0]);
        let log = span(&[1.0, 100.0], Scale::Log, true);
        assert_eq!([1.0, 10.0, 100.0].map(|v| log.map(&v, (0, 400))), [0, 200, 400]);
    }

    #[test]
    fn numbers_do_not_run_into_one_another() {
        let s = span(&[2e4, 1e6], Scale::Log, true);
        assert_eq!(s.ticks, [2e4, 5e4, 1e5, 2e5, 5e5, 1e6]);
        assert_eq!(s.clone().legible(850).ticks, s.ticks);
        assert_eq!(s.legible(330).ticks, [2e4, 5e4, 1e5, 5e5]);
    }

    #[test]
    fn numbers_are_short() {
        let all =
            [(0.0, "0"), (0.25, "0.25"), (12000.0, "12,000"), (-1234567.5, "-1,234,567.5"), (1e-7, "1e-7")];
        for (value, text) in all {
            assert_eq!(tick_text(value), text);
        }
        assert_eq!(tick_text(0.1 * 3.0), "0.3");
        let all =
            [(45.96784, "45.97"), (0.00123449, "0.001234"), (98765.4, "98,765"), (0.0, "0"), (-2.5, "-2.5")];
        all.iter().for_each(|(value, text)| assert_eq!(value_text(*value), *text));
    }
}
