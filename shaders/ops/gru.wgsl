// One step of a GRU beside its products, as PyTorch and cuDNN have it.   Cho et al., 2014.
//   forward:  r, z = sigmoid of x + m with m = weight h + bias;  n = tanh(x_n + r m_n);  h = (1 - z) n + z h.
//   backward: of h, to what the sigmoids and tanh are taken of, and to m.
// state: (units, batch), h. product, d_product: (3 units, batch), m and its gradient: r, z, n. x: (3 units, time, batch).
// gates: (4 units, time, batch): r, z, m_n, n; after the backward pass the gradients of m, and below them that of x_n.
// y, d_y: (units, time, batch), h of each step. h_before, h_then: likewise, what the step began with. d_h, d_past: (units, batch),
// from the later step, by its product and past it. One invocation per quad of samples of a unit.
//#use ops/cell
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> product: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> gates: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> h_before: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> d_h: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read> h_then: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> d_past: array<vec4<f32>>;
@group(0) @binding(12) var<storage, read_write> d_product: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let number = group * WG + lane;
    if !(group < grid.end && number < args.units * args.quads) { return; }
    let unit = number / args.quads;
    let quad = number % args.quads;
    let units = args.units;
    let r = sigmoids(x[then(unit, quad)] + product[now(unit, quad)]);
    let z = sigmoids(x[then(units + unit, quad)] + product[now(units + unit, quad)]);
    let m = product[now(2u * units + unit, quad)];
    let n = tanhs(x[then(2u * units + unit, quad)] + r * m);
    let before = state[now(unit, quad)];
    let h = (vec4<f32>(1.0) - z) * n + z * before;
    if args.flag != 0u {
        h_before[then(unit, quad)] = before;
        gates[then(unit, quad)] = r;
        gates[then(units + unit, quad)] = z;
        gates[then(2u * units + unit, quad)] = m;
        gates[then(3u * units + unit, quad)] = n;
    }
    state[now(unit, quad)] = h;
    y[then(unit, quad)] = h;
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let number = group * WG + lane;
    if !(group < grid.end && number < args.units * args.quads) { return; }
    let unit = number / args.quads;
    let quad = number % args.quads;
    let units = args.units;
    let one = vec4<f32>(1.0);
    let r = gates[then(unit, quad)];
    let z = gates[then(units + unit, quad)];
    let m = gates[then(2u * units + unit, quad)];
    let n = gates[then(3u * units + unit, quad)];
    let of_h = d_y[then(unit, quad)] + later(d_h[now(unit, quad)]) + later(d_past[now(unit, quad)]);
    d_past[now(unit, quad)] = of_h * z;
    let d_n = of_h * (one - z) * (one - n * n);
    let d_z = of_h * (h_then[then(unit, quad)] - n) * z * (one - z);
    let d_r = d_n * m * r * (one - r);
    let d_m = d_n * r;
    gates[then(unit, quad)] = d_r;
    gates[then(units + unit, quad)] = d_z;
    gates[then(2u * units + unit, quad)] = d_m;
    gates[then(3u * units + unit, quad)] = d_n;
    d_product[now(unit, quad)] = d_r;
    d_product[now(units + unit, quad)] = d_z;
    d_product[now(2u * units + unit, quad)] = d_m;
}
