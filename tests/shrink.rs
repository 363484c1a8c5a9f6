//! Once-for-All: subnets against finite differences and NumPy, phases, resuming anywhere, and what is cut out at the end.

#[path = "common/program.rs"]
mod program;
#[path = "shrink/resolutions.rs"]
mod resolutions;

use coppice::data::{self, Dataset};
use coppice::gpu::{Gpu, Plan, Recorder, Tensor};
use coppice::nn::presets::once_for_all::network;
use coppice::nn::space::settings;
use coppice::nn::{Arena, Extent, Gradients, Model, Schedule, Space, Wish};
use coppice::ops::Step;
use coppice::ops::cross_entropy::{self, Labels, Share, Target};
use coppice::ops::variants::Choices;
use coppice::param::{ParamId, TEACHER};
use coppice::random::{Stream, uniform};
use coppice::recipe::{Recipe, Settings, Shrink};
use coppice::shrink::{Supernet, declare, record_clear, sort};
use coppice::train::{Part, Session};

const CLASSES: usize = 3;
const BATCH: usize = 8;

fn space(text: &str) -> Space {
    let own: Settings = text.parse::<toml::Table>().unwrap().into();
    Space::read(&own.resolve("preset", &settings()).unwrap()).unwrap()
}

fn draw(number: usize, i: usize) -> f32 {
    uniform(3, Stream::Test, 0, number as u32, i as u32) * 2.0 - 1.0
}

/// A full network on the twin with every number drawn, and a supernet over it.
struct Rig {
    gpu: Gpu,
    model: Model,
    supernet: Supernet,
    image: Extent,
}

impl Rig {
    fn new(space: &Space, image: [usize; 3]) -> Self {
        let (gpu, image) = (Gpu::twin(), Extent::of_samples(&image));
        let net = network(space, &space.full(), CLASSES);
        let mut model = Model::new(&net.into(), image.clone(), CLASSES, 1).unwrap();
        declare(space, &mut model.params);
        for (number, param) in model.params.iter_mut().enumerate() {
            param.allocate(&gpu).unwrap();
            param.frozen = false;
            if param.name.ends_with("norm.weight") || param.name.contains(".to_") {
                let own = param.read().unwrap();
                let near = own.iter().enumerate().map(|(i, value)| value + 0.3 * draw(number, i));
                param.write(&near.collect::<Vec<f32>>()).unwrap();
            }
        }
        let supernet = Supernet::new(&gpu, space, &image, CLASSES, &model.params).unwrap();
        Self { gpu, model, supernet, image }
    }
    fn id(&self, name: &str) -> ParamId {
        self.model.params.named(name).unwrap_or_else(|| panic!("{name}"))
    }
    fn read(&self, name: &str) -> Vec<f32> {
        self.model.params[self.id(name)].read().unwrap()
    }
    fn write(&self, name: &str, values: &[f32]) {
        self.model.params[self.id(name)].write(values).unwrap();
    }
    fn grads(&self) -> Vec<Vec<f32>> {
        let learned = self.model.params.iter().filter(|param| param.learns());
        learned.map(|param| param.read_grad().unwrap()).collect()
    }
    fn clear(&self) {
        let mut rec = Recorder::new(&self.gpu);
        record_clear(&mut rec, &self.model.params).unwrap();
        rec.finish().unwrap().replay().unwrap();
    }
    /// Plans of the loss of a subnet and of its gradients, added to those of the full network; and the loss.
    fn pass(&self, subnet: &str) -> (Plan, Plan, Tensor) {
        let (gpu, choices, params) = (&self.gpu, Choices::default(), &self.model.params);
        let part = self.supernet.part(&self.supernet.space.parse(subnet).unwrap(), params).unwrap();
        let wish = Wish { gradients: Gradients::Trained, ..Wish::default() };
        let schedule = Schedule::new(&part.model, gpu, &choices, BATCH, wish);
        let (_, mut passes) = Arena::new(gpu, vec![schedule]).unwrap();
        let pass = passes.remove(0);
        let x: Vec<f32> = (0..self.image.numbers() * BATCH).map(|i| draw(1000, i)).collect();
        let x = gpu.upload_f32("x", &pass.input().shape, &x).unwrap();
        let labels: Vec<u32> = (0..BATCH).map(|i| (i % CLASSES) as u32).collect();
        let label = gpu.upload_u32("label", &[BATCH], &labels).unwrap();
        let (loss, hit) = (
            gpu.upload_f32("loss", &[BATCH], &[0.0; BATCH]).unwrap(),
            gpu.upload_u32("hit", &[BATCH], &[0; BATCH]).unwrap(),
        );
        let live = BATCH as u32;
        let step =
            gpu.uniform("step", &Step { live, answers: live, together: live, ..Step::default() }).unwrap();
        let mut rec = Recorder::new(gpu);
        part.record_weights(&mut rec, params).unwrap();
        let all = coppice::ops::add::Window::all(&x);
        coppice::ops::add::record(&mut rec, &x, pass.input(), all, false).unwrap();
        part.model.forward(&mut rec, &choices, &step, &pass).unwrap();
        let (logits, d_logits) = pass.heads()[0];
        let target =
            Target::Hard { label: Labels { tensor: &label, batch: BATCH }, smoothing: 0.0, temperature: 1.0 };
        cross_entropy::record(&mut rec, &step, logits, target, Share::WHOLE, d_logits.unwrap(), &loss, &hit)
            .unwrap();
        let forward = rec.finish().unwrap();
        let mut rec = Recorder::new(gpu);
        part.model.backward(&mut rec, &choices, &step, &pass).unwrap();
        part.record_gradients(&mut rec, params).unwrap();
        (forward, rec.finish().unwrap(), loss)
    }
}

fn mean(loss: &Tensor) -> f64 {
    let loss = loss.read_f32().unwrap();
    loss.iter().map(|&one| f64::from(one)).sum::<f64>() / loss.len() as f64
}

const TINY: &str = "stem = 8\nstem_stride = 1\nchannels = [8, 8]\nstrides = [1, 2]\nlast = 8\nkernels = [7, 5, 3]\n\
    expansions = [2, 1]\ndepths = [2, 1]\nresolutions = [6]";

/// Along a direction of each stored parameter: the gradients of subnets reach it through cuts and transformations. Large
/// biases keep ReLUs from turning within the difference.
#[test]
fn gradients_of_subnets_are_those_of_finite_differences() {
    let rig = Rig::new(&space(TINY), [1, 8, 8]);
    for param in rig.model.params.iter().filter(|param| param.name.ends_with("_norm.bias")) {
        param.write(&vec![4.0; param.len()]).unwrap();
    }
    for subnet in ["ks=3 e=1 d=2", "ks=5,7,3,5 e=2,1,2,1 d=2 r=6", "ks=5,3 e=2 d=1"] {
        let (forward, backward, loss) = rig.pass(subnet);
        rig.clear();
        forward.replay().unwrap();
        backward.replay().unwrap();
        let (mut reached, mut still) = (0, 0);
        let learned = rig.model.params.iter().filter(|param| param.learns()).enumerate();
        for (number, param) in learned {
            let (values, grad) = (param.read().unwrap(), param.read_grad().unwrap());
            let ways: Vec<f32> = (0..values.len()).map(|i| draw(2000 + number, i)).collect();
            let slope: f64 = grad.iter().zip(&ways).map(|(&g, &way)| f64::from(g) * f64::from(way)).sum();
            let at = |by: f32| {
                let moved: Vec<f32> = values.iter().zip(&ways).map(|(value, way)| value + by * way).collect();
                param.write(&moved).unwrap();
                forward.replay().unwrap();
                mean(&loss)
            };
            let h = 1e-2;
            let found = (at(h) - at(-h)) / f64::from(2.0 * h);
            param.write(&values).unwrap();
            // Losses have 24 bits, activations around 4 two less; and there is a third derivative.
            let bound = 5e-4 + 0.03 * slope.abs();
            assert!((found - slope).abs() <= bound, "{subnet}, {}: {slope}, found {found}", param.name);
            reached += usize::from(slope.abs() > 2e-3);
            still += usize::from(grad.iter().all(|&g| g == 0.0));
        }
        assert!(reached >= 8, "{subnet}: {reached} slopes are larger than the bound");
        assert!(still > 0 || !subnet.contains("d=1"), "{subnet}: skipped blocks have no gradient");
    }
}

#[test]
fn gradients_of_a_step_are_added_up_and_the_rest_is_zero() {
    let rig = Rig::new(&space(TINY), [1, 8, 8]);
    let run = |subnets: &[&str]| {
        rig.clear();
        for subnet in subnets {
            let (forward, backward, _) = rig.pass(subnet);
            forward.replay().unwrap();
            backward.replay().unwrap();
        }
        rig.grads()
    };
    let [first, second] = ["ks=3 e=1 d=1", "ks=7 e=2 d=2"].map(|subnet| run(&[subnet]));
    let both = run(&["ks=3 e=1 d=1", "ks=7 e=2 d=2"]);
    let terms = first.iter().flatten().zip(second.iter().flatten());
    for ((a, b), sum) in terms.zip(both.iter().flatten()) {
        assert_eq!(a + b, *sum);
    }
    // Rows beyond the width of the narrow one, and taps beyond the middle.
    let names: Vec<&str> =
        rig.model.params.iter().filter(|param| param.learns()).map(|param| param.name.as_str()).collect();
    let depth = names.iter().position(|name| *name == "stages.0.0.depth.weight").unwrap();
    for (i, &grad) in first[depth].iter().enumerate() {
        let (row, y, x) = (i / 49, i / 7 % 7, i % 7);
        let inside = row < 8 && (1..6).contains(&y) && (1..6).contains(&x);
        assert!(inside || grad == 0.0, "{row} {y} {x}: {grad}");
    }
    assert!(first[depth].iter().any(|&grad| grad != 0.0));
}

#[test]
fn kernel_transformation_agrees_with_numpy() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("oracle/shrink.json")).unwrap();
    let numbers = |key: &str| -> Vec<f64> {
        golden[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let compare = |key: &str, got: &[f32]| {
        let want = numbers(key);
        assert_eq!(got.len(), want.len(), "{key}");
        // Sums of up to 25 products of eighths: f32 has nearly all of them exactly.
        let off = got.iter().zip(&want).position(|(&got, want)| !((f64::from(got) - want).abs() <= 1e-4));
        assert_eq!(off, None, "{key}");
        assert!(want.iter().any(|want| want.abs() > 0.5), "{key} has nothing to compare");
    };
    let text =
        "stem = 8\nstem_stride = 1\nchannels = [8]\nstrides = [1]\nlast = 8\nexpansions = [1]\ndepths = [1]";
    let rig = Rig::new(&space(text), [1, 8, 8]);
    let made = |len: usize, by: usize, of: usize, over: f32| -> Vec<f32> {
        (0..len).map(|i| ((by * i % of) as f32 - (of / 2) as f32) / over).collect()
    };
    rig.write("stages.0.0.depth.weight", &made(8 * 49, 3, 7, 4.0));
    rig.write("stages.0.0.depth.to_5.weight", &made(625, 5, 11, 8.0));
    rig.write("stages.0.0.depth.to_3.weight", &made(81, 2, 5, 8.0));
    for (subnet, key) in [("ks=5", "kernel_5"), ("ks=3", "kernel_3")] {
        let part = rig.supernet.part(&rig.supernet.space.parse(subnet).unwrap(), &rig.model.params).unwrap();
        let mut rec = Recorder::new(&rig.gpu);
        part.record_weights(&mut rec, &rig.model.params).unwrap();
        rec.finish().unwrap().replay().unwrap();
        let depth = &part.model.params[part.model.params.named("stages.0.0.depth.weight").unwrap()];
        compare(key, &depth.read().unwrap());
        if subnet == "ks=3" {
            rig.clear();
            for param in part.model.params.iter().filter(|param| param.learns()) {
                param.segments[0].grad.write(&vec![0.0f32; param.len()]).unwrap();
            }
            depth.segments[0].grad.write(&made(72, 7, 13, 4.0)).unwrap();
            let mut rec = Recorder::new(&rig.gpu);
            part.record_gradients(&mut rec, &rig.model.params).unwrap();
            rec.finish().unwrap().replay().unwrap();
            let grad = |name: &str| rig.model.params[rig.id(name)].read_grad().unwrap();
            compare("d_weight", &grad("stages.0.0.depth.weight"));
            compare("d_to_5", &grad("stages.0.0.depth.to_5.weight"));
            compare("d_to_3", &grad("stages.0.0.depth.to_3.weight"));
        }
    }
    let importance: Vec<f64> = (0..24).map(|i| f64::from(37 * i % 53) / 4.0).collect();
    for (widths, want) in
        [&[24][..], &[24, 16], &[24, 16, 8]].iter().zip(golden["orders"].as_array().unwrap())
    {
        assert_eq!(&serde_json::json!(sort::order(&importance, widths)), want, "{widths:?}");
    }
}

/// As the identity, matrices crop; twice the identity doubles a kernel, and what is cut out of that.
#[test]
fn transformations_begin_as_crops() {
    let rig = Rig::new(&space(TINY), [1, 8, 8]);
    let depth = "stages.0.0.depth.weight";
    let kernels = |subnet: &str| {
        let part = rig.supernet.part(&rig.supernet.space.parse(subnet).unwrap(), &rig.model.params).unwrap();
        let mut rec = Recorder::new(&rig.gpu);
        part.record_weights(&mut rec, &rig.model.params).unwrap();
        rec.finish().unwrap().replay().unwrap();
        part.model.params[part.model.params.named(depth).unwrap()].read().unwrap()
    };
    let diagonal = |taps: usize, value: f32| -> Vec<f32> {
        (0..taps * taps).map(|i| if i / taps == i % taps { value } else { 0.0 }).collect()
    };
    let whole = rig.read(depth);
    let middle = |size: usize, by: f32| -> Vec<f32> {
        let skip = (7 - size) / 2;
        let taps = (0..whole.len()).filter(|i| {
            let (y, x) = (i / 7 % 7, i % 7);
            (skip..skip + size).contains(&y) && (skip..skip + size).contains(&x)
        });
        taps.map(|i| by * whole[i]).collect()
    };
    for (first, value) in [(1.0, 1.0), (2.0, 2.0)] {
        rig.write("stages.0.0.depth.to_5.weight", &diagonal(25, first));
        rig.write("stages.0.0.depth.to_3.weight", &diagonal(9, 1.0));
        assert_eq!(kernels("ks=5"), middle(5, value));
        assert_eq!(kernels("ks=3"), middle(3, value));
    }
    assert_eq!(kernels("ks=7"), whole);
}

const RECIPE: &str = "
    run = { steps = 9, batch = 16, seed = 5, log_every = '4' }
    data = { name = 'digits' }
    optim = { name = 'sgd', lr = { type = 'cosine', start = 0.1, end = 0.0 }, weight_decay = 0.001 }
    model = { preset = 'once-for-all', stem = 8, stem_stride = 1, channels = [8, 8], strides = [1, 2], last = 8,
              kernels = [5, 3], expansions = [2, 1], depths = [2, 1], resolutions = [6] }
    shrink = { phases = ['full', 'kernel', 'depth', 'width'], begin = ['2', '4', '6'], lr = [1.0, 0.5, 0.5, 0.5],
               subnets = [1, 1, 2, 3] }
    finish = { recalibrate = 3 }";

fn recipe(more: &[&str]) -> Recipe {
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(RECIPE, "test", &more).unwrap()
}

fn digits() -> Dataset {
    data::open("digits", 0.0).unwrap()
}

fn session(gpu: &Gpu, more: &[&str]) -> Session {
    Session::new(gpu, &recipe(more), &digits(), Choices::default()).unwrap()
}

fn values(session: &Session, name: &str) -> Vec<f32> {
    session.model.params[session.model.params.named(name).unwrap()].read().unwrap()
}

#[test]
fn a_run_that_stops_in_any_phase_ends_in_the_same_bits() {
    let gpu = Gpu::twin();
    let mut whole = session(&gpu, &[]);
    let mut snapshots = vec![whole.snapshot().unwrap()];
    let matrix = "stages.0.0.depth.to_3.weight";
    let identity = values(&whole, matrix);
    let mut rates = Vec::new();
    while !whole.is_done() {
        rates.push(whole.learning_rate());
        // The teacher is the full network as it was when the second phase began, whatever comes later.
        let before = values(&whole, "stem.weight");
        whole.advance().unwrap();
        let stem = whole.model.params.named("stem.weight").unwrap();
        let teacher = whole.model.params[stem].companion(TEACHER).unwrap().read_f32().unwrap();
        if whole.step == 3 {
            assert_eq!(teacher, before);
        }
        assert_eq!(teacher == vec![0.0; before.len()], whole.step < 3, "step {}", whole.step);
        assert_eq!(values(&whole, matrix) == identity, whole.step < 3, "step {}", whole.step);
        // Looked at as often as one likes.
        if whole.step.is_multiple_of(2) {
            whole.evaluate(Part::Test).unwrap();
        }
        snapshots.push(whole.snapshot().unwrap());
    }
    // Each phase has a course of its own, times its factor.
    for (step, want) in [(0, 0.1), (2, 0.05), (4, 0.05), (6, 0.05)] {
        assert!((rates[step] - want).abs() <= 1e-9, "step {step}: {}", rates[step]);
    }
    assert!(rates[1] < 0.1 && rates[8] < 0.05);
    let end = &snapshots[9].digest;
    for step in [1, 2, 3, 5, 6, 8] {
        let mut again = session(&gpu, &[]);
        again.restore(&snapshots[step]).unwrap();
        assert_eq!(again.snapshot().unwrap().digest, snapshots[step].digest);
        while !again.is_done() {
            again.advance().unwrap();
        }
        assert_eq!(again.snapshot().unwrap().digest, *end, "resumed at step {step}");
    }
    let mut other = session(&gpu, &["run.seed=6"]);
    while !other.is_done() {
        other.advance().unwrap();
    }
    assert_ne!(other.snapshot().unwrap().digest, *end);
}

/// On the best device, too: what is cut out computes as a network of its own what it did within the full one.
#[test]
fn what_is_cut_out_is_a_network_of_its_own() {
    for gpu in [Gpu::twin(), Gpu::open(&coppice::gpu::Choice::Auto).unwrap()] {
        let mut run = session(&gpu, &[]);
        while !run.is_done() {
            run.advance().unwrap();
        }
        let supernet = run.supernet().unwrap();
        for text in ["full", "ks=3,5 e=1,2 d=2,1", "smallest"] {
            let subnet = supernet.space.parse(text).unwrap();
            let part = run.cut(&supernet, &subnet).unwrap();
            let within = run.evaluate_part(&part, Part::Test).unwrap().unwrap();
            let weights = run.weights_of(&part).unwrap();
            let of_its_own =
                Recipe { model: supernet.network(&subnet), shrink: Shrink::default(), ..recipe(&[]) };
            let mut alone = Session::new(&gpu, &of_its_own, &digits(), Choices::default()).unwrap();
            alone.load_weights(&weights).unwrap();
            let without = alone.evaluate(Part::Test).unwrap().unwrap();
            assert_eq!(within.totals.mean_loss(), without.totals.mean_loss(), "{text}");
            assert_eq!(within.totals.hits, without.totals.hits, "{text}");
        }
        // Its statistics are those that recalibration gives.
        let full = run.cut(&supernet, &supernet.space.full()).unwrap();
        let own = run.weights_of(&full).unwrap();
        run.recalibrate(3).unwrap();
        assert_eq!(own["last_norm.running_var"], run.weights().unwrap()["last_norm.running_var"]);
    }
}

#[test]
fn sorted_channels_compute_what_they_did() {
    let gpu = Gpu::twin();
    let mut run = session(&gpu, &[]);
    (0..2).for_each(|_| drop(run.advance().unwrap()));
    let before = run.evaluate(Part::Test).unwrap().unwrap().totals.mean_loss();
    let project = "stages.1.0.project.weight";
    let unsorted = values(&run, project);
    let supernet = run.supernet().unwrap();
    sort::sort(&supernet.space, &run.model.params, 1).unwrap();
    let sorted = values(&run, project);
    assert_ne!(unsorted, sorted);
    let norms: Vec<f32> =
        (0..16).map(|channel| sorted.iter().skip(channel).step_by(16).map(|w| w.abs()).sum()).collect();
    assert!(norms.windows(2).all(|pair| pair[0] >= pair[1]), "{norms:?}");
    let after = run.evaluate(Part::Test).unwrap().unwrap().totals.mean_loss();
    // Sums over channels have another order.
    assert!((before - after).abs() <= 1e-6 * before, "{before}, then {after}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |more: &[&str]| {
        let gpu = Gpu::counted();
        let error = Session::new(&gpu, &recipe(more), &digits(), Choices::default()).err();
        error.unwrap_or_else(|| panic!("{more:?} is not refused")).to_string()
    };
    assert!(refused(&["finish.recalibrate=0"]).contains("no running statistic follows"));
    assert!(refused(&["sparsity={method='gmp',target=0.5}"]).contains("trains all weights"));
    assert!(refused(&["run.activations=bf16"]).contains("is for f32"));
    assert!(refused(&["distill.method=ps-kd"]).contains("a teacher of its own"));
    assert!(refused(&["stage=[{epochs=1}]"]).contains("does not go with stages"));
    assert!(refused(&["run.accumulate=2"]).contains("adds up the gradients"));
    assert!(refused(&["model={preset='cnn'}"]).contains("networks of a space"));
    assert!(refused(&["model.depths=[2]"]).contains("`depth` of shrink.phases admits nothing new"));
    let gpu = Gpu::counted();
    let plain = recipe(&["model={preset='resnet20'}", "shrink={}"]);
    let plain = Session::new(&gpu, &plain, &digits(), Choices::default()).unwrap();
    assert!(plain.supernet().err().unwrap().to_string().contains("has no subnets"));
}

/// From recipe to exported subnet, by the program; stopped by force within a phase of subnets.
#[test]
fn a_subnet_leaves_its_run_as_a_file_with_a_recipe() {
    let home = tempfile::tempdir().unwrap();
    let here = home.path();
    let recipe =
        format!("{}\n", RECIPE.replace("log_every = '4'", "log_every = '4', checkpoint_every = '1'"));
    std::fs::write(here.join("net.toml"), recipe).unwrap();
    let whole = ["train", "net.toml", "--device", "twin", "--out", "whole", "--json"];
    let whole = program::json(here, &whole);
    let mut child = program::coppice(here, &["train", "net.toml", "--device", "twin", "--out", "killed"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Within the phase of depth, or soon after.
    while !here.join("killed/ckpt/step-000000005").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = program::json(here, &["resume", "killed", "--json"]);
    assert_eq!(resumed["digest"], whole["digest"]);

    let eval = |more: &[&str]| {
        program::json(here, &[&["eval", "whole", "--device", "twin", "--json"], more].concat())
    };
    let within = eval(&["--subnet", "ks=3 e=1,2 d=1 r=6"]);
    assert_eq!(within["subnet"], "ks=3,5,3,5 e=1,2,2,2 d=1,1 r=6");
    assert_ne!(within["test_loss"], eval(&["--subnet", "ks=3 e=1,2 d=1"])["test_loss"]);
    // The run ends with the statistics of the full network.
    let (full, stored) = (eval(&["--subnet", "full"]), eval(&[]));
    assert_eq!(full["test_loss"], whole["test_loss"]);
    assert_eq!(stored["test_loss"], whole["test_loss"]);
    let export = ["export", "whole", "--to", "safetensors", "small.safetensors", "--device", "twin"];
    let export = [&export[..], &["--subnet", "ks=3 e=1,2 d=1 r=6"]].concat();
    let exported = program::run(here, &export);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let alone = ["eval", "small.safetensors", "--recipe", "small.toml", "--device", "twin", "--json"];
    let alone = program::json(here, &alone);
    assert_eq!(
        (&alone["test_loss"], &alone["test_accuracy"]),
        (&within["test_loss"], &within["test_accuracy"])
    );
    assert!(program::fails(here, 5, &export).contains("exists already"));
    let onnx = ["export", "whole", "--to", "onnx", "part.onnx", "--device", "twin"];
    let onnx = program::run(here, &[&onnx[..], &["--subnet", "ks=3 e=1,2 d=1 r=6"]].concat());
    assert!(String::from_utf8_lossy(&onnx.stdout).contains("checked on"), "{onnx:?}");
    let none = ["eval", "whole", "--device", "twin", "--subnet", "ks=9"];
    assert!(program::fails(here, 2, &none).contains("it has ks=5,3"));
}
