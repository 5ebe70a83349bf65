//! The event batches that come of one raw batch: one for each route, or several where one would be too large.

use broker::{Exchange, Message, RoutingKey};
use event::{BatchId, Compression, Event, EventBatchBuilder, PayloadKind};

/// A batch is closed at this size, before compression. Batches are as large as the raw batches they come from,
/// unless rules make events larger; the broker's own bound is far above.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// An event batch that is ready to be published.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) message: Message,
    pub(crate) events: u64,
}

/// Collects events by route.
#[derive(Debug)]
pub(crate) struct Outputs<'b> {
    source: BatchId,
    listener: &'b str,
    size_hint: usize,
    compression: Compression,
    open: Vec<Open>,
    finished: Vec<Output>,
}

#[derive(Debug)]
struct Open {
    route: String,
    /// Batches of this route before this one.
    part: u32,
    builder: EventBatchBuilder,
}

impl<'b> Outputs<'b> {
    /// For the raw batch `source`. The first route gets room for `size_hint` bytes at once: most batches have one
    /// route, and it is about as large as the one before.
    pub(crate) fn new(
        source: BatchId,
        listener: &'b str,
        size_hint: usize,
        compression: Compression,
    ) -> Self {
        Self {
            source,
            listener,
            size_hint,
            compression,
            open: Vec::new(),
            finished: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, route: &str, event: &Event<'_>) {
        let at = match self.open.iter().position(|open| open.route == route) {
            Some(at) => at,
            None => self.open(route),
        };
        let Some(open) = self.open.get_mut(at) else { return };
        open.builder.push(event);
        if open.builder.size() >= OUTPUT_BYTES_MAX {
            let full = std::mem::replace(
                &mut open.builder,
                builder(self.source, self.listener, route, open.part + 1, 0),
            );
            open.part += 1;
            self.finished.push(finish(full, route, self.compression));
        }
    }

    fn open(&mut self, route: &str) -> usize {
        let size = if self.open.is_empty() { self.size_hint } else { 0 };
        self.open.push(Open {
            route: route.to_owned(),
            part: 0,
            builder: builder(self.source, self.listener, route, 0, size),
        });
        self.open.len() - 1
    }

    /// Bytes of the first route's batch so far, and some.
    pub(crate) fn size(&self) -> usize {
        self.open.first().map_or(0, |open| open.builder.size() / 8 * 9)
    }

    /// All batches, in the order in which their routes came up.
    pub(crate) fn finish(mut self) -> Vec<Output> {
        for open in self.open {
            if open.builder.events() > 0 {
                self.finished
                    .push(finish(open.builder, &open.route, self.compression));
            }
        }
        self.finished
    }
}

fn builder(source: BatchId, listener: &str, route: &str, part: u32, size: usize) -> EventBatchBuilder {
    // No route has a slash.
    let id = match part {
        0 => source.derive(route),
        part => source.derive(&format!("{route}/{part}")),
    };
    EventBatchBuilder::with_buffer(id, source, listener, route, Vec::with_capacity(size))
}

fn finish(builder: EventBatchBuilder, route: &str, compression: Compression) -> Output {
    let (id, events) = (builder.id(), u64::from(builder.events()));
    let message = Message {
        id: id.as_uuid(),
        exchange: Exchange::Parsed,
        routing_key: RoutingKey::new(route).expect("rules check the names of routes"),
        content_type: PayloadKind::Events.content_type(),
        body: builder.finish(compression).into(),
        death: None,
    };
    Output { message, events }
}
