//! Describes a network with a residual connection and two outputs by calls, and trains and prunes it.
//!
//! `cargo run --release --example own_network`
#![allow(clippy::print_stdout, reason = "an example speaks")]

use coppice::gpu::{Choice, Gpu};
use coppice::nn::Graph;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::train::{Control, Event, Session, train};

const RECIPE: &str = r#"
run = { epochs = 20, batch = 64, seed = 1 }
data = { name = "digits" }
model = { preset = "mlp", hidden = [] }
optim = { name = "sgd", lr = 0.1, momentum = 0.9 }
[sparsity]
method = "gmp"
target = 0.9
schedule = { type = "cubic", end = "75%", every = "10" }
"#;

/// 64 features, 10 classes.
fn network() -> Graph {
    let mut net = Graph::new();
    let x = net.data();
    let stem = net.linear("stem", x, 96);
    let stem = net.relu("stem_relu", stem);
    let deeper = net.linear("block_a", stem, 96);
    let deeper = net.relu("block_relu", deeper);
    let deeper = net.linear("block_b", deeper, 96);
    let sum = net.add("block_sum", &[deeper, stem]);
    let block = net.relu("block", sum);
    let head = net.linear("head", block, 10);
    // A second answer from halfway, which counts less: the first output is the one that is judged.
    let side = net.linear("side", stem, 10);
    net.output(head, 1.0);
    net.output(side, 0.3);
    net
}

fn main() -> coppice::error::Result<()> {
    let mut recipe = Recipe::parse(RECIPE, "own-network", &[])?;
    // The network becomes a part of the recipe: a run's folder has it, and can be resumed by it.
    recipe.model = network().into();
    println!("{}", recipe.to_toml());
    let data = coppice::data::open("digits", recipe.data.validation)?;
    let gpu = Gpu::open(&Choice::Auto)?;
    let mut run = Session::new(&gpu, &recipe, &data, Choices::default())?;
    let control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };
    let summary = train(&mut run, &control, &mut |event| {
        if let Event::Evaluated(e) = event {
            println!("epoch {:4.1}  {:?} accuracy {:.3}", e.epoch, e.part, e.accuracy);
        }
        Ok(())
    })?;
    println!("{} of {} weights kept on {}", summary.kept, summary.total, summary.adapter);
    Ok(())
}
