//! A recurrent network on a text in streams, for every method: what layers carry from batch to batch is state like any other.

use coppice::data::{Order, Tokens};
use coppice::recipe::Storage;
use coppice::sparsity::Look;
use coppice::train::Part;

use super::*;

/// Sixteen units: ASP leaves weights alone of fewer inputs.
const MODEL: &str = "
    [model]
    layer = [
        { type = 'embedding', name = 'table', out = 4 },
        { type = 'linear', name = 'below_in', out = 64 },
        { type = 'lstm', name = 'below', carry = true },
        { type = 'linear', name = 'above_in', out = 48 },
        { type = 'gru', name = 'above', carry = true },
        { type = 'linear', name = 'head', out = 6 },
    ]";
const CARRIED: [&str; 2] = ["carried/below", "carried/above"];

/// 20 windows of three tokens, each the sum of the two before it plus a little noise; five streams of four.
fn text(order: Order) -> Dataset {
    let part = |windows: usize, tensor: u32| {
        let mut stream = vec![1u32, 2];
        while stream.len() < 3 * windows + 1 {
            let noise = (uniform(9, Stream::Test, 0, tensor, stream.len() as u32) * 1.3) as u32;
            stream.push((stream[stream.len() - 1] + stream[stream.len() - 2] + noise) % 6);
        }
        let (every, reads) = (3, 3);
        Split::of_tokens(Tokens {
            stream,
            vocabulary: 6,
            every,
            reads,
            skips: 0,
            padding: None,
            order,
            bytes: None,
        })
    };
    Dataset::from_arrays(Source::new("text", vec![3], 6, part(20, 0), part(10, 1)), 0.0).unwrap()
}

fn recipe_with(sparsity: &str, more: &str) -> Recipe {
    let text = format!(
        "run = {{ epochs = 5, batch = 5, seed = 4{more} }}\ndata = {{ name = 'text', validation = 0.0 }}\n\
         optim = {{ name = 'sgd', lr = 0.05 }}\nsparsity = {{ {sparsity} }}\n{MODEL}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

fn recipe(sparsity: &str) -> Recipe {
    recipe_with(sparsity, "")
}

fn carried(run: &Session) -> Vec<Vec<f32>> {
    let arrays = run.snapshot().unwrap().arrays;
    CARRIED.iter().map(|name| arrays[*name].to_f32()).collect()
}

#[test]
fn every_method_goes_on() {
    let (gpu, data) = (Gpu::twin(), text(Order::Streams));
    for method in methods::ALL {
        let recipe = recipe(section(method.name));
        let build = || convolutions::build(&gpu, &recipe, &data);
        goes_on_built(&build, &gpu, &[&[3, 8, 14], &[7, 13]], method.name);
    }
}

#[test]
fn some_methods_go_on_on_devices_and_in_bf16() {
    let data = text(Order::Streams);
    common::side_by_side(common::devices().into_iter().filter(Gpu::is_device).collect(), |gpu| {
        for (method, more) in [("rigl", ""), ("rigl", ", activations = 'bf16'"), ("sr-ste", "")] {
            let storage =
                if method == "rigl" { ", storage = 'packed', distribution = 'uniform'" } else { "" };
            let recipe = recipe_with(&format!("{}{storage}", section(method)), more);
            goes_on_built(&|| build(gpu, &recipe, &data), gpu, &[&[8, 13]], method);
        }
    });
}

#[test]
fn masked_and_packed_runs_have_equal_masks() {
    let (gpu, data) = (Gpu::twin(), text(Order::Streams));
    for method in ["static", "gmp", "rigl", "snfs"] {
        let ends = ["masked", "packed"].map(|storage| {
            let spread = format!("{}, distribution = 'uniform', storage = '{storage}'", section(method));
            let mut run = build(&gpu, &recipe(&spread), &data);
            while !run.is_done() {
                run.advance().unwrap();
            }
            let recurrent = || run.model.params.iter().filter(|param| param.recurrent);
            assert!(recurrent().all(|param| param.packed().is_some() == (storage == "packed")), "{method}");
            (masks(&run), carried(&run))
        });
        assert_eq!(ends[0], ends[1], "{method}");
    }
}

/// Neither a look at batches nor an evaluation moves on in the text; a step does, and an epoch begins anew.
#[test]
fn only_steps_move_what_is_carried() {
    let data = text(Order::Streams);
    for gpu in common::everywhere() {
        // A method that looks at gradients before its update.
        let mut run = build(&gpu, &recipe(section("rigl")), &data);
        assert!(carried(&run).iter().flatten().all(|value| *value == 0.0));
        let mut seen = Vec::new();
        for step in 0..5 {
            run.advance().unwrap();
            let now = carried(&run);
            // Five streams, in columns for eight.
            for values in &now {
                let is_live = |(i, value): (usize, &f32)| (i % 8 < 5) == (*value != 0.0);
                assert!(values.iter().enumerate().all(is_live), "step {step}: {values:?}");
            }
            let before = run.snapshot().unwrap().digest;
            run.look(Look { ahead: 0, tempered: false }).unwrap();
            run.evaluate(Part::Test).unwrap();
            assert_eq!(run.snapshot().unwrap().digest, before, "step {step} on {:?}", gpu.identity());
            assert!(!seen.contains(&now));
            seen.push(now);
        }
    }
}

#[test]
fn what_is_carried_needs_streams() {
    let shuffled = text(Order::Shuffled);
    let error = Session::new(&Gpu::twin(), &recipe("method = 'none'"), &shuffled, Choices::default());
    let error = error.err().expect("refused").to_string();
    assert!(error.contains("layer `below` goes on") && error.contains("data.order = \"streams\""), "{error}");
}

/// Operations are those of all steps, forward, back in time and for the weight's gradient.
#[test]
fn all_steps_count() {
    let run = build(&Gpu::twin(), &recipe("method = 'none'"), &text(Order::Streams));
    let of = |rows: usize, inner: usize| (2 * rows * inner * 3 * run.columns()) as f64;
    // Below the lowest layer no gradient flows to tokens, but one to the embedding.
    let products = of(64, 4) + of(64, 16) + of(48, 16) + of(48, 16) + of(6, 16);
    assert_eq!(run.train_flops(7).unwrap().dense, 7.0 * 3.0 * products);
}

/// A rule is for the weight of one gate.
#[test]
fn gates_apart_have_densities_of_their_own() {
    let (gpu, data) = (Gpu::twin(), text(Order::Streams));
    let sparsity = format!(
        "{}, distribution = 'uniform', rule = [{{ match = 'below.weight_f', target = 0.25 }}]",
        section("rigl")
    );
    let apart = MODEL.replace("'below', carry", "'below', gates = 'apart', carry");
    let recipe = Recipe::parse(
        &format!(
            "run = {{ epochs = 5, batch = 5, seed = 4 }}\ndata = {{ name = 'text', validation = 0.0 }}\n\
             optim = {{ name = 'adam', lr = 0.05 }}\nsparsity = {{ {sparsity} }}\n{apart}"
        ),
        "test",
        &[],
    )
    .unwrap();
    for storage in [Storage::Masked, Storage::Packed] {
        let mut recipe = recipe.clone();
        recipe.sparsity.storage = storage;
        goes_on_built(&|| build(&gpu, &recipe, &data), &gpu, &[&[8, 13]], "gates apart");
        let mut run = build(&gpu, &recipe, &data);
        while !run.is_done() {
            run.advance().unwrap();
        }
        let kept = |gate: char| {
            let id = run.model.params.named(&format!("below.weight_{gate}")).unwrap();
            run.model.params[id].read_mask().unwrap().iter().map(|word| word.count_ones()).sum::<u32>()
        };
        let [i, f, g, o] = ['i', 'f', 'g', 'o'].map(kept);
        assert_eq!((f, i, g), (192, o, o));
        assert!(o < 90, "{storage:?}: {o} of 256");
    }
}

/// Whatever selects single weights keeps what each gate of a unit takes of itself, and as many weights as without the rule.
#[test]
fn every_method_that_selects_keeps_a_diagonal() {
    let (gpu, data) = (Gpu::twin(), text(Order::Streams));
    let kept = |param: &coppice::param::Param| -> Vec<bool> {
        let words = param.read_mask().unwrap();
        (0..param.len()).map(|i| words[i / 32] >> (i % 32) & 1 == 1).collect()
    };
    let diagonals = |run: &Session| -> Vec<bool> {
        let of = |param| kept(param).into_iter().enumerate().filter(|(i, _)| i / 16 % 16 == i % 16);
        run.model.params.iter().filter(|param| param.recurrent).flat_map(of).map(|(_, kept)| kept).collect()
    };
    let count = |run: &Session| {
        let pruned = run.model.params.iter().filter(|param| param.prunable);
        pruned.flat_map(kept).filter(|kept| *kept).count()
    };
    let rule = ", rule = [{ match = 'below', keep = 'diagonal' }, { match = 'above', keep = 'diagonal' }]";
    let mut tried = 0;
    // The masks of `held` are those of the weights that it is given.
    for method in methods::ALL.iter().filter(|method| !["none", "held"].contains(&method.name)) {
        let ruled = recipe(&format!("{}{rule}", section(method.name)));
        let mut run = match Session::new(&gpu, &ruled, &data, Choices::default()) {
            Ok(run) => run,
            Err(error) => {
                let error = error.to_string();
                let others = ["str", "ste", "sr-ste", "mdgf", "sdgf", "asp"];
                assert!(
                    others.contains(&method.name) && error.contains("diagonal"),
                    "{}: {error}",
                    method.name
                );
                continue;
            }
        };
        tried += 1;
        let mut plain = build(&gpu, &recipe(section(method.name)), &data);
        let mut differs = false;
        while !run.is_done() {
            run.advance().unwrap();
            plain.advance().unwrap();
            assert!(diagonals(&run).iter().all(|kept| *kept), "{}, step {}", method.name, run.step);
            assert_eq!(count(&run), count(&plain), "{}, step {}", method.name, run.step);
            differs |= diagonals(&plain).contains(&false);
        }
        assert!(differs, "{}: the diagonal was kept anyway", method.name);
        goes_on_built(&|| build(&gpu, &ruled, &data), &gpu, &[&[8, 13]], method.name);
    }
    assert_eq!(tried, 11);
}

/// Packed and masked weights keep the same, where none grow.
#[test]
fn a_packed_diagonal_is_a_masked_one() {
    let (gpu, data) = (Gpu::twin(), text(Order::Streams));
    for method in ["static", "gmp"] {
        let ends = ["masked", "packed"].map(|storage| {
            let more = format!(
                "distribution = 'uniform', storage = '{storage}', rule = [{{ match = 'below', keep = 'diagonal' }}]"
            );
            let mut run = build(&gpu, &recipe(&format!("{}, {more}", section(method))), &data);
            while !run.is_done() {
                run.advance().unwrap();
            }
            masks(&run)
        });
        assert_eq!(ends[0], ends[1], "{method}");
    }
}

#[test]
fn a_diagonal_that_cannot_be_kept_is_refused_by_name() {
    let (gpu, data) = (Gpu::twin(), text(Order::Streams));
    let refused = |sparsity: &str| {
        let text = format!("{sparsity}, distribution = 'uniform'");
        let error = Session::new(&gpu, &recipe(&text), &data, Choices::default()).err().expect("refused");
        error.to_string()
    };
    for (sparsity, wanted) in [
        (
            "method = 'static', target = 0.5, rule = [{ match = 'head', keep = 'diagonal' }]",
            "there are: below.weight, above.weight",
        ),
        (
            "method = 'static', target = 0.95, rule = [{ match = 'below', keep = 'diagonal' }]",
            "the diagonals of below.weight have 64 weights",
        ),
        (
            "method = 'static', target = 0.5, rule = [{ match = 'below', keep = 'diagonal', pattern = '2:4' }]",
            "`below.weight` cannot keep its diagonal and the pattern 2:4",
        ),
        (
            "method = 'rigl', target = 0.5, storage = 'packed', rule = [{ match = 'below', keep = 'diagonal' }]",
            "`below.weight` cannot keep its diagonal, grow and be packed",
        ),
    ] {
        let error = refused(sparsity);
        assert!(error.contains(wanted), "{sparsity}\n{error}");
    }
}
