//! Search over the subnets of a once-for-all network: the most accurate one that a budget allows.   Cai et al. 2020, Section 3.4.
//!
//! Some subnets are evaluated. A [`Predictor`] learns from them what accuracy to expect of any other one, a [`Counter`] and a
//! [`Table`] of measured layers say what it costs, and an [`Evolution`] looks for the best under each [`Budget`]. The last
//! word has an evaluation: of the best few by the predictor, each is cut out and judged.
//!
//! ```no_run
//! use coppice::gpu::{Choice, Gpu};
//! use coppice::ops::variants::Choices;
//! use coppice::recipe::Recipe;
//! use coppice::search::{Options, Search};
//! use coppice::train::Session;
//!
//! let recipe = Recipe::find("fashion-ofa", &[])?;
//! let data = coppice::data::open(&recipe.data.name, recipe.data.validation)?;
//! // Subnets are judged on 2,000 images, which are held out if the recipe holds any out.
//! let (data, _held_out) = data.to_compare(2000);
//! let mut session = Session::new(&Gpu::open(&Choice::Auto)?, &recipe, &data, Choices::default())?;
//! while !session.is_done() {
//!     session.advance()?;
//! }
//! let options = Options { evaluate: 200, ..Options::default() };
//! let mut search = Search::new(&session, &data, None, options)?;
//! let report = search.find(&["latency<=3ms".parse()?, "bytes<=50kB".parse()?], &mut |_| {})?;
//! for found in &report.found {
//!     // What `coppice export --subnet` takes, too.
//!     assert!(found.costs.latency_ms.is_some());
//!     let part = session.cut_pick(&session.supernet()?, &search.parse(&found.subnet)?)?;
//!     assert_eq!(part.pick().to_string(), found.subnet);
//! }
//! # Ok::<(), coppice::error::Error>(())
//! ```

mod budget;
mod cost;
mod evolution;
mod find;
mod genes;
mod latency;
mod predictor;
mod rank;
mod record;
mod report;
mod run;
mod stopwatch;

pub use budget::{Budget, Limit};
pub use cost::{Costs, Counter, Kind};
pub use evolution::{Evolution, Landscape, evolve};
pub use genes::{Draw, Genes, Pool};
pub use latency::{Table, layers};
pub use predictor::{Predictor, Shape};
pub use rank::spearman;
pub use record::{Marks, Record};
pub use report::{Compared, Event, Found, Ranking, Report, Timed, front};
pub use run::{Options, Search};
pub use stopwatch::Stopwatch;
