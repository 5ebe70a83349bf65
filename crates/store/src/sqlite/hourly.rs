//! What hosts sent, hour by hour, over the day files.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    Sqlite, blocking,
    figures::each_day,
    file,
    search::{DayFile, Stop},
};
use crate::{
    error::StoreError,
    search::{
        hourly::{Hourly, Profile, ProfileRequest, hour_of, start_of},
        plan::Range,
    },
    summary::COUNT_COLUMNS,
};

fn known_from(dir: &Path) -> Result<Option<i64>, StoreError> {
    Ok(file::days(dir)?.first().map(|day| hour_of(day.start())))
}

/// Runs on a thread for reading. Nothing interrupts it.
async fn reading<T: Default + Send + 'static>(
    dir: PathBuf,
    read: impl FnOnce(&Path) -> Result<T, Stop> + Send + 'static,
) -> Result<T, StoreError> {
    blocking(move || read(&dir).or_else(|stop| stop.unless_interrupted(&dir).map(|()| T::default()))).await
}

impl Sqlite {
    pub(crate) async fn hourly(&self, mut hourly: Hourly) -> Result<Hourly, StoreError> {
        reading(self.dir.clone(), move |dir| {
            hourly.know_from(known_from(dir)?);
            for range in hourly.days() {
                each_day(dir, range, || false, |file| add_hours(file, range, &mut hourly))?;
            }
            Ok(hourly)
        })
        .await
    }

    pub(crate) async fn profile(&self, request: &ProfileRequest) -> Result<Profile, StoreError> {
        let request = request.clone();
        reading(self.dir.clone(), move |dir| profile(dir, &request)).await
    }
}

fn add_hours(file: &DayFile, (from, to): Range, hourly: &mut Hourly) -> Result<(), Stop> {
    let sql = format!(
        "SELECT hostname, hour, sum({}) FROM rollup_hour WHERE hour >= ?1 AND hour < ?2 GROUP BY 2, 1",
        COUNT_COLUMNS.join(" + ")
    );
    let mut statement = file.conn.prepare(&sql)?;
    let mut rows = statement.query((from, to))?;
    while let Some(row) = rows.next()? {
        let hostname: String = row.get(0)?;
        hourly.add(&hostname, row.get(1)?, row.get(2)?);
    }
    Ok(())
}

fn profile(dir: &Path, request: &ProfileRequest) -> Result<Profile, Stop> {
    let mut profile = request.empty();
    profile.known_from = known_from(dir)?;
    let (all, recent) = (request.all(), request.recent());
    let mut apps = HashMap::new();
    let range = (start_of(all.start), start_of(all.end));
    each_day(
        dir,
        range,
        || false,
        |file| {
            let hours = file.day.hours();
            // The key begins with the hour: one look for each of them, not at all hosts in all of them.
            for hour in hours.start.max(all.start)..hours.end.min(all.end) {
                let counts = counts(file, hour, &request.hostname)?;
                profile.add(start_of(hour), counts, &recent);
                if recent.contains(&hour) {
                    add_apps(file, hour, &request.hostname, &mut apps)?;
                }
            }
            Ok(())
        },
    )?;
    profile.apps = apps.into_iter().collect();
    profile
        .apps
        .sort_unstable_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    profile.apps.truncate(request.apps);
    Ok(profile)
}

fn counts(file: &DayFile, hour: i64, hostname: &str) -> Result<[i64; 9], Stop> {
    let sums = COUNT_COLUMNS.map(|column| format!("coalesce(sum({column}), 0)"));
    let sql = format!(
        "SELECT {} FROM rollup_hour WHERE hour = ?1 AND hostname = ?2",
        sums.join(", ")
    );
    let mut statement = file.conn.prepare_cached(&sql)?;
    let counts = statement.query_row((start_of(hour), hostname), |row| {
        let mut counts = [0; COUNT_COLUMNS.len()];
        for (place, count) in counts.iter_mut().enumerate() {
            *count = row.get(place)?;
        }
        Ok(counts)
    })?;
    Ok(counts)
}

fn add_apps(file: &DayFile, hour: i64, hostname: &str, apps: &mut HashMap<String, u64>) -> Result<(), Stop> {
    let sql = format!(
        "SELECT app_name, {} FROM rollup_hour WHERE hour = ?1 AND hostname = ?2",
        COUNT_COLUMNS.join(" + ")
    );
    let mut statement = file.conn.prepare_cached(&sql)?;
    let mut rows = statement.query((start_of(hour), hostname))?;
    while let Some(row) = rows.next()? {
        let events: i64 = row.get(1)?;
        *apps.entry(row.get(0)?).or_insert(0) += events.unsigned_abs();
    }
    Ok(())
}
