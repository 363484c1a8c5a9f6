//! Networks that are passed through one step at a time answer as those that see all steps at once, on every adapter.

mod common;

use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::gpu::{Gpu, Recorder};
use coppice::nn::{Arena, Extent, Model, Pass, Schedule, Wish};
use coppice::ops::Step;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;

const VOCABULARY: usize = 13;
const STEPS: usize = 11;
const BATCH: usize = 4;

const NETWORKS: [(&str, &str); 5] = [
    ("gpt", "{ preset = 'gpt', layers = 2, width = 24, heads = 3, hidden = 40 }"),
    ("apart", "{ preset = 'gpt', layers = 1, width = 24, heads = 3, hidden = 40, projections = 'q-k-v' }"),
    (
        "rotary",
        "{ layer = [{ type = 'embedding', out = 16 }, { type = 'linear', out = 48 },
            { type = 'rotary', heads = 2, of = 'qkv' }, { type = 'attention', heads = 2, causal = true },
            { type = 'rms_norm' }, { type = 'positions', kind = 'sinusoidal' }, { type = 'linear', out = 13 }] }",
    ),
    (
        "of two inputs",
        "{ layer = [{ type = 'embedding', name = 'x', out = 16 }, { type = 'linear', name = 'q', out = 16 },
            { type = 'linear', from = 'x', name = 'kv', out = 32 },
            { type = 'attention', from = ['q', 'kv'], heads = 2, causal = true }, { type = 'linear', out = 13 }] }",
    ),
    (
        "recurrent",
        "{ layer = [{ type = 'embedding', out = 8 }, { type = 'linear', out = 48 }, { type = 'lstm' },
            { type = 'linear', out = 36 }, { type = 'gru' }, { type = 'linear', out = 13 }] }",
    ),
];

fn recipe(model: &str) -> Recipe {
    let model = model.replace('\n', " ");
    let text =
        format!("data = {{ name = 'shakespeare' }}\noptim = {{ name = 'sgd', lr = 1 }}\nmodel = {model}");
    Recipe::parse(&text, "network", &[]).unwrap()
}

/// A model with memory, its forward pass, and the step.
fn built(gpu: &Gpu, mut model: Model) -> (Model, Pass) {
    model.params.iter_mut().for_each(|param| param.allocate(gpu).unwrap());
    let schedule = Schedule::new(&model, gpu, &Choices::default(), BATCH, Wish::default());
    let (_, mut passes) = Arena::new(gpu, vec![schedule]).unwrap();
    (model, passes.remove(0))
}

/// Logits (classes, steps, batch) of a model that sees `steps` steps at a time.
fn logits(gpu: &Gpu, model: Model, tokens: &[u32], steps: usize) -> Vec<f32> {
    let (model, pass) = built(gpu, model);
    let step = gpu.uniform("step", &Step::default()).unwrap();
    let mut rec = Recorder::new(gpu);
    model.forward(&mut rec, &Choices::default(), &step, &pass).unwrap();
    let plan = rec.finish().unwrap();
    let mut all = vec![0.0; VOCABULARY * STEPS * BATCH];
    for first in (0..STEPS).step_by(steps) {
        step.write(&Step { first: first as u32, live: BATCH as u32, ..Step::default() }).unwrap();
        pass.input().write(&tokens[first * BATCH..][..steps * BATCH]).unwrap();
        plan.replay().unwrap();
        let own = pass.heads()[0].0.read_f32().unwrap();
        for (class, row) in own.chunks(steps * BATCH).enumerate() {
            all[(class * STEPS + first) * BATCH..][..steps * BATCH].copy_from_slice(row);
        }
    }
    all
}

#[test]
fn one_step_at_a_time_answers_as_all_at_once() {
    let tokens: Vec<u32> = (0..STEPS * BATCH).map(|i| (i * i * 7 + i) as u32 % VOCABULARY as u32).collect();
    let whole = Extent::tokens(VOCABULARY, STEPS);
    for (gpu, (name, model)) in common::everywhere().iter().flat_map(|gpu| NETWORKS.map(|net| (gpu, net))) {
        let recipe = recipe(model);
        let at_once = Model::new(&recipe.model, whole.clone(), VOCABULARY, 3).unwrap();
        let by_steps = Model::stepwise(&recipe.model, &whole, VOCABULARY, 3).unwrap();
        let (want, got) = (logits(gpu, at_once, &tokens, STEPS), logits(gpu, by_steps, &tokens, 1));
        let spread = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(spread > 0.01, "{name}: {spread}");
        // Sums of some tens in another order, through a few layers.
        let close = Tolerance { abs: 2e-6, rel: 2e-5 };
        compare_f32(name, &got, &want, close).unwrap_or_else(|e| panic!("{name}, {:?}: {e}", gpu.identity()));
        let mut wrong = got.clone();
        wrong[7] += 0.001;
        assert!(compare_f32(name, &wrong, &want, close).is_err());
    }
}

/// With the same numbers, one weight makes of a value what two or three make.
#[test]
fn projections_answer_alike_however_they_are_cut() {
    let tokens: Vec<u32> = (0..STEPS * BATCH).map(|i| (i * i * 5 + i) as u32 % VOCABULARY as u32).collect();
    let model = |projections: &str| {
        let settings = "preset = 'gpt', layers = 2, width = 24, heads = 3, hidden = 40";
        let recipe = recipe(&format!("{{ {settings}, projections = '{projections}' }}"));
        Model::new(&recipe.model, Extent::tokens(VOCABULARY, STEPS), VOCABULARY, 3).unwrap()
    };
    for gpu in common::everywhere() {
        let want = logits(&gpu, model("qkv"), &tokens, STEPS);
        for (cut, parts) in [("qk-v", vec!["qk", "v"]), ("q-k-v", vec!["q", "k", "v"])] {
            let (whole, mut apart) = (model("qkv"), model(cut));
            for param in whole.params.iter() {
                let values = param.initial_values();
                let third = values.len() / 3;
                let mut rest = &values[..];
                let is_cut = param.name.contains("attn_qkv");
                for part in if is_cut { &parts[..] } else { &["qkv"] } {
                    let name = param.name.replace("attn_qkv", &format!("attn_{part}"));
                    let own = apart.params.iter_mut().find(|own| own.name == name).expect("it is there");
                    let (now, later) = rest.split_at(if is_cut { part.len() * third } else { values.len() });
                    own.begin_with(now.to_vec());
                    rest = later;
                }
                assert!(rest.is_empty());
            }
            let got = logits(&gpu, apart, &tokens, STEPS);
            assert_eq!(got, want, "{cut} on {:?}", gpu.identity());
        }
    }
}

#[test]
fn what_looks_ahead_cannot_be_passed_through_by_steps() {
    for (layers, wanted) in [
        (
            "{ type = 'linear', out = 24 }, { type = 'attention', heads = 2 }, { type = 'linear', out = 13 }",
            "`attention2`",
        ),
        (
            "{ type = 'linear', out = 32 }, { type = 'lstm', reverse = true }, { type = 'linear', out = 13 }",
            "`lstm2`",
        ),
        ("{ type = 'global_average_pool' }, { type = 'linear', out = 13 }", "`global_average_pool1`"),
    ] {
        let recipe = recipe(&format!("{{ layer = [{{ type = 'embedding', out = 8 }}, {layers}] }}"));
        let refused = Model::stepwise(&recipe.model, &Extent::tokens(VOCABULARY, STEPS), VOCABULARY, 0);
        let error = refused.err().expect("it is refused").to_string();
        assert!(error.contains(wanted) && error.contains("looks at later steps"), "{error}");
    }
}
