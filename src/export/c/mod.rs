//! C99: a network as one file without dependencies, which computes its answers for one sample.
//!
//! Weights are constants without their zeros, layers are calls of plain loops, and values lie in static memory that they
//! share. The file reads samples as the data set stores them; the data's normalisation is its first call.

use std::path::Path;

use memory::Memory;
use network::Network;
use writer::Writer;

use super::{Format, Run, Source};
use crate::error::{Error, Result};
use crate::nn::Extent;
use crate::store::folder::write_file_atomic;
use crate::train::{Facts, Part, judged};

mod layers;
mod memory;
mod network;
mod text;
mod weights;
mod writer;

pub const FORMAT: Format = Format {
    name: "c",
    about: "one C99 file without dependencies: constants, plain loops, static memory; MLPs and small networks of images",
    write,
};

fn write(source: &Source, path: &Path) -> Result<Vec<String>> {
    let run = source.run("C source")?;
    let facts = match &run.meta.data {
        Some(facts) => facts.clone(),
        None => Facts::of(&run.data()?),
    };
    let extent = Extent::of_samples(&facts.shape);
    let recipe = judged(&run.recipe, run.snapshot.as_ref(), &extent, facts.classes)?;
    let network = Network::new(&recipe, &extent, facts.classes, &source.weights)?;
    let name = text::identifier(path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default());

    // Samples that are stored as the network reads them are not copied.
    let copies =
        facts.scale.iter().any(|&scale| scale != 1.0) || facts.shift.iter().any(|&shift| shift != 0.0);
    let memory = Memory::new(&network, copies);
    let mut writer = Writer::new(&network, &source.weights, &memory, copies);
    if copies {
        writer.remark("The sample as the network was trained on it.");
        writer.scale_shift("", [facts.scale.clone(), facts.shift.clone()], 0, 0);
    }
    for layer in &network.layers {
        writer.remark(&layers::described(layer, |value| network.extents[value].to_string()));
        layers::write(&mut writer, layer)?;
    }
    let told = Told {
        kept: writer.kept,
        constant_bytes: writer.bytes(),
        static_bytes: 4 * memory.floats,
        accuracy: accuracy(source),
    };
    let parts = [
        head(&name, &facts, &extent, copies, &told),
        macros(&name, &extent, facts.classes, told.static_bytes),
        writer.finish(&name),
        recipe_of(run),
    ];
    write_file_atomic(path, parts.join("\n").as_bytes())?;
    let Told { kept: [kept, total], constant_bytes, static_bytes, accuracy } = told;
    Ok(vec![
        format!("{}: {name}_run, with {kept} of {total} weights", path.display()),
        format!("{constant_bytes} bytes of constants, {static_bytes} bytes of static memory"),
        accuracy,
    ])
}

/// What is told of a file, within it and beside it.
struct Told {
    /// Weights, of how many.
    kept: [usize; 2],
    constant_bytes: usize,
    static_bytes: usize,
    accuracy: String,
}

/// What the network answers on the run's device, or why that is not known.
fn accuracy(source: &Source) -> String {
    let judge = || -> Result<f64> {
        let (session, _) = source.session("C source")?;
        let marks = session.evaluate(Part::Test)?;
        marks.map(|marks| marks.totals.accuracy()).ok_or_else(|| Error::data("there is no test part"))
    };
    match judge() {
        Ok(accuracy) => format!("Test accuracy of these weights: {:.2} %", 100.0 * accuracy),
        Err(error) => format!("Test accuracy not measured: {}", error.what()),
    }
}

fn head(name: &str, facts: &Facts, extent: &Extent, copies: bool, told: &Told) -> String {
    let upper = name.to_uppercase();
    let order = if extent.sites.is_empty() { "" } else { ": channels, rows, columns" };
    let normalised = match (&facts.scale[..], &facts.shift[..]) {
        _ if !copies => "as the network reads them".to_string(),
        ([scale], [shift]) => {
            let (sign, by) = if *shift < 0.0 { ('-', -shift) } else { ('+', *shift) };
            format!("as the data set stores them; x * {scale:?} {sign} {by:?} is computed here")
        }
        _ => "as the data set stores them; each channel's scale and shift are applied here".to_string(),
    };
    let classes: String = (0..)
        .zip(&facts.class_names)
        .map(|(class, name): (usize, _)| format!("  {class} {name:?}\n"))
        .collect();
    let Told { kept: [kept, total], constant_bytes, static_bytes, accuracy } = told;
    text::comment(&format!(
        "{name}: a neural network with {kept} of {total} weights, written by Coppice {}.\n\n\
         void {name}_run(const float *x, float *y);\n\n\
         x: {upper}_INPUTS numbers ({extent}{order}), {normalised}.\n\
         y: {upper}_OUTPUTS numbers, one a class, before any softmax. The largest is the answer. x and y do not overlap.\n{classes}\n\
         {accuracy}.\n\
         {constant_bytes} bytes of constants. Values lie in {static_bytes} bytes of static memory, so that one call is made \
         at a time.\n\
         C99; link with -lm. Where it is used, declare the function as above.",
        env!("CARGO_PKG_VERSION"),
    ))
}

fn macros(name: &str, extent: &Extent, classes: usize, static_bytes: usize) -> String {
    let upper = name.to_uppercase();
    [("INPUTS", extent.numbers()), ("OUTPUTS", classes), ("STATIC_BYTES", static_bytes)]
        .map(|(what, number)| format!("#define {upper}_{what} {number}\n"))
        .concat()
}

/// The recipe of the run.
fn recipe_of(run: &Run) -> String {
    let steps = run.snapshot.as_ref().map_or(String::new(), |snapshot| format!(", {} steps", snapshot.step));
    text::comment(&format!("The recipe that it was trained by{steps}:\n\n{}", run.recipe.to_toml()))
}
