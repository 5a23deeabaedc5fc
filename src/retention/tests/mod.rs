//! Plans over whole listings: by hand, over months, and at random.

mod goldens;
mod histories;
mod properties;
