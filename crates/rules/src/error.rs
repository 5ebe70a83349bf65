//! Compile errors as VRL shows them: file, line and caret.

use std::fmt;

use vrl::diagnostic::{DiagnosticList, Formatter};

/// All that is wrong with all programs of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileErrors {
    programs: Vec<ProgramError>,
}

/// What is wrong with one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramError {
    program: String,
    text: String,
}

impl CompileErrors {
    pub(crate) fn new(programs: Vec<ProgramError>) -> Self {
        Self { programs }
    }

    /// One entry for each program that does not compile, in the order of the chain.
    #[must_use]
    pub fn programs(&self) -> &[ProgramError] {
        &self.programs
    }
}

impl ProgramError {
    pub(crate) fn new(program: &str, origin: &str, source: &str, diagnostics: DiagnosticList) -> Self {
        Self {
            program: program.to_owned(),
            text: render(origin, source, diagnostics),
        }
    }

    /// The program's name in the settings.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// VRL's own message with the place in the source; several lines.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// VRL's message, with the name of the file that it leaves out.
pub(crate) fn render(origin: &str, source: &str, diagnostics: DiagnosticList) -> String {
    let text = Formatter::new(source, diagnostics).to_string();
    text.trim_matches('\n').replace("┌─ :", &format!("┌─ {origin}:"))
}

impl fmt::Display for CompileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.programs.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n\n" };
            write!(
                f,
                "{separator}program {:?} does not compile:\n{}",
                error.program, error.text
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for CompileErrors {}
