//! The bytes of a file as text: decompressed, and in UTF-8 where its encoding is another one.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// A file, from its start to its end.
pub(crate) struct Source {
    bytes: Bytes,
    text: Option<Text>,
}

/// What the file is packed with, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
    Lz4,
}

enum Bytes {
    Plain(File),
    Packed(Box<dyn Read + Send + Sync>),
}

/// On the way from another encoding.
struct Text {
    decoder: Decoder,
    /// Bytes read and not decoded.
    input: Vec<u8>,
    is_over: bool,
    has_errors: bool,
}

impl Packing {
    pub(crate) fn of(front: &[u8]) -> Self {
        match front {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::None,
        }
    }

    /// Of a file that is open, wherever it is read. Blocks.
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        let mut front = [0; 4];
        let len = file.read_at(&mut front, 0)?;
        Ok(Self::of(front.get(..len).unwrap_or_default()))
    }
}

impl Source {
    /// Blocks, like all that reads.
    pub(crate) fn open(mut file: File, encoding: &'static Encoding) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut front = [0; 4];
        let len = file.read_at(&mut front, 0)?;
        let packing = Packing::of(front.get(..len).unwrap_or_default());
        let (bytes, front) = match unpack(packing, file)? {
            Ok(mut packed) => {
                let mut front = Vec::new();
                packed.by_ref().take(3).read_to_end(&mut front)?;
                let packed = io::Cursor::new(front.clone()).chain(packed);
                (Bytes::Packed(Box::new(packed)), front)
            }
            Err(plain) => (Bytes::Plain(plain), front.to_vec()),
        };
        Ok(Self {
            bytes,
            text: Text::of(&front, encoding),
        })
    }

    /// Reads some text; 0 at the end, where a living file may have more later.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.clear();
        let Some(text) = &mut self.text else {
            buffer.resize(READ_BYTES, 0);
            let read = read_some(&mut self.bytes, buffer);
            buffer.truncate(*read.as_ref().unwrap_or(&0));
            return read;
        };
        // A piece may hold no whole character.
        while buffer.is_empty() {
            let before = text.input.len();
            text.input.resize(before + READ_BYTES, 0);
            let read = read_some(&mut self.bytes, text.input.get_mut(before..).unwrap_or_default());
            text.input.truncate(before + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(0);
            }
            text.decode(buffer, false);
        }
        Ok(buffer.len())
    }

    /// The text that the file ends in where it ends in the middle of a character.
    pub(crate) fn finish(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        if let Some(text) = self.text.as_mut().filter(|text| !text.is_over) {
            text.is_over = true;
            text.decode(buffer, true);
        }
    }

    /// Passes over text that was dealt with before. The end may come first.
    pub(crate) fn skip(&mut self, bytes: u64) -> io::Result<Vec<u8>> {
        if let (Bytes::Plain(file), None) = (&mut self.bytes, &self.text) {
            file.seek(SeekFrom::Start(bytes))?;
            return Ok(Vec::new());
        }
        let mut left = bytes;
        let mut buffer = Vec::new();
        while left > 0 {
            let read = self.read(&mut buffer)?;
            if read == 0 {
                return Ok(Vec::new());
            }
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            if read > left {
                buffer.drain(..usize::try_from(left).unwrap_or(usize::MAX));
                return Ok(buffer);
            }
            left -= read;
        }
        Ok(Vec::new())
    }

    /// Whether bytes did not fit the encoding.
    pub(crate) fn has_encoding_errors(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.has_errors)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Text {
    /// `None` for UTF-8, which goes on as it is. A byte order mark counts for more than `encoding`.
    fn of(front: &[u8], encoding: &'static Encoding) -> Option<Self> {
        let encoding = match front {
            [0xff, 0xfe, ..] => UTF_16LE,
            [0xfe, 0xff, ..] => UTF_16BE,
            [0xef, 0xbb, 0xbf, ..] => UTF_8,
            _ => encoding,
        };
        (encoding != UTF_8).then(|| Self {
            decoder: encoding.new_decoder_with_bom_removal(),
            input: Vec::new(),
            is_over: false,
            has_errors: false,
        })
    }

    fn decode(&mut self, buffer: &mut Vec<u8>, is_last: bool) {
        // Enough for all of the input, or the crate would not say so.
        let room = self.decoder.max_utf8_buffer_length(self.input.len());
        buffer.resize(room.unwrap_or(3 * self.input.len() + 16), 0);
        let (_, read, written, has_errors) = self.decoder.decode_to_utf8(&self.input, buffer, is_last);
        self.has_errors |= has_errors;
        buffer.truncate(written);
        self.input.drain(..read);
    }
}

fn read_some(bytes: &mut Bytes, buffer: &mut [u8]) -> io::Result<usize> {
    let reader: &mut dyn Read = match bytes {
        Bytes::Plain(file) => file,
        Bytes::Packed(packed) => packed,
    };
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// What unpacks the file, or the file itself.
fn unpack(packing: Packing, file: File) -> io::Result<Result<Box<dyn Read + Send + Sync>, File>> {
    Ok(match packing {
        Packing::None => Err(file),
        Packing::Gzip => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(
            file,
        )))),
        Packing::Zstd => Ok(Box::new(zstd::stream::read::Decoder::new(file)?)),
        Packing::Lz4 => Ok(Box::new(lz4_flex::frame::FrameDecoder::new(file))),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The text, whether it fits the encoding, and whether it could be read to its end.
    fn read(bytes: &[u8], encoding: &str) -> (Vec<u8>, bool, bool) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let encoding = Encoding::for_label(encoding.as_bytes()).unwrap();
        let mut source = match Source::open(file, encoding) {
            Ok(source) => source,
            Err(_) => return (Vec::new(), true, false),
        };
        let (mut text, mut buffer) = (Vec::new(), Vec::new());
        let is_whole = loop {
            match source.read(&mut buffer) {
                Ok(0) => break true,
                Ok(_) => text.extend_from_slice(&buffer),
                Err(_) => break false,
            }
        };
        source.finish(&mut buffer);
        text.extend_from_slice(&buffer);
        (text, !source.has_encoding_errors(), is_whole)
    }

    fn text() -> Vec<u8> {
        (0..20_000)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect()
    }

    pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_files_are_recognised_and_several_members_are_one_file() {
        let text = text();
        let zstd = zstd::encode_all(text.as_slice(), 1).unwrap();
        for packed in [gzip(&text), zstd, lz4(&text), text.clone()] {
            assert!(read(&packed, "utf-8") == (text.clone(), true, true));
        }
        let twice = [text.clone(), text.clone()].concat();
        let members = [gzip(&text), gzip(&text)].concat();
        assert!(read(&members, "utf-8") == (twice.clone(), true, true));
        let frames = [
            zstd::encode_all(text.as_slice(), 1).unwrap(),
            zstd::encode_all(text.as_slice(), 1).unwrap(),
        ];
        assert!(read(&frames.concat(), "utf-8") == (twice, true, true));
    }

    #[test]
    fn of_a_damaged_file_the_front_is_read() {
        let text = text();
        for packed in [
            gzip(&text),
            zstd::encode_all(text.as_slice(), 1).unwrap(),
            lz4(&text),
        ] {
            let (found, _, is_whole) = read(&packed[..packed.len() * 3 / 4], "utf-8");
            assert!(!is_whole);
            assert!(text.starts_with(&found));
        }
        let mut damaged = gzip(&text);
        let middle = damaged.len() / 2;
        damaged[middle..middle + 20].fill(0xff);
        assert!(!read(&damaged, "utf-8").2);
    }

    #[test]
    fn other_encodings_become_utf_8() {
        assert_eq!(read(b"gr\xfc\xdfe\n", "windows-1252").0, "grüße\n".as_bytes());
        let wide: Vec<u8> = "\u{feff}grüße\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        // The mark says it, whatever the setting says.
        assert_eq!(read(&wide, "utf-8"), ("grüße\n".as_bytes().to_vec(), true, true));
        assert_eq!(read(&gzip(&wide), "utf-8").0, "grüße\n".as_bytes());
        assert_eq!(read(b"gr\xfc\n", "utf-8"), (b"gr\xfc\n".to_vec(), true, true));
        let (text, fits, is_whole) = read(b"a\x81\x82\n\x81", "shift_jis");
        assert!(!fits && is_whole && text.starts_with(b"a") && text.ends_with("\u{fffd}".as_bytes()));
    }

    #[test]
    fn what_was_read_before_is_passed_over() {
        let text = text();
        for packed in [gzip(&text), text.clone()] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&packed).unwrap();
            let mut source = Source::open(file, UTF_8).unwrap();
            let mut found = source.skip(100_001).unwrap();
            let mut buffer = Vec::new();
            while source.read(&mut buffer).unwrap() > 0 {
                found.extend_from_slice(&buffer);
            }
            assert!(found == text[100_001..]);
        }
    }
}
