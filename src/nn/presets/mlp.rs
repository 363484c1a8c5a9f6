//! Linear layers of the hidden widths, an activation after each, and a linear head that is as wide as there are classes.

use crate::nn::Graph;
use crate::recipe::Settings;

/// `fc1`, `act1`, .. and `head`.
pub fn build(hidden: &[u32], activation: &str, classes: usize) -> Graph {
    let mut net = Graph::new();
    let mut x = net.data();
    for (index, &out) in hidden.iter().enumerate() {
        x = net.linear(&format!("fc{}", index + 1), x, out as usize);
        x = net.layer(activation, &format!("act{}", index + 1), &[x], Settings::default());
    }
    net.linear("head", x, classes);
    net
}
