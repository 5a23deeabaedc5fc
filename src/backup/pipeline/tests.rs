//! Tests of both ends of a pipeline.

use rusqlite::ffi;

use super::*;

#[derive(Default)]
struct Adding {
    numbers: Vec<u32>,
    refuse: u32,
}

impl Worker for Adding {
    type Outcome = (Vec<u32>, u32);

    fn work(&mut self, batch: Batch, back: &Return) -> Result<()> {
        let numbers: Vec<u32> = batch.pages().map(|(number, _)| number).collect();
        assert!(!numbers.contains(&7777), "a defect");
        if numbers.contains(&self.refuse) {
            return Err(Error::new(ffi::SQLITE_FULL, "refused"));
        }
        self.numbers.extend(numbers);
        let _ = back.send(batch);
        Ok(())
    }

    fn end(self, geometry: Geometry) -> Result<(Vec<u32>, u32)> {
        Ok((self.numbers, geometry.page_count))
    }
}

const END: Geometry = Geometry { page_size: 65536, page_count: 900 };

fn walk(pipeline: &mut Pipeline<(Vec<u32>, u32)>, numbers: &[u32]) -> Result<()> {
    for &number in numbers {
        pipeline.put(number, &vec![number as u8; 65536])?;
    }
    pipeline.end(END)
}

fn outcome(pipeline: &Pipeline<(Vec<u32>, u32)>) -> Result<(Vec<u32>, u32)> {
    loop {
        if let Some(outcome) = pipeline.ended() {
            return outcome;
        }
    }
}

#[test]
fn every_page_goes_round_once_and_in_order() {
    let numbers: Vec<u32> = (2..=400).chain(402..=900).chain([1]).collect();
    let mut pipeline = Pipeline::start(Adding::default()).unwrap();
    walk(&mut pipeline, &numbers).unwrap();
    assert_eq!(outcome(&pipeline).unwrap(), (numbers, 900));
    assert!(pipeline.made <= BATCHES);
}

#[test]
fn the_workers_error_is_the_walkers() {
    let numbers: Vec<u32> = (2..=900).collect();
    let mut pipeline = Pipeline::start(Adding { refuse: 50, ..Adding::default() }).unwrap();
    assert_eq!(walk(&mut pipeline, &numbers).unwrap_err().message(), "refused");
    let mut pipeline = Pipeline::start(Adding { refuse: 900, ..Adding::default() }).unwrap();
    // The error may arrive at the last page or after it.
    let walked = walk(&mut pipeline, &numbers);
    assert_eq!(walked.and_then(|()| outcome(&pipeline)).unwrap_err().code(), ffi::SQLITE_FULL);
}

#[test]
fn a_panic_is_an_error_and_giving_up_ends_the_worker() {
    let numbers: Vec<u32> = (2..=900).collect();
    let mut pipeline = Pipeline::start(Adding::default()).unwrap();
    pipeline.put(7777, &[0; 512]).unwrap();
    assert!(walk(&mut pipeline, &numbers).is_err());
    let mut pipeline = Pipeline::start(Adding::default()).unwrap();
    pipeline.put(2, &[0; 512]).unwrap();
    drop(pipeline);
}
