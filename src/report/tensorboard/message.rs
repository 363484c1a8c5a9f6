//! The messages of an event file: what this program writes of TensorFlow's `event.proto` and `summary.proto`, by field
//! number.

/// `Event`. One of the last three fields says what it is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// Steps done.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// The first message of a file has it.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Shown>,
    #[prost(message, optional, tag = "7")]
    pub session: Option<SessionLog>,
}

/// `Summary`: values of one step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Shown {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// `Summary.Value`: a scalar, a picture or a histogram.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// Its name; what stands before the first `/` is its group.
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(float, optional, tag = "2")]
    pub scalar: Option<f32>,
    #[prost(message, optional, tag = "4")]
    pub picture: Option<Picture>,
    #[prost(message, optional, tag = "5")]
    pub histogram: Option<Histogram>,
}

/// `Summary.Image`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Picture {
    #[prost(int32, tag = "1")]
    pub height: i32,
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// 3 is RGB.
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    pub png: Vec<u8>,
}

/// `HistogramProto`. A bucket reaches from the limit of the one before it, or from `min`, to its own.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    #[prost(double, tag = "1")]
    pub min: f64,
    #[prost(double, tag = "2")]
    pub max: f64,
    #[prost(double, tag = "3")]
    pub num: f64,
    #[prost(double, tag = "4")]
    pub sum: f64,
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

/// `SessionLog`: a program began to write.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionLog {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

impl SessionLog {
    /// Whatever is known of this step and of later ones counts no longer.
    pub const START: Self = Self { status: 1 };
}

/// Buckets of a histogram, all of one width.
const BUCKETS: usize = 30;

impl Histogram {
    /// Of the values that are finite; `None` where there are none.
    pub fn of(values: impl Iterator<Item = f32> + Clone) -> Option<Self> {
        let values = values.filter(|value| value.is_finite()).map(f64::from);
        let [min, max] = [f64::min, f64::max].map(|pick| values.clone().reduce(pick));
        let (min, max) = min.zip(max)?;
        let count = if min < max { BUCKETS } else { 1 };
        let width = (max - min) / count as f64;
        let mut all = Self { min, max, bucket: vec![0.0; count], ..Default::default() };
        all.bucket_limit =
            (1..=count).map(|i| if i == count { max } else { min + width * i as f64 }).collect();
        for value in values {
            let place = if width > 0.0 { ((value - min) / width) as usize } else { 0 };
            all.bucket[place.min(count - 1)] += 1.0;
            all.num += 1.0;
            all.sum += value;
            all.sum_squares += value * value;
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_value_is_in_a_bucket() {
        let values = [-1.0, 0.5, f32::NAN, 2.0, f32::INFINITY, 2.0];
        let all = Histogram::of(values.into_iter()).unwrap();
        assert_eq!((all.min, all.max, all.num, all.sum, all.sum_squares), (-1.0, 2.0, 4.0, 3.5, 9.25));
        assert_eq!((all.bucket.len(), all.bucket_limit[29]), (30, 2.0));
        // 0.5 is half of the way: the first of the upper half.
        assert_eq!((all.bucket[0], all.bucket[15], all.bucket[29]), (1.0, 1.0, 2.0));
        let one = Histogram::of([0.25; 3].into_iter()).unwrap();
        assert_eq!((one.bucket, one.bucket_limit), (vec![3.0], vec![0.25]));
        assert_eq!(Histogram::of([f32::NAN].into_iter()), None);
    }
}
