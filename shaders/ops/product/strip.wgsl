// Strips of a depthwise convolution: SITES sites side by side, of one quad of the batch. Kernels are square, without dilation.
//#use common/divided
struct Strip { h: u32, w: u32, b: u32 }

// Strips of a line of an image that is so wide.
fn strips_across(width: u32) -> u32 { return (width + SITES - 1u) / SITES; }

// Where one of a channel's strips is.
fn strip_of(number: u32, width: u32) -> Strip {
    let at = divided(number, window.quads);
    let h = divided(at, strips_across(width));
    return Strip(h, (at - h * strips_across(width)) * SITES, number - at * window.quads);
}
