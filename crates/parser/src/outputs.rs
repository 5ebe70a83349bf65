//! The event batches that come of one raw batch: one for each route, or several where one would be too large.

use broker::{Exchange, Message, RoutingKey};
use event::{BatchId, Compression, Event, EventBatchBuilder, PayloadKind};

/// A batch is closed at this size, before compression. Batches are as large as the raw batches they come from,
/// unless rules make events larger; the broker's own bound is far above.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Most memory that is kept from one batch for the next.
const SPARE_BYTES_MAX: usize = 2 * OUTPUT_BYTES_MAX;

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
    compression: Compression,
    /// For the next builder.
    spare: Vec<u8>,
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
    /// For the raw batch `source`. The first route's batch is built in the memory of `spare`: most batches have one
    /// route, and it is about as large as the one before.
    pub(crate) fn new(source: BatchId, listener: &'b str, spare: Vec<u8>, compression: Compression) -> Self {
        Self {
            source,
            listener,
            compression,
            spare,
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
            open.part += 1;
            let next = builder(self.source, self.listener, route, open.part, Vec::new());
            let full = std::mem::replace(&mut open.builder, next);
            self.close(full, route);
        }
    }

    fn open(&mut self, route: &str) -> usize {
        let spare = std::mem::take(&mut self.spare);
        self.open.push(Open {
            route: route.to_owned(),
            part: 0,
            builder: builder(self.source, self.listener, route, 0, spare),
        });
        self.open.len() - 1
    }

    fn close(&mut self, builder: EventBatchBuilder, route: &str) {
        let (id, events) = (builder.id(), u64::from(builder.events()));
        let (body, spare) = builder.finish_and_spare(self.compression);
        if let Some(spare) = spare
            && (self.spare.capacity()..=SPARE_BYTES_MAX).contains(&spare.capacity())
        {
            self.spare = spare;
        }
        let message = Message {
            id: id.as_uuid(),
            exchange: Exchange::Parsed,
            routing_key: RoutingKey::new(route).expect("rules check the names of routes"),
            content_type: PayloadKind::Events.content_type(),
            body: body.into(),
            death: None,
        };
        self.finished.push(Output { message, events });
    }

    /// All batches, in the order in which their routes came up, and memory for the next ones.
    pub(crate) fn finish(mut self) -> (Vec<Output>, Vec<u8>) {
        for open in std::mem::take(&mut self.open) {
            if open.builder.events() > 0 {
                self.close(open.builder, &open.route);
            }
        }
        (self.finished, self.spare)
    }
}

fn builder(source: BatchId, listener: &str, route: &str, part: u32, buffer: Vec<u8>) -> EventBatchBuilder {
    // No route has a slash.
    let id = match part {
        0 => source.derive(route),
        part => source.derive(&format!("{route}/{part}")),
    };
    EventBatchBuilder::with_buffer(id, source, listener, route, buffer)
}
