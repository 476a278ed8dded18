//! The shapes of a mesh, and the connections that each shape has.

/// The form of a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Line,
    Ring,
    Star,
    Full,
    Apart,
}

impl Shape {
    /// The connections between `nodes` nodes, each once.
    pub(super) fn edges(self, nodes: usize) -> Vec<(usize, usize)> {
        let line = (1..nodes).map(|j| (j - 1, j));
        match self {
            Self::Line => line.collect(),
            // With two nodes, the last connection of the ring would repeat the first.
            Self::Ring => line.chain((nodes > 2).then(|| (nodes - 1, 0))).collect(),
            Self::Star => (1..nodes).map(|i| (i, 0)).collect(),
            Self::Full => {
                let to_later = |i| (i + 1..nodes).map(move |j| (i, j));
                (0..nodes).flat_map(to_later).collect()
            }
            Self::Apart => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_has_its_edges_from_none_to_four_nodes() {
        let counts = |shape: Shape| [0, 1, 2, 3, 4].map(|nodes| shape.edges(nodes).len());
        assert_eq!(counts(Shape::Line), [0, 0, 1, 2, 3]);
        assert_eq!(counts(Shape::Ring), [0, 0, 1, 3, 4]);
        assert_eq!(counts(Shape::Star), [0, 0, 1, 2, 3]);
        assert_eq!(counts(Shape::Full), [0, 0, 1, 3, 6]);
        assert_eq!(counts(Shape::Apart), [0; 5]);
        assert_eq!(Shape::Ring.edges(3), [(0, 1), (1, 2), (2, 0)]);
        assert_eq!(Shape::Star.edges(3), [(1, 0), (2, 0)]);
    }
}
