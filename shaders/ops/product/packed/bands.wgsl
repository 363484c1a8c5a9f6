// In which order workgroups make a result: in bands of columns, and a band line by line, so that what all lines read of the
// other factor in a band stays in a cache. Where all columns are one band it is line by line.
const BAND = 4u; // tiles of columns; docs/performance.md

struct Part { line: u32, tile: u32 }

// The part of the result that a workgroup makes; the last one, where there is none for it.
fn in_band(group: u32, lines: u32, tiles: u32) -> Part {
    let own = min(group, lines * tiles - 1u);
    if tiles <= BAND { return Part(own / tiles, own % tiles); } // one band, and two divisions fewer
    let band = own / (lines * BAND);
    let wide = min(BAND, tiles - band * BAND);
    let within = own - band * lines * BAND;
    return Part(within / wide, band * BAND + within % wide);
}
