//! The content of full artifacts, for pages in any order.

use std::io::Read;

use super::*;
use crate::backup::artifact;

/// Writes pages filled with their numbers; returns the file's plain content.
fn written(compression: Compression, numbers: &[u32], page_count: u32, expected: Option<u8>) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let expected_page = expected.map(|byte| vec![byte; 512]);
    let mut writer = FullWriter::start(File::create(&path).unwrap(), &path, (compression, 1), expected_page).unwrap();
    for &number in numbers {
        writer.page(number, &[number as u8; 512]).unwrap();
    }
    writer.end(Geometry { page_size: 512, page_count }).unwrap();
    let written = std::iter::repeat_with(|| writer.pipeline.ended()).flatten().next().unwrap().unwrap();
    writer.complete = true;
    assert_eq!(written.hashes.len(), page_count as usize);
    let file = std::fs::read(&path).unwrap();
    let fingerprint = Fingerprint { checksum: artifact::sha256(&file), size: file.len() as u64 };
    assert_eq!(written.fingerprint, (expected == Some(1)).then_some(fingerprint), "{compression:?}");
    let mut content = Vec::new();
    compression::reader(file.as_slice(), compression).unwrap().read_to_end(&mut content).unwrap();
    content
}

const EXPECTED: [Option<u8>; 3] = [None, Some(1), Some(9)];

#[test]
fn pages_stand_at_their_places_and_one_that_never_comes_is_zero() {
    for compression in Compression::ALL {
        for expected in EXPECTED {
            let content = written(compression, &[2, 4, 5, 1], 6, expected);
            let firsts: Vec<u8> = content.chunks(512).map(|page| page[0]).collect();
            assert_eq!(firsts, [1, 2, 0, 4, 5, 0], "{compression:?} {expected:?}");
            assert_eq!(content.len(), 6 * 512);
        }
    }
}

#[test]
fn a_database_of_one_page() {
    for compression in Compression::ALL {
        for expected in EXPECTED {
            assert_eq!(written(compression, &[1], 1, expected), [1; 512], "{compression:?} {expected:?}");
        }
    }
}

#[test]
fn a_gap_right_behind_page_one() {
    for compression in Compression::ALL {
        for expected in EXPECTED {
            let content = written(compression, &[3, 1], 3, expected);
            assert_eq!((content[0], content[512], content[1024]), (1, 0, 3), "{compression:?} {expected:?}");
        }
    }
}
