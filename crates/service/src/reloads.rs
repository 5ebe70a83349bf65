//! What the stages of a process do with settings that are read while they run.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use settings::Settings;

/// Puts in force what was made of new settings. It cannot fail.
pub type TakeOver = Box<dyn FnOnce() + Send>;

type Prepare = dyn Fn(&Settings) -> anyhow::Result<TakeOver> + Send + Sync;

/// All stages of a process that take settings over.
#[derive(Default)]
pub(crate) struct Reloads {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    stages: Vec<Box<Prepare>>,
    /// What was read last, for stages that begin later.
    latest: Option<Arc<Settings>>,
}

impl Reloads {
    pub(crate) fn add(&self, prepare: Box<Prepare>) -> anyhow::Result<()> {
        let mut inner = self.inner.lock();
        if let Some(latest) = &inner.latest {
            prepare(latest)?();
        }
        inner.stages.push(prepare);
        Ok(())
    }

    /// Whether every stage can work by these settings.
    pub(crate) fn check(&self, settings: &Settings) -> anyhow::Result<()> {
        self.inner.lock().prepare(settings).map(drop)
    }

    /// Has every stage work by these settings, or none.
    pub(crate) fn take_over(&self, settings: Settings) -> anyhow::Result<()> {
        let mut inner = self.inner.lock();
        for take_over in inner.prepare(&settings)? {
            take_over();
        }
        inner.latest = Some(Arc::new(settings));
        Ok(())
    }
}

impl Inner {
    fn prepare(&self, settings: &Settings) -> anyhow::Result<Vec<TakeOver>> {
        self.stages.iter().map(|prepare| prepare(settings)).collect()
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloads").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn settings(prefetch: u16) -> Settings {
        let mut settings = Settings::default();
        settings.parser.prefetch = prefetch;
        settings
    }

    /// A stage that takes any prefetch over but 0, and what it has.
    fn stage() -> (Box<Prepare>, Arc<AtomicUsize>) {
        let has = Arc::new(AtomicUsize::new(1));
        let taken = Arc::clone(&has);
        let prepare = move |settings: &Settings| {
            let prefetch = usize::from(settings.parser.prefetch);
            anyhow::ensure!(prefetch > 0, "prefetch is 0");
            let taken = Arc::clone(&taken);
            Ok(Box::new(move || taken.store(prefetch, Ordering::SeqCst)) as TakeOver)
        };
        (Box::new(prepare), has)
    }

    #[test]
    fn all_stages_take_settings_over_or_none() {
        let reloads = Reloads::default();
        let (prepare, first) = stage();
        reloads.add(prepare).expect("nothing was read yet");
        let has = |stage: &AtomicUsize| stage.load(Ordering::SeqCst);
        reloads.check(&settings(2)).expect("is good");
        assert_eq!(has(&first), 1, "only looked at");
        reloads.take_over(settings(2)).expect("is good");
        assert_eq!(has(&first), 2);

        let (prepare, late) = stage();
        reloads.add(prepare).expect("is good");
        assert_eq!(has(&late), 2, "begins with what was read last");

        // The last of three cannot.
        let fails = |settings: &Settings| {
            anyhow::ensure!(settings.parser.prefetch != 3, "not 3");
            Ok(Box::new(|| {}) as TakeOver)
        };
        reloads.add(Box::new(fails)).expect("is good");
        for refused in [0, 3] {
            reloads.take_over(settings(refused)).expect_err("one cannot");
            assert_eq!((has(&first), has(&late)), (2, 2));
        }
        reloads.take_over(settings(4)).expect("is good");
        assert_eq!((has(&first), has(&late)), (4, 4));
    }
}
