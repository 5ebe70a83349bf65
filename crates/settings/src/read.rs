//! From the tree to [`Settings`], section by section.

mod contradictions;
mod harvest;
mod rescue;
mod secrets;
mod shippers;
mod web;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    changes::Values,
    model::{
        AmqpSettings, BrokerSettings, ClientCert, Compression, IntakeSettings, ListenerSettings, LogFormat,
        ParserSettings, PostgresSettings, ProgramSettings, Protocol, RawPolicy, ServiceSettings, Settings,
        SqliteSettings, StoreSettings, TlsServerSettings,
    },
    problem::Problems,
    section::{Reader, Section},
    sources::{Sources, merge},
};

/// Sections of services that can be processes of their own, and the names of those.
pub(crate) const SERVICES: [(&str, &str); 7] = [
    ("syslog_server", "syslog-server"),
    ("harvest", "harvest"),
    ("parser", "parser"),
    ("shipper_pgsql", "shipper-pgsql"),
    ("shipper_fs", "shipper-fs"),
    ("collector", "collector"),
    ("web", "web"),
];

impl Settings {
    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// All problems at once.
    pub fn from_sources(sources: &Sources) -> Result<Self, Problems> {
        Self::with_values(sources).map(|(settings, _)| settings)
    }

    /// The same, with what was read for it, to be compared with what is read later.
    ///
    /// # Errors
    ///
    /// All problems at once.
    pub fn with_values(sources: &Sources) -> Result<(Self, Values), Problems> {
        let (root, problems) = merge(sources);
        let file = sources.file.as_ref().map(|(path, _)| path.as_path());
        let reader = Reader::new(&root, sources, problems);
        reader.check_names();
        let settings = read(&reader, file);
        contradictions::check(&reader, &settings);
        let (problems, mut values) = reader.into_parts();
        if problems.is_empty() {
            values.note_programs(&settings.parser.programs);
            Ok((settings, values))
        } else {
            Err(Problems::new(problems))
        }
    }
}

impl Default for Settings {
    /// What holds without a file, an environment and flags.
    fn default() -> Self {
        Self::from_sources(&Sources::default()).expect("the defaults are tested to be good")
    }
}

fn read(reader: &Reader<'_>, file: Option<&Path>) -> Settings {
    let data_dir = reader.section("").path("data_dir").unwrap_or_default();
    Settings {
        service: service(reader),
        broker: broker(&reader.section("broker"), &data_dir),
        rescue: rescue::rescue(&reader.section("rescue"), &data_dir),
        store: store(&reader.section("store"), &data_dir),
        syslog_server: intake(&reader.section("syslog_server")),
        harvest: harvest::harvest(&reader.section("harvest")),
        parser: parser(&reader.section("parser"), file),
        shipper_pgsql: shippers::pgsql(&reader.section("shipper_pgsql"), &reader.section("store")),
        shipper_fs: shippers::fs(&reader.section("shipper_fs")),
        collector: rescue::collector(&reader.section("collector")),
        web: web::web(&reader.section("web")),
        data_dir,
    }
}

fn service(reader: &Reader<'_>) -> ServiceSettings {
    let section = reader.section("service");
    let addrs = SERVICES
        .iter()
        .map(|(path, name)| ((*name).to_owned(), reader.section(path).address("http_addr")));
    ServiceSettings {
        log_format: if section.text("log_format") == "json" {
            LogFormat::Json
        } else {
            LogFormat::Text
        },
        log_level: section.text("log_level"),
        http_addr: section.address("http_addr"),
        http_addrs: addrs.collect::<BTreeMap<_, _>>(),
        shutdown_grace: section.duration("shutdown_grace"),
        user: section.opt_text("user"),
    }
}

fn broker(section: &Section<'_>, data_dir: &Path) -> BrokerSettings {
    let amqp = |url, management_url| AmqpSettings {
        url,
        tls_ca_file: section.path("tls_ca_file"),
        management_url,
        connect_timeout: section.duration("connect_timeout"),
        heartbeat: section.duration("heartbeat"),
        reconnect_backoff_max: section.duration("reconnect_backoff_max"),
        confirm_timeout: section.duration("confirm_timeout"),
        queue_bytes_max: section.size("queue_bytes_max"),
        delivery_limit: section.number("delivery_limit"),
    };
    let url = secrets::url(section);
    let management_url = secrets::management_url(section, url.as_ref());
    match url {
        Some(url) => BrokerSettings::Amqp(amqp(url, management_url)),
        None => {
            // Every key is read whichever broker it is, so that its mistakes are told.
            let unused = amqp(crate::secret::Secret::new(String::new()), None);
            BrokerSettings::Embedded {
                dir: data_dir.join("queues"),
                queue_bytes_max: unused.queue_bytes_max,
                delivery_limit: unused.delivery_limit,
            }
        }
    }
}

fn store(section: &Section<'_>, data_dir: &Path) -> StoreSettings {
    let postgres = |url| PostgresSettings {
        url,
        tls_ca_file: section.path("tls_ca_file"),
        pool_size: section.number("pool_size"),
        connect_timeout: section.duration("connect_timeout"),
        partition: Duration::from_secs(if section.text("partition") == "hour" {
            3600
        } else {
            86_400
        }),
        partitions_ahead: section.number("partitions_ahead"),
        searches_max: section.number("searches_max"),
    };
    let url = secrets::url(section);
    let is_postgres = url.is_some();
    let postgres = postgres(url.unwrap_or_else(|| crate::secret::Secret::new(String::new())));
    if is_postgres {
        StoreSettings::Postgres(postgres)
    } else {
        StoreSettings::Sqlite(SqliteSettings {
            dir: data_dir.join("store"),
            searches_max: postgres.searches_max,
        })
    }
}

fn intake(section: &Section<'_>) -> IntakeSettings {
    IntakeSettings {
        listeners: section.list("listener").iter().map(listener).collect(),
        batch_bytes_max: section.memory("batch_bytes_max"),
        batch_frames_max: section.number("batch_frames_max"),
        batch_age_max: section.duration("batch_age_max"),
        unconfirmed_batches_max: section.number("unconfirmed_batches_max"),
        compression: compression(section),
    }
}

fn compression(section: &Section<'_>) -> Compression {
    if section.text("compression") == "none" {
        Compression::None
    } else {
        Compression::Lz4
    }
}

fn listener(section: &Section<'_>) -> ListenerSettings {
    let protocol = match section.text("protocol").as_str() {
        "relp" => Protocol::Relp,
        "udp" => Protocol::Udp,
        _ => Protocol::Tcp,
    };
    let connections_max = section.number("connections_max");
    ListenerSettings {
        name: section.text("name"),
        protocol,
        address: section
            .address("address")
            .unwrap_or_else(|| ([127, 0, 0, 1], 0).into()),
        frame_bytes_max: section.memory("frame_bytes_max"),
        idle_timeout: section.opt_duration("idle_timeout"),
        connections_max,
        connections_per_peer_max: section
            .number::<usize>("connections_per_peer_max")
            .min(connections_max),
        receive_buffer: section.memory("receive_buffer"),
        time_zone: section.text("time_zone"),
        tls: section.inner("tls").map(|section| tls(&section)),
        multiline: harvest::multiline(section),
    }
}

fn tls(section: &Section<'_>) -> TlsServerSettings {
    let ca_file = section.path("client_ca_file");
    let client_cert = match (section.text("client_cert").as_str(), ca_file) {
        ("optional", Some(ca_file)) => ClientCert::Optional(ca_file),
        ("required", Some(ca_file)) => ClientCert::Required(ca_file),
        ("optional" | "required", None) if !section.is_set("client_ca_file") => {
            section.problem(
                "client_cert",
                "needs client_ca_file, the CA that signs clients' certificates",
            );
            ClientCert::Off
        }
        ("off", Some(_)) => {
            section.problem(
                "client_ca_file",
                "has no effect while client_cert is \"off\": set that to \"required\" or \"optional\"",
            );
            ClientCert::Off
        }
        _ => ClientCert::Off,
    };
    TlsServerSettings {
        cert_file: section.path("cert_file").unwrap_or_default(),
        key_file: section.path("key_file").unwrap_or_default(),
        client_cert,
    }
}

fn parser(section: &Section<'_>, file: Option<&Path>) -> ParserSettings {
    let prefetch: u16 = section.number("prefetch");
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    ParserSettings {
        // More threads than batches in flight would have nothing to do.
        threads: section
            .opt_number("threads")
            .unwrap_or_else(|| cores().min(usize::from(prefetch))),
        prefetch,
        queues: section.number("queues"),
        raw: match section.text("raw").as_str() {
            "always" => RawPolicy::Always,
            "never" => RawPolicy::Never,
            _ => RawPolicy::OnDefect,
        },
        batch_bytes_max: section.memory("batch_bytes_max"),
        compression: compression(section),
        park_bytes_max: section.size("park_bytes_max"),
        queue_warn_percent: section.number("queue_warn_percent"),
        programs: section
            .list("program")
            .iter()
            .map(|section| program(section, file))
            .collect(),
    }
}

fn program(section: &Section<'_>, settings_file: Option<&Path>) -> ProgramSettings {
    let (file, source) = (section.path("file"), section.opt_text("source"));
    match (&file, &source) {
        (Some(_), Some(_)) => section.problem("source", "stands beside `file`: give one of the two"),
        (None, None) if !section.is_set("file") && !section.is_set("source") => {
            section.problem("name", "needs `file` or `source`");
        }
        _ => {}
    }
    let name = section.text("name");
    let settings_file =
        settings_file.map_or_else(|| "settings".to_owned(), |path| path.display().to_string());
    let (origin, source) = match file {
        Some(path) => (path.display().to_string(), read_program(section, &path)),
        // Lines in messages are counted from the start of the program, not of this file.
        None => (
            format!("{settings_file}, program {name:?}"),
            source.unwrap_or_default(),
        ),
    };
    ProgramSettings { name, origin, source }
}

fn read_program(section: &Section<'_>, path: &PathBuf) -> String {
    /// Programs are written by people.
    const PROGRAM_BYTES_MAX: u64 = 1 << 20;
    let read = fs::metadata(path).and_then(|metadata| {
        if metadata.len() > PROGRAM_BYTES_MAX {
            return Err(std::io::Error::other("it is larger than 1 MiB"));
        }
        fs::read_to_string(path)
    });
    read.unwrap_or_else(|error| {
        section.problem("file", format!("cannot read {}: {error}", path.display()));
        String::new()
    })
}

#[cfg(test)]
mod tests;
