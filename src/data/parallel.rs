//! Work on many files at once: a thread a core.

use std::sync::Mutex;
use std::thread;

use crate::error::{Error, Result};

/// Does `work` on all items, in any order, and gives the results in the order of the items. Of several errors, the first
/// item's counts: which one that is does not depend on the threads.
pub fn each<T: Send, R: Send>(
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    // Items are taken in their order: those before one that fails are all worked on.
    let queue = Mutex::new(items.enumerate());
    let done: Mutex<Vec<(usize, Result<R>)>> = Mutex::new(Vec::new());
    let failed = std::sync::atomic::AtomicBool::new(false);
    let take = || {
        while !failed.load(std::sync::atomic::Ordering::Relaxed) {
            let Some((number, item)) = queue.lock().ok().and_then(|mut queue| queue.next()) else { return };
            let result = work(item);
            failed.fetch_or(result.is_err(), std::sync::atomic::Ordering::Relaxed);
            if let Ok(mut done) = done.lock() {
                done.push((number, result));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(take);
        }
    });
    let mut done = done.into_inner().map_err(|_| Error::internal("a thread that reads files panicked"))?;
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_counts() {
        assert_eq!(each(0..1000, |i| Ok(i * 2)).unwrap(), (0..1000).map(|i| i * 2).collect::<Vec<_>>());
        assert!(each(std::iter::empty::<u8>(), Ok).unwrap().is_empty());
        for _ in 0..20 {
            let fails = |i| if i % 7 == 6 { Err(Error::data(format!("item {i}"))) } else { Ok(i) };
            assert_eq!(each(0..1000, fails).unwrap_err().to_string(), "item 6");
        }
    }
}
