//! How the numbers of a box were in equal steps of time.

use super::{Kind, Node, Picture};
use crate::{
    hub::{Grid, Known, Way},
    pipeline::fills::Depths,
};

/// A number for each step; `None` where it is not known.
pub(crate) type Curve = Vec<Option<f64>>;

/// Where the numbers of boxes come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curves<'a> {
    pub(crate) known: &'a [Known],
    pub(crate) depths: &'a Depths,
    pub(crate) grid: Grid,
}

impl Picture {
    /// The same with the trend of each box: what stages send, what stores get, what waits in queues.
    pub(crate) fn with_trends(mut self, curves: Curves<'_>) -> Self {
        let trends: Vec<_> = self
            .nodes
            .iter()
            .map(|node| match node.kind {
                Kind::Stage => curves.stage(&node.name, Way::Sent),
                Kind::Queue => curves.depth(node),
                Kind::Store => curves.came_in(node, &self),
            })
            .collect();
        for (node, trend) in self.nodes.iter_mut().zip(trends) {
            node.curve = trend;
        }
        self
    }
}

impl Curves<'_> {
    /// Events a second that came in.
    pub(crate) fn came_in(&self, node: &Node, picture: &Picture) -> Curve {
        if node.kind == Kind::Stage {
            return self.stage(&node.name, Way::Received);
        }
        let edges = picture.edges.iter().filter(|edge| edge.to == node.id);
        all(edges.map(|edge| self.stage(&edge.from, Way::Sent)))
    }

    /// Events a second that went out.
    pub(crate) fn went_out(&self, node: &Node, picture: &Picture) -> Curve {
        if node.kind == Kind::Stage {
            return self.stage(&node.name, Way::Sent);
        }
        let edges = picture.edges.iter().filter(|edge| edge.from == node.id);
        all(edges.map(|edge| self.stage(&edge.to, Way::Received)))
    }

    /// The most batches that waited in a queue, or in all of its parts together.
    pub(crate) fn depth(&self, node: &Node) -> Curve {
        let one = |name: &str| -> Curve {
            let past = self.depths.get(name);
            #[expect(clippy::cast_precision_loss, reason = "a drawing needs no 53 bits")]
            let of_step = |(from, to)| past?.of_step(from, to).max().map(|depth| depth as f64);
            self.grid.each().map(of_step).collect()
        };
        if node.parts.is_empty() {
            one(&node.name)
        } else {
            all(node.parts.iter().map(|part| one(&part.name)))
        }
    }

    /// The age in seconds of the oldest that any process of a stage held.
    pub(crate) fn oldest(&self, node: &Node) -> Curve {
        self.of_stage(&node.name, |known| known.oldest(self.grid), f64::max)
    }

    fn stage(&self, name: &str, way: Way) -> Curve {
        self.of_stage(name, |known| known.rates(way, self.grid), |a, b| a + b)
    }

    /// What its processes tell together: they come and go, so that those that were not heard in a step count for nothing.
    fn of_stage(&self, name: &str, curve: impl Fn(&Known) -> Curve, join: fn(f64, f64) -> f64) -> Curve {
        let known = self.known.iter().filter(|known| known.beat.service == name);
        let joined = known.map(curve).reduce(|sum, one| {
            let pairs = sum.into_iter().zip(one);
            let both = pairs.map(|pair| match pair {
                (Some(a), Some(b)) => Some(join(a, b)),
                (one, other) => one.or(other),
            });
            both.collect()
        });
        joined.unwrap_or_else(|| self.grid.each().map(|_| None).collect())
    }
}

/// The sum of what is known of all of them in a step.
fn all(curves: impl Iterator<Item = Curve>) -> Curve {
    let sum = curves.reduce(|sum, one| {
        let pairs = sum.into_iter().zip(one);
        pairs.map(|(a, b)| Some(a? + b?)).collect()
    });
    sum.unwrap_or_default()
}
