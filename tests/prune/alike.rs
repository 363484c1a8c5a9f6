//! Parts of a weight's outputs that keep the same inputs, as a head's query and key may: single weights and N:M.

use super::*;

const PARTS: usize = 2;
/// Of the first layer, 40 x 32.
const LEN: usize = 40 * 32;

fn run_of(gpu: &Gpu, sparsity: &str, rule: &str) -> coppice::error::Result<Session> {
    let rules = format!("rule = [{{ match = 'fc1', {rule} }}]");
    Session::new(gpu, &recipe("[40, 24]", &format!("{sparsity}, {rules}")), &data(), Choices::default())
}

/// Means of what stands at the same place of both parts.
fn means(values: &[f32]) -> Vec<f32> {
    let (above, below) = values.split_at(LEN / PARTS);
    above.iter().zip(below).map(|(a, b)| (a.abs() + b.abs()) / 2.0).collect()
}

/// Which of a part are kept, if they are the same ones of both.
fn of_a_part(run: &Session, what: &str) -> Vec<bool> {
    let kept = run.model.params[ParamId(0)].indices().unwrap();
    let is_kept: Vec<bool> = (0..LEN as u32).map(|i| kept.binary_search(&i).is_ok()).collect();
    let (above, below) = is_kept.split_at(LEN / PARTS);
    assert_eq!(above, below, "{what}");
    above.to_vec()
}

/// Runs up to the update of step 12, and tells the weights before it.
fn weights_before(run: &mut Session) -> Vec<f32> {
    (0..12).for_each(|_| drop(run.advance().unwrap()));
    let before = run.model.params[ParamId(0)].read().unwrap();
    assert!(run.advance().unwrap().is_some(), "two fifths of the run are over");
    before
}

const ONESHOT: &str = "schedule = { type = 'oneshot', begin = '40%' }";

#[test]
fn the_largest_means_are_kept() {
    for gpu in everywhere() {
        let what = format!("{:?}", gpu.identity());
        let free = format!("method = 'oneshot', target = 0.6, distribution = 'uniform', {ONESHOT}");
        let mut run = run_of(&gpu, &free, "alike = 2").unwrap();
        let before = weights_before(&mut run);
        assert_eq!(of_a_part(&run, &what), top_k(&means(&before), LEN / PARTS * 2 / 5), "{what}");
        let groups = format!("method = 'oneshot', pattern = '2:8', {ONESHOT}");
        let mut run = run_of(&gpu, &groups, "alike = 2").unwrap();
        let before = weights_before(&mut run);
        let wanted: Vec<bool> = means(&before).chunks(32).flat_map(|row| n_of_m(row, 2, 8)).collect();
        assert_eq!(of_a_part(&run, &what), wanted, "{what}");
    }
}

#[test]
fn methods_of_every_kind_prune_parts_alike() {
    let schedule = "schedule = { every = '5' }";
    let methods = [
        ("method = 'static', target = 0.7, distribution = 'uniform'".to_string(), LEN * 3 / 10),
        ("method = 'static', pattern = '1:4'".into(), LEN / 4),
        (format!("method = 'gmp', target = 0.7, distribution = 'uniform', {schedule}"), LEN * 3 / 10),
        (
            format!("method = 'gmp', target = 0.7, latent = true, distribution = 'uniform', {schedule}"),
            LEN * 3 / 10,
        ),
        ("method = 'snip', target = 0.7, distribution = 'uniform'".into(), LEN * 3 / 10),
        (format!("method = 'sr-ste', pattern = '1:4', {schedule}"), LEN / 4),
        (format!("method = 'mdgf', pattern = '1:4', {schedule}"), LEN / 4),
        (format!("method = 'sdgf', pattern = '1:4', {schedule}"), LEN / 4),
    ];
    for (sparsity, kept) in methods {
        let ends: Vec<Vec<bool>> = everywhere()
            .iter()
            .map(|gpu| {
                let mut run = run_of(gpu, &sparsity, "alike = 2").unwrap();
                while !run.is_done() {
                    run.advance().unwrap();
                }
                let what = format!("{sparsity} on {:?}", gpu.identity());
                let own = of_a_part(&run, &what);
                assert_eq!(PARTS * own.iter().filter(|&&is_kept| is_kept).count(), kept, "{what}");
                own
            })
            .collect();
        let drawn = sparsity.contains("static");
        assert!(!drawn || ends.iter().all(|own| *own == ends[0]), "{sparsity}");
    }
}

#[test]
fn what_cannot_be_alike_is_refused() {
    let refused = |sparsity: &str, rule: &str| {
        run_of(&Gpu::twin(), sparsity, rule).err().expect("it is refused").to_string()
    };
    let gmp = "method = 'gmp', target = 0.5, distribution = 'uniform'";
    assert!(refused(gmp, "alike = 3").contains("no 3 equal parts"));
    assert!(refused(gmp, "alike = 2, pattern = 'block:4x1'").contains("pruned alike in parts and by blocks"));
    assert!(refused(&format!("{gmp}, storage = 'packed'"), "alike = 2").contains("are not packed"));
    let rigl = "method = 'rigl', target = 0.5, distribution = 'uniform'";
    let error = refused(rigl, "alike = 2");
    assert!(
        error.contains("cannot keep the pattern 2 alike") && error.contains("a rule without alike"),
        "{error}"
    );
}
