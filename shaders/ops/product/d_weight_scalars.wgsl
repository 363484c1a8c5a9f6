// The gradient (rows, inner) of a linear layer's weight for any `inner`, written one input at a time.
@group(0) @binding(8) var<storage, read_write> d_weight: array<f32>;

fn write_d_weight(row: u32, quad: u32, value: vec4<f32>) {
    let k = 4u * quad;
    let at = row * args.inner + k;
    if k < args.inner { d_weight[at] = value.x; }
    if k + 1u < args.inner { d_weight[at + 1u] = value.y; }
    if k + 2u < args.inner { d_weight[at + 2u] = value.z; }
    if k + 3u < args.inner { d_weight[at + 3u] = value.w; }
}
