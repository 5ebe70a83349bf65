//! Values that mean more than their text.

pub(crate) mod address;
pub(crate) mod duration;
pub(crate) mod number;
pub(crate) mod time;
