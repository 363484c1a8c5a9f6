// The inputs of a row, tap by tap: a quad of channels at a time, which all read from the same site.
fn rounds() -> u32 { return taps(); }
fn inputs() -> u32 { return channels(); }

// Where input k of a round reads; `source` is where the first channel of that tap does, `pitch` the way to the next one.
fn x_input(place: Place, source: From, k: u32, pitch: u32) -> From {
    return From(min(k, channels() - 1u) * pitch + source.at, source.open);
}
