//! Networks to export: every preset at its smallest, and some that have the layers that no preset has.

use coppice::nn::presets::{self, Reads};

/// A network and its data, as the text of a recipe.
pub struct Case {
    pub name: String,
    pub recipe: String,
}

/// A case that tract answers otherwise: where an image grows, it goes on in a line beyond the border, in place of the border's
/// number.
pub const ENLARGED: &str = "enlarged";

/// Settings that make presets small.
const SMALL: &[(&str, &str)] = &[
    ("cnn", "width = 0.25"),
    ("vgg19-bn", "width = 0.0625"),
    ("resnet18", "width = 0.0625"),
    ("resnet50", "width = 0.0625"),
    ("resnet20", "width = 0.25"),
    ("resnet32", "width = 0.25"),
    ("resnet56", "width = 0.25"),
    ("mobilenet-v1", "width = 0.125"),
    ("mobilenet-v2", "width = 0.25"),
    // tract reads past the border where a kernel is wider than an image with its borders.
    (
        "once-for-all",
        "stem = 4\nstem_stride = 1\nchannels = [4, 6, 8]\nlast = 16\nkernels = [5, 3]\nexpansions = [3, 2]",
    ),
    ("vit", "layers = 2\nwidth = 16\nheads = 2\nhidden = 24\npool = \"class\"\ndropout = 0.1"),
    ("gpt", "layers = 2\nwidth = 16\nheads = 2\nhidden = 24\ntied = true"),
    ("lstm-lm", "layers = 2\nwidth = 6\nunits = 12\ndropout = 0.2"),
    ("seq2seq", "layers = 2\nwidth = 6\nunits = 8\nheads = 2\ndropout = 0.2\nsource = 6"),
    (
        "transformer",
        "layers = 1\nwidth = 16\nheads = 2\nhidden = 24\ntied = true\nsource = 6\nprojections = 'q-k-v'",
    ),
];

/// Pairs of up to six letters, of different lengths; and a text.
pub const PAIRS: &str =
    "ab\tba\nabcdef\tfedcba\nc\tc\nfade\tedaf\nbed\tdeb\ncab\tbac\nfeed\tdeef\nadd\tdda\n";
pub const TEXT: &str = "a tree that is cut near the ground grows again from its stool: that is a coppice. ";

/// What a recipe has besides: nothing is trained.
const REST: &str = "[run]\nbatch = 4\nepochs = 1\nbaseline = false\n[optim]\nname = \"sgd\"\nlr = 0.1\n";

/// All of them; `home` has the files `pairs.tsv` and `text.txt`.
pub fn all(home: &str) -> Vec<Case> {
    let mut all: Vec<Case> = presets::ALL.iter().map(|entry| preset(entry.name, entry.reads, home)).collect();
    let mlp = "[model]\npreset = \"mlp\"\nhidden = [24, 16]\nactivation = \"gelu\"\n".to_string();
    all.push(Case { name: "mlp".into(), recipe: mlp + &random("40") });
    let own = [("images", images()), (ENLARGED, enlarged()), ("steps", steps())];
    let own = own.map(|(name, network)| (name, network + &random("3x16x16")));
    all.extend(own.map(|(name, recipe)| Case { name: name.into(), recipe }));
    all.push(Case { name: "ragged".into(), recipe: ragged() + &pairs(home) });
    all.iter_mut().for_each(|case| case.recipe += REST);
    all
}

fn preset(name: &str, reads: Reads, home: &str) -> Case {
    let small = SMALL.iter().find(|(known, _)| *known == name).map_or("", |(_, settings)| settings);
    let data = match (reads, name) {
        (Reads::Images, "lenet5") => random("1x28x28"),
        (Reads::Images, _) => random("3x16x16"),
        (Reads::Tokens, "seq2seq" | "transformer") => pairs(home),
        (Reads::Tokens, "lstm-lm") => text(home) + "order = \"streams\"\n",
        (Reads::Tokens, _) => text(home),
    };
    Case { name: name.into(), recipe: format!("[model]\npreset = \"{name}\"\n{small}\n{data}") }
}

fn random(shape: &str) -> String {
    format!("[data]\nname = \"random:{shape}\"\nclasses = 5\nsamples = 32\nvalidation = 0.0\n")
}
fn pairs(home: &str) -> String {
    format!("[data]\nname = \"pairs:{home}/pairs.tsv\"\ntest = 0.5\nvalidation = 0.0\n")
}
fn text(home: &str) -> String {
    format!(
        "[data]\nname = \"text:{home}/text.txt\"\nunit = \"characters\"\ncontext = 8\ntest = 0.5\nvalidation = 0.0\n"
    )
}

/// A layer: its kind, its name, what it reads, and its settings.
fn layer(kind: &str, name: &str, from: &[&str], settings: &str) -> String {
    format!("[[model.layer]]\ntype = \"{kind}\"\nname = \"{name}\"\nfrom = {from:?}\n{settings}\n")
}

const ACTIVATIONS: [&str; 12] = [
    "relu",
    "relu6",
    "hard_swish",
    "silu",
    "gelu",
    "gelu_tanh",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "leaky_relu",
    "elu",
    "selu",
];

fn images() -> String {
    let mut net = layer("conv2d", "stem", &["data"], "out = 8\nkernel = 3\nstride = 2\npadding = 1");
    net += &layer("batch_norm", "norm", &["stem"], "affine = false\nepsilon = 1e-3");
    ACTIVATIONS.iter().for_each(|kind| net += &layer(kind, kind, &["norm"], ""));
    net += &layer("concat", "all", &ACTIVATIONS, "");
    net += &layer("conv2d", "mix", &["all"], "out = 8\nkernel = 1");
    net += &layer(
        "conv2d",
        "wide",
        &["mix"],
        "out = 8\nkernel = 3\npadding = 2\ndilation = 2\ngroups = 2\nbias = false",
    );
    net += &layer("layer_norm", "centred", &["wide"], "");
    net += &layer("rms_norm", "sized", &["wide"], "epsilon = 1e-2");
    net += &layer("slice", "some", &["sized"], "first = 2\nend = 6");
    net += &layer("pad_channels", "padded", &["some"], "before = 1\nafter = 3");
    net += &layer("add", "sum", &["padded", "centred", "mix"], "");
    net += &layer("multiply", "product", &["sum", "centred"], "");
    net += &layer("global_average_pool", "mean", &["product"], "");
    net += &layer("linear", "excite", &["mean"], "out = 8");
    net += &layer("sigmoid", "gate", &["excite"], "");
    net += &layer("scale", "scaled", &["product", "gate"], "");
    net += &layer("max_pool", "largest", &["scaled"], "kernel = 3\nstride = 2\npadding = 1");
    net += &layer("average_pool", "smooth", &["largest"], "kernel = 3\nstride = 1\npadding = 1");
    net += &layer("resize", "resized", &["smooth"], "height = 3\nwidth = 2");
    net += &layer("dropout", "drop", &["resized"], "p = 0.3");
    net += &layer("flatten", "flat", &["drop"], "");
    net += &layer("tanh", "bent", &["flat"], "");
    net += &layer("linear", "head", &["bent"], "out = 5");
    net += &layer("linear", "other_head", &["resized"], "out = 5"); // as the dropout does
    net + "[[model.output]]\nfrom = \"head\"\n[[model.output]]\nfrom = \"other_head\"\nweight = 0.5\n"
}

fn enlarged() -> String {
    let mut net = layer("resize", "larger", &["data"], "height = 21\nwidth = 12");
    net += &layer("conv2d", "conv", &["larger"], "out = 4\nkernel = 3\nstride = 2");
    net + &layer("linear", "head", &["conv"], "out = 5")
}

fn steps() -> String {
    let mut net = layer("patches", "patches", &["data"], "size = 4");
    net += &layer("linear", "embed", &["patches"], "out = 12");
    net += &layer("class_token", "class", &["embed"], "std = 0.5");
    net += &layer("positions", "sines", &["class"], "kind = \"sinusoidal\"");
    net += &layer("batch_norm", "norm", &["sines"], "");
    net += &layer("linear", "qkv", &["norm"], "out = 36\nbias = false");
    net += &layer("rotary", "turned", &["qkv"], "heads = 2\nof = \"qkv\"");
    net += &layer("attention", "self", &["turned"], "heads = 2\ncausal = true");
    net += &layer("add", "sum", &["self", "norm"], "");
    net += &layer("positions", "learned", &["sum"], "std = 0.3");
    net += &layer("linear", "q", &["learned"], "out = 12");
    net += &layer("rotary", "q_turned", &["q"], "heads = 3");
    net += &layer("linear", "kv", &["learned"], "out = 24");
    net += &layer("rotary", "kv_turned", &["kv"], "heads = 3\nof = \"kv\"");
    net += &layer("steps", "some", &["kv_turned"], "first = 2\nend = 9");
    net += &layer("attention", "cross", &["q_turned", "some"], "heads = 3");
    net += &layer("slice", "few", &["cross"], "first = 1\nend = 7");
    net += &layer("pad_channels", "padded", &["few"], "before = 2\nafter = 4");
    net += &layer("rms_norm", "sized", &["padded"], "");
    net += &layer("layer_norm", "centred", &["cross"], "bias = false");
    net += &layer("concat", "both", &["sized", "centred"], "");
    net += &layer("global_average_pool", "mean", &["both"], "");
    net += &layer("sigmoid", "gate", &["mean"], "");
    net += &layer("scale", "scaled", &["both", "gate"], "");
    // One with a weight for each gate, one that reads what another layer reads, too, and one with its cells.
    net += &layer("linear", "back_in", &["scaled"], "out = 64");
    net += &layer("lstm", "back", &["back_in"], "gates = \"apart\"\nreverse = true");
    net += &layer("linear", "shared_in", &["back"], "out = 48\nbias = false");
    net += &layer("gru", "apart", &["shared_in"], "gates = \"apart\"\nreverse = true");
    net += &layer("step", "apart_last", &["apart"], "at = \"first\"");
    net += &layer("gru", "gru", &["shared_in", "apart_last"], "");
    net += &layer("linear", "cells_in", &["gru"], "out = 24");
    net += &layer("lstm", "cells", &["cells_in"], "cells = true");
    net += &layer("step", "cells_last", &["cells"], "");
    net += &layer("slice", "hidden", &["cells"], "first = 0\nend = 6");
    net += &layer("linear", "last_in", &["hidden"], "out = 24");
    net += &layer("lstm", "last", &["last_in", "cells_last"], "");
    net += &layer("flatten", "flat", &["last"], "");
    net += &layer("tanh", "bent", &["flat"], "");
    net + &layer("linear", "head", &["bent"], "out = 5")
}

/// Of nine tokens: six of letters, and `<filler>`, `<begin>` and `<end>`.
fn ragged() -> String {
    let mut net = layer("lengths", "lengths", &["data"], "padding = 0\nend = 6");
    net += &layer("embedding", "embed", &["data"], "out = 8\npadding = 0");
    net += &layer("steps", "source", &["embed"], "first = 0\nend = 6");
    net += &layer("steps", "target", &["embed"], "first = 6\nend = 13");
    net += &layer("linear", "qkv", &["source"], "out = 24");
    net += &layer("attention", "self", &["qkv", "lengths"], "heads = 2\ncausal = true");
    net += &layer("linear", "gru_in", &["self"], "out = 24");
    net += &layer("gru", "gru", &["gru_in", "lengths"], "reverse = true");
    net += &layer("step", "gru_last", &["gru"], "at = \"first\"");
    net += &layer("linear", "lstm_in", &["gru"], "out = 32");
    net += &layer("lstm", "lstm", &["lstm_in", "lengths"], "");
    net += &layer("linear", "memory", &["lstm"], "out = 16");
    net += &layer("linear", "decoder_in", &["target"], "out = 24");
    net += &layer("gru", "decoder", &["decoder_in", "gru_last"], "");
    net += &layer("attention", "cross", &["decoder", "memory", "lengths"], "heads = 1");
    net + &layer("linear", "head", &["cross"], "out = 9\nshare = \"embed\"")
}
