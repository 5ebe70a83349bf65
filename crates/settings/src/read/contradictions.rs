//! Values that are each allowed and do not go together.

use std::{collections::HashMap, net::SocketAddr};

use super::SERVICES;
use crate::{
    model::{BrokerSettings, Protocol, Settings, StoreSettings},
    section::{Reader, Section},
    units,
};

/// Queues that every topology has.
const FIXED_QUEUES: [&str; 2] = ["parser", "dead"];

pub(super) fn check(reader: &Reader<'_>, settings: &Settings) {
    let listeners = reader.section("syslog_server").list("listener");
    for (section, listener) in listeners.iter().zip(&settings.syslog_server.listeners) {
        protocol(section, listener.protocol);
    }
    let folders = reader.section("harvest").list("folder");
    let sources: Vec<_> = listeners.iter().chain(&folders).cloned().collect();
    unique_names(&sources);
    unique_names(&reader.section("parser").list("program"));
    unique_names(&reader.section("shipper_fs").list("destination"));
    routes_kept(reader, settings);
    addresses(reader, settings);
    queues(reader, settings);
    sizes(reader, settings);
    in_flight(reader, settings);
    times(reader, settings);
}

/// Keys that the protocol has no use for, when they are written: whoever wrote them expects an effect.
fn protocol(section: &Section<'_>, protocol: Protocol) {
    let of_streams = ["idle_timeout", "connections_max", "connections_per_peer_max"];
    if protocol == Protocol::Udp {
        if section.inner("tls").is_some() {
            section.problem("protocol", "cannot have TLS: that is for relp and tcp");
        }
        if section.inner("multiline").is_some() {
            section.problem(
                "protocol",
                "cannot have lines joined: datagrams come in any order, and have no stream",
            );
        }
        for name in of_streams.into_iter().filter(|name| section.is_set(name)) {
            section.problem(name, "has no effect on a udp listener: it is for relp and tcp");
        }
    } else if section.is_set("receive_buffer") {
        section.problem("receive_buffer", "has an effect on udp listeners only");
    }
}

fn unique_names(sections: &[Section<'_>]) {
    let mut seen = HashMap::new();
    for section in sections {
        // As environment variables tell them apart.
        let name = section.own_name().to_ascii_lowercase().replace('-', "_");
        if name.is_empty() {
            continue;
        }
        if let Some(first) = seen.insert(name, section.place("name")) {
            section.problem("name", format!("is the name of another one: {first}"));
        }
    }
}

/// A route cannot be kept for longer than the partition that it is in.
fn routes_kept(reader: &Reader<'_>, settings: &Settings) {
    let routes = reader.section("store").list("route");
    unique_names(&routes);
    let upkeep = &settings.shipper_pgsql.upkeep;
    let Some(most) = upkeep.keep_days.filter(|_| reader.are_good(&["store.keep_days"])) else {
        return;
    };
    for (section, route) in routes.iter().zip(&upkeep.routes) {
        if route.keep_days >= most && reader.are_good(&[&section.key("keep_days")]) {
            let problem = format!("must be less than store.keep_days ({most}): nothing is kept for longer");
            section.problem("keep_days", problem);
        }
    }
}

/// A socket that some process will bind.
struct Bound<'a> {
    section: Section<'a>,
    key: &'static str,
    addr: SocketAddr,
    is_udp: bool,
    is_http: bool,
}

impl Bound<'_> {
    fn clashes_with(&self, other: &Bound<'_>) -> bool {
        let (a, b) = (self.addr, other.addr);
        if a.port() == 0 || a.port() != b.port() || self.is_udp != other.is_udp {
            return false;
        }
        let covers =
            |any: SocketAddr, one: SocketAddr| any.ip().is_unspecified() && any.is_ipv4() == one.is_ipv4();
        if self.is_http && other.is_http {
            // Services in containers of their own may all have the same port on all their addresses.
            return a == b && !a.ip().is_unspecified();
        }
        a == b || covers(a, b) || covers(b, a)
    }
}

fn addresses(reader: &Reader<'_>, settings: &Settings) {
    let mut bound = Vec::new();
    let http = |section: &str, addr: Option<SocketAddr>| {
        let path = SERVICES
            .iter()
            .map(|(path, _)| *path)
            .chain(["service"])
            .find(|path| *path == section);
        path.zip(addr).map(|(path, addr)| Bound {
            section: reader.section(path),
            key: "http_addr",
            addr,
            is_udp: false,
            is_http: true,
        })
    };
    bound.extend(http("service", settings.service.http_addr));
    for (path, name) in SERVICES {
        bound.extend(http(
            path,
            settings.service.http_addrs.get(name).copied().flatten(),
        ));
    }
    let listeners = reader.section("syslog_server").list("listener");
    for (section, listener) in listeners.into_iter().zip(&settings.syslog_server.listeners) {
        bound.push(Bound {
            section,
            key: "address",
            addr: listener.address,
            is_udp: listener.protocol == Protocol::Udp,
            is_http: false,
        });
    }
    bound.extend(settings.web.address.map(|addr| Bound {
        section: reader.section("web"),
        key: "address",
        addr,
        is_udp: false,
        is_http: false,
    }));
    for (index, later) in bound.iter().enumerate() {
        for earlier in bound
            .iter()
            .take(index)
            .filter(|earlier| earlier.clashes_with(later))
        {
            let problem = format!(
                "is taken: {} is {} ({})",
                earlier.section.key(earlier.key),
                earlier.addr,
                earlier.section.place(earlier.key)
            );
            later.section.problem(later.key, problem);
        }
    }
}

fn queues(reader: &Reader<'_>, settings: &Settings) {
    let (pgsql, fs) = (reader.section("shipper_pgsql"), reader.section("shipper_fs"));
    let named = [
        (&pgsql, &settings.shipper_pgsql.queue),
        (&fs, &settings.shipper_fs.queue),
    ];
    for (section, queue) in named {
        if FIXED_QUEUES.contains(&queue.as_str()) || is_of_parser(queue) {
            section.problem(
                "queue",
                "is the name of a queue that Logferry has for something else",
            );
        }
    }
    if settings.shipper_pgsql.queue == settings.shipper_fs.queue {
        fs.problem(
            "queue",
            "is shipper_pgsql's queue too: each would get only a part of the events",
        );
    }
}

/// Whether it is the name of a further queue of raw batches.
fn is_of_parser(queue: &str) -> bool {
    let number = queue.strip_prefix("parser-");
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// A frame fits into a batch, and what one stage makes the next one takes.
fn sizes(reader: &Reader<'_>, settings: &Settings) {
    let batch_bytes_max = settings.syslog_server.batch_bytes_max;
    let listeners = reader.section("syslog_server").list("listener");
    for (section, listener) in listeners.iter().zip(&settings.syslog_server.listeners) {
        fits(
            reader,
            section,
            "frame_bytes_max",
            listener.frame_bytes_max,
            ("syslog_server", batch_bytes_max),
        );
        if let (Some(section), Some(multiline)) = (section.inner("multiline"), &listener.multiline) {
            fits(
                reader,
                &section,
                "bytes_max",
                multiline.bytes_max,
                ("syslog_server", batch_bytes_max),
            );
        }
    }
    let harvest_bytes_max = settings.harvest.batch_bytes_max;
    let folders = reader.section("harvest").list("folder");
    for (section, folder) in folders.iter().zip(&settings.harvest.folders) {
        fits(
            reader,
            section,
            "frame_bytes_max",
            folder.frame_bytes_max,
            ("harvest", harvest_bytes_max),
        );
        if let (Some(section), Some(multiline)) = (section.inner("multiline"), &folder.multiline) {
            fits(
                reader,
                &section,
                "bytes_max",
                multiline.bytes_max,
                ("harvest", harvest_bytes_max),
            );
        }
    }
    let intake = ("syslog_server", batch_bytes_max);
    let harvest = ("harvest", harvest_bytes_max);
    let parser = ("parser", settings.parser.batch_bytes_max);
    let pgsql = ("shipper_pgsql", settings.shipper_pgsql.batch_bytes_max);
    let fs = ("shipper_fs", settings.shipper_fs.batch_bytes_max);
    for ((before, made), (after, taken)) in
        [(intake, parser), (harvest, parser), (parser, pgsql), (parser, fs)]
    {
        let keys = [
            format!("{before}.batch_bytes_max"),
            format!("{after}.batch_bytes_max"),
        ];
        if taken < made && reader.are_good(&keys.each_ref().map(String::as_str)) {
            let made = units::show_size(made as u64);
            let section = reader.section(after);
            section.problem(
                "batch_bytes_max",
                format!("must be at least {before}.batch_bytes_max ({made}), or batches of that size are dead-lettered"),
            );
        }
    }
}

/// A frame of `key` fits into a batch of `batch`, a section and its bound.
fn fits(reader: &Reader<'_>, section: &Section<'_>, key: &str, bytes_max: usize, batch: (&str, usize)) {
    let (batch_section, batch_bytes_max) = batch;
    let batch_key = format!("{batch_section}.batch_bytes_max");
    if bytes_max > batch_bytes_max && reader.are_good(&[&section.key(key), &batch_key]) {
        let frame = units::show_size(bytes_max as u64);
        let max = units::show_size(batch_bytes_max as u64);
        section.problem(
            key,
            format!("a frame of {frame} is larger than {batch_key} ({max})"),
        );
    }
}

/// What may be in flight is enough for what is waited for.
fn in_flight(reader: &Reader<'_>, settings: &Settings) {
    let (parser, pgsql) = (&settings.parser, &settings.shipper_pgsql);
    if usize::from(parser.prefetch) < parser.threads
        && reader.are_good(&["parser.prefetch", "parser.threads"])
    {
        let problem = format!(
            "must be at least parser.threads ({}), or threads have nothing to do",
            parser.threads
        );
        reader.section("parser").problem("prefetch", problem);
    }
    let section = reader.section("shipper_pgsql");
    let keys = [
        "shipper_pgsql.prefetch",
        "shipper_pgsql.writers",
        "shipper_pgsql.transaction_rows_max",
    ];
    if reader.are_good(&keys) {
        if usize::from(pgsql.prefetch) < pgsql.writers {
            let problem = format!(
                "must be at least shipper_pgsql.writers ({}), or writers have nothing to do",
                pgsql.writers
            );
            section.problem("prefetch", problem);
        }
        let batch_rows = usize::try_from(settings.syslog_server.batch_frames_max).unwrap_or(usize::MAX);
        let rows = usize::from(pgsql.prefetch).saturating_mul(batch_rows);
        if rows < pgsql.transaction_rows_max && reader.are_good(&["syslog_server.batch_frames_max"]) {
            section.problem(
                "prefetch",
                format!(
                    "{} batches of {batch_rows} frames (syslog_server.batch_frames_max) never fill a transaction of {} rows (shipper_pgsql.transaction_rows_max): raise this or lower that",
                    pgsql.prefetch, pgsql.transaction_rows_max
                ),
            );
        }
    }
    if let StoreSettings::Postgres(postgres) = &settings.store
        && postgres.pool_size <= pgsql.writers
        && reader.are_good(&["store.pool_size", "shipper_pgsql.writers"])
    {
        let problem = format!(
            "must be more than shipper_pgsql.writers ({}): partitions are made on a connection of their own",
            pgsql.writers
        );
        reader.section("store").problem("pool_size", problem);
    }
}

/// A drain is longer than what it waits for, and AMQP counts heartbeats in seconds.
fn times(reader: &Reader<'_>, settings: &Settings) {
    let grace = settings.service.shutdown_grace;
    let waits = [
        (
            "syslog_server.batch_age_max",
            settings.syslog_server.batch_age_max,
        ),
        (
            "shipper_pgsql.transaction_age_max",
            settings.shipper_pgsql.transaction_age_max,
        ),
        ("shipper_fs.sync_age_max", settings.shipper_fs.sync_age_max),
    ];
    for (key, wait) in waits {
        if wait >= grace && reader.are_good(&["service.shutdown_grace", key]) {
            let problem = format!(
                "must be more than {key} ({}), or a drain cannot end in time",
                units::show_duration(wait)
            );
            reader.section("service").problem("shutdown_grace", problem);
        }
    }
    if let BrokerSettings::Amqp(amqp) = &settings.broker
        && amqp.heartbeat.subsec_nanos() != 0
    {
        reader
            .section("broker")
            .problem("heartbeat", "must be whole seconds");
    }
}
