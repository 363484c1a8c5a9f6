//! ASP: permuted hidden units, an optimizer that begins anew, and a schedule that is repeated.

use coppice::gpu::Gpu;
use coppice::ops::packed::Form;
use coppice::ops::variants::Choices;
use coppice::param::{MaskMode, ParamId};
use coppice::recipe::Recipe;
use coppice::sparsity::structure::permute::Permutation;
use coppice::train::{Part, Session};

use super::common::{everywhere, kept_magnitude};
use super::{data, recipe, recipe_with, session};

/// Permuting hidden units changes nothing that the network computes, and the pattern then keeps more.
#[test]
fn asp_permutes_prunes_and_begins_the_optimizer_anew() {
    for gpu in everywhere() {
        let asp = "method = 'asp', pattern = '2:4', storage = 'masked', schedule = { type = 'oneshot', begin = '50%' }";
        let mut run = session(&gpu, asp);
        let mut plain = session(&gpu, &format!("{asp}, permute = false"));
        for _ in 0..15 {
            run.advance().unwrap();
            plain.advance().unwrap();
        }
        let dense = run.model.params[ParamId(2)].read().unwrap();
        let change = run.advance().unwrap().expect("half of the run is over");
        plain.advance().unwrap();
        // fc2 has 24 outputs and 40 inputs: the latter are no multiple of 16, so that it stays dense.
        let forms: Vec<(String, usize, usize)> =
            change.layers.iter().map(|l| (l.name.clone(), l.kept, l.total)).collect();
        assert_eq!(forms, [("fc1.weight".to_string(), 640, 1280)]);
        assert_eq!(run.model.params[ParamId(2)].mask_mode(), MaskMode::Free);
        assert_ne!(run.model.params[ParamId(2)].read().unwrap(), dense, "it is trained on");
        let kept = |run: &Session| -> f64 {
            run.model.params[ParamId(0)].read().unwrap().iter().map(|w| f64::from(w.abs())).sum()
        };
        assert!(
            (kept(&run) - kept(&plain)).abs() <= 1e-3 * kept(&plain),
            "inputs of the first layer stay in order"
        );
    }
    // A second hidden layer that can be pruned: its inputs may be permuted.
    let gpu = Gpu::twin();
    let build = |permute: bool| {
        let sparsity = format!(
            "method = 'asp', pattern = '2:4', permute = {permute}, storage = 'masked', schedule = {{ type = 'oneshot', begin = '50%' }}"
        );
        Session::new(&gpu, &recipe("[32, 24]", &sparsity), &data(), Choices::default()).unwrap()
    };
    let [mut with, mut without] = [true, false].map(build);
    for _ in 0..15 {
        with.advance().unwrap();
        without.advance().unwrap();
    }
    let fc2 = |run: &Session| run.model.params[ParamId(2)].read().unwrap();
    assert_eq!(fc2(&with), fc2(&without));
    let dense = fc2(&with);
    let before = kept_magnitude(&dense, 32, 2, 4);
    let slots = |run: &Session| run.model.params[ParamId(2)].slots().next().unwrap().read_f32().unwrap();
    assert!(slots(&with).iter().any(|&v| v != 0.0));
    with.model.params[ParamId(2)].form = Form::Groups { keep: 2, of: 4 };
    drop(Permutation::record(&gpu, &with.model.params, 50).unwrap().run().unwrap());
    let after = kept_magnitude(&fc2(&with), 32, 2, 4);
    assert!(after > before * 1.01, "{before} before, {after} after");
    let [a, b] = [&with, &without].map(|run| run.evaluate(Part::Test).unwrap().unwrap().totals);
    assert_eq!(a.hits, b.hits);
    assert!((a.loss - b.loss).abs() <= 1e-4, "{} and {}", a.loss, b.loss);
}

/// After the prune the optimizer has seen one gradient: its first moment is a tenth of that, and t is 1, so that Adam's
/// step is the whole rate in the direction of the gradient.
#[test]
fn asp_begins_the_optimizer_anew_and_permutes_within_a_run() {
    let build = |permute: bool| {
        let sparsity = format!(
            "method = 'asp', pattern = '2:4', permute = {permute}, storage = 'masked', schedule = {{ type = 'oneshot', begin = '50%' }}"
        );
        // fc2 has 32 outputs and 32 inputs: it is pruned, and its inputs may be permuted.
        Session::new(&Gpu::twin(), &recipe("[32, 32]", &sparsity), &data(), Choices::default()).unwrap()
    };
    let [mut with, mut without] = [true, false].map(build);
    for _ in 0..15 {
        with.advance().unwrap();
        without.advance().unwrap();
    }
    let before = with.model.params[ParamId(4)].read().unwrap();
    with.advance().unwrap().expect("half of the run is over");
    without.advance().unwrap();
    // The head stays dense: its slots and its step are those of a first update.
    let (grad, after) =
        (with.model.params[ParamId(4)].read_grad().unwrap(), with.model.params[ParamId(4)].read().unwrap());
    let first = with.model.params[ParamId(4)].slots().next().unwrap().read_f32().unwrap();
    for i in 0..grad.len() {
        let g = grad[i] + 1e-3 * before[i]; // weight decay is part of the gradient
        assert!((first[i] - 0.1 * g).abs() <= 1e-6 * (1.0 + g.abs()), "{i}: {} of {g}", first[i]);
        if g.abs() > 1e-4 {
            let moved = before[i] - after[i];
            assert!((moved - 0.01 * g.signum()).abs() <= 1e-5, "{i}: moved by {moved}, gradient {g}");
        }
    }
    // fc2's mask is that of its permuted values, which are more than those of the given order.
    let kept = |run: &Session| -> f64 {
        let mask = run.model.params[ParamId(2)].read_mask().unwrap();
        let values = run.model.params[ParamId(2)].read().unwrap();
        (0..values.len())
            .filter(|&i| mask[i / 32] >> (i % 32) & 1 == 1)
            .map(|i| f64::from(values[i].abs()))
            .sum()
    };
    assert!(kept(&with) > kept(&without), "{} and {}", kept(&with), kept(&without));
    let fc1 = |run: &Session| -> f64 {
        run.model.params[ParamId(0)].read().unwrap().iter().map(|w| f64::from(w.abs())).sum()
    };
    assert!(
        (fc1(&with) - fc1(&without)).abs() <= 0.05 * fc1(&without),
        "rows of fc1 move, and keep what they are"
    );
}

/// ASP trains twice by the same schedule: each time the learning rate, warm-up included, and the share of past
/// predictions run their whole course, and resuming on either side of the prune changes no bit.
#[test]
fn asp_repeats_the_schedule_of_the_dense_training() {
    let asp = |begin: u64, repeat: bool, more: &str| {
        let sparsity = format!(
            "method = 'asp', pattern = '2:4', repeat = {repeat}, schedule = {{ type = 'oneshot', begin = '{begin}' }}"
        );
        let more = [format!("optim = {{ name = 'adam', {more} }}"), "distill = { method = 'ps-kd' }".into()];
        recipe_with("[32, 32]", &sparsity, &more)
    };
    let warm = "lr = { type = 'cosine', start = 0.02, warmup = '1ep' }";
    for gpu in everywhere() {
        let build = |recipe: &Recipe| Session::new(&gpu, recipe, &data(), Choices::default()).unwrap();
        let rates = |begin: u64, repeat: bool| {
            let (mut run, mut rates) = (build(&asp(begin, repeat, warm)), Vec::new());
            while !run.is_done() {
                rates.push(run.learning_rate());
                run.advance().unwrap();
            }
            rates
        };
        let at_half = rates(15, true);
        assert_eq!(at_half[..15], at_half[15..], "the same learning rates again");
        assert!(at_half[0] < at_half[5] && at_half[14] < 0.1 * at_half[5], "{at_half:?}");
        // Of 5 steps an epoch, 13 and 17: each course has its own length, and is not cut at epochs.
        let uneven = rates(13, true);
        let course = &asp(13, true, warm).optim.lr;
        let want: Vec<f64> =
            (0..13).map(|t| course.at(t, 13, 5)).chain((0..17).map(|t| course.at(t, 17, 5))).collect();
        assert_eq!(uneven, want);
        let once: Vec<f64> = (0..30).map(|t| course.at(t, 30, 5)).collect();
        assert_eq!(rates(13, false), once, "with `repeat = false` the course goes on");
        // With a constant learning rate the share of past predictions alone is another: of 3 epochs, not 6.
        let after = |repeat: bool| {
            let mut run = build(&asp(13, repeat, "lr = 0.01"));
            (0..6).for_each(|_| drop(run.advance().unwrap()));
            run.snapshot().unwrap().digest
        };
        assert_ne!(after(true), after(false));

        let recipe = asp(13, true, warm);
        let (mut whole, mut snapshots) = (build(&recipe), Vec::new());
        while !whole.is_done() {
            snapshots.push(whole.snapshot().unwrap());
            whole.advance().unwrap();
        }
        let want = whole.snapshot().unwrap().digest;
        for stop in [5, 12, 13, 14, 15, 22] {
            let mut again = build(&recipe);
            again.restore(&snapshots[stop]).unwrap();
            while !again.is_done() {
                again.advance().unwrap();
            }
            assert_eq!(again.snapshot().unwrap().digest, want, "resumed at step {stop}");
        }
    }
}
