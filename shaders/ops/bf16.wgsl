// bf16 pairs: eight columns are four words. Word c has column c in its low half and column 4 + c in its high half, so that
// the low halves are one quad of columns and the high halves the next.

// The upper halves of numbers, rounded to nearest even.
fn rounded(value: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(value);
    let nearest = (bits + vec4<u32>(0x7fffu) + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u))) >> vec4<u32>(16u);
    // A number that is none stays none, whatever its low bits were.
    let none = (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    return select(nearest, (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u), none);
}

fn pairs(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
    return rounded(low) | (rounded(high) << vec4<u32>(16u));
}
