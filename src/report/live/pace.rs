//! How fast a run goes, by when it logged.

/// Seconds since 1970 and steps done: when a session began, and each time that it logged.
pub struct Pace(Vec<(f64, u64)>);

/// Intervals that the pace of now is taken from.
const RECENT: usize = 20;

impl Pace {
    pub(super) fn new(at: f64, step: u64) -> Self {
        Self(vec![(at, step)])
    }

    pub(super) fn log(&mut self, at: f64, step: u64) {
        self.0.push((at, step));
    }

    /// Without the first interval once there is another: first steps take longer.
    fn settled(&self) -> &[(f64, u64)] {
        &self.0[usize::from(self.0.len() > 2)..]
    }

    /// Seconds of a step in each of the last intervals.
    fn recent(&self) -> Vec<f64> {
        let all = self.settled();
        let last = &all[all.len().saturating_sub(RECENT + 1)..];
        let pace = |pair: &[(f64, u64)]| (pair[1].0 - pair[0].0) / (pair[1].1 - pair[0].1) as f64;
        last.windows(2).filter(|pair| pair[1].1 > pair[0].1).map(pace).collect()
    }

    /// The median: in most intervals nothing is evaluated or saved. `None` until it has logged.
    pub fn ms_per_step(&self) -> Option<f64> {
        let mut recent = self.recent();
        recent.sort_by(f64::total_cmp);
        recent.get(recent.len() / 2).map(|seconds| seconds * 1e3)
    }

    /// Seconds until `steps` are done, by the mean of all intervals, evaluations and all.
    pub fn seconds_left(&self, steps: u64, now: f64) -> Option<f64> {
        let ((first, from), (last, to)) = (self.settled().first()?, self.settled().last()?);
        let mean = (last - first) / to.checked_sub(*from).filter(|steps| *steps > 0)? as f64;
        Some((steps.saturating_sub(*to) as f64 * mean - (now - last)).max(0.0))
    }

    /// Seconds since the last time.
    pub fn since(&self, now: f64) -> Option<f64> {
        self.0.last().map(|(at, _)| now - at)
    }
}

/// `1 h 03 min`, `4 min 20 s`, `12 s`.
pub fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_counts_for_the_time_left_and_not_for_a_step() {
        let mut pace = Pace::new(50.0, 0);
        assert_eq!((pace.ms_per_step(), pace.seconds_left(9, 0.0)), (None, None));
        pace.log(100.0, 10);
        assert_eq!((pace.ms_per_step(), pace.seconds_left(20, 100.0)), (Some(5000.0), Some(50.0)));
        // Ten steps a second, and once eight seconds beside.
        for (at, step) in [(101.0, 20), (110.0, 30), (111.0, 40), (112.0, 50)] {
            pace.log(at, step);
        }
        assert_eq!(pace.ms_per_step(), Some(100.0));
        assert_eq!(pace.seconds_left(90, 112.0), Some(12.0));
        assert_eq!((pace.seconds_left(90, 115.0), pace.seconds_left(90, 200.0)), (Some(9.0), Some(0.0)));
    }

    #[test]
    fn spans_have_two_units() {
        let shown = [0.4, 59.6, 260.0, 3780.0, 90_000.0].map(span);
        assert_eq!(shown, ["0 s", "1 min 00 s", "4 min 20 s", "1 h 03 min", "1 d 01 h"]);
    }
}
