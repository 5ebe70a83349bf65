//! The rescue queues, and what returns their batches.

use std::path::Path;

use super::secrets;
use crate::{
    model::{
        CollectorSettings, RescueDurability, RescueFileSettings, RescueKind, RescueRedisSettings,
        RescueSettings,
    },
    section::Section,
};

pub(super) fn rescue(section: &Section<'_>, data_dir: &Path) -> RescueSettings {
    // Read without a `url` too, so that mistakes are told.
    let (key, bytes_max) = (section.text("key"), section.size("redis_bytes_max"));
    let tls_ca_file = section.path("tls_ca_file");
    let durability = match section.text("durability").as_str() {
        "accepted" => RescueDurability::Accepted,
        _ => RescueDurability::Synced,
    };
    let redis = secrets::url(section).map(|url| RescueRedisSettings {
        url,
        tls_ca_file,
        key,
        bytes_max,
        durability,
    });
    RescueSettings {
        order: order(section, redis.is_some()),
        patience: section.duration("patience"),
        timeout: section.duration("timeout"),
        redis,
        file: RescueFileSettings {
            dir: data_dir.join("rescue"),
            bytes_max: section.size("file_bytes_max"),
        },
    }
}

/// The default names both kinds, so that Redis without a `url` is passed over, unless it stands alone.
fn order(section: &Section<'_>, has_redis: bool) -> Vec<RescueKind> {
    let mut order = Vec::new();
    for name in section.texts("order") {
        let kind = match name.as_str() {
            "redis" => RescueKind::Redis,
            "file" => RescueKind::File,
            _ => {
                let problem = format!("{name:?} is no rescue queue: there are \"redis\" and \"file\"");
                section.problem("order", problem);
                continue;
            }
        };
        if order.contains(&kind) {
            section.problem("order", format!("{name:?} stands in it twice"));
        } else {
            order.push(kind);
        }
    }
    if order == [RescueKind::Redis] && !has_redis && !section.is_set("url") && !section.is_set("url_file") {
        section.problem("order", "\"redis\" needs rescue.url, where Redis is");
    }
    order.retain(|kind| has_redis || *kind != RescueKind::Redis);
    order
}

pub(super) fn collector(section: &Section<'_>) -> CollectorSettings {
    CollectorSettings {
        prefetch: section.number("prefetch"),
        bytes_per_second_max: section.size("bytes_per_second_max"),
        claim_timeout: section.duration("claim_timeout"),
        poll_interval: section.duration("poll_interval"),
    }
}
