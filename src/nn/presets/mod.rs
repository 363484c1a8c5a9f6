//! Networks by name, one a file, each built by the calls that users of the library have.

use toml::Value;

use super::extent::Extent;
use super::graph::{self, Graph};
use crate::error::{Error, Result};
use crate::ops::activation;
use crate::recipe::{self, Settings};

mod attention_block;
mod blocks;
mod cnn;
mod dual_cnn;
mod gpt;
mod lenet;
mod lstm;
pub mod mlp;
mod mobilenet_v1;
mod mobilenet_v2;
pub mod once_for_all;
pub mod pair;
mod resnet;
mod resnet_cifar;
mod seq2seq;
mod transformer;
mod vgg;
mod vit;

/// What samples a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Images,
    /// Sequences of tokens.
    Tokens,
}

/// A network in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub reads: Reads,
    /// Settings that may be written, with their defaults.
    pub optional: fn() -> Vec<(&'static str, Value)>,
    pub build: fn(&Settings, &Extent, usize) -> Result<Graph>,
}

/// All of them but `mlp`, whose widths must be written.
pub const ALL: &[Entry] = &[
    cnn::ENTRY,
    lenet::ENTRY,
    dual_cnn::ENTRY,
    resnet_cifar::RESNET20,
    resnet_cifar::RESNET32,
    resnet_cifar::RESNET56,
    resnet::RESNET18,
    resnet::RESNET50,
    vgg::ENTRY,
    mobilenet_v1::ENTRY,
    mobilenet_v2::ENTRY,
    once_for_all::ENTRY,
    vit::ENTRY,
    gpt::ENTRY,
    lstm::ENTRY,
    seq2seq::ENTRY,
    transformer::ENTRY,
];

/// The layers that a recipe's model stands for, with samples of this extent.
///
/// # Errors
/// As those of [`build`].
pub fn network(model: &recipe::Model, input: &Extent, classes: usize) -> Result<recipe::Network> {
    Ok(match model {
        recipe::Model::Network(network) => network.clone(),
        recipe::Model::Preset { name, settings } => build(name, settings, input, classes)?.into(),
        recipe::Model::Mlp { hidden, activation } => mlp::build(hidden, activation, classes).into(),
    })
}

/// A recipe's model with every setting of its preset written out, so that it stays the same network whatever defaults become.
///
/// # Errors
/// `Kind::Usage` for an unknown name or setting.
pub fn complete(model: &recipe::Model) -> Result<recipe::Model> {
    let recipe::Model::Preset { name, settings } = model else { return Ok(model.clone()) };
    Ok(recipe::Model::Preset { name: name.clone(), settings: resolve(name, settings)?.1 })
}

fn resolve(name: &str, settings: &Settings) -> Result<(&'static Entry, Settings)> {
    let known = || ALL.iter().map(|entry| entry.name).chain(["mlp"]);
    let entry = ALL.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| settings.locate("preset", recipe::unknown("preset", name, known())))?;
    Ok((entry, settings.resolve(&format!("preset `{name}`"), &(entry.optional)())?))
}

/// A preset as lists show it.
pub struct Usage {
    pub name: &'static str,
    pub about: &'static str,
    /// With their defaults; `None`: has to be written.
    pub settings: Vec<(&'static str, Option<Value>)>,
}

/// All presets, `mlp` among them.
pub fn usages() -> Vec<Usage> {
    let mlp = Usage {
        name: "mlp",
        about: "linear layers of the widths of `hidden`, with an `activation` after each",
        settings: vec![("hidden", None), ("activation", Some(activation().1))],
    };
    let other = |entry: &Entry| Usage {
        name: entry.name,
        about: entry.about,
        settings: (entry.optional)().into_iter().map(|(key, value)| (key, Some(value))).collect(),
    };
    std::iter::once(mlp).chain(ALL.iter().map(other)).collect()
}

/// The network of a preset for samples of this extent.
///
/// # Errors
/// `Kind::Usage` for an unknown name or setting, and where samples are of another kind.
pub fn build(name: &str, settings: &Settings, input: &Extent, classes: usize) -> Result<Graph> {
    let (entry, settings) = resolve(name, settings)?;
    let (fits, what, hint) = match entry.reads {
        Reads::Images => (input.sites.len() == 2, "images", "preset = \"mlp\", or a data set of images"),
        Reads::Tokens => {
            (input.vocabulary.is_some(), "tokens", "a data set of text, such as \"shakespeare\"")
        }
    };
    if !fits {
        let error = Error::usage(format!("preset `{name}` reads {what}")).at(format!("a sample has {input}"));
        return Err(settings.locate("preset", error).hint(hint));
    }
    (entry.build)(&settings, input, classes)
}

/// A factor on the number of channels, by which a family of networks is made.
fn width() -> (&'static str, Value) {
    ("width", Value::Float(1.0))
}

/// The nonlinearity, wherever a preset has ReLU unless told otherwise.
fn activation() -> (&'static str, Value) {
    ("activation", Value::String("relu".into()))
}

/// The activation that the settings name, as a layer.
fn activated(net: &mut Graph, settings: &Settings, name: &str, x: graph::Value) -> Result<graph::Value> {
    let kind = settings.text("activation")?;
    let known = || ["relu"].into_iter().chain(activation::ALL.iter().map(|known| known.name));
    if known().any(|known| known == kind) {
        return Ok(net.activation(kind, name, x));
    }
    Err(settings.locate("activation", recipe::unknown("activation", kind, known())))
}

/// So many channels times the width, at least one.
fn scaled(settings: &Settings, channels: usize) -> Result<usize> {
    let width = settings.f64("width")?;
    if !(width > 0.0 && width <= 64.0) {
        return Err(settings.wrong("width", "a factor above 0, such as 0.5"));
    }
    Ok(((channels as f64 * width).round() as usize).max(1))
}

#[cfg(test)]
mod tests {
    use super::super::Model;
    use super::*;

    fn model(name: &str, sample: [usize; 3], classes: usize) -> Model {
        let preset = recipe::Model::Preset { name: name.into(), settings: Settings::default() };
        Model::new(&preset, Extent::of_samples(&sample), classes, 0).unwrap()
    }

    /// The numbers of parameters that PyTorch's own models of these names have (torchvision's ResNets and MobileNetV2), or
    /// that the papers give; running statistics are none.
    #[test]
    fn networks_are_as_large_as_elsewhere() {
        let trained = |name, sample, classes| -> usize {
            let model = model(name, sample, classes);
            model
                .params
                .iter()
                .filter(|param| !param.name.contains("running_"))
                .map(|param| param.len())
                .sum()
        };
        assert_eq!(trained("cnn", [1, 28, 28], 10), 421_642);
        assert_eq!(trained("lenet5", [1, 28, 28], 10), 61_706);
        assert_eq!(trained("resnet20", [1, 28, 28], 10), 269_434);
        assert_eq!(trained("resnet20", [3, 32, 32], 10), 269_722);
        assert_eq!(trained("resnet32", [3, 32, 32], 10), 464_154);
        assert_eq!(trained("resnet56", [3, 32, 32], 10), 853_018);
        assert_eq!(trained("resnet18", [3, 224, 224], 1000), 11_689_512);
        assert_eq!(trained("resnet50", [3, 224, 224], 1000), 25_557_032);
        assert_eq!(trained("mobilenet-v1", [3, 224, 224], 1000), 4_231_976);
        assert_eq!(trained("mobilenet-v2", [3, 224, 224], 1000), 3_504_872);
        assert_eq!(trained("vit", [1, 28, 28], 10), 138_890);
        assert_eq!(trained("dual-cnn", [1, 28, 28], 10), 14_862);
        assert_eq!(trained("dual-cnn", [3, 32, 32], 10), 19_622);
        let of = |name: &str, settings: &str| {
            let settings: toml::Table = settings.parse().unwrap();
            let steps = if settings.contains_key("source") { 256 } else { 128 };
            let preset = recipe::Model::Preset { name: name.into(), settings: settings.into() };
            Model::new(&preset, Extent::tokens(256, steps), 256, 0).unwrap()
        };
        let text = |settings: &str| of("gpt", settings);
        let all = |model: Model| model.params.iter().map(|param| param.len()).sum::<usize>();
        let prunable = |model: &Model| {
            model
                .params
                .iter()
                .filter(|p| p.prunable && p.name.starts_with("blocks"))
                .map(|p| p.len())
                .sum::<usize>()
        };
        assert_eq!(prunable(&text("")), 786_432);
        assert_eq!(all(text("")), 875_264);
        assert_eq!(all(text("tied = true")), 875_264 - 256 * 128);
        assert_eq!(all(text("projections = 'qk-v'")), 875_264);
        let pairs = |name: &str, settings: &str| all(of(name, &format!("source = 100\n{settings}")));
        // Two blocks of each side, those of the decoder with 16,768 more; one embedding, and a head without bias.
        let (blocks, sides) = (4 * 49_984 + 2 * 16_768, 2 * 128 + (100 + 156) * 64);
        assert_eq!(pairs("transformer", ""), blocks + sides + 2 * 256 * 64);
        assert_eq!(pairs("transformer", "tied = true"), blocks + sides + 256 * 64);
        assert_eq!(pairs("transformer", "tied = true\nprojections = 'q-k-v'"), blocks + sides + 256 * 64);
        assert_eq!(pairs("transformer", "positions = 'sinusoidal'"), blocks + 2 * 128 + 2 * 256 * 64);
        // What a second layer has: two directions of 64 units and one of 128 that read 128 numbers.
        let more = 2 * (256 * (128 + 64) + 256) + 512 * (128 + 128) + 512;
        assert_eq!(pairs("seq2seq", "layers = 2\ndropout = 0.1"), pairs("seq2seq", "") + more);
        // Elsewhere an LSTM has two biases, which are added up.
        assert_eq!(all(of("lstm-lm", "")), 411_904 - 4 * 256);
        // 20,040,522 elsewhere, where convolutions have biases besides.
        assert_eq!(trained("vgg19-bn", [3, 32, 32], 10), 20_040_522 - 5_504);
    }

    /// As many as there are ReLUs without it.
    #[test]
    fn an_activation_stands_wherever_relu_did() {
        let kinds = |name: &str, settings: &str, kind: &str| {
            let settings: toml::Table = settings.parse().unwrap();
            let preset = recipe::Model::Preset { name: name.into(), settings: settings.into() };
            let network = network(&preset, &Extent::of_samples(&[1, 28, 28]), 10).unwrap();
            network.layers.iter().filter(|layer| layer.kind == kind).count()
        };
        for (name, count) in [("cnn", 3), ("lenet5", 4), ("resnet20", 19), ("vgg19-bn", 16)] {
            assert_eq!(kinds(name, "", "relu"), count, "{name}");
            let elu = "activation = 'elu'";
            assert_eq!((kinds(name, elu, "elu"), kinds(name, elu, "relu")), (count, 0), "{name}");
        }
    }

    /// Two networks of 6,930 parameters, or 9,310, under a head of 1,002.
    #[test]
    fn a_dual_network_has_two_equal_sides() {
        for (sample, conv1, out) in [([1, 28, 28], 100, 5_010), ([3, 32, 32], 280, 7_210)] {
            let model = model("dual-cnn", sample, 10);
            let of = |layer: &crate::nn::Node| -> usize {
                layer.params.iter().map(|&id| model.params[id].len()).sum()
            };
            let found: Vec<(&str, usize)> =
                model.trainable_layers().map(|layer| (layer.name.as_str(), of(layer))).collect();
            let wanted = [
                ("plain_conv1", conv1),
                ("varied_conv1", conv1),
                ("plain_conv2", 1_820),
                ("varied_conv2", 1_820),
                ("plain_out", out),
                ("varied_out", out),
                ("fc1", 672),
                ("head", 330),
            ];
            assert_eq!(found, wanted);
        }
    }

    /// A class token brings its own numbers and those of its position; dropout brings layers alone.
    #[test]
    fn a_vision_transformer_may_have_a_class_token() {
        let settings: toml::Table = "pool = 'class'\ndropout = 0.1".parse().unwrap();
        let preset = recipe::Model::Preset { name: "vit".into(), settings: settings.into() };
        let model = Model::new(&preset, Extent::of_samples(&[1, 28, 28]), 10, 0).unwrap();
        let all: usize = model.params.iter().map(|param| param.len()).sum();
        assert_eq!(all, 138_890 + 2 * 64);
        let dropouts = model.nodes.iter().filter(|node| node.name.ends_with("_drop")).count();
        assert_eq!(dropouts, 9);
    }

    #[test]
    fn settings_that_were_not_written_are_filled_in() {
        let preset = |settings: &str| recipe::Model::Preset {
            name: "gpt".into(),
            settings: settings.parse::<toml::Table>().unwrap().into(),
        };
        let whole = complete(&preset("width = 64")).unwrap();
        let written = "dropout = 0.0\nheads = 4\nhidden = 512\nlayers = 4\nprojections = 'qkv'\ntied = false\nwidth = 64";
        assert_eq!(whole, preset(written));
        assert_eq!(complete(&whole).unwrap(), whole);
        assert!(complete(&preset("widht = 64")).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let build = |name: &str, text: &str, input: &Extent| {
            let settings: toml::Table = text.parse().unwrap();
            build(name, &settings.into(), input, 10).expect_err("it is refused").to_string()
        };
        let image = Extent::of_samples(&[1, 28, 28]);
        assert!(build("resnet21", "", &image).contains("resnet20"));
        assert!(build("mpl", "", &image).contains("mlp"));
        assert!(build("cnn", "widht = 1.0", &image).contains("width"));
        assert!(build("cnn", "width = 0.0", &image).contains("a factor above 0"));
        assert!(build("resnet20", "activation = 'sleu'", &image).contains("selu"));
        assert!(build("cnn", "activation = 'flatten'", &image).contains("unknown activation"));
        assert!(build("vit", "patch = 5", &image).contains("no multiple of 5"));
        assert!(build("vit", "heads = 5", &image).contains("divides the width, 64"));
        assert!(build("vit", "projections = 'kqv'", &image).contains("\"qk-v\" or \"q-k-v\""));
        assert!(build("vit", "pool = 'last'", &image).contains("\"mean\" or \"class\""));
        assert!(build("cnn", "", &Extent::features(784)).contains("reads images"));
        let pairs = Extent::tokens(10, 9);
        for name in ["seq2seq", "transformer"] {
            assert!(build(name, "", &pairs).contains("1 to 8: the steps of a sample that are its source"));
            assert!(build(name, "source = 4\npadding = 10", &pairs).contains("a token below 10"));
            assert!(build(name, "source = 4\ndropout = 1.0", &pairs).contains("not including, 1"));
        }
        assert!(build("transformer", "source = 4\npositions = 'none'", &pairs).contains("\"sinusoidal\""));
    }
}
