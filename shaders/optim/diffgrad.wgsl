// diffGrad, versions 0, 1 and 2: the friction knows the change of the gradient alone.   Dubey et al., 2020.
// change: of four weights.
//#use optim/diffgrad_part

fn friction(change: vec4<f32>) -> vec4<f32> {
    switch args.version {
        case 1u: { return sigmoid(change); }                        // in (0, 1)
        case 2u: { return 9.0 * sigmoid(0.5 * abs(change)) - 4.0; } // in [.5, 5)
        default: { return sigmoid(abs(change)); }                   // in [.5, 1)
    }
}
