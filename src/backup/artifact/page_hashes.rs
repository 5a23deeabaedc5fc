//! The hashes of a snapshot's pages, and their digest.
//!
//! # Why page 1 is special
//!
//! SQLite's backup API writes its own values into page 1: the change counter and its copy (bytes 24–27,
//! 92–95), the schema cookie (40–43), the version of the writing library (96–99); and the WAL marks (18–19)
//! are cleared here. These bytes do not depend on the content, so its hash takes them as zero.

use std::ops::Range;

use sha2::{Digest, Sha256};
use twox_hash::XxHash3_128;

use super::hex;
use super::kind::Geometry;
use crate::error::Result;
use crate::memory;

pub type PageHash = [u8; 16];

const PAGE_ONE_BLANKS: [Range<usize>; 4] = [18..20, 24..28, 40..44, 92..100];

/// The hash of page `number`.
pub fn page_hash(number: u32, content: &[u8]) -> PageHash {
    if number != 1 {
        return xxh3(content);
    }
    let mut blanked = content.to_vec();
    for blank in PAGE_ONE_BLANKS {
        if let Some(bytes) = blanked.get_mut(blank) {
            bytes.fill(0);
        }
    }
    xxh3(&blanked)
}

fn xxh3(content: &[u8]) -> PageHash {
    XxHash3_128::oneshot(content).to_le_bytes()
}

/// The digest of all pages, in hexadecimal.
pub fn content_digest(geometry: Geometry, hashes: &[PageHash]) -> String {
    let mut digest = Sha256::new();
    digest.update(b"queuekeeper content 1");
    digest.update(geometry.page_size.to_le_bytes());
    digest.update(geometry.page_count.to_le_bytes());
    digest.update(hashes.as_flattened());
    hex(&digest.finalize())
}

/// The hashes of all pages; new ones replace old ones in place.
#[derive(Debug, Default)]
pub struct HashList {
    page_size: usize,
    hashes: Vec<PageHash>,
    /// The count of new hashes; later ones are old, and so is that of page 1 until it is put.
    known: usize,
}

impl HashList {
    /// Replaces `old` in place, so that only one list is in memory.
    pub fn replacing(old: Vec<PageHash>) -> Self {
        Self { hashes: old, ..Self::default() }
    }

    /// Puts a page's hash; returns whether it differs from the old one. Pages come in ascending order, except
    /// page 1, which comes last.
    pub fn put(&mut self, number: u32, content: &[u8]) -> Result<bool> {
        self.page_size = content.len();
        let hash = page_hash(number, content);
        let index = (number - 1) as usize;
        grow(&mut self.hashes, index + 1)?;
        self.fill(index);
        self.known = self.known.max(index + 1);
        match self.hashes.get_mut(index) {
            Some(old) => Ok(std::mem::replace(old, hash) != hash),
            None => {
                self.hashes.push(hash);
                Ok(true)
            }
        }
    }

    /// The list for a database of this many pages.
    pub fn finish(&mut self, page_count: u32) -> Vec<PageHash> {
        self.fill(page_count as usize);
        self.hashes.truncate(page_count as usize);
        std::mem::take(&mut self.hashes)
    }

    /// A page that is never delivered (the lock-byte page) is zero.
    fn fill(&mut self, count: usize) {
        if self.known < count {
            let zero = xxh3(&vec![0; self.page_size]);
            // Page 1 is still to come.
            self.hashes.iter_mut().take(count).skip(self.known.max(1)).for_each(|hash| *hash = zero);
            self.hashes.resize(self.hashes.len().max(count), zero);
            self.known = count;
        }
    }
}

/// Reserves memory for a list of this length.
pub(super) fn grow(hashes: &mut Vec<PageHash>, length: usize) -> Result<()> {
    memory::grow(hashes, length.saturating_sub(hashes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_hash_that_the_reference_implementation_gives_it() {
        // By xxHash 0.8.4 in C, whose hexadecimal form is big-endian.
        let known = [
            (512, 0xe24a_8b99_1fd3_69a9_2f11_dab1_fc04_b0b7),
            (1024, 0xb8c0_e3ee_f735_74e6_7b3d_0d58_0423_1abc),
            (4096, 0xa06f_fa1b_365e_8adb_f277_e5ff_d871_9798),
            (32768, 0xb360_6259_20c8_2388_491c_2bcc_66e1_0c89),
            (65536, 0x61f8_f389_3e12_2034_e84b_e5e1_e6ba_6253),
        ];
        for (size, hash) in known {
            let page: Vec<u8> = (0..size).map(|i: u32| (i * 131 + (i >> 8) * 17) as u8).collect();
            assert_eq!(u128::from_le_bytes(page_hash(2, &page)), hash, "{size}");
        }
    }

    #[test]
    fn bookkeeping_bytes_of_page_one_do_not_count_and_all_others_do() {
        let page: Vec<u8> = (0..512).map(|i| (i % 251) as u8).collect();
        for index in 0..page.len() {
            let mut changed = page.clone();
            changed[index] ^= 0x40;
            let blank = PAGE_ONE_BLANKS.iter().any(|range| range.contains(&index));
            assert_eq!(page_hash(1, &page) == page_hash(1, &changed), blank, "byte {index}");
            assert_ne!(page_hash(2, &page), page_hash(2, &changed), "byte {index}");
        }
    }

    #[test]
    fn a_list_in_place_of_another_is_the_same_and_tells_what_differs() {
        let page = |number: u32, version: u8| [number as u8 ^ version; 512];
        let list_of = |mut list: HashList, numbers: &[u32], version: u8, count: u32| {
            let order = numbers.iter().filter(|&&number| number > 1).chain([&1]);
            let mut differing: Vec<u32> = Vec::new();
            for &number in order {
                // Every third page is unchanged.
                let version = if number % 3 == 0 { 0 } else { version };
                if list.put(number, &page(number, version)).unwrap() {
                    differing.push(number);
                }
            }
            (list.finish(count), differing)
        };
        let full: Vec<u32> = (1..=9).collect();
        let (old, all) = list_of(HashList::default(), &full, 0, 9);
        assert_eq!(all, [2, 3, 4, 5, 6, 7, 8, 9, 1]);
        // The same length, longer, shorter, one page; without the last page, without one in the middle,
        // without both.
        for (numbers, count) in [
            (vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 9),
            ((1..=12).collect(), 12),
            (vec![1, 2, 3, 4], 4),
            (vec![1], 1),
            (vec![1, 2, 3, 4, 5, 6, 7, 8], 9),
            (vec![1, 2, 3, 5, 6], 6),
            (vec![1, 3, 4], 5),
        ] {
            for version in [0, 128] {
                let (fresh, _) = list_of(HashList::default(), &numbers, version, count);
                let (found, differing) = list_of(HashList::replacing(old.clone()), &numbers, version, count);
                assert_eq!(found, fresh, "{numbers:?}");
                let wanted = |&number: &u32| number > 9 || (version > 0 && number % 3 != 0);
                let order = numbers.iter().copied().filter(|&number| number > 1).chain([1]);
                assert_eq!(differing, order.filter(wanted).collect::<Vec<_>>(), "{numbers:?}");
            }
        }
    }

    #[test]
    fn a_page_that_never_comes_is_zero_and_order_matters_to_the_digest() {
        let mut list = HashList::default();
        for number in [2u32, 4, 1] {
            list.put(number, &[number as u8; 512]).unwrap();
        }
        let hashes = list.finish(5);
        let expected: Vec<PageHash> = (1u32..=5)
            .map(|number| page_hash(number, &[if matches!(number, 3 | 5) { 0 } else { number as u8 }; 512]))
            .collect();
        assert_eq!(hashes, expected);
        let geometry = Geometry { page_size: 512, page_count: 5 };
        let swapped = [expected[0], expected[2], expected[1], expected[3], expected[4]];
        assert_ne!(content_digest(geometry, &expected), content_digest(geometry, &swapped));
    }
}
