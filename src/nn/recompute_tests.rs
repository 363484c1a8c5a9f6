//! Passes that compute activations once more, held against those that keep them.

use proptest::prelude::*;

use super::super::planner;
use super::super::schedule::{Gradients, Wish, shape};
use super::super::tests::{faults, model, random_network, replay};
use super::super::{Arena, Graph};
use super::*;
use crate::gpu::{Choice, Gpu};
use crate::ops::variants::Choices;

#[test]
fn cuts_lie_where_the_fewest_bytes_cross() {
    // Six nodes of 4 bytes: within each block of two another value is read later.
    let (held, crossing) = ([4; 6], [0, 12, 4, 12, 4, 12]);
    assert!(cut(&held, &crossing, 24).is_empty());
    assert_eq!(cut(&held, &crossing, 16), [2]);
    assert_eq!(cut(&held, &crossing, 12), [2, 4]);
    assert_eq!(cut(&held, &crossing, 1), [1, 2, 3, 4, 5], "a node is never cut");
    assert!(cut(&[1], &[0], 0).is_empty());
}

#[test]
fn one_cut_is_left_out_or_moved() {
    assert_eq!(beside(&[1, 2], 4), [vec![2], vec![2, 3], vec![1], vec![1, 3]]);
    assert!(beside(&[], 4).is_empty());
}

fn schedules(model: &Model, gpu: &Gpu, wish: Wish, cuts: &[NodeId]) -> [Schedule; 2] {
    let (choices, batch) = (Choices::default(), 8);
    let once = Schedule::new(model, gpu, &choices, batch, wish);
    let kept = planner::kept(model, wish);
    let facts = Facts {
        shape: &|item| shape(model, gpu, &choices, item, batch),
        kept: &kept,
        equal_grads: &|id| model.nodes[id].layer.equal_grads(),
    };
    let again = Forward::new(model, &once, &kept).schedule(&once, cuts, &facts);
    [once, again]
}

/// What a pass computes.
fn results(model: &Model, gpu: &Gpu, schedule: Schedule) -> Vec<Vec<f32>> {
    let (_, passes) = Arena::new(gpu, vec![schedule]).unwrap();
    replay(model, &Choices::default(), &passes[0], gpu)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Wherever a network is cut: every read is of what was written, no two lives meet in a buffer, and no bit changes.
    #[test]
    fn any_network_cut_anywhere_computes_the_same(
        words in prop::collection::vec(any::<u32>(), 2..14),
        places in prop::collection::btree_set(1..14_usize, 1..5),
        packed in any::<bool>(),
        narrow in any::<bool>(),
        keeps in any::<bool>(),
        freezes in any::<bool>(),
    ) {
        let gpu = Gpu::twin();
        let (net, features) = random_network(&words);
        let packs = |name: &str| {
            packed && name.ends_with("weight") && name.len().is_multiple_of(2) && !name.starts_with("norm")
        };
        let mut model = model(&gpu, &net.into(), features, packs);
        let frozen = |name: &str| freezes && !name.len().is_multiple_of(3);
        model.params.iter_mut().for_each(|param| param.frozen = frozen(&param.name));
        let gradients = if freezes { Gradients::Trained } else { Gradients::All };
        let wish = Wish { gradients, keeps, narrow, narrow_batch: narrow, ..Wish::default() };
        let cuts: Vec<NodeId> = places.into_iter().filter(|&cut| cut < model.nodes.len()).collect();
        let [once, again] = schedules(&model, &gpu, wish, &cuts);
        prop_assert_eq!(faults(&again, &place(&again.lives)), Vec::<String>::new());
        for item in planner::kept(&model, wish) {
            let at_end = |schedule: &Schedule| {
                let life = schedule.lives.iter().find(|life| life.key == Key::wide(item));
                life.map(|life| life.last == schedule.calls.len())
            };
            prop_assert_eq!(at_end(&again), at_end(&once));
        }
        let chosen = Schedule::new(&model, &gpu, &Choices::default(), 8, Wish { recomputes: true, ..wish });
        let bytes = |schedule: &Schedule| place(&schedule.lives).buffers.iter().map(|room| room.bytes).sum::<u64>();
        prop_assert!(bytes(&chosen) <= bytes(&once));
        let wanted = results(&model, &gpu, once);
        prop_assert_eq!(&wanted, &results(&model, &gpu, again));
        prop_assert_eq!(&wanted, &results(&model, &gpu, chosen));
    }
}

/// A chain of layers as wide as each other: `tanh` reads its output in the backward pass.
fn chain(layers: usize) -> Graph {
    let mut net = Graph::new();
    let mut x = net.data();
    for layer in 0..layers {
        x = net.linear(&format!("fc{layer}"), x, 32);
        x = net.layer("tanh", &format!("tanh{layer}"), &[x], Default::default());
    }
    let head = net.linear("head", x, 4);
    net.output(head, 1.0);
    net
}

#[test]
fn a_chain_of_n_takes_about_two_roots_of_n() {
    for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
        let model = model(&gpu, &chain(25).into(), 32, |_| false);
        let wish = Wish { gradients: Gradients::All, ..Wish::default() };
        let of =
            |recomputes| Schedule::new(&model, &gpu, &Choices::default(), 8, Wish { recomputes, ..wish });
        let (once, again) = (of(false), of(true));
        let large = |schedule: &Schedule| {
            place(&schedule.lives).buffers.iter().filter(|room| room.bytes == 32 * 8 * 4).count()
        };
        // The batch, the outputs of 50 layers, and a gradient more.
        assert_eq!(large(&once), 52);
        assert!(large(&again) <= 18, "{}", large(&again));
        let repeated = again.calls.iter().filter(|call| call.is_again()).count();
        let forward = once.calls.iter().filter(|call| matches!(call, Call::Forward { .. })).count();
        assert!(repeated > forward / 2 && repeated < forward, "{repeated} of {forward}");
        assert_eq!(results(&model, &gpu, once), results(&model, &gpu, again));
    }
}

/// A call too few, or a tensor that another one has overwritten, is noticed by the same tests.
#[test]
fn a_repetition_that_is_left_out_is_noticed() {
    let gpu = Gpu::twin();
    let model = model(&gpu, &chain(6).into(), 32, |_| false);
    let wish = Wish { gradients: Gradients::All, ..Wish::default() };
    let [_, mut again] = schedules(&model, &gpu, wish, &[4, 8]);
    let at = again.calls.iter().position(Call::is_again).unwrap();
    assert!(faults(&again, &place(&again.lives)).is_empty());
    again.calls.remove(at);
    assert!(faults(&again, &place(&again.lives)).iter().any(|fault| fault.contains("is not written")));
}
