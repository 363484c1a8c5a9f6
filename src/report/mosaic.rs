//! Several pictures on one page, with words, so that it explains itself: the dense network above, the sparse
//! one below.

use crate::report::font;
use crate::report::picture::{BACKGROUND, Image, NEGATIVE, POSITIVE, PRUNED, Rgb};

const INK: Rgb = [232, 232, 224];
const FAINT: Rgb = [148, 154, 168];
const MARGIN: usize = 32;
const GAP: usize = 24;
/// Pixels per dot of the font: headings, and the rest.
const LARGE: usize = 3;
const SMALL: usize = 2;

/// A row of pictures under a heading; each picture has a label below it.
#[derive(Clone, Debug)]
pub struct Row {
    pub heading: String,
    pub pictures: Vec<(String, Image)>,
}

/// Puts rows of pictures below one another, equal places in equal columns, and a key to the colours at the end.
pub fn side_by_side(rows: &[Row]) -> Image {
    let count = rows.iter().map(|row| row.pictures.len()).max().unwrap_or(0);
    let column = |place: usize| {
        let cells = rows.iter().filter_map(|row| row.pictures.get(place));
        cells.map(|(label, image)| image.width.max(font::text_width(label) * SMALL)).max().unwrap_or(0)
    };
    let columns: Vec<usize> = (0..count).map(column).collect();
    let headings = rows.iter().map(|row| font::text_width(&row.heading) * LARGE);
    let pictures = columns.iter().sum::<usize>() + GAP * count.saturating_sub(1);
    let width = headings.chain([pictures, key_width()]).max().unwrap_or(0) + 2 * MARGIN;
    let height = rows.iter().map(height_of).sum::<usize>() + MARGIN + key_height();

    let mut page = Image::new(width, height, BACKGROUND);
    let mut top = MARGIN;
    for row in rows {
        page.text((MARGIN, top), &row.heading, LARGE, INK);
        let pictures_top = top + heading_height(row);
        let mut left = MARGIN;
        for ((label, image), width) in row.pictures.iter().zip(&columns) {
            page.paste((left, pictures_top), image);
            page.text((left, pictures_top + image.height + GAP / 2), label, SMALL, FAINT);
            left += width + GAP;
        }
        top += height_of(row);
    }
    draw_key(&mut page, top);
    page
}

fn tallest(row: &Row) -> usize {
    row.pictures.iter().map(|(_, image)| image.height).max().unwrap_or(0)
}

fn heading_height(row: &Row) -> usize {
    if row.heading.is_empty() { 0 } else { (font::HEIGHT + font::DEPTH) * LARGE + GAP / 2 }
}

/// Heading, pictures, labels, and the space to what follows.
fn height_of(row: &Row) -> usize {
    heading_height(row) + tallest(row) + GAP / 2 + (font::HEIGHT + font::DEPTH) * SMALL + GAP + GAP / 2
}

/// The colours and their meaning; each is a sample and a word.
const KEY: [(&[Rgb], &str); 3] =
    [(&[PRUNED], "pruned"), (&NEGATIVE, "negative, small to large"), (&POSITIVE, "positive, small to large")];
const SAMPLE: usize = 14;

fn key_height() -> usize {
    SAMPLE + MARGIN
}

fn key_width() -> usize {
    let entry =
        |(colours, words): &(&[Rgb], &str)| sample_width(colours) + 8 + font::text_width(words) * SMALL;
    KEY.iter().map(entry).sum::<usize>() + GAP * (KEY.len() - 1)
}

/// One colour is a square, two are a ramp between them.
fn sample_width(colours: &[Rgb]) -> usize {
    if colours.len() == 1 { SAMPLE } else { 3 * SAMPLE }
}

fn draw_key(page: &mut Image, top: usize) {
    let mut left = MARGIN;
    for (colours, words) in KEY {
        let width = sample_width(colours);
        let (first, last) = (colours[0], colours[colours.len() - 1]);
        for x in 0..width {
            let share = x as f32 / (width - 1) as f32;
            let colour =
                [0, 1, 2].map(|c| (f32::from(first[c]) * (1.0 - share) + f32::from(last[c]) * share) as u8);
            page.fill((left + x, top), (1, SAMPLE), colour);
        }
        page.text((left + width + 8, top), words, SMALL, FAINT);
        left += width + 8 + font::text_width(words) * SMALL + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Rgb = [255, 0, 0];
    const GREEN: Rgb = [0, 255, 0];

    fn count(image: &Image, colour: Rgb) -> usize {
        image.rgb.chunks(3).filter(|pixel| *pixel == colour).count()
    }

    #[test]
    fn every_picture_is_whole_and_in_its_column() {
        let cell =
            |label: &str, width, height, colour| (label.to_string(), Image::new(width, height, colour));
        let rows = [
            Row { heading: "dense".into(), pictures: vec![cell("a", 40, 30, RED), cell("b", 10, 60, GREEN)] },
            Row { heading: "sparse".into(), pictures: vec![cell("a", 400, 20, RED), cell("b", 7, 7, GREEN)] },
        ];
        let page = side_by_side(&rows);
        assert_eq!(count(&page, RED), 40 * 30 + 400 * 20);
        assert_eq!(count(&page, GREEN), 10 * 60 + 7 * 7);
        let lefts: Vec<usize> =
            (0..page.height).filter_map(|y| (0..page.width).find(|&x| page.get(x, y) == GREEN)).collect();
        assert_eq!(lefts.len(), 67);
        assert!(lefts.iter().all(|&left| left == MARGIN + 400 + GAP), "{lefts:?}");
        assert!(count(&page, INK) > 100 && count(&page, FAINT) > 100, "there are words");
        assert!(count(&page, POSITIVE[1]) > 0 && count(&page, PRUNED) > 0, "there is a key");
    }

    #[test]
    fn nothing_is_a_page_too() {
        let page = side_by_side(&[]);
        assert_eq!(page.rgb.len(), page.width * page.height * 3);
        let empty = Row { heading: String::new(), pictures: Vec::new() };
        assert!(side_by_side(&[empty]).height > page.height);
    }
}
