//! `[shipper_pgsql]` and `[shipper_fs]`.

use std::path::{Component, Path};

use crate::{
    model::{
        DestinationSettings, FileCompression, FileFormat, RouteSettings, ShipperFsSettings,
        ShipperPgsqlSettings, UpkeepSettings, WhenFull,
    },
    section::Section,
};

pub(super) fn pgsql(section: &Section<'_>, store: &Section<'_>) -> ShipperPgsqlSettings {
    ShipperPgsqlSettings {
        queue: section.text("queue"),
        binding_keys: binding_keys(section),
        when_full: when_full(section),
        prefetch: section.number("prefetch"),
        transaction_rows_max: section.number("transaction_rows_max"),
        transaction_age_max: section.duration("transaction_age_max"),
        writers: section.number("writers"),
        batch_bytes_max: section.memory("batch_bytes_max"),
        upkeep: upkeep(store),
    }
}

fn upkeep(store: &Section<'_>) -> UpkeepSettings {
    let route = |section: &Section<'_>| RouteSettings {
        name: section.text("name"),
        keep_days: section.number("keep_days"),
    };
    UpkeepSettings {
        seal_after: store.duration("seal_after"),
        seal_memory: store.size("seal_memory"),
        keep_days: store.opt_number("keep_days"),
        keep_bytes: store.opt_size("keep_bytes"),
        routes: store.list("route").iter().map(route).collect(),
    }
}

pub(super) fn fs(section: &Section<'_>) -> ShipperFsSettings {
    ShipperFsSettings {
        queue: section.text("queue"),
        binding_keys: binding_keys(section),
        when_full: when_full(section),
        prefetch: section.number("prefetch"),
        sync_age_max: section.duration("sync_age_max"),
        sync_bytes_max: section.memory("sync_bytes_max"),
        idle_close: section.duration("idle_close"),
        open_files_max: section.number("open_files_max"),
        batch_bytes_max: section.memory("batch_bytes_max"),
        destinations: section.list("destination").iter().map(destination).collect(),
    }
}

fn when_full(section: &Section<'_>) -> WhenFull {
    match section.text("when_full").as_str() {
        "park" => WhenFull::Park,
        _ => WhenFull::Wait,
    }
}

fn binding_keys(section: &Section<'_>) -> Vec<String> {
    let keys = section.texts("binding_keys");
    if keys.is_empty() {
        section.problem(
            "binding_keys",
            "must name at least one route: [\"#\"] is all of them",
        );
    }
    keys
}

fn destination(section: &Section<'_>) -> DestinationSettings {
    let template = section.opt_text("template");
    let format = section.text("format");
    match (&template, format.as_str()) {
        (None, "template") => section.problem("format", "needs `template`, the line to write"),
        (Some(_), other) if other != "template" => {
            section.problem("template", "has no effect unless format = \"template\"");
        }
        _ => {}
    }
    let path = section.text("path");
    // The rest of the template is checked by who renders it.
    let leaves = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
    if path.is_empty() || path.ends_with('/') || Path::new(&path).components().any(leaves) {
        section.problem(
            "path",
            "must be the path of a file below `dir`, without a / in front and without ..",
        );
    }
    DestinationSettings {
        name: section.text("name"),
        dir: section.path("dir").unwrap_or_default(),
        path,
        format: match format.as_str() {
            "msgpack" => FileFormat::Msgpack,
            "ecs" => FileFormat::Ecs,
            "rfc5424" => FileFormat::Rfc5424,
            "rfc3164" => FileFormat::Rfc3164,
            "rsyslog" => FileFormat::Rsyslog,
            "raw" => FileFormat::Raw,
            "template" => FileFormat::Template(template.unwrap_or_default()),
            _ => FileFormat::Json,
        },
        compression: match section.text("compression").as_str() {
            "zstd" => FileCompression::Zstd,
            "gzip" => FileCompression::Gzip,
            _ => FileCompression::None,
        },
        routes: section.texts("routes"),
    }
}
