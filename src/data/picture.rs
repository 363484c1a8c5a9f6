//! One picture: PNG or JPEG, decoded, brought to a size, channels first. A file is not trusted.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::options::{Colour, Fit, LARGEST_SIDE};
use crate::error::{Error, Result};

/// The most memory that decoding one picture may take.
const LARGEST_BYTES: u64 = 1 << 30;

/// What a file says before its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// (height, width), as it is to be looked at.
    pub size: [usize; 2],
    pub is_grey: bool,
}

/// Reads the beginning of a file.
///
/// # Errors
/// `Kind::Data`, with the file in its first line.
pub fn head(path: &Path) -> Result<Head> {
    let mut decoder = decoder(path)?;
    let (width, height) = decoder.dimensions();
    let (height, width) = match turned(&mut decoder) {
        true => (width, height),
        false => (height, width),
    };
    Ok(Head { size: [height as usize, width as usize], is_grey: !decoder.color_type().has_color() })
}

/// A picture as it is to be looked at.
///
/// # Errors
/// `Kind::Data`, with the file in its first line.
pub fn decoded(path: &Path) -> Result<DynamicImage> {
    let mut decoder = decoder(path)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| undecoded(path, &error))?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Writes the pixels of a file into `place`, (channels, height, width). Transparency is left out.
///
/// # Errors
/// `Kind::Data`, with the file in its first line.
pub fn pixels(
    path: &Path,
    [height, width]: [usize; 2],
    fit: Fit,
    colour: Colour,
    place: &mut [u8],
) -> Result<()> {
    let image = decoded(path)?;
    let image = match colour {
        Colour::Rgb => DynamicImage::ImageRgb8(image.into_rgb8()),
        Colour::Grey => DynamicImage::ImageLuma8(image.into_luma8()),
    };
    let (own, size) = ((image.width() as usize, image.height() as usize), (width as u32, height as u32));
    let image = match fit {
        _ if own == (width, height) => image,
        Fit::Stretch => image.resize_exact(size.0, size.1, FilterType::Triangle),
        Fit::Crop => image.resize_to_fill(size.0, size.1, FilterType::Triangle),
    };
    let channels = place.len() / (height * width);
    for (i, value) in image.as_bytes().iter().enumerate() {
        place[i % channels * height * width + i / channels] = *value;
    }
    Ok(())
}

fn decoder(path: &Path) -> Result<impl ImageDecoder + use<>> {
    let unreadable =
        |error: std::io::Error| Error::data(format!("cannot read {}", path.display())).at(error.to_string());
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() == 0 {
        return Err(
            Error::data(format!("{} is empty", path.display())).at("expected: a picture; found: no byte")
        );
    }
    let mut reader = ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(unreadable)?;
    match reader.format() {
        Some(ImageFormat::Png) => {}
        Some(ImageFormat::Jpeg) => whole_jpeg(path)?,
        _ => {
            return Err(Error::data(format!("{} is no picture that can be read", path.display()))
                .at("expected: PNG or JPEG, by its first bytes; found: others"));
        }
    }
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(LARGEST_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| undecoded(path, &error))?;
    let (width, height) = decoder.dimensions();
    let largest = LARGEST_SIDE as u32;
    if width > largest || height > largest {
        return Err(Error::data(format!("{} is too large", path.display()))
            .at(format!("expected: at most {largest} pixels a side; found: {height} x {width}")));
    }
    Ok(decoder)
}

/// The decoder paints what is missing of a JPEG that was cut off: it must end with its mark, after the last scan begins.
fn whole_jpeg(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path)
        .map_err(|error| Error::data(format!("cannot read {}", path.display())).at(error.to_string()))?;
    let last = |mark: u8| bytes.windows(2).rposition(|two| two == [0xff, mark]);
    match (last(0xda), last(0xd9)) {
        (Some(scan), Some(end)) if scan < end => Ok(()),
        _ => Err(damaged(path, "the end of the picture is missing: the file is cut off")),
    }
}

/// Whether height and width are exchanged before it is looked at.
fn turned(decoder: &mut impl ImageDecoder) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(decoder.orientation(), Ok(Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH))
}

fn undecoded(path: &Path, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::data(format!("{} is too large", path.display()))
            .at(format!("decoding it takes more than {} MiB", LARGEST_BYTES >> 20)),
        other => damaged(path, &other.to_string()),
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::data(format!("{} is damaged", path.display())).at(why)
}
