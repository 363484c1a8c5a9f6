//! The products of one layer, packed at several densities beside dense: where does packed begin to pay?

use super::Sheet;
use super::rows::Rows;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::measure::{Meter, Progress, dense, packed as on_packed};
use crate::ops::packed::crossover::{self, Bench, LADDER, Products};
use crate::ops::packed::{Form, variants as packed};
use crate::ops::variants::{Choices, Product, Shape};

const SHAPES: [(usize, usize); 2] = [(1024, 784), (1024, 1024)];
const FORMS: [Form; 5] = [
    Form::Free,
    Form::Block { height: 4 },
    Form::Block { height: 8 },
    Form::Groups { keep: 1, of: 8 },
    Form::Groups { keep: 1, of: 32 },
];

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let header = &[
        "shape",
        "form",
        "density",
        "forward",
        "input grad",
        "weight grad",
        "all",
        "to dense",
        "as dense GFLOP/s",
    ];
    let of_one = 1 + FORMS.into_iter().map(|form| densities(form).len()).sum::<usize>();
    let mut rows = Rows::new(header, 2 * SHAPES.len() * of_one);
    let mut variants = Vec::new();
    for ((outputs, inputs), narrow) in SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let shape = Shape::new(outputs, inputs, 128);
        let mut choices = Choices::default();
        let mut tell = |_: &Progress| {};
        let mut meter = Meter::full(gpu, &mut tell).repeats(repeats);
        for product in Product::ALL.into_iter().filter(|_| gpu.is_device()) {
            dense::choose(&mut meter, &mut choices, product, shape)?;
        }
        let bench = Bench::new(gpu, shape, narrow)?;
        let name = format!("{outputs}x{inputs}x128{}", if narrow { " bf16" } else { "" });
        let dense = bench.dense(gpu, &choices, repeats)?;
        rows.push(row(&name, "dense", 1.0, dense, shape, dense.iter().sum()));
        for form in FORMS {
            for density in densities(form) {
                let products = Products { form, shape, narrow, feeds_back: true, dense_grad: false };
                on_packed::choose(&mut meter, &mut choices, products, density)?;
                let index = bench.index(gpu, &choices, crossover::pattern(form, shape, density))?;
                // Dense beside each row: a device that drifts slows both.
                let dense: f64 = bench.dense(gpu, &choices, repeats)?.iter().sum();
                let times = bench.packed(gpu, &choices, &index, repeats)?;
                rows.push(row(&name, &form.name(), density, times, shape, dense));
                for product in Product::ALL {
                    let all = on_packed::times(&mut meter, &bench, product, &index.pattern)?;
                    let chosen = packed::pick(&choices, product, &index, 128, narrow).name;
                    variants.extend(all.into_iter().flatten().map(|(variant, ms)| {
                        let is_plain = packed::ALL.iter().any(|one| one.name == variant && one.is_plain());
                        let plain = is_plain.then_some("plain");
                        let marks = plain.into_iter().chain((variant == chosen).then_some("chosen"));
                        vec![
                            name.clone(),
                            form.name(),
                            density.to_string(),
                            variant.into(),
                            format!("{ms:.3}"),
                            marks.collect::<Vec<_>>().join(", "),
                        ]
                    }));
                }
            }
        }
    }
    let title = "the three products of a layer, outputs x inputs x columns; medians in ms, GFLOP/s as if it were dense".to_string();
    let each = "every packed kernel".to_string();
    Ok(vec![
        Sheet { name: "crossover", title, header, rows: rows.done() },
        Sheet {
            name: "packed",
            title: each,
            header: &["shape", "form", "density", "variant", "ms", ""],
            rows: variants,
        },
    ])
}

fn densities(form: Form) -> Vec<f64> {
    match form {
        Form::Groups { keep, of } => vec![keep as f64 / of as f64],
        _ => LADDER.to_vec(),
    }
}

fn row(shape_name: &str, form: &str, density: f64, times: [f64; 3], shape: Shape, dense: f64) -> Vec<String> {
    let all: f64 = times.iter().sum();
    let mut cells = vec![shape_name.to_string(), form.to_string(), density.to_string()];
    cells.extend(times.iter().map(|ms| format!("{ms:.3}")));
    cells.push(format!("{all:.3}"));
    cells.push(format!("{:.3}", all / dense));
    cells.push(format!("{:.0}", 3.0 * shape.flops() as f64 / all / 1e6));
    cells
}
