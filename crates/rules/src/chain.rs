//! Compiles the programs of a chain.

use std::{collections::BTreeSet, sync::Arc};

use vrl::{
    compiler::{
        CompilationResult, CompileConfig, Program, TimeZone, compile_with_external, state::ExternalEnv,
    },
    diagnostic::{Diagnostic, DiagnosticList, Span},
    path::{OwnedSegment, OwnedTargetPath, PathPrefix},
    value::{Kind, kind::Collection},
};

use crate::{
    error::{CompileErrors, ProgramError, render},
    functions::{self, Declared},
    runner::{Runner, utc},
    schema::{Field, event_kind},
    shape::{self, Misshapen},
    slots::Layout,
};

/// The route of an event for which no rule chose one.
pub const DEFAULT_ROUTE: &str = "default";

/// One program as the settings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramSource<'a> {
    /// For messages and metrics.
    pub name: &'a str,
    /// Where the source stands, for messages.
    pub origin: &'a str,
    /// VRL.
    pub source: &'a str,
}

/// Compiled programs in the order in which they run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RuleChain {
    chain: Arc<Chain>,
}

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) programs: Vec<NamedProgram>,
    pub(crate) layout: Layout,
    pub(crate) time_zone: TimeZone,
    declared: Declared,
    warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct NamedProgram {
    name: String,
    pub(crate) program: Program,
}

/// Codes of our own diagnostics, above those of VRL.
mod code {
    pub(super) const TOO_COMPLEX: usize = 951;
    pub(super) const UNKNOWN_FIELD: usize = 952;
    pub(super) const READ_ONLY: usize = 953;
    pub(super) const METADATA: usize = 954;
    pub(super) const WRONG_TYPE: usize = 955;
}

impl RuleChain {
    /// Compiles all programs.
    ///
    /// # Errors
    /// All errors of all programs.
    pub fn compile(sources: &[ProgramSource<'_>]) -> Result<Self, CompileErrors> {
        // VRL's compiler is deeply recursive, and the caller's stack is of unknown size.
        let compile = || Self::compile_here(sources);
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("compile-rules".to_owned());
            let thread = builder
                .stack_size(shape::COMPILE_STACK_BYTES)
                .spawn_scoped(scope, compile);
            match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // A system that is out of threads.
                Err(_) => compile(),
            }
        })
    }

    fn compile_here(sources: &[ProgramSource<'_>]) -> Result<Self, CompileErrors> {
        let mut chain = Chain {
            programs: Vec::with_capacity(sources.len()),
            layout: Layout::default(),
            time_zone: utc(),
            declared: Declared::default(),
            warnings: Vec::new(),
        };
        let mut errors = Vec::new();
        for source in sources {
            match compile_one(source, &mut chain.declared) {
                Ok((program, warnings)) => {
                    chain.warnings.extend(warnings);
                    let name = source.name.to_owned();
                    chain.programs.push(NamedProgram { name, program });
                }
                Err(diagnostics) => {
                    errors.push(ProgramError::new(
                        source.name,
                        source.origin,
                        source.source,
                        diagnostics,
                    ));
                }
            }
        }
        if !errors.is_empty() {
            return Err(CompileErrors::new(errors));
        }
        chain.layout = Layout::new(chain.programs.iter().flat_map(|named| paths(&named.program)));
        Ok(Self {
            chain: Arc::new(chain),
        })
    }

    /// True when there are no programs: every event goes on as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chain.programs.is_empty()
    }

    /// The programs' names, in order.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.chain.programs.iter().map(|named| named.name.as_str())
    }

    /// The routes that programs write down as constants. Others can come up while they run.
    #[must_use]
    pub fn routes(&self) -> &BTreeSet<String> {
        &self.chain.declared.routes
    }

    /// Every reason for which a program may drop an event.
    #[must_use]
    pub fn drop_reasons(&self) -> &BTreeSet<String> {
        &self.chain.declared.reasons
    }

    /// What VRL finds odd but not wrong, as it shows it.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.chain.warnings
    }

    /// What one thread needs to run the chain.
    #[must_use]
    pub fn runner(&self) -> Runner {
        Runner::new(Arc::clone(&self.chain))
    }
}

/// What a program reads and writes. `del` and `exists` count as reads.
fn paths(program: &Program) -> impl Iterator<Item = &OwnedTargetPath> {
    let info = program.info();
    info.target_queries.iter().chain(&info.target_assignments)
}

fn compile_one(
    source: &ProgramSource<'_>,
    declared: &mut Declared,
) -> Result<(Program, Option<String>), DiagnosticList> {
    let text = source.source;
    shape::check(text).map_err(misshapen)?;
    let external = ExternalEnv::new_with_kind(event_kind(), Kind::object(Collection::empty()));
    let mut config = CompileConfig::default();
    config.set_custom(declared.clone());
    let CompilationResult {
        program,
        warnings,
        config,
    } = compile_with_external(text, &functions::all(), &external, config)?;
    let refused = refuse(&program, text);
    if !refused.is_empty() {
        return Err(DiagnosticList::from(refused));
    }
    if let Some(updated) = config.get_custom::<Declared>() {
        declared.clone_from(updated);
    }
    let warnings = (!warnings.is_empty()).then(|| render(source.origin, text, warnings));
    Ok((program, warnings))
}

fn misshapen(misshapen: Misshapen) -> DiagnosticList {
    let diagnostic = match misshapen {
        Misshapen::TooLong => Diagnostic::error(
            code::TOO_COMPLEX,
            format!("a program has at most {} bytes", shape::SOURCE_BYTES_MAX),
        ),
        Misshapen::TooDeep(span) => Diagnostic::error(code::TOO_COMPLEX, "too many parts inside each other")
            .with_primary(format!("more than {} here", shape::DEPTH_MAX), span),
    };
    DiagnosticList::from(diagnostic)
}

/// What VRL takes and an event cannot.
fn refuse(program: &Program, source: &str) -> Vec<Diagnostic> {
    let code = shape::code_only(source);
    let mut refused: Vec<Diagnostic> = Vec::new();
    let mut push = |diagnostic: Diagnostic| {
        if !refused.contains(&diagnostic) {
            refused.push(diagnostic);
        }
    };
    for path in paths(program) {
        if path.prefix == PathPrefix::Metadata {
            push(
                Diagnostic::error(code::METADATA, "an event has no metadata")
                    .with_primary("only `.` is there", find(&code, b"%")),
            );
        } else if let Some(segment) = path.path.segments.first()
            && known(segment).is_none()
        {
            let name = segment_text(segment);
            push(
                Diagnostic::error(code::UNKNOWN_FIELD, format!("an event has no field `{name}`"))
                    .with_primary(
                        format!("free fields are under `.fields`: `.fields{name}`"),
                        find(&code, name.as_bytes()),
                    ),
            );
        }
    }
    let written = program
        .info()
        .target_assignments
        .iter()
        .filter_map(|path| match path.prefix {
            PathPrefix::Event => known(path.path.segments.first()?),
            PathPrefix::Metadata => None,
        });
    let after = program.final_type_info().state.external;
    for field in written {
        let dotted = format!(".{}", field.name());
        let span = find(&code, dotted.as_bytes());
        if field.is_read_only() {
            push(
                Diagnostic::error(code::READ_ONLY, format!("`{dotted}` cannot be changed"))
                    .with_primary("this is what intake knows", span),
            );
            continue;
        }
        let kind = after
            .target_kind()
            .at_path(&vrl::path::OwnedValuePath::single_field(field.name()));
        if !kind.intersects(&field.writable()) {
            push(
                Diagnostic::error(
                    code::WRONG_TYPE,
                    format!("`{dotted}` is set to a value of the wrong type"),
                )
                .with_primary(format!("can be {}, not {kind}", field.writable()), span),
            );
        }
    }
    refused
}

fn known(segment: &OwnedSegment) -> Option<Field> {
    match segment {
        OwnedSegment::Field(name) => Field::from_name(name),
        OwnedSegment::Index(_) => None,
    }
}

/// The segment as it is written behind a path.
fn segment_text(segment: &OwnedSegment) -> String {
    let path = vrl::path::OwnedValuePath::from(vec![segment.clone()]);
    match segment {
        OwnedSegment::Field(_) => format!(".{path}"),
        OwnedSegment::Index(_) => path.to_string(),
    }
}

/// Where `needle` first stands as a path of its own; the whole source when it is nowhere to be seen.
fn find(code: &[u8], needle: &[u8]) -> Span {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let at = (0..code.len()).find(|at| {
        code.get(*at..).is_some_and(|rest| rest.starts_with(needle))
            && !is_word(at.checked_sub(1).and_then(|before| code.get(before)))
            && !is_word(code.get(at + needle.len()))
    });
    at.map_or(Span::new(0, code.len()), |at| Span::new(at, at + needle.len()))
}

#[cfg(test)]
mod tests;
