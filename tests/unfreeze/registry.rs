//! Every method of the registry beside [unfreeze].

use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::sparsity::methods;
use coppice::train::{Initial, Session, train};

use super::{FREE, SOON, digits, recipe, session, values};

/// A run from the weights that another one begins with, half of which that one prunes at random.
fn pruned_before(own: &Recipe) -> Session {
    let half = [SOON, "model.hidden=[32,16]", "sparsity.method=static", "sparsity.target=0.5"];
    let mut weights = session(&Gpu::twin(), &recipe(&half)).weights().unwrap();
    weights.retain(|name, _| !name.ends_with(".mask"));
    let initial = Initial::matched(weights, own, &digits()).unwrap();
    Session::starting_from(&Gpu::twin(), own, &digits(), Choices::default(), Some(&initial)).unwrap()
}

/// Every method of the registry runs beside [unfreeze], and meets its target.
#[test]
fn every_method_goes_with_phases() {
    for method in methods::ALL {
        let name = format!("sparsity.method={}", method.name);
        let what = match method.name {
            "none" | "str" | "held" => vec![],
            "asp" => vec!["sparsity.pattern=2:4", "sparsity.schedule={type='oneshot',begin='50%'}"],
            "ste" | "sr-ste" | "mdgf" | "sdgf" => vec!["sparsity.pattern=2:4"],
            "oneshot" => vec!["sparsity.target=0.5", "sparsity.schedule={type='oneshot',begin='50%'}"],
            "imp" => vec!["sparsity.target=0.5", "sparsity.fraction=0.5"],
            _ => vec!["sparsity.target=0.5"],
        };
        // ASP takes no other inputs.
        let all = [&[SOON, "model.hidden=[32,16]", &name][..], &what].concat();
        let mut session = match method.name {
            "held" => pruned_before(&recipe(&all)),
            _ => session(&Gpu::twin(), &recipe(&all)),
        };
        let before = values(&session);
        for join in [4, 8] {
            while session.step < join {
                session.advance().unwrap();
            }
            let moved: Vec<bool> = values(&session).iter().zip(&before).map(|(a, b)| a[1] != b[1]).collect();
            assert_eq!(moved, [false, join == 8, true], "biases before step {join}, {}", method.name);
        }
        let summary = train(&mut session, &FREE, &mut |_| Ok(())).unwrap();
        let wanted = session.pruner.as_ref().map_or(Some(2720), |pruner| pruner.wanted().unwrap());
        assert_eq!(summary.kept, wanted.unwrap_or(summary.kept), "{}", method.name);
    }
}
