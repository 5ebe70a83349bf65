//! Over which time rates and trends are.

use std::time::{Duration, Instant};

use crate::{hub::Grid, problem::Problem};

/// Steps of the trend in a box.
const TREND_STEPS: u32 = 30;
/// Steps of an open box's charts: minutes.
const HOUR_STEPS: u32 = 60;

/// What `window=` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Window {
    /// Rates of the last heartbeats, and the trend of five minutes.
    #[default]
    Now,
    Minutes5,
    Minutes15,
    Hour,
}

impl Window {
    pub(crate) const ALL: [Self; 4] = [Self::Now, Self::Minutes5, Self::Minutes15, Self::Hour];

    /// # Errors
    /// A window that is none.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let known = Self::ALL.into_iter().find(|window| window.name() == text);
        known.ok_or_else(|| Problem::bad_request("bad_parameter", "window must be 15s, 5m, 15m or 1h."))
    }

    /// As it stands in addresses.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Now => "15s",
            Self::Minutes5 => "5m",
            Self::Minutes15 => "15m",
            Self::Hour => "1h",
        }
    }

    /// As people read it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Now => "15 s",
            Self::Minutes5 => "5 min",
            Self::Minutes15 => "15 min",
            Self::Hour => "1 h",
        }
    }

    /// What trends are over.
    pub(super) const fn trend(self) -> Self {
        match self {
            Self::Now | Self::Minutes5 => Self::Minutes5,
            Self::Minutes15 => Self::Minutes15,
            Self::Hour => Self::Hour,
        }
    }

    /// What rates are over.
    pub(super) const fn time(self) -> Duration {
        Duration::from_secs(match self {
            Self::Now => 15,
            Self::Minutes5 => 300,
            Self::Minutes15 => 900,
            Self::Hour => 3600,
        })
    }

    /// The steps of the trends.
    pub(super) fn grid(self, now: Instant) -> Grid {
        Grid::over(self.trend().time(), TREND_STEPS, now)
    }
}

/// The last hour, in minutes.
pub(super) fn hour(now: Instant) -> Grid {
    Grid::over(Window::Hour.time(), HOUR_STEPS, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for window in Window::ALL {
            assert_eq!(Window::read(window.name()).unwrap(), window);
        }
        assert_eq!(Window::read("").unwrap(), Window::Now);
        assert!(Window::read("5").is_err());
    }
}
