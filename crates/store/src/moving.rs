//! From one backend to another, once: every row of every table as it is, whatever it means.
//!
//! A backend that is left tells its tables and gives their rows; the one that is moved to takes them
//! only if it has a place for every column. Nobody has to list what there is, so a table that a later
//! schema brings cannot be forgotten.

/// A value, as both sides can keep it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Octets.
    Bytes(Vec<u8>),
    /// A number; 0 and 1 where a column says yes or no.
    Integer(i64),
    /// Nothing.
    Null,
    /// Text.
    Text(String),
}

/// A table that is moved.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in the order of the cells of a row.
    pub columns: Vec<String>,
    /// How many rows it has.
    pub rows: u64,
    /// The last number that was given, where numbers are never given again.
    pub last_number: Option<i64>,
}

/// A row: a cell for each column.
pub type Row = Vec<Cell>;
