//! The addresses of the page: what is open, which view, over which time. What is usual is left out.

use super::window::Window;
use crate::problem::Problem;

/// How the boxes are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Map,
    Table,
}

/// What the page shows, as its address has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) view: View,
    pub(super) window: Window,
    pub(super) open: String,
}

impl View {
    /// # Errors
    /// A view that is none.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        match text {
            "" | "map" => Ok(Self::Map),
            "table" => Ok(Self::Table),
            _ => Err(Problem::bad_request(
                "bad_parameter",
                "view must be map or table.",
            )),
        }
    }
}

impl Links {
    /// The same with another view.
    pub(super) fn view(&self, view: View) -> String {
        Self { view, ..self.clone() }.address()
    }

    /// The same over another time.
    pub(super) fn window(&self, window: Window) -> String {
        Self {
            window,
            ..self.clone()
        }
        .address()
    }

    /// The same with this box open.
    pub(super) fn open(&self, id: &str) -> String {
        let open = Self {
            open: id.to_owned(),
            ..self.clone()
        };
        format!("{}#panel", open.address())
    }

    /// The same with no box open.
    pub(super) fn close(&self) -> String {
        Self {
            open: String::new(),
            ..self.clone()
        }
        .address()
    }

    /// Where the changes of what it shows come from.
    pub(super) fn stream(&self) -> String {
        if self.window == Window::default() {
            "/api/v1/pipeline/stream".to_owned()
        } else {
            format!("/api/v1/pipeline/stream?window={}", self.window.name())
        }
    }

    fn address(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.view == View::Table {
            query.append_pair("view", "table");
        }
        if self.window != Window::default() {
            query.append_pair("window", self.window.name());
        }
        if !self.open.is_empty() {
            query.append_pair("open", &self.open);
        }
        match query.finish() {
            query if query.is_empty() => "/pipeline".to_owned(),
            query => format!("/pipeline?{query}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_tell_what_is_not_usual() {
        let usual = Links::default();
        assert_eq!(usual.close(), "/pipeline");
        assert_eq!(usual.open("queue:parser"), "/pipeline?open=queue%3Aparser#panel");
        assert_eq!(usual.stream(), "/api/v1/pipeline/stream");
        let other = Links {
            view: View::Table,
            window: Window::Minutes5,
            open: "parser".to_owned(),
        };
        assert_eq!(other.close(), "/pipeline?view=table&window=5m");
        assert_eq!(other.view(View::Map), "/pipeline?window=5m&open=parser");
        assert_eq!(other.window(Window::Now), "/pipeline?view=table&open=parser");
        assert_eq!(other.stream(), "/api/v1/pipeline/stream?window=5m");
        assert!(View::read("list").is_err());
    }
}
