//! Pictures of a data set brought to another size: larger ones for a network that wants them, smaller ones for quick trials.

use image::GrayImage;
use image::imageops::{FilterType, resize};

use super::{Samples, Source, Split, idx};
use crate::error::{Error, Result};

/// Brings the pictures of both parts to (height, width), each channel by itself: a weighted mean of near pixels, the filter
/// of `images:DIR`. Mean and deviation stay as they are. Pictures of that size stay as they are.
///
/// # Errors
/// `Kind::Usage` where samples are no pictures of bytes, and where all of them together would be too large.
pub fn bring_to(source: &mut Source, size: [usize; 2]) -> Result<()> {
    let &[channels, height, width] = source.shape.as_slice() else {
        return Err(Error::usage(format!("{} has no pictures to resize", source.name)).at(format!(
            "expected: (channels, height, width); found: a sample of shape {:?}",
            source.shape
        )));
    };
    if [height, width] == size {
        return Ok(());
    }
    for part in [&mut source.train, &mut source.test] {
        let pictures = part.len() * channels;
        let bytes = size.iter().fold(pictures as u64, |product, &side| product.saturating_mul(side as u64));
        if bytes > idx::LARGEST {
            let error = Error::usage(format!("{} is too large at {}x{}", source.name, size[0], size[1]));
            return Err(error
                .at(format!("expected: at most {} bytes a part; found: {bytes}", idx::LARGEST))
                .hint("a smaller data.size"));
        }
        *part = resized(part, [height, width], size)?;
    }
    source.shape = vec![channels, size[0], size[1]];
    Ok(())
}

fn resized(part: &Split, from: [usize; 2], to: [usize; 2]) -> Result<Split> {
    let Samples::Bytes(bytes) = &part.images else {
        return Err(Error::usage("only pictures of bytes are resized"));
    };
    let mut all = Vec::with_capacity(bytes.len() / (from[0] * from[1]) * to[0] * to[1]);
    for channel in bytes.chunks_exact(from[0] * from[1]) {
        let picture = GrayImage::from_raw(from[1] as u32, from[0] as u32, channel.to_vec())
            .ok_or_else(|| Error::internal("a channel of a picture has another size"))?;
        all.extend(resize(&picture, to[1] as u32, to[0] as u32, FilterType::Triangle).into_raw());
    }
    Ok(Split { images: Samples::Bytes(all), labels: part.labels.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::{open, open_with};
    use super::*;
    use crate::error::Kind;
    use crate::recipe::Settings;

    fn open_at(name: &str, size: &str) -> Result<super::super::Dataset> {
        let table: toml::Table = format!("size = {size}").parse().unwrap();
        open_with(name, 0.0, &Settings::from(table))
    }

    fn source(shape: [usize; 3], values: &[u8]) -> Source {
        let split = || Split { images: Samples::Bytes(values.to_vec()), labels: vec![0] };
        Source::new("own", shape.to_vec(), 1, split(), split())
    }

    /// A pixel counts by 1 less its distance, in pixels of the small picture: .75, .75 and .25 for the first three of four.
    #[test]
    fn a_pixel_is_a_weighted_mean_of_near_ones() {
        let mut rows = source([1, 1, 4], &[0, 0, 80, 160]);
        bring_to(&mut rows, [1, 2]).unwrap();
        let wanted = [0.25 * 80.0 / 1.75f64, (0.75 * 80.0 + 0.75 * 160.0) / 1.75];
        assert_eq!(rows.train.images, Samples::Bytes(wanted.map(|value| value.round() as u8).to_vec()));
        assert_eq!((rows.shape.as_slice(), &rows.test), (&[1, 1, 2][..], &rows.train));
    }

    #[test]
    fn channels_do_not_mix_and_even_pictures_stay_even() {
        let mut two = source([2, 2, 2], &[10, 10, 10, 10, 200, 200, 200, 200]);
        bring_to(&mut two, [3, 5]).unwrap();
        let wanted = [[10; 15], [200; 15]].concat();
        assert_eq!(two.train.images, Samples::Bytes(wanted));
    }

    #[test]
    fn a_set_keeps_its_labels_and_its_scale() {
        let (whole, half) = (open("digits", 0.0).unwrap(), open_at("digits", "[4, 6]").unwrap());
        assert_eq!(half.shape, [1, 4, 6]);
        assert_eq!((&half.train.labels, &half.scale), (&whole.train.labels, &whole.scale));
        assert_ne!(half.hash, whole.hash);
        assert_eq!(open_at("digits", "8").unwrap().hash, whole.hash);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = open_at("digits", "16384").unwrap_err();
        assert!(error.kind == Kind::Usage && error.to_string().contains("a smaller data.size"), "{error}");
        assert_eq!(open_at("random:1x8x8", "4").unwrap_err().kind, Kind::Usage);
        let mut row = Source { shape: vec![4], ..source([1, 1, 4], &[1, 2, 3, 4]) };
        assert!(bring_to(&mut row, [2, 2]).unwrap_err().to_string().contains("no pictures"));
    }
}
