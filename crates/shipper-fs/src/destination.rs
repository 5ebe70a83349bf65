//! What settings say about a destination, compiled: where each event goes and how it is written.

use std::path::PathBuf;

use event::format::{Format, Template, TemplateError};
use settings::{DestinationSettings, FileCompression, FileFormat};

use crate::path::{PathError, PathTemplate};

/// Why a destination cannot be.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// `path`.
    #[error("shipper_fs.destination {name:?}: path: {source}")]
    Path {
        /// The destination.
        name: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// `format`.
    #[error("shipper_fs.destination {name:?}: format: {source}")]
    Format {
        /// The destination.
        name: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// Two that write the same files.
    #[error(
        "shipper_fs.destination {name:?}: dir and path are those of {other:?}; give one destination both routes"
    )]
    SameFiles {
        /// The destination.
        name: String,
        /// The one before it.
        other: String,
    },
}

/// All of them, checked one by one and beside each other.
pub(crate) fn compile(all: &[DestinationSettings]) -> Result<Vec<Destination>, DestinationError> {
    for (at, one) in all.iter().enumerate() {
        let mut before = all.iter().take(at);
        if let Some(other) = before.find(|other| (&other.dir, &other.path) == (&one.dir, &one.path)) {
            return Err(DestinationError::SameFiles {
                name: one.name.clone(),
                other: other.name.clone(),
            });
        }
    }
    all.iter().map(Destination::new).collect()
}

/// A destination that can be written.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) path: PathTemplate,
    pub(crate) format: Format,
    pub(crate) compression: FileCompression,
    routes: Vec<String>,
}

impl Destination {
    pub(crate) fn new(settings: &DestinationSettings) -> Result<Self, DestinationError> {
        let name = || settings.name.clone();
        let path = PathTemplate::new(&settings.path)
            .map_err(|source| DestinationError::Path { name: name(), source })?;
        let format =
            format(&settings.format).map_err(|source| DestinationError::Format { name: name(), source })?;
        Ok(Self {
            name: name(),
            dir: settings.dir.clone(),
            path,
            format,
            compression: settings.compression,
            routes: settings.routes.clone(),
        })
    }

    /// Whether events of `route` go here.
    pub(crate) fn takes(&self, route: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|taken| taken == route)
    }
}

fn format(format: &FileFormat) -> Result<Format, TemplateError> {
    Ok(match format {
        FileFormat::Json => Format::Json,
        FileFormat::Msgpack => Format::Msgpack,
        FileFormat::Ecs => Format::Ecs,
        FileFormat::Rfc5424 => Format::Rfc5424,
        FileFormat::Rfc3164 => Format::Rfc3164,
        FileFormat::Rsyslog => Format::Rsyslog,
        FileFormat::Raw => Format::Raw,
        FileFormat::Template(text) => Format::Template(Template::new(text)?),
    })
}
