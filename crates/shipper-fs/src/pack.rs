//! Compression of what goes to a file at one time.
//!
//! Each time is a Zstandard frame or a gzip member of its own. Both formats say that such pieces in a row are one
//! stream, and `zstd -d`, `gunzip` and their libraries read them so; whatever kills the process, what was synced
//! can be read. The price is a worse ratio where little is written at a time; `sync_age_max` sets how little.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use settings::FileCompression;
use zstd::{bulk::Compressor, zstd_safe::CParameter};

/// zstd's own default: four times faster than gzip's and smaller.
const ZSTD_LEVEL: i32 = 3;

/// Compresses pieces of files.
pub(crate) enum Packer {
    None,
    Zstd(Compressor<'static>),
    Gzip,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Zstd(_) => "Zstd",
            Self::Gzip => "Gzip",
        })
    }
}

impl Packer {
    pub(crate) fn new(compression: FileCompression) -> io::Result<Self> {
        Ok(match compression {
            FileCompression::None => Self::None,
            FileCompression::Gzip => Self::Gzip,
            FileCompression::Zstd => {
                let mut compressor = Compressor::new(ZSTD_LEVEL)?;
                // So that readers notice a damaged file, as gzip's do.
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                Self::Zstd(compressor)
            }
        })
    }

    /// `data` as one piece; `None` where it stays as it is.
    pub(crate) fn pack(&mut self, data: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::None => Ok(None),
            Self::Zstd(compressor) => compressor.compress(data).map(Some),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 4), Compression::default());
                encoder.write_all(data)?;
                encoder.finish().map(Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn packed(compression: FileCompression) -> Vec<u8> {
        let mut packer = Packer::new(compression).unwrap();
        ["first\n", "", "second\n"]
            .map(|piece| packer.pack(piece.as_bytes()).unwrap().unwrap())
            .concat()
    }

    #[test]
    fn pieces_in_a_row_are_one_stream() {
        let zstd = zstd::decode_all(packed(FileCompression::Zstd).as_slice()).unwrap();
        assert_eq!(zstd, b"first\nsecond\n");
        let mut gzip = String::new();
        flate2::read::MultiGzDecoder::new(packed(FileCompression::Gzip).as_slice())
            .read_to_string(&mut gzip)
            .unwrap();
        assert_eq!(gzip, "first\nsecond\n");
        let none = Packer::new(FileCompression::None).unwrap().pack(b"x").unwrap();
        assert_eq!(none, None);
    }
}
