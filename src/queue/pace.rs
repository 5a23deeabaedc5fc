//! Batch sizes and pauses of long work while others want to write.
//!
//! # Promise
//!
//! A writer that starts to wait during a batch gets its turn in the next pause, so it waits about as long as
//! a batch takes: [`BATCH_TIME`], on a machine that is not too busy.
//!
//! # How
//!
//! Waiting writers do not queue up, they poll: SQLite's busy handler retries after 1, 2, 5, 10, 15, 20, 25,
//! 25, 25 ms, then more and more rarely. With pauses shorter than those gaps, a writer can meet one batch
//! after the other, and it did. A pause has room for two such gaps: writers that started to wait in the same
//! batch poll at the same time, and only one of them succeeds. The batch size follows the measured time, but
//! a commit has a fixed cost, hence [`SMALLEST_BATCH`]: else a slow disk would make the work endless.

use std::time::Duration;

const BATCH_TIME: Duration = Duration::from_millis(25);
const SHORTEST_PAUSE: Duration = Duration::from_millis(60);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
const SMALLEST_BATCH: usize = 128;
const LARGEST_BATCH: usize = 2048;

pub struct Pace {
    batch: usize,
}

impl Pace {
    /// Starts with the smallest batch.
    pub fn start() -> Self {
        Self { batch: SMALLEST_BATCH }
    }

    /// The size of the next batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Adapts the batch size to the time that a batch took; returns how long to pause.
    pub fn pause_after(&mut self, took: Duration) -> Duration {
        let fitting = BATCH_TIME.as_micros() * self.batch as u128 / took.as_micros().max(1);
        // One batch may be slow by accident: a checkpoint, or another program that uses the disk.
        let near = usize::try_from(fitting).unwrap_or(usize::MAX).clamp(self.batch / 2, self.batch * 2);
        self.batch = near.clamp(SMALLEST_BATCH, LARGEST_BATCH);
        took.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When SQLite's busy handler polls, in ms since a writer started to wait.
    const POLLS: [u64; 9] = [1, 3, 8, 18, 33, 53, 78, 103, 128];

    #[test]
    fn batches_follow_the_clock() {
        let after = |batch, milliseconds| {
            let mut pace = Pace { batch };
            pace.pause_after(Duration::from_millis(milliseconds));
            pace.batch()
        };
        assert_eq!(after(1000, 25), 1000);
        assert_eq!(after(1000, 50), 500);
        assert_eq!(after(1000, 20), 1250);
        assert_eq!(after(1000, 0), 2000);
        assert_eq!(after(1000, 60_000), 500);
        assert_eq!(after(SMALLEST_BATCH, 60_000), SMALLEST_BATCH);
        assert_eq!(after(LARGEST_BATCH, 0), LARGEST_BATCH);
    }

    #[test]
    fn a_writer_that_waits_looks_twice_in_the_next_pause() {
        for took in 1..=75 {
            let pause = Pace::start().pause_after(Duration::from_millis(took)).as_millis();
            for waited in 1..=took {
                let end = u128::from(waited);
                let looks = POLLS.iter().filter(|&&poll| (end..end + pause).contains(&u128::from(poll))).count();
                assert!(
                    looks >= 2,
                    "a batch of {took} ms, of which the writer waited {waited}, and a pause of {pause}"
                );
            }
        }
    }
}
