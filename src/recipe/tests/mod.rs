//! Whole recipes: what is assumed, what overrides what, and where a recipe is found.

mod refusals;
mod round_trip;

use toml::Value;

use super::*;
use crate::error::Kind;

/// The least a recipe may say.
const LEAST: &str =
    "[data]\nname = 'digits'\n[model]\npreset = 'mlp'\nhidden = [8]\n[optim]\nname = 'sgd'\nlr = 0.1\n";

fn with(overrides: &[&str]) -> Result<Recipe> {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    Recipe::parse(LEAST, "least.toml", &overrides)
}

#[test]
fn the_least_recipe_has_every_default() {
    let written = with(&[]).unwrap().to_toml();
    assert_eq!(
        written,
        r#"[run]
name = "least"
seed = 0
epochs = 10
patience = "off"
batch = 128
accumulate = 1
log_every = "50"
eval_every = "1ep"
checkpoint_every = "1ep"
keep = 2
autotune = true
activations = "f32"
recompute = false
baseline = true

[data]
name = "digits"
validation = 0.1

[augment]
flip = false
crop = 0
shift = 0.0
rotate = 0.0
zoom = 0.0
brightness = 0.0
contrast = 0.0
cutout = 0
mixup = 0.0

[model]
preset = "mlp"
hidden = [8]
activation = "relu"

[loss]
smoothing = 0.0

[optim]
name = "sgd"
clip = "off"
ema = "off"

[optim.lr]
type = "constant"
value = 0.1
warmup = "0"

[sparsity]
method = "none"
min_density = 0.0
pattern = "free"
fan_in = "random"
scale = "dense"
latent = false
storage = "auto"
strict = false
keep_dense = ["depthwise"]

[sparsity.schedule]
type = "cubic"
begin = "0"
end = "75%"
every = "100"
power = 3.0

[distill]
method = "none"

[unfreeze]
groups = []
phases = []
lr = []

[shrink]
phases = []
begin = []
lr = []
subnets = []

[finish]
recalibrate = 0

[dump]
every = "off"
tensors = ["*"]
what = ["weight", "mask"]

[log]
tensorboard = false
"#
    );
    assert_eq!(Recipe::parse(&written, "elsewhere", &[]).unwrap(), with(&[]).unwrap());
}

/// A recipe's own length gives way to one from the command line, whichever key it has.
#[test]
fn steps_and_epochs_of_overrides_take_each_others_place() {
    let text = |own: &str| {
        format!(
            "data.name = \"digits\"\nmodel = {{ preset = \"mlp\", hidden = [4] }}\noptim = {{ name = \"sgd\", lr = 0.1 }}\n\
             run.{own} = 7\n[[stage]]\n{own} = 7\n"
        )
    };
    let read = |own: &str, overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|one| one.to_string()).collect();
        Recipe::parse(&text(own), "own", &overrides).map(|recipe| (recipe.run.steps, recipe.run.epochs))
    };
    assert_eq!(read("epochs", &["run.steps=5"]).unwrap().0, Some(5));
    assert_eq!(read("steps", &["run.epochs = 3"]).unwrap(), (None, 3));
    assert!(read("steps", &["run.epochs=3", "run.steps=5"]).is_err());
    let stage = Recipe::parse(&text("epochs"), "own", &["stage.0.steps=5".to_string()]).unwrap();
    assert_eq!((stage.stages[0].steps, stage.run.epochs), (Some(5), 7));
}

#[test]
fn overrides_win() {
    let recipe = with(&[
        "run.epochs=3",
        "run.name=other",
        "optim.lr.type=cosine",
        "sparsity.method=gmp",
        "sparsity.target=0.5",
        "sparsity.schedule.end=50%",
        "optim.momentum=0.5",
    ]);
    assert!(recipe.unwrap_err().to_string().contains("`optim.lr` is no table"), "lr is a number here");
    let recipe = with(&[
        "run.epochs=3",
        "run.name=other",
        "optim.lr={ type = 'cosine', start = 0.2 }",
        "optim.lr.end=0.1",
        "sparsity.method=gmp",
        "sparsity.target=0.5",
        "sparsity.schedule.end=50%",
        "optim.momentum=0.5",
        "dump.every=2ep",
    ])
    .unwrap();
    assert_eq!((recipe.run.epochs, recipe.run.name.as_str()), (3, "other"));
    assert_eq!(recipe.optim.lr.shape, Shape::Cosine { start: 0.2, end: 0.1 });
    assert_eq!((recipe.sparsity.method.as_str(), recipe.sparsity.target()), ("gmp", 0.5));
    assert_eq!(recipe.sparsity.schedule.end, Duration::Percent(50.0));
    assert_eq!(recipe.optim.settings.f64("momentum").unwrap(), 0.5);
    assert_eq!(recipe.dump.every, Some(Duration::Epochs(2.0)));
}

#[test]
fn layers_keep_their_settings() {
    let text = "[data]\nname = 'digits'\n[optim]\nname = 'sgd'\nlr = 1\n\
                [[model.layer]]\ntype = 'linear'\nname = 'fc1'\nout = 16\n[[model.layer]]\ntype = 'relu'\n";
    let recipe = Recipe::parse(text, "layers.toml", &[]).unwrap();
    let Model::Network(Network { layers, .. }) = &recipe.model else {
        panic!("not layers: {:?}", recipe.model)
    };
    assert_eq!((layers[0].kind.as_str(), layers[0].name.as_deref()), ("linear", Some("fc1")));
    assert_eq!(layers[0].settings.u32("out").unwrap(), 16);
    assert_eq!((layers[1].kind.as_str(), layers[1].name.as_deref()), ("relu", None));
    let text =
        layers[0].settings.resolve("layer `linear`", &[("outs", Value::Integer(1))]).unwrap_err().to_string();
    assert!(
        text.starts_with("unknown key `model.layer.0.out` of layer `linear`\n  where: layers.toml, line 9"),
        "{text}"
    );
    let text = layers[1].unknown_kind(["linear", "gelu"]).to_string();
    assert_eq!(
        text,
        "unknown layer type `relu`\n  known: linear, gelu\n  where: layers.toml, line 11\n  try: did you mean `gelu`?"
    );
    assert_eq!(Recipe::parse(&recipe.to_toml(), "again", &[]).unwrap().model, recipe.model);
}

#[test]
fn files_are_found_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my-run.toml");
    std::fs::write(&path, LEAST).unwrap();
    assert_eq!(Recipe::load(&path, &["run.seed=3".to_string()]).unwrap().run.name, "my-run");
    assert_eq!(Recipe::find(path.to_str().unwrap(), &[]).unwrap(), Recipe::load(&path, &[]).unwrap());
    assert_eq!(Recipe::find("digits-dense", &[]).unwrap().run.name, "digits-dense");

    let error = Recipe::find("digits-dens", &[]).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert_eq!(error.to_string(), "no recipe at digits-dens\n  try: did you mean `digits-dense`?");
    let error = Recipe::load(folder.path(), &[]).unwrap_err();
    assert_eq!(error.kind, Kind::FileSystem, "a folder is no recipe");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(Recipe::load(&path, &[]).unwrap_err().to_string().contains("is not text"));
}

#[test]
fn names_come_from_the_origin() {
    for (origin, name) in [
        ("a/b/gmp-0.9.toml", "gmp-0.9"),
        ("C:\\r\\x.toml", "x"),
        ("gmp-0.9", "gmp-0.9"),
        ("<stdin>", "run"),
        ("", "run"),
        (".toml", "run"),
    ] {
        assert_eq!(Recipe::parse(LEAST, origin, &[]).unwrap().run.name, name, "{origin}");
    }
}

#[test]
fn paths_count_from_the_file_or_from_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    let text = |name: &str| LEAST.replace("digits", name);
    let name = |more: &[&str]| {
        let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
        Recipe::load(&path, &more).unwrap().data.name
    };
    let below = |folder: &Path, rest: &str| {
        format!("idx:{}", std::path::absolute(folder.join(rest)).unwrap().display())
    };
    std::fs::write(&path, text("idx:data/ok")).unwrap();
    assert_eq!(name(&[]), below(folder.path(), "data/ok"));
    assert_eq!(name(&["data.validation=0.2"]), below(folder.path(), "data/ok"));
    for over in ["data.name=idx:x", "data={name='idx:x'}"] {
        assert_eq!(name(&[over]), below(&std::env::current_dir().unwrap(), "x"), "{over}");
    }
    std::fs::write(&path, text("idx:/data/ok")).unwrap();
    assert_eq!(name(&[]), below(Path::new("/data"), "ok"));
    std::fs::write(&path, text("digits")).unwrap();
    assert_eq!(name(&[]), "digits");
    assert_eq!(Recipe::parse(&text("idx:x"), "r", &[]).unwrap().data.name, "idx:x", "text has no folder");
}
