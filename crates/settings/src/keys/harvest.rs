//! Intake of log files.

use super::{
    Section,
    Unset::{Default, Mistake, Nothing},
    shared::{
        DAY, FACILITIES, FLAG, KIB, MIB, MULTILINE, MULTILINE_ABOUT, RAW_COMPRESSION, SEVERITIES, http_addr,
        key, ms, number, secs, size, time,
    },
};
use crate::kind::Kind;

pub(super) const HARVEST: Section = Section {
    path: "harvest",
    about: "Intake of files: upload folders and living files. Without a folder it does not run.",
    keys: &[
        http_addr("127.0.0.1:9607"),
        key(
            "batch_bytes_max",
            size(KIB, 8 * MIB),
            Default("128KiB"),
            "A batch of lines is published at this size.",
            "As for listeners: the broker's cost is per message.",
        ),
        key(
            "batch_frames_max",
            number(1, 65_535),
            Default("1024"),
            "Or with this many lines.",
            "Keeps batches of very short lines quick to parse.",
        ),
        key(
            "unconfirmed_batches_max",
            number(1, 1024),
            Default("16"),
            "Batches of one file that are on their way at the same time; their progress is written to disk together.",
            "2 MiB of a file for each write to disk.",
        ),
        key(
            "files_max",
            number(1, 1024),
            Default("4"),
            "Files of one folder that are read at the same time.",
            "A large file does not hold up the small ones.",
        ),
        RAW_COMPRESSION,
    ],
};

pub(super) const FOLDER: Section = Section {
    path: "harvest.folder[]",
    about: "One folder each. The parser reads the labels here too, so that its settings need the same folders.",
    keys: &[
        key(
            "name",
            Kind::Name,
            Mistake { example: "uploads" },
            "Goes with every event as its listener and into the routing key; unique, also among listeners.",
            "Names the folder in searches and rules, so it is yours to choose.",
        ),
        key(
            "path",
            Kind::Folder,
            Mistake {
                example: "/var/spool/logferry",
            },
            "The folder. It may be made later.",
            "Yours to choose.",
        ),
        key(
            "recursive",
            FLAG,
            Default("false"),
            "Whether folders in it are looked into. Links and names that begin with a dot are never followed.",
            "An upload folder is flat.",
        ),
        key(
            "glob",
            Kind::Glob,
            Default("*"),
            "Which files: a pattern for the path below the folder, or, without a slash in it, for the name.",
            "Everything that is put there.",
        ),
        key(
            "follow",
            FLAG,
            Default("false"),
            "Whether files live on: new lines are taken as they come, also after the file was renamed or cut, and `done` has no effect.",
            "An upload folder has files that are complete.",
        ),
        key(
            "done",
            Kind::Choice(&["move", "delete", "keep"]),
            Default("move"),
            "What becomes of a file when the broker has confirmed all of it.",
            "Nothing is removed that nobody has looked at.",
        ),
        key(
            "done_dir",
            Kind::Folder,
            Nothing {
                example: "/var/spool/logferry/.done",
            },
            "Where files are moved, when `done` is \"move\". On the same file system as the folder.",
            "`.done` in the folder.",
        ),
        key(
            "failed_dir",
            Kind::Folder,
            Nothing {
                example: "/var/spool/logferry/.failed",
            },
            "Where files are moved that could not be taken in full, each with a text beside it that says why. With `done = \"keep\"` they stay where they are.",
            "`.failed` in the folder.",
        ),
        key(
            "quiet",
            time(ms(0), DAY),
            Default("5s"),
            "A file that was written in place is complete when it did not change for this long and nobody has it open for writing. One that was renamed from a name with a dot in front is complete at once.",
            "Slow uploads pause for less.",
        ),
        key(
            "poll_interval",
            time(ms(10), secs(3600)),
            Default("5s"),
            "How often the folder is looked through besides when the system reports a change.",
            "Network file systems report none.",
        ),
        key(
            "encoding",
            Kind::Encoding,
            Default("utf-8"),
            "Encoding of the text, by its name on the web (`windows-1252`, `utf-16le`, `shift_jis`). A byte order mark counts for more.",
            "UTF-8 passes as it is, and what is none is marked by the parser.",
        ),
        key(
            "frame_bytes_max",
            size(480, 8 * MIB),
            Default("64KiB"),
            "Lines longer than this are cut, and the event says so; the file counts as not taken in full.",
            "As for listeners.",
        ),
        key(
            "grammar",
            FLAG,
            Default("true"),
            "Whether lines are parsed as syslog or JSON. If not, the whole line is the message.",
            "What fits no form is a message anyway.",
        )
        .live(),
        key(
            "time_zone",
            Kind::TimeZone,
            Default("UTC"),
            "For timestamps that name no zone.",
            "Means the same everywhere; files with local time need theirs.",
        )
        .live(),
        key(
            "app_name",
            Kind::Text,
            Nothing { example: "billing" },
            "For events whose line names none.",
            "Files of a program often do not name it.",
        )
        .live(),
        key(
            "hostname",
            Kind::Text,
            Nothing {
                example: "web1.example",
            },
            "For events whose line names none.",
            "The folder knows where its files come from.",
        )
        .live(),
        key(
            "facility",
            Kind::Choice(FACILITIES),
            Nothing { example: "local0" },
            "For events whose line has no priority.",
            "Lines in files seldom have one.",
        )
        .live(),
        key(
            "severity",
            Kind::Choice(SEVERITIES),
            Nothing { example: "info" },
            "For events whose line has no priority or severity.",
            "Lines in files seldom have one.",
        )
        .live(),
        key(
            "tags",
            Kind::Names,
            Default("[]"),
            "Tags of every event.",
            "None.",
        )
        .live(),
        key(
            "fields",
            Kind::Pairs,
            Default("[]"),
            "Fields of every event whose line has none of that name: `[\"site=berlin\", \"rack=7\"]`.",
            "None.",
        )
        .live(),
    ],
};

pub(super) const FOLDER_MULTILINE: Section = Section {
    path: "harvest.folder[].multiline",
    about: MULTILINE_ABOUT,
    keys: MULTILINE,
};
