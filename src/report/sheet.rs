//! Pictures of samples in rows, each row under its heading and each column over its label: a contact sheet.

use crate::report::font;
use crate::report::picture::{BACKGROUND, Image, Rgb};

const INK: Rgb = [232, 232, 224];
const FAINT: Rgb = [148, 154, 168];
const MARGIN: usize = 24;
const GAP: usize = 8;
/// Pixels per dot of the font.
const DOT: usize = 2;
/// The longer side of a cell comes near this, by whole factors.
const SIDE: usize = 96;

/// Values of one sample, (channels, height, width), from 0 to 1, as a picture that is enlarged or thinned out by a whole factor.
/// Three channels are red, green and blue; of other numbers the mean is shown.
pub fn picture(values: &[f32], shape: [usize; 3]) -> Image {
    let [channels, height, width] = shape;
    let plane = height * width;
    let every = height.max(width).div_ceil(2 * SIDE).max(1);
    let scale = (SIDE / height.max(width).max(1)).max(1);
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let (rows, columns) = (height.div_ceil(every), width.div_ceil(every));
    let mut image = Image::new(columns * scale, rows * scale, BACKGROUND);
    for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        let value = |channel: usize| values[channel * plane + y * every * width + x * every];
        let colour = match channels {
            3 => [0, 1, 2].map(|channel| byte(value(channel))),
            _ => [byte((0..channels).map(value).sum::<f32>() / channels.max(1) as f32); 3],
        };
        image.fill((x * scale, y * scale), (scale, scale), colour);
    }
    image
}

/// Rows of pictures of one size; what does not fit over a column of its label is cut off.
pub fn sheet(labels: &[String], rows: &[(String, Vec<Image>)]) -> Image {
    let first = rows.iter().find_map(|(_, pictures)| pictures.first());
    let (width, height) = first.map_or((0, 0), |image| (image.width, image.height));
    let line = (font::HEIGHT + font::DEPTH) * DOT + GAP;
    let headings = rows.iter().map(|(heading, _)| font::text_width(heading) * DOT).max().unwrap_or(0);
    let left = MARGIN + headings + 2 * GAP;
    let columns = rows.iter().map(|(_, pictures)| pictures.len()).max().unwrap_or(0);
    let size = (left + columns * (width + GAP) + MARGIN, 2 * MARGIN + line + rows.len() * (height + GAP));
    let mut page = Image::new(size.0, size.1, BACKGROUND);
    for (column, label) in labels.iter().enumerate() {
        let fits = |text: &str| font::text_width(text) * DOT <= width;
        let mut text = label.clone();
        while !text.is_empty() && !fits(&text) {
            text.pop();
        }
        page.text((left + column * (width + GAP), MARGIN), &text, DOT, FAINT);
    }
    for (row, (heading, pictures)) in rows.iter().enumerate() {
        let top = MARGIN + line + row * (height + GAP);
        let middle = top + height.saturating_sub(font::HEIGHT * DOT) / 2;
        page.text((MARGIN, middle), heading, DOT, INK);
        for (column, image) in pictures.iter().enumerate() {
            page.paste((left + column * (width + GAP), top), image);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_becomes_a_picture_of_its_channels() {
        let grey = picture(&[0.0, 0.5, 1.0, 2.0], [1, 2, 2]);
        assert_eq!((grey.width, grey.height), (96, 96));
        assert_eq!([(0, 0), (48, 0), (0, 48), (95, 95)].map(|(x, y)| grey.get(x, y)[0]), [0, 128, 255, 255]);
        let colour = picture(&[1.0, 0.5, 0.0], [3, 1, 1]);
        assert_eq!(colour.get(0, 0), [255, 128, 0]);
        assert_eq!(picture(&[1.0, 0.0], [2, 1, 1]).get(0, 0), [128; 3]);
        let large = picture(&vec![1.0; 1000 * 500], [1, 1000, 500]);
        assert_eq!((large.width, large.height), (84, 167), "every sixth");
    }

    #[test]
    fn every_picture_is_whole_and_in_its_place() {
        let red = Image::new(50, 40, [255, 0, 0]);
        let rows = [("plain".to_string(), vec![red.clone(); 3]), ("epoch 0".to_string(), vec![red; 3])];
        let page = sheet(&["a".into(), "a label that is far too long".into()], &rows);
        let count = page.rgb.chunks(3).filter(|pixel| *pixel == [255, 0, 0]).count();
        assert_eq!(count, 6 * 50 * 40);
        assert!(
            page.rgb.chunks(3).any(|pixel| pixel == INK) && page.rgb.chunks(3).any(|pixel| pixel == FAINT)
        );
        assert_eq!(sheet(&[], &[]).height, 2 * MARGIN + (font::HEIGHT + font::DEPTH) * DOT + GAP);
    }
}
