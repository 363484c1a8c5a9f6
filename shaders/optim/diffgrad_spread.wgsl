// diffGrad, versions 3, 4 and 5: the friction, in (0, 1), also knows mean and deviation of |gradient| over the whole
// tensor.   Dubey et al., 2020.
// change: of four weights. spread: mean, deviation.
//#use optim/diffgrad_part
@group(0) @binding(9) var<storage, read> spread: array<f32>;

fn friction(change: vec4<f32>) -> vec4<f32> {
    let mean = spread[0];
    let deviation = spread[1];
    switch args.version {
        case 3u: { return sigmoid(deviation * abs(change) - mean); }
        case 4u: { return sigmoid(deviation * deviation * abs(change) - mean); }
        default: { return sigmoid(sqrt(deviation) * abs(change) - mean); }
    }
}
