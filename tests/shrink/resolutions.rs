//! Sizes of the pictures that subnets read.

use coppice::gpu::Gpu;
use coppice::train::Part;

use super::session;

/// A step reads pictures of one size, drawn anew for each.
#[test]
fn sizes_of_pictures_are_drawn_step_by_step() {
    let phases = "shrink={phases=['full','resolution'],begin=['1'],subnets=[1,2]}";
    let build = |sizes: &str| session(&Gpu::twin(), &["run.steps=6", "model.kernels=[5]", phases, sizes]);
    let mut whole = build("model.resolutions=[6]");
    let mut middle = None;
    while !whole.is_done() {
        whole.advance().unwrap();
        if whole.step == 3 {
            middle = Some(whole.snapshot().unwrap());
        }
    }
    let end = whole.snapshot().unwrap().digest;
    let mut again = build("model.resolutions=[6]");
    again.restore(&middle.unwrap()).unwrap();
    while !again.is_done() {
        again.advance().unwrap();
    }
    assert_eq!(again.snapshot().unwrap().digest, end);
    let supernet = whole.supernet().unwrap();
    let loss = |text: &str| {
        let part = whole.cut(&supernet, &supernet.space.parse(text).unwrap()).unwrap();
        whole.evaluate_part(&part, Part::Test).unwrap().unwrap().totals.mean_loss()
    };
    assert_ne!(loss("full"), loss("r=6"));
    // The same draws, of another size.
    let mut other = build("model.resolutions=[4]");
    while !other.is_done() {
        other.advance().unwrap();
    }
    assert_ne!(other.snapshot().unwrap().digest, end);
}
