//! What a recipe may not say, and the words in which it is told so.

use super::{LEAST, with};
use crate::error::Kind;
use crate::recipe::Recipe;

fn refused(text: &str) -> String {
    let error = Recipe::parse(text, "bad.toml", &[]).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    error.to_string()
}

#[test]
fn unknown_keys_name_place_path_and_the_nearest() {
    assert_eq!(
        refused(&LEAST.replace("hidden", "hiden")),
        "`model.hidden` is missing\n  where: bad.toml, line 3\n  \
         expected: a list of whole numbers of at least 1, such as [512, 512]\n  \
         try: did you mean `hidden` where it says `hiden`?"
    );
    assert_eq!(
        refused(&format!("{LEAST}[run]\nepochs = 5\nbach = 7\n")),
        "unknown key `run.bach`\n  where: bad.toml, line 11\n  \
         known here: name, seed, steps, epochs, patience, batch, accumulate, log_every, eval_every, checkpoint_every, keep, autotune, activations, recompute, baseline\n  \
         try: did you mean `batch`?"
    );
    for (more, key, near) in [
        ("[sparsty]", "sparsty", "sparsity"),
        ("[augmet]", "augmet", "augment"),
        ("[augment]\ncutoff = 8", "augment.cutoff", "cutout"),
        ("[dump]\nwhats = ['mask']", "dump.whats", "what"),
        ("[log]\ntensorbord = true", "log.tensorbord", "tensorboard"),
        ("[sparsity]\nschedule = { ends = '5ep' }", "sparsity.schedule.ends", "end"),
        (
            "[sparsity]\n[[sparsity.rule]]\nmatch = 'a'\ndens = true\ndense = true",
            "sparsity.rule.0.dens",
            "dense",
        ),
    ] {
        let text = refused(&format!("{LEAST}{more}\n"));
        assert!(text.starts_with(&format!("unknown key `{key}`\n  where: bad.toml, line ")), "{text}");
        assert!(text.ends_with(&format!("did you mean `{near}`?")), "{text}");
    }
}

#[test]
fn unknown_tables_are_named_before_what_is_missing() {
    let text = refused(&LEAST.replace("[optim]", "[optimizer]"));
    assert!(text.starts_with("unknown key `optimizer`\n  where: bad.toml, line "), "{text}");
    assert!(text.ends_with("did you mean `optim`?"), "{text}");
}

#[test]
fn a_bad_override_reads_like_a_bad_line() {
    let text = with(&["run.epoch=5"]).unwrap_err().to_string();
    assert!(text.starts_with("unknown key `run.epoch`\n  where: -s run.epoch=5\n"), "{text}");
    assert!(text.ends_with("did you mean `epochs`?"), "{text}");
    let text = with(&["run.epochs=ten"]).unwrap_err().to_string();
    assert_eq!(
        text,
        "wrong value for `run.epochs`\n  expected: a whole number from 1 to 4294967295; found: \"ten\" (string)\n  \
         where: -s run.epochs=ten"
    );
}

#[test]
fn wrong_types_and_ranges_are_refused() {
    let sparse = ["sparsity.method=gmp", "sparsity.target=0.9"];
    for bad in [
        "run.epochs=-1",
        "run.epochs=0",
        "run.epochs=1.5",
        "run.epochs=4294967296",
        "run.batch=0",
        "run.seed=-1",
        "run.keep=0",
        "run.autotune=1",
        "run.name=../up",
        "run.name=''",
        "run.name=.hidden",
        "run.log_every=0",
        "run.eval_every=soon",
        "data.name=7",
        "data.validation=1",
        "data.validation=-0.1",
        "data.validation=nan",
        "augment.flip=1",
        "loss.smoothing=1",
        "loss.smoothing=-0.1",
        "optim.clip=0",
        "optim.clip=1e-60",
        "optim.clip=none",
        "optim.ema=0",
        "optim.ema=1",
        "optim.ema=none",
        "augment.crop=-1",
        "augment.crop=1.5",
        "augment.shift=1.1",
        "augment.rotate=181",
        "augment.rotate=-1",
        "augment.zoom=1",
        "augment.brightness=2",
        "augment.contrast=nan",
        "augment.cutout=20000",
        "augment.mixup=-1",
        "augment.mixup=0.0001",
        "model.hidden=[0]",
        "model.hidden=[1.5]",
        "model.hidden=8",
        "optim.name=''",
        "optim.lr=-0.1",
        "optim.lr=nan",
        "optim.lr=inf",
        "optim.lr=high",
        "optim.lr={type='constant',value=-1}",
        "optim.lr={type='cosine',start=0.1,end=nan}",
        "optim.lr={type='step',start=0.1,at='50%'}",
        "optim.lr={type='step',start=0.1,at=['x']}",
        "optim.lr={type='step',start=0.1,at=[],factor=0}",
        "optim.lr={type='constant',value=1,warmup=-5}",
        "sparsity.target=1",
        "sparsity.target=-0.1",
        "sparsity.target=nan",
        "sparsity.init=0",
        "sparsity.init=1.1",
        "sparsity.latent=yes",
        "sparsity.fan_in=log-normal",
        "sparsity.fan_in=log-normal:0",
        "sparsity.schedule.power=0",
        "sparsity.schedule.every=0",
        "sparsity.schedule.begin=120%",
        "sparsity.rule=5",
        "sparsity.rule=[5]",
        "sparsity.rule=[{match='a',target=1}]",
        "dump.every=0",
        "dump.tensors=[]",
        "dump.what=mask",
        "log.tensorboard=yes",
        "run=5",
        "sparsity.schedule=cubic",
    ] {
        let error = with(&[sparse[0], sparse[1], bad]).expect_err(bad);
        let (path, text) = (bad.split('=').next().unwrap(), error.to_string());
        assert_eq!(error.kind, Kind::Usage, "{bad}");
        assert!(text.starts_with(&format!("wrong value for `{path}")), "{bad}: {text}");
        assert!(text.contains("\n  expected: ") && text.contains("; found: "), "{bad}: {text}");
        assert!(text.ends_with(&format!("\n  where: -s {bad}")), "{bad}: {text}");
    }
}

#[test]
fn unknown_words_come_with_the_known_ones() {
    for (bad, first, known, near) in [
        (
            "sparsity.distribution=erkk",
            "unknown distribution `erkk`",
            "uniform, erk, er, global, uniform-first-dense",
            Some("erk"),
        ),
        ("sparsity.schedule.type=cubik", "unknown schedule `cubik`", "cubic, linear, oneshot", Some("cubic")),
        ("sparsity.scale=kep", "unknown scale `kep`", "dense, kept", Some("kept")),
        ("sparsity.storage=maskd", "unknown storage `maskd`", "masked, packed, auto", Some("masked")),
        (
            "dump.what=['grads']",
            "unknown part of a tensor `grads`",
            "weight, mask, grad, score",
            Some("grad"),
        ),
        ("optim.lr={type='expo'}", "unknown learning rate schedule `expo`", "constant, cosine, step", None),
    ] {
        let text = with(&[bad]).unwrap_err().to_string();
        let hint = near.map_or(String::new(), |near| format!("\n  try: did you mean `{near}`?"));
        assert_eq!(text, format!("{first}\n  known: {known}\n  where: -s {bad}{hint}"));
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (text, first) in [
        (
            "[[sparsity.rule]]\nmatch = 'a'\npattern = '2:4'\ntarget = 0.9",
            "an N:M pattern has its own sparsity",
        ),
        ("[sparsity]\npattern = 'block:8'", "wrong value for `sparsity.pattern`"),
        (
            "[[sparsity.rule]]\nmatch = 'a'\ndense = true\npattern = '2:4'",
            "a rule makes layers dense or says",
        ),
        (
            "[sparsity]\nschedule = { begin = '9ep', end = '5ep' }",
            "the pruning schedule ends before it begins",
        ),
        ("[sparsity]\nschedule = { type = 'oneshot', end = '5ep' }", "unknown key `sparsity.schedule.end`"),
        ("[[sparsity.rule]]\nmatch = 'a'", "a rule without effect"),
        ("[[sparsity.rule]]\ndense = true", "`sparsity.rule.0.match` is missing"),
        ("[[sparsity.rule]]\nmatch = 'a'\ndense = true\ntarget = 0.5", "a rule makes layers dense or says"),
        ("[[model.layer]]\ntype = 'relu'", "a model has a preset or a list of layers, not both"),
    ] {
        let got = refused(&format!("{LEAST}{text}\n"));
        assert!(got.starts_with(first), "{text}: {got}");
        assert!(got.contains("where: bad.toml, line "), "{text}: {got}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (cut, path) in [
        ("name = 'digits'", "data.name"),
        ("preset = 'mlp'", "model.preset"),
        ("hidden = [8]", "model.hidden"),
        ("name = 'sgd'", "optim.name"),
        ("lr = 0.1", "optim.lr"),
    ] {
        let text = refused(&LEAST.replace(cut, ""));
        assert!(text.starts_with(&format!("`{path}` is missing\n  where: bad.toml, line ")), "{text}");
    }
    assert!(refused("").starts_with("`data.name` is missing\n  where: bad.toml\n"));
}

#[test]
fn misspelt_keys_of_a_method_are_hinted_at_with_the_section_s_own() {
    let recipe = with(&["sparsity.distributon=erk"]).unwrap();
    let text = recipe.sparsity.settings.resolve("method `none`", &[]).unwrap_err().to_string();
    assert!(text.starts_with("unknown key `sparsity.distributon` of method `none`"), "{text}");
    assert!(text.contains("where: -s sparsity.distributon=erk"), "{text}");
    assert!(text.ends_with("did you mean `distribution`?"), "{text}");
}

#[test]
fn groups_and_phases_must_agree_in_number() {
    let groups = "unfreeze.groups=[['a'],['b']]";
    for (more, key) in [
        (&[groups][..], "unfreeze.phases"),
        (&[groups, "unfreeze.phases=['5','6']"], "unfreeze.phases"),
        (&[groups, "unfreeze.phases=['5']", "unfreeze.lr=[1.0]"], "unfreeze.lr"),
        (&[groups, "unfreeze.phases=['5']", "unfreeze.lr=[1.0,-1.0]"], "unfreeze.lr"),
        (&["unfreeze.phases=['5']"], "unfreeze.phases"),
        (&["unfreeze.groups=[[]]"], "unfreeze.groups"),
        (&["unfreeze.groups=['a']"], "unfreeze.groups"),
    ] {
        let text = with(more).unwrap_err().to_string();
        assert!(text.contains(key), "{more:?}: {text}");
    }
    assert_eq!(with(&[groups, "unfreeze.phases=['5']"]).unwrap().unfreeze.lr, [1.0, 1.0]);
}
