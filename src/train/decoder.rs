//! A trained network that answers a source with a target, one token at a time. Nothing is remembered between tokens: the whole
//! network runs for each of them, on the source and on what was answered so far.

use super::folder::Facts;
use super::loaded::{COLUMNS, Loaded, finite};
use super::writer::Choose;
use crate::data::pairs::{BEGIN, END, FILLER};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::Model;
use crate::ops::variants::Choices;
use crate::recipe::Recipe;
use crate::store::Arrays;

/// A network on a device that reads samples of pairs.
pub struct Decoder {
    network: Loaded,
    /// Tokens of a source at most.
    pub sources: usize,
    /// Weights whose kept values alone are stored.
    pub packed: usize,
}

/// What a network answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Without the token that ends it.
    pub tokens: Vec<u32>,
    /// Whether the network has ended it, and not the number of tokens.
    pub ended: bool,
}

impl Decoder {
    /// A network with the weights of a file, zeros in place, as [`super::Session::weights`] lie.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where weights do not fit; whatever the device reports.
    pub fn new(
        gpu: &Gpu,
        recipe: &Recipe,
        facts: &Facts,
        weights: &Arrays,
        choices: &Choices,
    ) -> Result<Self> {
        let model = Model::new(&recipe.model, facts.tokens(), facts.classes, recipe.run.seed)?;
        let sources = facts.shape.iter().product::<usize>().saturating_sub(model.answers());
        let network = Loaded::new(gpu, model, weights, choices)?;
        let packed = network.packed;
        Ok(Self { network, sources, packed })
    }

    /// Answers a source, with so many tokens at most, and no more than targets of the training data have.
    ///
    /// # Errors
    /// `Kind::Usage` for a source that is too long, `Kind::Numbers` for a logit that is not finite.
    pub fn answer(&self, source: &[u32], choose: &Choose, most: usize) -> Result<Decoded> {
        let mut tokens = Vec::new();
        // The last question of a sample is that for its end.
        let last = self.network.model.answers() - 1;
        loop {
            let mut logits = self.logits(source, &tokens)?;
            // Nobody was ever asked for these.
            [FILLER, BEGIN].iter().for_each(|&token| logits[token as usize] = f32::NEG_INFINITY);
            let token = choose.token(&logits, tokens.len() as u32);
            if token == END || tokens.len() == most.min(last) {
                return Ok(Decoded { tokens, ended: token == END });
            }
            tokens.push(token);
        }
    }

    /// The logits, by token, of what comes after the beginning of a target.
    fn logits(&self, source: &[u32], target: &[u32]) -> Result<Vec<f32>> {
        if source.len() > self.sources {
            return Err(Error::usage(format!("the source has {} tokens", source.len())).at(format!(
                "the network reads {} at most, as many as the longest of its training",
                self.sources
            )));
        }
        let filled = |tokens: &[u32], len: usize| -> Vec<u32> {
            tokens.iter().copied().chain(std::iter::repeat(FILLER)).take(len).collect()
        };
        let (answers, classes) = (self.network.model.answers(), self.network.model.classes);
        let row = [filled(source, self.sources), vec![BEGIN], filled(target, answers - 1)].concat();
        // (steps, columns), and of the columns the first one is used.
        let columns: Vec<u32> = row.iter().flat_map(|&token| [token, FILLER, FILLER, FILLER]).collect();
        self.network.run(&columns, 0)?;
        let all = self.network.output(self.network.model.judged())?;
        finite((0..classes).map(|class| all[(class * answers + target.len()) * COLUMNS]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Session;
    use super::*;
    use crate::data;

    /// A network with its first weights, on pairs of its own.
    fn session() -> (Session, Facts) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pairs.txt");
        std::fs::write(&file, "ab\tba\nb\tab\nba\ta\nbb\tab\n").unwrap();
        let text = format!(
            "data = {{ name = 'pairs:{}', validation = 0.0, test = 0.5 }}\noptim = {{ name = 'sgd', lr = 1 }}\n\
             run = {{ batch = 2 }}\nmodel = {{ preset = 'seq2seq', source = 2, width = 4, units = 3 }}",
            file.display()
        );
        let recipe = Recipe::parse(&text, "network", &[]).unwrap();
        let set = data::open_with(&recipe.data.name, 0.0, &recipe.data.settings).unwrap();
        let session = Session::new(&Gpu::twin(), &recipe, &set, Choices::default()).unwrap();
        (session, Facts::of(&set))
    }

    fn likeliest(logits: &[f32]) -> u32 {
        Choose { temperature: 0.0, top: None, seed: 0 }.token(logits, 0)
    }

    #[test]
    fn answers_are_those_of_teacher_forcing() {
        let (session, facts) = session();
        let weights = session.weights().unwrap();
        let own = Decoder::new(&session.gpu, &session.recipe, &facts, &weights, &session.choices).unwrap();
        assert_eq!((own.sources, own.network.model.answers()), (2, 3));
        // The session passes whole samples of the test part: "ba" to "a", "bb" to "ab".
        let forced = session.answers(2).unwrap();
        let (classes, per_sample) = (facts.classes, 3 * facts.classes);
        for (row, (source, target)) in [(0, ([4, 3], &[3][..])), (1, ([4, 4], &[3, 4]))] {
            for n in 0..=target.len() {
                let want = &forced.outputs[0][row * per_sample + n * classes..][..classes];
                let got = own.logits(&source, &target[..n]).unwrap();
                let close = |(got, want): (&f32, &f32)| (got - want).abs() <= 1e-5;
                assert!(got.iter().zip(want).all(close), "sample {row}, token {n}: {got:?}, {want:?}");
            }
            assert_ne!(own.logits(&source, &[]).unwrap(), own.logits(&[3, 3], &[]).unwrap());
        }
    }

    #[test]
    fn an_answer_reproduces_itself_under_teacher_forcing() {
        let (session, facts) = session();
        let mut weights = session.weights().unwrap();
        // Makes the end likely enough to come: after one token or two.
        for raise in [0.0, 0.2, 0.4, 5.0] {
            let bias = weights.get_mut("head.bias").unwrap();
            let mut values = bias.to_f32();
            values[END as usize] = raise;
            *bias = crate::store::Array::f32(bias.shape.clone(), &values);
            let own =
                Decoder::new(&session.gpu, &session.recipe, &facts, &weights, &session.choices).unwrap();
            let choose = Choose { temperature: 0.0, top: None, seed: 0 };
            let found = own.answer(&[3, 4], &choose, 9).unwrap();
            assert!(found.tokens.len() <= 2 && found.tokens.iter().all(|&token| token > END), "{found:?}");
            let all = |n: usize| {
                let mut logits = own.logits(&[3, 4], &found.tokens[..n]).unwrap();
                logits[..2].fill(f32::MIN);
                likeliest(&logits)
            };
            let again: Vec<u32> = (0..found.tokens.len()).map(all).collect();
            assert_eq!(again, found.tokens);
            assert_eq!(all(found.tokens.len()) == END, found.ended);
            assert!(raise < 5.0 || found == Decoded { tokens: Vec::new(), ended: true });
            assert!(own.answer(&[3, 4, 3], &choose, 9).unwrap_err().to_string().contains("reads 2 at most"));
            assert!(own.answer(&[3], &choose, 1).unwrap().tokens.len() <= 1);
        }
    }
}
