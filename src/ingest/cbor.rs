//! A reader for the deterministic CBOR of RFC 8949 §4.2.1, as far as the native protocol uses it: integers, byte strings, arrays
//! and maps of definite length, each number in its shortest form. There is exactly one encoding of a message, so that two parsers
//! cannot read two meanings from the same signed bytes.

/// The bytes are not one deterministic CBOR item of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDeterministic;

const MAJOR_UNSIGNED: u8 = 0;
const MAJOR_NEGATIVE: u8 = 1;
const MAJOR_BYTES: u8 = 2;
const MAJOR_ARRAY: u8 = 4;
const MAJOR_MAP: u8 = 5;

#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn unsigned(&mut self) -> Result<u64, NotDeterministic> {
        self.expect(MAJOR_UNSIGNED)
    }

    /// An unsigned number of 32 bits.
    pub fn unsigned32(&mut self) -> Result<u32, NotDeterministic> {
        u32::try_from(self.unsigned()?).map_err(|_| NotDeterministic)
    }

    pub fn integer(&mut self) -> Result<i64, NotDeterministic> {
        let (major, argument) = self.head()?;
        let value = i64::try_from(argument).map_err(|_| NotDeterministic)?;
        match major {
            MAJOR_UNSIGNED => Ok(value),
            MAJOR_NEGATIVE => Ok(-1 - value),
            _ => Err(NotDeterministic),
        }
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], NotDeterministic> {
        let length = self.expect(MAJOR_BYTES)?;
        self.take(usize::try_from(length).map_err(|_| NotDeterministic)?)
    }

    /// The number of items that follow.
    pub fn array(&mut self) -> Result<u64, NotDeterministic> {
        self.expect(MAJOR_ARRAY)
    }

    /// The number of key-value pairs that follow.
    pub fn map(&mut self) -> Result<u64, NotDeterministic> {
        self.expect(MAJOR_MAP)
    }

    pub fn is_array_next(&self) -> bool {
        self.0.first().is_some_and(|initial| initial >> 5 == MAJOR_ARRAY)
    }

    pub fn end(&self) -> Result<(), NotDeterministic> {
        if self.0.is_empty() { Ok(()) } else { Err(NotDeterministic) }
    }

    fn expect(&mut self, major: u8) -> Result<u64, NotDeterministic> {
        let (found, argument) = self.head()?;
        if found == major { Ok(argument) } else { Err(NotDeterministic) }
    }

    fn head(&mut self) -> Result<(u8, u64), NotDeterministic> {
        let initial = self.take(1)?[0];
        let low = initial & 0x1f;
        // The smallest value that needs this many bytes; anything below had a shorter form.
        let (length, least) = match low {
            0..=23 => return Ok((initial >> 5, u64::from(low))),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            // 28–30 are reserved, 31 is indefinite length.
            _ => return Err(NotDeterministic),
        };
        let value = self.take(length)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if value < least { Err(NotDeterministic) } else { Ok((initial >> 5, value)) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], NotDeterministic> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(NotDeterministic)?;
        self.0 = rest;
        Ok(taken)
    }
}
