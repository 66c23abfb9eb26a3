//! Helpers shared by the scenarios; the tests themselves stand in the folders beside `src`.
