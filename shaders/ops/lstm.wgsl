// One step of an LSTM beside its products.   Hochreiter & Schmidhuber, 1997; Gers, Schmidhuber & Cummins, 2000 (forget gate).
//   forward:  i, f, o = sigmoid, g = tanh of x + weight h;  c = f c + i g;  h = o tanh(c).
//   backward: of h and c, to what the sigmoids and tanh are taken of, which takes the place of i, f, g and o.
// state: (2 units, batch), h and below it c. product, d_product: (4 units, batch), weight h and its gradient.
// x, gates: (4 units, time, batch): i, f, g, o. y, d_y: (units, time, batch), h of each step. h_before, c_before: likewise, those
// that the step began with. d_h, d_c: (units, batch), from the later step. One invocation per quad of samples of a unit.
//#use ops/cell
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> product: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> gates: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> h_before: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> c_before: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read> d_h: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read> c_then: array<vec4<f32>>;
@group(0) @binding(12) var<storage, read_write> d_c: array<vec4<f32>>;
@group(0) @binding(13) var<storage, read_write> d_product: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let number = group * WG + lane;
    if !(group < grid.end && number < args.units * args.quads) { return; }
    let unit = number / args.quads;
    let quad = number % args.quads;
    let units = args.units;
    let i = sigmoids(x[then(unit, quad)] + product[now(unit, quad)]);
    let f = sigmoids(x[then(units + unit, quad)] + product[now(units + unit, quad)]);
    let g = tanhs(x[then(2u * units + unit, quad)] + product[now(2u * units + unit, quad)]);
    let o = sigmoids(x[then(3u * units + unit, quad)] + product[now(3u * units + unit, quad)]);
    let before = state[now(units + unit, quad)];
    let c = f * before + i * g;
    let h = o * tanhs(c);
    if args.flag != 0u {
        h_before[then(unit, quad)] = state[now(unit, quad)];
        c_before[then(unit, quad)] = before;
        gates[then(unit, quad)] = i;
        gates[then(units + unit, quad)] = f;
        gates[then(2u * units + unit, quad)] = g;
        gates[then(3u * units + unit, quad)] = o;
    }
    state[now(unit, quad)] = h;
    state[now(units + unit, quad)] = c;
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
    let i = gates[then(unit, quad)];
    let f = gates[then(units + unit, quad)];
    let g = gates[then(2u * units + unit, quad)];
    let o = gates[then(3u * units + unit, quad)];
    let before = c_then[then(unit, quad)];
    let bent = tanhs(f * before + i * g);
    let of_h = d_y[then(unit, quad)] + later(d_h[now(unit, quad)]);
    let of_c = later(d_c[now(unit, quad)]) + of_h * o * (one - bent * bent);
    d_c[now(unit, quad)] = of_c * f;
    let d_i = of_c * g * i * (one - i);
    let d_f = of_c * before * f * (one - f);
    let d_g = of_c * i * (one - g * g);
    let d_o = of_h * bent * o * (one - o);
    gates[then(unit, quad)] = d_i;
    gates[then(units + unit, quad)] = d_f;
    gates[then(2u * units + unit, quad)] = d_g;
    gates[then(3u * units + unit, quad)] = d_o;
    d_product[now(unit, quad)] = d_i;
    d_product[now(units + unit, quad)] = d_f;
    d_product[now(2u * units + unit, quad)] = d_g;
    d_product[now(3u * units + unit, quad)] = d_o;
}
