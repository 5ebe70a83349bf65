//! Frames to bytes, for syslog over TCP (RFC 6587).

/// Appends `frame` as a line. A line feed inside it would end the line early: [`write_octet_counted`] carries
/// such frames.
pub fn write_line(out: &mut Vec<u8>, frame: &[u8]) {
    out.extend_from_slice(frame);
    out.push(b'\n');
}

/// Appends `frame` with its octet count before it.
pub fn write_octet_counted(out: &mut Vec<u8>, frame: &[u8]) {
    write_number(out, frame.len());
    out.push(b' ');
    out.extend_from_slice(frame);
}

pub(crate) fn write_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_in_one_buffer() {
        let mut out = Vec::new();
        write_line(&mut out, b"<13>a");
        write_octet_counted(&mut out, b"<13>two\nlines");
        write_octet_counted(&mut out, b"<13>b");
        assert_eq!(out, b"<13>a\n13 <13>two\nlines5 <13>b");
    }
}
