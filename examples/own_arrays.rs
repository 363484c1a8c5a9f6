//! Trains a small network on one's own arrays and prunes it to 80 % while it trains.
//!
//! `cargo run --release --example own_arrays`
#![allow(clippy::print_stdout, reason = "an example speaks")]

use coppice::data::{Dataset, Source, Split};
use coppice::gpu::{Choice, Gpu};
use coppice::ops::variants::Choices;
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::train::{Control, Event, Session, train};

const RECIPE: &str = r#"
run = { epochs = 30, batch = 32, seed = 1 }
data = { name = "ring" }
model = { preset = "mlp", hidden = [32] }
optim = { name = "adam", lr = 0.01 }
[sparsity]
method = "gmp"
target = 0.8
schedule = { type = "cubic", end = "70%", every = "10" }
"#;

/// Points in a square; those within the circle are class 1.
fn points(number: u32, tensor: u32) -> Split {
    let at = |i| uniform(7, Stream::Synthetic, 0, tensor, i) * 2.0 - 1.0;
    let values: Vec<f32> = (0..number * 2).map(at).collect();
    let labels = values.chunks(2).map(|p| u8::from(p[0] * p[0] + p[1] * p[1] < 0.6)).collect();
    Split::floats(values, labels)
}

fn main() -> coppice::error::Result<()> {
    let (train_part, test) = (points(2000, 0), points(500, 1));
    let data = Dataset::from_arrays(Source::new("ring", vec![2], 2, train_part, test), 0.1)?;
    let recipe = Recipe::parse(RECIPE, "ring", &[])?;
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
