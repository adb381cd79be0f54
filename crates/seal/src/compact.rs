//! The encoding of sealed payloads: typed by position, without names, one form per value.
//!
//! | Value    | Written as                                                   |
//! |----------|--------------------------------------------------------------|
//! | `u8`     | itself; `bool` is 0 or 1                                     |
//! | `varint` | 7 bits a byte, low bits first, the shortest form only        |
//! | `bytes`  | length as varint, then the bytes; `str` is UTF-8             |
//! | `array`  | the bytes; the length is part of the type                    |
//! | `option` | 0, or 1 and the value                                        |
//! | `list`   | count as varint, then the values                             |
//!
//! A [`Reader`] refuses everything that a [`Writer`] cannot have written, never panics, and takes no
//! memory before the bytes for it are there.
//!
//! Not here: versions of payloads. Their first byte is their owner's.

/// Why bytes are not what was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The bytes end too early.
    #[error("cut off")]
    End,
    /// A flag that is neither 0 nor 1.
    #[error("a flag is neither 0 nor 1")]
    Flag,
    /// A number above 64 bits or longer than it needs to be.
    #[error("a number is too large or not in its shortest form")]
    Number,
    /// Bytes are left over.
    #[error("bytes are left over")]
    Rest,
    /// Text that is no UTF-8.
    #[error("text is not UTF-8")]
    Text,
    /// A list longer than its owner allows.
    #[error("a list is too long")]
    TooMany,
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Yes or no.
    pub fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// A number, small ones in few bytes.
    pub fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                return self.u8(low);
            }
            self.u8(low | 0x80);
        }
    }

    /// Bytes of any length.
    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Text.
    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// Bytes of a length that the reader knows.
    pub fn array<const N: usize>(&mut self, value: &[u8; N]) {
        self.bytes.extend_from_slice(value);
    }

    /// A value that may be absent.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Values of one type.
    pub fn list<T>(
        &mut self,
        values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let values = values.into_iter();
        self.count(values.len());
        for value in values {
            write(self, value);
        }
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn count(&mut self, count: usize) {
        self.varint(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// Reads what a [`Writer`] wrote, in the same order.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Start at the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, ReadError> {
        let (first, rest) = self.rest.split_first().ok_or(ReadError::End)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Yes or no.
    pub fn bool(&mut self) -> Result<bool, ReadError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ReadError::Flag),
        }
    }

    /// A number in its shortest form.
    pub fn varint(&mut self) -> Result<u64, ReadError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                return Err(ReadError::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ReadError::Number)
    }

    /// Bytes of any length.
    pub fn bytes(&mut self) -> Result<&'a [u8], ReadError> {
        let count = usize::try_from(self.varint()?).map_err(|_| ReadError::End)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ReadError::End)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Text.
    pub fn str(&mut self) -> Result<&'a str, ReadError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ReadError::Text)
    }

    /// Bytes of a known length.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ReadError::End)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A value that may be absent. `read` may fail with any error that a [`ReadError`] turns into.
    pub fn option<T, E: From<ReadError>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        if self.bool()? {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// At most `max` values of one type.
    pub fn list<T, E: From<ReadError>>(
        &mut self,
        max: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let count = usize::try_from(self.varint()?).map_err(|_| ReadError::TooMany)?;
        if count > max {
            return Err(ReadError::TooMany.into());
        }
        let mut values = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            values.push(read(self)?);
        }
        Ok(values)
    }

    /// Everything has been read.
    pub fn finish(self) -> Result<(), ReadError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(ReadError::Rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Payload {
        version: u8,
        flag: bool,
        at: u64,
        name: Option<String>,
        uris: Vec<String>,
        digest: [u8; 16],
        raw: Vec<u8>,
    }

    fn write(payload: &Payload) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(payload.version);
        writer.bool(payload.flag);
        writer.varint(payload.at);
        writer.option(payload.name.as_deref(), Writer::str);
        writer.list(&payload.uris, |writer, uri| writer.str(uri));
        writer.array(&payload.digest);
        writer.bytes(&payload.raw);
        writer.finish()
    }

    fn read(bytes: &[u8]) -> Result<Payload, ReadError> {
        let mut reader = Reader::new(bytes);
        let payload = Payload {
            version: reader.u8()?,
            flag: reader.bool()?,
            at: reader.varint()?,
            name: reader.option(|reader| reader.str().map(str::to_owned))?,
            uris: reader.list(8, |reader| reader.str().map(str::to_owned))?,
            digest: reader.array()?,
            raw: reader.bytes()?.to_vec(),
        };
        reader.finish().map(|()| payload)
    }

    prop_compose! {
        fn payloads()(
            version: u8,
            flag: bool,
            at: u64,
            name: Option<String>,
            uris in prop::collection::vec(".{0,20}", 0..8),
            digest: [u8; 16],
            raw: Vec<u8>,
        ) -> Payload {
            Payload { version, flag, at, name, uris, digest, raw }
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(payload in payloads()) {
            prop_assert_eq!(read(&write(&payload)), Ok(payload));
        }

        #[test]
        fn a_payload_cut_anywhere_is_refused(payload in payloads(), at: prop::sample::Index) {
            let bytes = write(&payload);
            prop_assert!(read(&bytes[..at.index(bytes.len())]).is_err());
        }

        /// One form per value: what can be read is what would be written.
        #[test]
        fn arbitrary_bytes_never_panic_and_have_one_form(bytes: Vec<u8>) {
            if let Ok(payload) = read(&bytes) {
                prop_assert_eq!(&write(&payload), &bytes);
            }
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint() {
                let mut writer = Writer::new();
                writer.varint(value);
                let taken = bytes.len() - reader.rest.len();
                prop_assert_eq!(writer.finish(), &bytes[..taken]);
            }
        }
    }

    #[test]
    fn a_number_has_one_form() {
        let ten = |last| [&[0xff_u8; 9][..], &[last]].concat();
        #[rustfmt::skip]
        let rows: [(Vec<u8>, Result<u64, ReadError>); 10] = [
            (vec![0],                Ok(0)),
            (vec![0x7f],             Ok(127)),
            (vec![0x80, 1],          Ok(128)),
            (ten(1),                 Ok(u64::MAX)),
            (vec![0x80, 0],          Err(ReadError::Number)),
            (vec![0xff, 0x80, 0],    Err(ReadError::Number)),
            (ten(2),                 Err(ReadError::Number)),
            (ten(0x81),              Err(ReadError::Number)),
            (vec![],                 Err(ReadError::End)),
            (vec![0x80],             Err(ReadError::End)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Reader::new(&bytes).varint(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_large_count_takes_no_memory() {
        let mut writer = Writer::new();
        writer.varint(u64::MAX);
        let bytes = writer.finish();
        let list = Reader::new(&bytes).list(usize::MAX, Reader::u8);
        assert!(list.is_err());
        assert_eq!(Reader::new(&bytes).bytes(), Err(ReadError::End));
        assert_eq!(
            Reader::new(&[9]).list(8, Reader::u8),
            Err(ReadError::TooMany)
        );
    }

    #[test]
    fn flags_text_and_rest_are_checked() {
        assert_eq!(Reader::new(&[2]).bool(), Err(ReadError::Flag));
        assert_eq!(Reader::new(&[2]).option(Reader::u8), Err(ReadError::Flag));
        assert_eq!(Reader::new(&[1, 0xff]).str(), Err(ReadError::Text));
        assert_eq!(Reader::new(&[0]).finish(), Err(ReadError::Rest));
    }
}
