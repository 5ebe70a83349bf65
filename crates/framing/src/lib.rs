//! Bytes to frames and back: line feeds, octet counting, RELP. Does no IO and knows no grammar.
