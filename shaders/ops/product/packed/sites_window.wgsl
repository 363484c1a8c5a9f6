// Where a packed convolution's products read: in grids of sites, which hold an image with zeros around and, where the
// stride is above 1, between its sites (ops/border), so that no entry has to ask what lies inside. An entry holds, in place of
// an input, the site of the grid that the first site of the result reads, counted through all channels.
//#use common/divided
struct Span {
    quads: u32,      // of the batch
    width: u32,      // of the result, in sites
    step: u32,       // sites of the grid from one site of the result to the next
    grid_width: u32,
    grid_sites: u32, // of a channel
}
@group(0) @binding(15) var<uniform> span: Span;

// Loads that the number of an entry counts.
fn unit() -> u32 { return span.quads / PER; }
// Where a load of the result reads, from the first load of an entry on.
fn load_at(load: u32) -> u32 {
    let site = divided(load, unit());
    let h = divided(site, span.width);
    let at = (h * span.grid_width + site - h * span.width) * span.step;
    return at * unit() + load - site * unit();
}
// The first load of a row of blocks of d_y, as the transposed order has it, and the way from one of its rows to the next.
fn row_at(row: u32) -> u32 { return row * unit(); }
fn pitch() -> u32 { return span.grid_sites * unit(); }
