//! Hears from the system that something changed in a folder. What changed is looked up by whoever is woken; only
//! renames from a hidden name are kept, as nothing on disk tells them later.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Renames that are kept at most; what is beyond is complete when it is quiet.
const RENAMED_MAX: usize = 10_000;

#[derive(Debug, Default)]
struct Shared {
    changed: Notify,
    renamed: Mutex<HashSet<PathBuf>>,
}

/// Watches one folder, as long as the system can.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins, unless it is at it. False when it cannot: then the folder is looked through by the clock alone.
    pub(crate) fn begin(&mut self, root: &Path, recursive: bool) -> bool {
        if self.watcher.is_some() {
            return true;
        }
        let shared = Arc::clone(&self.shared);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            hear(&shared, event);
        });
        let mode = if recursive {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        let begun = watcher.and_then(|mut watcher| watcher.watch(root, mode).map(|()| watcher));
        match begun {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "folder not watched");
                false
            }
        }
    }

    /// The folder is not there; another one of the name has to be watched anew.
    pub(crate) fn end(&mut self) {
        self.watcher = None;
    }

    /// Until something changed. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Whether a file was renamed to this path from one with a dot in front; once.
    pub(crate) fn take_renamed(&self, path: &Path) -> bool {
        self.shared.renamed.lock().remove(path)
    }
}

fn hear(shared: &Shared, event: notify::Result<Event>) {
    match event {
        // Our own looking and reading.
        Ok(Event {
            kind: EventKind::Access(access),
            ..
        }) if access != AccessKind::Close(AccessMode::Write) => return,
        Ok(event) if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            if let [from, to] = event.paths.as_slice()
                && is_hidden(from)
            {
                let mut renamed = shared.renamed.lock();
                if renamed.len() < RENAMED_MAX {
                    renamed.insert(to.clone());
                }
            }
        }
        Ok(_) => {}
        // Such as events that were lost: then everything is looked at.
        Err(error) => tracing::debug!(%error, "folder watched with gaps"),
    }
    shared.changed.notify_one();
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'))
}
