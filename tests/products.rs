//! Packed products beside dense ones of the same masked weight: whether they have the same bits, kernel by kernel.

mod common;

use coppice::gpu::{Gpu, Recorder};
use coppice::ops::linear::{self, Rows};
use coppice::ops::packed::products::{Packed, forward_by, input_grad_by};
use coppice::ops::packed::variants::fitting as packed_fitting;
use coppice::ops::packed::{Form, Index, Pattern};
use coppice::ops::variants::{Choices, Product, Shape, suitable};
use coppice::random::{Stream, uniform};

const FORMS: [Form; 5] = [
    Form::Free,
    Form::Block { height: 4 },
    Form::Block { height: 8 },
    Form::Groups { keep: 2, of: 5 },
    Form::Groups { keep: 1, of: 16 },
];

/// Numbers between -1 and 1.
fn numbers(kind: u32, len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| 2.0 * uniform(6, Stream::Test, 0, kind, i) - 1.0).collect()
}

/// Three of ten weights; of every fifth row none or all, where the form allows it.
fn pattern(form: Form, heads: usize, inner: usize) -> Pattern {
    let noise = numbers(0, heads * inner);
    let kept = |&i: &usize| match (form, i / inner % 5) {
        (Form::Groups { keep, of }, _) => {
            let first = i - i % inner % of;
            let group = first..(first + of).min(i - i % inner + inner);
            group.filter(|&other| noise[other] > noise[i]).count() < keep
        }
        (_, 0) => false,
        (_, 1) => true,
        _ => noise[i] > 0.4,
    };
    let indices: Vec<u32> = (0..heads * inner).filter(kept).map(|i| i as u32).collect();
    Pattern::from_indices(form, heads * form.height(), inner, &indices)
}

/// A product of one form and shape by every kernel: names, and what they give. Dense ones first.
type Results = Vec<(&'static str, Vec<f32>)>;

fn all(gpu: &Gpu, product: Product, pattern: &Pattern, cols: usize) -> [Results; 2] {
    let (rows, inner) = (pattern.rows, pattern.inner);
    let values = numbers(1, pattern.kept());
    let upload = |kind: u32, shape: &[usize]| {
        gpu.upload_f32("operand", shape, &numbers(kind, shape.iter().product())).unwrap()
    };
    let (bias, x, d_y) = (upload(2, &[rows]), upload(3, &[inner, cols]), upload(4, &[rows, cols]));
    let weight = gpu.upload_f32("weight", &[rows, inner], &pattern.dense(&values)).unwrap();
    let out = upload(5, &if product == Product::Forward { [rows, cols] } else { [inner, cols] });
    let result = |rec: Recorder| {
        // What a kernel leaves out must not be what the one before it wrote.
        out.write(&vec![f32::NAN; out.len()]).unwrap();
        rec.finish().unwrap().replay().unwrap();
        out.read_f32().unwrap()
    };
    let shape = Shape::new(rows, inner, cols);
    let dense = suitable(gpu, product, shape).map(|variant| {
        let mut choices = Choices::default();
        choices.set(format!("{} {rows}x{inner}x{cols}", product.name()), variant.name.into());
        let blocks = [Rows { rows: 0..rows, tensor: &weight }];
        let mut rec = Recorder::new(gpu);
        match product {
            Product::Forward => linear::forward(&mut rec, &choices, shape, &blocks, &bias, &x, &out, true),
            _ => linear::input_grad(&mut rec, &choices, shape, &blocks, &x, &d_y, &out, false, true),
        }
        .unwrap();
        (variant.name, result(rec))
    });
    let dense = dense.collect();
    let index = Index::new(gpu, "weight", pattern.clone(), None, true, 4).unwrap();
    let values = gpu.upload_f32("values", &[pattern.kept()], &values).unwrap();
    let packed = packed_fitting(gpu, product, pattern.form, false).map(|variant| {
        let weight = Packed { index: &index, values: &values };
        let mut rec = Recorder::new(gpu);
        match product {
            Product::Forward => forward_by(&mut rec, variant, weight, &bias, &x, &out, true),
            _ => input_grad_by(&mut rec, variant, weight, &x, &d_y, &out, true),
        }
        .unwrap();
        (variant.name, result(rec))
    });
    [dense, packed.collect()]
}

/// The same kept products, in the same order or in another. The twin adds in f64, where zeros between them change nothing:
/// there all bits are equal. A device may fuse a multiplication with an addition in one kernel and not in another, and some
/// kernels add the bias first or in slices: a sum of n products of at most 1 is off by up to n roundings of a sum below n, in
/// each of the two. One product more or less is worth 1/3 on average.
#[test]
fn packed_products_are_dense_products_of_the_masked_weight() {
    common::side_by_side(common::everywhere(), |gpu| {
        for (product, form) in [Product::Forward, Product::InputGrad]
            .into_iter()
            .flat_map(|product| FORMS.into_iter().map(move |form| (product, form)))
        {
            // The last has several bands of columns, whatever the tile, and one that is not whole.
            for (rows, inner, cols) in
                [(65usize, 257, 68), (63, 260, 132), (257, 65, 4), (1, 3, 4), (9, 7, 5252)]
            {
                let pattern = pattern(form, rows.div_ceil(form.height()), inner);
                let [dense, packed] = all(gpu, product, &pattern, cols);
                assert!(!dense.is_empty() && !packed.is_empty());
                let n = if product == Product::Forward { inner + 1 } else { pattern.rows };
                let bound = if gpu.is_device() { 2.0 * (n * n) as f32 * 2f32.powi(-24) } else { 0.0 };
                for ((name, got), (other, want)) in
                    packed.iter().flat_map(|one| dense.iter().map(move |other| (one, other)))
                {
                    assert_eq!(got.len(), want.len());
                    let far = (0..got.len()).find(|&i| !((got[i] - want[i]).abs() <= bound));
                    if let Some(i) = far {
                        let (got, want, gpu) = (got[i], want[i], gpu.identity());
                        panic!(
                            "{name}, {form:?}, {rows}x{inner}x{cols}, {i}: {got}, {other}: {want}, on {gpu:?}"
                        );
                    }
                }
            }
        }
    });
}
