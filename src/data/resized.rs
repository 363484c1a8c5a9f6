//! Pictures of a data set brought to another size: larger ones for a network that wants them, smaller ones for quick trials.

use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma};

use super::{Samples, Source, parallel};
use crate::error::{Error, Kind, Result};

/// Brings the pictures of both parts to (height, width), each channel by itself: a weighted mean of near pixels, the filter
/// of `images:DIR`. Mean and deviation stay as they are. Pictures of that size stay as they are.
///
/// # Errors
/// `Kind::Usage` where samples are no pictures of bytes, `Kind::Memory` where there is no room for all of them.
pub fn bring_to(source: &mut Source, size: [usize; 2]) -> Result<()> {
    let &[channels, height, width] = source.shape.as_slice() else {
        return Err(no_pictures(source, format!("a sample of shape {:?}", source.shape)));
    };
    if [height, width] == size {
        return Ok(());
    }
    for part in [&source.train, &source.test] {
        if !matches!(part.images, Samples::Bytes(_)) {
            return Err(no_pictures(source, "numbers that are no bytes".into()));
        }
    }
    for part in [&mut source.train, &mut source.test] {
        if let Samples::Bytes(bytes) = &part.images {
            part.images = Samples::Bytes(resized(bytes, [height, width], size)?);
        }
    }
    source.shape = vec![channels, size[0], size[1]];
    Ok(())
}

fn no_pictures(source: &Source, found: String) -> Error {
    Error::usage(format!("{} has no pictures to resize", source.name))
        .at(format!("expected: bytes of (channels, height, width); found: {found}"))
}

fn resized(bytes: &[u8], from: [usize; 2], to: [usize; 2]) -> Result<Vec<u8>> {
    let (old, new) = (from[0] * from[1], to[0] * to[1]);
    let len = (bytes.len() / old).checked_mul(new);
    let mut all: Vec<u8> = Vec::new();
    if len.is_none_or(|len| all.try_reserve_exact(len).is_err()) {
        return Err(Error::new(Kind::Memory, format!("no memory for pictures of {}x{}", to[0], to[1]))
            .at(format!("{} channels of pictures", bytes.len() / old))
            .hint("a smaller data.size"));
    }
    all.resize(bytes.len() / old * new, 0);
    parallel::each(all.chunks_exact_mut(new).zip(bytes.chunks_exact(old)), |(place, channel)| {
        let picture = ImageBuffer::<Luma<u8>, &[u8]>::from_raw(from[1] as u32, from[0] as u32, channel)
            .ok_or_else(|| Error::internal("a channel of a picture has another size"))?;
        place.copy_from_slice(&resize(&picture, to[1] as u32, to[0] as u32, FilterType::Triangle));
        Ok(())
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::{Split, open, open_with};
    use super::*;
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
        let refused = |source: &mut Source| {
            let error = bring_to(source, [2, 2]).unwrap_err();
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.to_string().contains("own has no pictures to resize"), "{error}");
        };
        refused(&mut Source { shape: vec![4], ..source([1, 1, 4], &[1, 2, 3, 4]) });
        let mut floats = source([1, 1, 4], &[]);
        (floats.train.images, floats.test.images) =
            (Samples::Floats(vec![0.5; 4]), Samples::Floats(vec![0.5; 4]));
        refused(&mut floats);
        assert!(
            resized(&[0; 4], [1, 1], [usize::MAX / 2, 1])
                .unwrap_err()
                .to_string()
                .contains("a smaller data.size")
        );
    }
}
