// Philox4x32-10, counter-based random numbers: a word is a function of its counter and key alone.
// Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011. CPU twin: src/random.rs.
//
// As on the host: key = seed (low half, high half); counter = (block, tensor, step, stream);
// element i of a tensor is word i % 4 of block i / 4.

// The high half of a 32 x 32 bit product, by halves of 16 bits, since WGSL has no u64.
// No sum overflows: each product is at most (2^16 - 1)^2, which leaves room for two 16-bit carries.
fn multiply_high(a: u32, b: u32) -> u32 {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let middle = a_high * b_low + ((a_low * b_low) >> 16u);
    let carry = a_low * b_high + (middle & 0xffffu);
    return a_high * b_high + (middle >> 16u) + (carry >> 16u);
}

fn philox4x32_10(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var i = 0u; i < 10u; i++) {
        let high_x = multiply_high(0xD2511F53u, c.x);
        let high_z = multiply_high(0xCD9E8D57u, c.z);
        c = vec4<u32>(high_z ^ c.y ^ k.x, 0xCD9E8D57u * c.z, high_x ^ c.w ^ k.y, 0xD2511F53u * c.x);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// The top 24 bits as a number in [0, 1); every value is exact in f32.
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) * 0x1p-24f;
}
