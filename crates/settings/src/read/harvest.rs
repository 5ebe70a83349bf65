//! `[harvest]`, and how lines are joined.

use std::path::PathBuf;

use super::compression;
use crate::{
    model::{Done, FolderSettings, HarvestSettings, LabelSettings, LinePattern, MultilineSettings},
    section::Section,
};

pub(super) fn harvest(section: &Section<'_>) -> HarvestSettings {
    HarvestSettings {
        folders: section.list("folder").iter().map(folder).collect(),
        batch_bytes_max: section.memory("batch_bytes_max"),
        batch_frames_max: section.number("batch_frames_max"),
        unconfirmed_batches_max: section.number("unconfirmed_batches_max"),
        files_max: section.number("files_max"),
        compression: compression(section),
    }
}

fn folder(section: &Section<'_>) -> FolderSettings {
    let path = section.path("path").unwrap_or_default();
    let follow = section.flag("follow");
    if follow {
        for name in ["done", "done_dir", "failed_dir", "quiet"] {
            if section.is_set(name) {
                section.problem(
                    name,
                    "has no effect with follow = true: living files stay where they are",
                );
            }
        }
    }
    FolderSettings {
        name: section.text("name"),
        recursive: section.flag("recursive"),
        glob: section.text("glob"),
        follow,
        done: done(section, &path),
        quiet: section.duration("quiet"),
        poll_interval: section.duration("poll_interval"),
        encoding: section.text("encoding"),
        frame_bytes_max: section.memory("frame_bytes_max"),
        multiline: multiline(section),
        labels: labels(section),
        path,
    }
}

fn done(section: &Section<'_>, path: &std::path::Path) -> Done {
    let dir = |key: &str, name: &str| section.path(key).unwrap_or_else(|| path.join(name));
    let failed_dir: PathBuf = dir("failed_dir", ".failed");
    let done_dir = dir("done_dir", ".done");
    let done = section.text("done");
    if done != "move" && section.is_set("done_dir") {
        section.problem("done_dir", "has an effect with done = \"move\" only");
    }
    match done.as_str() {
        "delete" => Done::Delete { failed_dir },
        "keep" => Done::Keep,
        _ => Done::Move { done_dir, failed_dir },
    }
}

fn labels(section: &Section<'_>) -> LabelSettings {
    let grammar = section.flag("grammar");
    if !grammar && section.is_set("time_zone") {
        section.problem("time_zone", "has no effect with grammar = false");
    }
    let fields = section.texts("fields").into_iter();
    LabelSettings {
        grammar,
        time_zone: section.text("time_zone"),
        app_name: section.opt_text("app_name"),
        hostname: section.opt_text("hostname"),
        facility: section.opt_text("facility"),
        severity: section.opt_text("severity"),
        tags: section.texts("tags"),
        fields: fields
            .filter_map(|pair| {
                pair.split_once('=')
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
            })
            .collect(),
    }
}

/// `[….multiline]` of a folder or a listener.
pub(super) fn multiline(parent: &Section<'_>) -> Option<MultilineSettings> {
    let section = parent.inner("multiline")?;
    let (start, continuation) = (section.opt_text("start"), section.opt_text("continuation"));
    let pattern = match (start, continuation) {
        (Some(start), None) => LinePattern::Start(start),
        (None, Some(continuation)) => LinePattern::Continuation(continuation),
        (Some(start), Some(_)) => {
            section.problem("continuation", "stands beside `start`: give one of the two");
            LinePattern::Start(start)
        }
        (None, None) => {
            if !section.is_set("start") && !section.is_set("continuation") {
                section.problem(
                    "start",
                    "is missing, or `continuation`: one of the two says which lines belong together",
                );
            }
            LinePattern::Start(String::new())
        }
    };
    Some(MultilineSettings {
        pattern,
        timeout: section.duration("timeout"),
        bytes_max: section.memory("bytes_max"),
        lines_max: section.number("lines_max"),
    })
}
