//! Why a choice was left as it is: stored beside the choices, with the run and in the cache.

use crate::ops::variants::Choices;

/// Why nothing was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// There was no time for it.
    Time,
    /// No other variant could be faster.
    Alone,
}

impl Left {
    const ALL: [Left; 2] = [Left::Time, Left::Alone];
    fn name(self) -> &'static str {
        match self {
            Left::Time => "no time",
            Left::Alone => "no other",
        }
    }
}

impl Choices {
    /// Notes why nothing was timed for a choice. Whatever is chosen later takes the note away.
    pub fn leave(&mut self, key: &str, left: Left) {
        self.set(Self::left_key(key), left.name().into());
    }
    /// Takes the only variant that is worth a try.
    pub fn take(&mut self, key: &str, name: &str) {
        self.set(key.into(), name.into());
        self.leave(key, Left::Alone);
    }
    pub fn left(&self, key: &str) -> Option<Left> {
        let name = self.get(&Self::left_key(key))?;
        Left::ALL.into_iter().find(|left| left.name() == name)
    }
    pub(in crate::ops) fn left_key(key: &str) -> String {
        format!("left {key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::variants::Shape;

    #[test]
    fn a_note_stays_with_its_shape_until_something_is_chosen() {
        let mut choices = Choices::default();
        choices.leave("forward 8x16x32", Left::Time);
        choices.take("forward 8x17x32", "forward/16x4_any");
        assert_eq!(choices.left("forward 8x16x32"), Some(Left::Time));
        assert_eq!(choices.left("forward 8x17x32"), Some(Left::Alone));
        let mut kept = choices.only(&[Shape::new(8, 16, 32)]);
        assert_eq!((kept.left("forward 8x16x32"), kept.left("forward 8x17x32")), (Some(Left::Time), None));
        kept.settle("forward 8x16x32".into(), &[("forward/plain", 1.0)]);
        assert_eq!(kept.left("forward 8x16x32"), None);
    }
}
