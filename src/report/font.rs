//! A font of 5 x 7 pixels, drawn for the labels of pictures.

/// Width and height of a letter, and the step from one to the next, in pixels before scaling.
pub const WIDTH: usize = 5;
pub const HEIGHT: usize = 7;
pub const ADVANCE: usize = 6;
/// Pixels that some letters reach below the line.
pub const DEPTH: usize = 2;

/// The letters that hang below the line; they are drawn that much lower than their lines below.
const HANGING: &str = "gpqy";

/// Rows of letters side by side, one column apart: the characters, then their seven lines.
const BANDS: [(&str, [&str; HEIGHT]); 6] = [
    (
        "ABCDEFGHIJKLM",
        [
            " ###  ####   ###  ####  ##### #####  ###  #   #  ###    ### #   # #     #   #",
            "#   # #   # #   # #   # #     #     #   # #   #   #      #  #  #  #     ## ##",
            "#   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # #",
            "##### ####  #     #   # ####  ####  # ### #####   #      #  ##    #     # # #",
            "#   # #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   #",
            "#   # #   # #   # #   # #     #     #   # #   #   #   #  #  #  #  #     #   #",
            "#   # ####   ###  ####  ##### #      #### #   #  ###   ##   #   # ##### #   #",
        ],
    ),
    (
        "NOPQRSTUVWXYZ",
        [
            "#   #  ###  ####   ###  ####   #### ##### #   # #   # #   # #   # #   # #####",
            "#   # #   # #   # #   # #   # #       #   #   # #   # #   # #   # #   #     #",
            "##  # #   # #   # #   # #   # #       #   #   # #   # #   #  # #   # #     # ",
            "# # # #   # ####  #   # ####   ###    #   #   # #   # # # #   #     #     #  ",
            "#  ## #   # #     # # # # #       #   #   #   # #   # # # #  # #    #    #   ",
            "#   # #   # #     #  #  #  #      #   #   #   #  # #  ## ## #   #   #   #    ",
            "#   #  ###  #      ## # #   # ####    #    ###    #   #   # #   #   #   #####",
        ],
    ),
    (
        "abcdefghijklm",
        [
            "      #               #         ##   ## # #       #      #  #      ##        ",
            "      #               #        #  # #  ## #                 #       #        ",
            " ###  # ##   ###   ## #  ###   #    #   # # ##   ##     ##  #  #    #   ## # ",
            "    # ##  # #     #  ## #   # ###   #  ## ##  #   #      #  # #     #   # # #",
            " #### #   # #     #   # #####  #     ## # #   #   #      #  ##      #   # # #",
            "#   # #   # #   # #   # #      #        # #   #   #   #  #  # #     #   #   #",
            " #### ####   ###   ####  ###   #     ###  #   #  ###   ##   #  #   ###  #   #",
        ],
    ),
    (
        "nopqrstuvwxyz",
        [
            "            # ##   ## #              #                            #   #      ",
            "            ##  # #  ##              #                            #   #      ",
            "# ##   ###  #   # #   # # ##   #### ###   #   # #   # #   # #   # #   # #####",
            "##  # #   # ##  # #  ## ##  # #      #    #   # #   # #   #  # #  #  ##    # ",
            "#   # #   # # ##   ## # #      ###   #    #   # #   # # # #   #    ## #   #  ",
            "#   # #   # #         # #         #  #  # #  ##  # #  # # #  # #      #  #   ",
            "#   #  ###  #         # #     ####    ##   ## #   #    # #  #   #  ###  #####",
        ],
    ),
    (
        "0123456789%:.",
        [
            " ###    #    ###  #####    #  #####   ##  #####  ###   ###  ##               ",
            "#   #  ##   #   #    #    ##  #      #        # #   # #   # ##  #  ##        ",
            "#  ##   #       #   #    # #  ####  #        #  #   # #   #    #   ##        ",
            "# # #   #      #     #  #  #      # ####    #    ###   ####   #              ",
            "##  #   #     #       # #####     # #   #  #    #   #     #  #     ##        ",
            "#   #   #    #    #   #    #  #   # #   #  #    #   #    #  #  ##  ##    ##  ",
            " ###   ###  #####  ###     #   ###   ###   #     ###   ##      ##        ##  ",
        ],
    ),
    (
        ",-+/()=_#<>×'",
        [
            "                      #    #   #                 # #     #   #            #  ",
            "              #       #   #     #                # #    #     #   #   #   #  ",
            "              #      #   #       #  #####       #####  #       #   # #   #   ",
            "       ###  #####   #    #       #               # #  #         #   #        ",
            " ##           #    #     #       #  #####       #####  #       #   # #       ",
            " ##           #   #       #     #                # #    #     #   #   #      ",
            " #                #        #   #          #####  # #     #   #               ",
        ],
    ),
];

/// Whether the pixel `(x, y)` of a letter is set, for `x < WIDTH` and `y < HEIGHT + DEPTH`; a character without a drawing shows as an empty box.
pub fn pixel(letter: char, x: usize, y: usize) -> bool {
    let y = if HANGING.contains(letter) { y.wrapping_sub(DEPTH) } else { y };
    if letter == ' ' || y >= HEIGHT {
        return false;
    }
    let drawn = BANDS.iter().find_map(|(letters, lines)| {
        let place = letters.chars().position(|other| other == letter)?;
        lines[y].as_bytes().get(place * ADVANCE + x)
    });
    match drawn {
        Some(&dot) => dot == b'#',
        None => x == 0 || x == WIDTH - 1 || y == 0 || y == HEIGHT - 1,
    }
}

/// Width of a line of text in pixels, before scaling.
pub fn text_width(text: &str) -> usize {
    (text.chars().count() * ADVANCE).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_and_differ() {
        let letters: Vec<char> = BANDS.iter().flat_map(|(letters, _)| letters.chars()).collect();
        let shape = |letter| -> Vec<bool> {
            (0..(HEIGHT + DEPTH) * WIDTH).map(|i| pixel(letter, i % WIDTH, i / WIDTH)).collect()
        };
        let mut shapes: Vec<_> = letters.iter().map(|&letter| shape(letter)).collect();
        assert!(shapes.iter().all(|shape| shape.contains(&true)));
        assert!(!shape(' ').contains(&true));
        let unknown = shape('\u{2603}');
        assert!(unknown.contains(&true) && !shapes.contains(&unknown));
        shapes.sort();
        shapes.dedup();
        assert_eq!(shapes.len(), letters.len(), "two letters look alike");
    }

    #[test]
    fn bands_are_as_wide_as_their_letters() {
        for (letters, lines) in BANDS {
            for line in lines {
                assert_eq!(line.len(), letters.chars().count() * ADVANCE - 1, "{letters}: {line:?}");
            }
        }
        assert_eq!((text_width(""), text_width("ab")), (0, 11));
    }
}
