//! Embeddings, positions, norms and biases: pruned where a rule names them in full, and left alone by all others.

use coppice::data::{Order, Tokens};

use super::*;

const MODEL: &str = "
    [model]
    layer = [
        { type = 'embedding', name = 'embed', out = 8 },
        { type = 'positions', name = 'positions', std = 0.5 },
        { type = 'layer_norm', name = 'norm' },
        { type = 'linear', name = 'fc', out = 24 },
        { type = 'attention', name = 'attn', heads = 2, causal = true },
        { type = 'linear', name = 'head', out = 6, bias = true },
    ]";
/// Weights of each, and the density that a rule asks for.
const NAMED: [(&str, usize, f64); 4] = [
    ("embed.weight", 48, 0.5),
    ("positions.table", 40, 0.25),
    ("norm.weight", 8, 0.75),
    ("fc.bias", 24, 0.5),
];

fn text() -> Dataset {
    let part = |windows: usize, tensor: u32| {
        let token = |i: usize| (uniform(9, Stream::Test, 0, tensor, i as u32) * 6.0) as u32;
        let stream = (0..5 * windows + 1).map(token).collect();
        let order = Order::Shuffled;
        Split::of_tokens(Tokens {
            stream,
            vocabulary: 6,
            every: 5,
            reads: 5,
            skips: 0,
            padding: None,
            order,
            bytes: None,
        })
    };
    Dataset::from_arrays(Source::new("text", vec![5], 6, part(12, 0), part(8, 1)), 0.0).unwrap()
}

fn run_of(gpu: &Gpu, sparsity: &str, rules: &[(&str, f64)]) -> coppice::error::Result<Session> {
    let rule = |(name, density): &(&str, f64)| format!("{{ match = '{name}', target = {} }}", 1.0 - density);
    let rules = rules.iter().map(rule).collect::<Vec<_>>().join(", ");
    let text_of = format!(
        "run = {{ epochs = 4, batch = 4, seed = 4 }}\ndata = {{ name = 'text', validation = 0.0 }}\n\
         optim = {{ name = 'adam', lr = 0.02 }}\nsparsity = {{ {sparsity}, rule = [{rules}] }}\n{MODEL}"
    );
    Session::new(gpu, &Recipe::parse(&text_of, "test", &[])?, &text(), Choices::default())
}

fn loss(run: &mut Session) -> f32 {
    run.evaluate(Part::Test).unwrap().expect("it is judged").totals.loss
}

#[test]
fn a_rule_that_names_one_in_full_prunes_it() {
    let methods = [
        "method = 'static', target = 0.5, distribution = 'uniform'",
        "method = 'gmp', target = 0.5, schedule = { every = '2' }",
        "method = 'rigl', target = 0.5, distribution = 'uniform', schedule = { every = '2' }",
        "method = 'gmp', target = 0.5, latent = true, schedule = { every = '3' }",
    ];
    let rules = NAMED.map(|(name, _, density)| (name, density));
    for (gpu, sparsity) in everywhere().iter().flat_map(|gpu| methods.map(|own| (gpu, own))) {
        let mut run = run_of(gpu, sparsity, &rules).unwrap();
        while !run.is_done() {
            run.advance().unwrap();
        }
        let params = run.model.params.iter();
        let values: Vec<Vec<f32>> = params.clone().map(|param| param.read().unwrap()).collect();
        for (name, len, density) in NAMED {
            let (param, own) = params.clone().zip(&values).find(|(param, _)| param.name == name).unwrap();
            let kept = param.indices().unwrap();
            let what = format!("{name} by {sparsity} on {:?}", gpu.identity());
            assert_eq!((param.len(), kept.len()), (len, (len as f64 * density) as usize), "{what}");
            let is_zero = |i: &u32| own[*i as usize] == 0.0;
            let mut pruned = (0..len as u32).filter(|i| kept.binary_search(i).is_err());
            assert!(pruned.all(|i| is_zero(&i)) && !kept.iter().any(is_zero), "{what}");
            assert!(param.packed().is_none(), "{what}");
        }
        let others = params.clone().filter(|param| param.name == "norm.bias" || param.name == "head.bias");
        assert!(others.clone().count() == 2 && others.clone().all(|param| !param.is_masked()));
        // The forward pass sees the zeros: a dense network of these numbers answers alike.
        let mut dense = run_of(gpu, "method = 'none'", &[]).unwrap();
        let pairs = dense.model.params.iter().zip(&values);
        pairs.into_iter().for_each(|(param, own)| param.write(own).unwrap());
        let (masked, unmasked) = (loss(&mut run), loss(&mut dense));
        assert!((masked - unmasked).abs() <= 1e-6 * unmasked, "{masked}, {unmasked} by {sparsity}");
    }
}

#[test]
fn patterns_leave_them_alone() {
    let sparsity = "method = 'gmp', target = 0.5";
    let run = run_of(&Gpu::twin(), sparsity, &[("*", 0.5)]).unwrap();
    let pruned = run.model.params.iter().filter(|param| param.is_masked()).map(|param| &*param.name);
    assert_eq!(pruned.collect::<Vec<_>>(), ["fc.weight", "head.weight"]);
    let error = run_of(&Gpu::twin(), sparsity, &[("embed", 0.5)]).err().expect("refused").to_string();
    assert!(error.contains("match = \"embed\"") && error.contains("in full"), "{error}");
}
