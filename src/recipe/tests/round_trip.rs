//! Any recipe is written and read back; any text is read or refused; no misspelt key is ignored.

use proptest::prelude::*;
use toml::Value;

use super::{LEAST, with};
use crate::error::Kind;
use crate::recipe::*;

fn a_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1..i64::MAX as u64).prop_map(Duration::Steps),
        (1e-3..1e4f64).prop_map(Duration::Epochs),
        (1e-3..=100.0f64).prop_map(Duration::Percent),
    ]
}

fn a_setting() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        (-1e6..1e6f64).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        "(?s).{0,6}".prop_map(Value::String),
    ];
    plain.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-z .]{1,4}", inner, 0..3)
                .prop_map(|map| Value::Table(map.into_iter().collect())),
        ]
    })
}

/// Keys start with `x`, which no key of a section does.
fn some_settings() -> impl Strategy<Value = Settings> {
    prop::collection::btree_map("x[a-z\" =#]{0,4}", a_setting(), 0..3)
        .prop_map(|map| map.into_iter().collect::<toml::Table>().into())
}

fn a_model() -> impl Strategy<Value = Model> {
    let from = prop::collection::vec("[a-z]{1,5}", 0..3);
    let layer = ("[a-z]{1,5}", prop::option::of("[a-z]{1,5}"), from, some_settings())
        .prop_map(|(kind, name, from, settings)| Layer { kind, name, from, settings });
    let output = ("[a-z]{1,5}", some_settings()).prop_map(|(from, settings)| Output { from, settings });
    prop_oneof![
        (prop::collection::vec(1..u32::MAX, 0..4), "[a-z]{1,5}")
            .prop_map(|(hidden, activation)| Model::Mlp { hidden, activation }),
        (prop::collection::vec(layer, 1..4), prop::collection::vec(output, 0..3))
            .prop_map(|(layers, outputs)| Model::Network(Network { layers, outputs })),
    ]
}

fn an_lr() -> impl Strategy<Value = LrSchedule> {
    let shape = prop_oneof![
        (0.0..10.0f64).prop_map(|value| Shape::Constant { value }),
        (0.0..10.0f64, 0.0..10.0f64).prop_map(|(start, end)| Shape::Cosine { start, end }),
        (0.0..10.0f64, 0.01..2.0f64, prop::collection::vec(a_duration(), 0..3))
            .prop_map(|(start, factor, at)| Shape::Step { start, factor, at }),
    ];
    (shape, a_duration()).prop_map(|(shape, warmup)| LrSchedule { shape, warmup })
}

fn a_schedule() -> impl Strategy<Value = PruneSchedule> {
    let steps = Duration::Steps;
    (0..3usize, 0..1000u64, 0..1000u64, a_duration(), 0.1..9.0f64).prop_map(
        move |(kind, begin, length, every, power)| match Curve::ALL[kind] {
            kind @ Curve::OneShot => {
                PruneSchedule { kind, begin: steps(begin), end: steps(begin), every: steps(1), power: 1.0 }
            }
            kind => {
                let power = if kind == Curve::Cubic { power } else { 1.0 };
                PruneSchedule { kind, begin: steps(begin), end: steps(begin + length), every, power }
            }
        },
    )
}

fn a_sparsity() -> impl Strategy<Value = Sparsity> {
    let rule = ("[a-z*?]{1,5}", 0..3usize, 0.0..0.99f64).prop_map(|(matches, which, target)| Rule {
        matches,
        dense: which == 1,
        target: (which == 2).then_some(target),
        pattern: (which == 0).then_some(Structure::Block { rows: 8, columns: 1 }),
        keep: (which == 2).then_some(KeepPart::Diagonal),
        alike: (which == 0).then_some(2),
    });
    let rules = prop::collection::vec(rule, 0..3);
    (0.0..0.99f64, 0..Distribution::ALL.len(), a_schedule(), any::<bool>(), rules, some_settings()).prop_map(
        |(target, distribution, schedule, latent, rules, settings)| Sparsity {
            method: if target < 0.2 { "none" } else { "gmp" }.to_string(),
            target: (target >= 0.2).then_some(target),
            init: if target < 0.2 { None } else { Some(0.9) },
            distribution: (target < 0.5).then_some(Distribution::ALL[distribution]),
            min_density: if latent { target } else { 0.0 },
            pattern: Structure::default(),
            filters: Default::default(),
            schedule,
            latent,
            fan_in: if latent { FanIn::LogNormal { sigma: 0.5 } } else { FanIn::Random },
            scale: Scale::ALL[usize::from(latent)],
            strict: latent,
            keep_dense: KeepDense::ALL[..distribution % 3].to_vec(),
            storage: Storage::ALL[distribution % 3],
            rules,
            settings,
        },
    )
}

fn a_run() -> impl Strategy<Value = Run> {
    let counts = (1..u32::MAX, 1..u32::MAX, 1..u32::MAX);
    (
        "[a-z][a-z0-9._-]{0,8}",
        0..=i64::MAX as u64,
        counts,
        [a_duration(), a_duration(), a_duration()],
        any::<bool>(),
    )
        .prop_map(
            |(name, seed, (epochs, batch, keep), [log_every, eval_every, checkpoint_every], autotune)| Run {
                name,
                seed,
                epochs,
                steps: None,
                patience: Some(keep).filter(|_| autotune),
                batch,
                log_every,
                eval_every,
                checkpoint_every,
                keep,
                autotune,
                activations: Precision::ALL[usize::from(autotune)],
                recompute: autotune,
                accumulate: batch.min(7),
                baseline: !autotune,
            },
        )
}

fn a_shrink() -> impl Strategy<Value = Shrink> {
    (prop::sample::subsequence(&Vary::ALL[1..], 0..=3), a_duration(), 0.0..9.0f64, 1..9u32, any::<bool>())
        .prop_map(|(later, begin, lr, subnets, is_on)| {
            let phases: Vec<Vary> = [Vary::Full].into_iter().chain(later).filter(|_| is_on).collect();
            Shrink {
                begin: vec![begin; phases.len().saturating_sub(1)],
                lr: vec![lr; phases.len()],
                subnets: vec![subnets; phases.len()],
                phases,
            }
        })
}

fn an_unfreeze() -> impl Strategy<Value = Unfreeze> {
    let group = prop::collection::vec("[a-z*?\"]{1,5}", 1..3);
    prop::collection::vec((group, a_duration(), 0.0..9.0f64), 0..4).prop_map(|all| Unfreeze {
        groups: all.iter().map(|(group, ..)| group.clone()).collect(),
        phases: all.iter().skip(1).map(|(_, span, _)| *span).collect(),
        lr: all.iter().map(|(.., factor)| *factor).collect(),
    })
}

fn an_augment() -> impl Strategy<Value = Augment> {
    (any::<bool>(), 0..9u32, [0.0..0.9f64, 0.0..0.9, 0.0..0.9], 0.0..180.0f64, 0..9u32).prop_map(
        |(flip, crop, [shift, zoom, brightness], rotate, cutout)| Augment {
            flip,
            crop,
            shift,
            rotate,
            zoom,
            brightness,
            contrast: 1.0 - shift,
            cutout,
            mixup: f64::from(cutout) / 16.0,
        },
    )
}

fn a_loss() -> impl Strategy<Value = Loss> {
    let outputs = prop::collection::btree_map("[a-z.\"]{1,6}", 1e-3..9.0f64, 1..3);
    (0.0..0.99f64, prop::option::of(outputs)).prop_map(|(smoothing, outputs)| Loss { smoothing, outputs })
}

fn an_optim() -> impl Strategy<Value = Optim> {
    ("[a-z]{1,6}", an_lr(), prop::option::of(1e-3..9.0f64), some_settings()).prop_map(
        |(name, lr, clip, settings)| {
            let ema = clip.map(|clip| 1.0 / (1.0 + clip)).filter(|ema| *ema > 0.0 && *ema < 1.0);
            Optim { name, lr, clip, ema, settings }
        },
    )
}

fn a_stage() -> impl Strategy<Value = Stage> {
    use prop::option::of;
    let length = (1..99u32, of(1..99u32), of(1..9u32));
    let tables = (of(an_augment()), of(a_loss()), of(an_optim()), of(a_sparsity()), of(an_unfreeze()));
    (length, tables).prop_map(|((epochs, steps, patience), (augment, loss, optim, sparsity, unfreeze))| {
        Stage {
            // Those of a stage that counts steps are not written.
            epochs: if steps.is_some() { 10 } else { epochs },
            steps,
            patience,
            augment,
            loss,
            optim,
            sparsity,
            unfreeze,
        }
    })
}

fn a_recipe() -> impl Strategy<Value = Recipe> {
    let data = ("(?s).{1,8}", 0.0..0.99f64, some_settings()).prop_map(|(name, validation, settings)| Data {
        name,
        validation,
        settings,
    });
    let dump = (
        prop::option::of(a_duration()),
        prop::collection::vec("[a-z*?.\"]{1,5}", 1..3),
        prop::sample::subsequence(What::ALL, 1..=4),
    )
        .prop_map(|(every, tensors, what)| Dump { every, tensors, what });
    let distill = ("[a-z]{1,6}", some_settings()).prop_map(|(method, settings)| Distill { method, settings });
    (
        a_run(),
        (data, an_augment()),
        (a_model(), a_loss()),
        an_optim(),
        a_sparsity(),
        distill,
        (an_unfreeze(), a_shrink()),
        (any::<u32>(), any::<bool>()),
        (dump, prop::collection::vec(a_stage(), 0..3)),
    )
        .prop_map(
            |(
                run,
                (data, augment),
                (model, loss),
                optim,
                sparsity,
                distill,
                (unfreeze, shrink),
                (recalibrate, tensorboard),
                (dump, stages),
            )| {
                Recipe {
                    run,
                    data,
                    augment,
                    model,
                    loss,
                    optim,
                    sparsity,
                    distill,
                    unfreeze,
                    shrink,
                    finish: Finish { recalibrate },
                    dump,
                    log: Logging { tensorboard },
                    stages,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read(recipe in a_recipe()) {
        let text = recipe.to_toml();
        match Recipe::parse(&text, "again", &[]) {
            Ok(again) => prop_assert_eq!(again, recipe, "{}", text),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,60}", key in "[a-z.]{0,20}", value in ".{0,10}") {
        let _ = Recipe::parse(&text, "any", &[]);
        if let Err(error) = Recipe::parse(LEAST, "any", &[format!("{key}={value}")]) {
            prop_assert_eq!(error.kind, Kind::Usage);
        }
    }

    /// One letter off, in any key of the resolved recipe, is noticed: at once, or by the owner of the
    /// settings.
    #[test]
    fn no_misspelt_key_is_ignored(line in 0..64usize) {
        let text = with(&[]).unwrap().to_toml();
        let lines: Vec<&str> = text.lines().collect();
        let line = line % lines.len();
        prop_assume!(lines[line].contains(" = "));
        let changed: Vec<String> =
            lines.iter().enumerate().map(|(i, l)| if i == line { format!("q{l}") } else { l.to_string() }).collect();
        let noticed = Recipe::parse(&changed.join("\n"), "x", &[]).and_then(|recipe| {
            recipe.data.settings.resolve("data set", &[])?;
            recipe.optim.settings.resolve("optimizer", &[])?;
            recipe.sparsity.settings.resolve("method", &[])?;
            recipe.distill.settings.resolve("distillation", &[])
        });
        prop_assert!(noticed.is_err(), "{}", lines[line]);
    }
}
