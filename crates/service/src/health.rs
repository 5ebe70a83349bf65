//! Which parts of a process are ready, for `/readyz`.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::heartbeat::NotReady;

/// The parts of one process and whether each is ready. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    components: Arc<Mutex<Vec<Component>>>,
    changed: Arc<watch::Sender<()>>,
}

impl Health {
    /// Without components, which counts as ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a component, not ready until it says so. Two stages of one process may use the same name: each has its
    /// own state.
    #[must_use]
    pub fn component(&self, name: &'static str) -> Component {
        let state = Arc::new(Mutex::new(Some("starting".to_owned())));
        let component = Component {
            name,
            why_not_ready: state,
            changed: Arc::clone(&self.changed),
        };
        self.components.lock().push(component.clone());
        component
    }

    /// Whether every component is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.components
            .lock()
            .iter()
            .all(|component| component.why_not_ready.lock().is_none())
    }

    /// Waits until every component is ready.
    pub async fn until_ready(&self) {
        let mut changed = self.changed.subscribe();
        while !self.is_ready() {
            // The sender is ours, so it is there as long as this waits.
            let _changed = changed.changed().await;
        }
    }

    /// The components that are not ready, of those with such a name, and why.
    #[must_use]
    pub(crate) fn problems(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<NotReady> {
        let components = self.components.lock();
        let problem = |component: &Component| {
            let why = component.why_not_ready.lock().clone()?;
            let part = component.name.to_owned();
            Some(NotReady { part, why })
        };
        let wanted = components.iter().filter(|component| is_wanted(component.name));
        wanted.filter_map(problem).collect()
    }

    /// What `/readyz` answers.
    #[must_use]
    pub(crate) fn report(&self) -> Report {
        let components: Vec<_> = self.components.lock().iter().map(Component::report).collect();
        Report {
            ready: components.iter().all(|component| component.ready),
            stopping: false,
            components,
        }
    }
}

/// A part of a process that can be ready or not.
#[derive(Debug, Clone)]
pub struct Component {
    name: &'static str,
    why_not_ready: Arc<Mutex<Option<String>>>,
    changed: Arc<watch::Sender<()>>,
}

impl Component {
    /// It works.
    pub fn ready(&self) {
        *self.why_not_ready.lock() = None;
        self.changed.send_replace(());
    }

    /// It does not work at present, and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        *self.why_not_ready.lock() = Some(why.into());
    }

    fn report(&self) -> ComponentReport {
        let why = self.why_not_ready.lock().clone();
        ComponentReport {
            name: self.name,
            ready: why.is_none(),
            why,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ready: bool,
    pub(crate) stopping: bool,
    pub(crate) components: Vec<ComponentReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ComponentReport {
    name: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_until_all_are_ready() {
        let health = Health::new();
        health.until_ready().await;
        let (broker, store) = (health.component("broker"), health.component("store"));
        let waiting = health.clone();
        let waiting = tokio::spawn(async move { waiting.until_ready().await });
        broker.ready();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        store.ready();
        waiting.await.expect("ends");
    }

    #[test]
    fn ready_only_when_all_components_are() {
        let health = Health::new();
        assert!(health.is_ready());
        let (broker, store) = (health.component("broker"), health.component("store"));
        broker.ready();
        assert!(!health.is_ready());
        store.ready();
        assert!(health.is_ready());
        broker.not_ready("connection refused");
        let report = serde_json::to_string(&health.report()).expect("a report is JSON");
        assert_eq!(
            report,
            r#"{"ready":false,"stopping":false,"components":[{"name":"broker","ready":false,"why":"connection refused"},{"name":"store","ready":true}]}"#
        );
    }
}
