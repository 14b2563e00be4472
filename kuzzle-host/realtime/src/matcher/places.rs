//! Shapes that contain a point.

use std::sync::Arc;

use rstar::{AABB, PointDistance, RTree, RTreeObject};

use crate::document::point;
use crate::geo::{Rectangle, Shape};
use crate::value::Datum;

use super::condition::{FieldId, Found};
use super::entry::Entry;

/// Shapes in an R-tree by the rectangles around them.
#[derive(Debug)]
pub(super) struct Places<T> {
    tree: RTree<Place<T>>,
    /// The field of the longitude; the latitude is the field that is indexed here.
    lon: FieldId,
}

#[derive(Debug)]
struct Place<T> {
    least: [f64; 2],
    greatest: [f64; 2],
    /// `None` for what is only searched for.
    entry: Option<Arc<Entry<T>>>,
    id: u64,
}

impl<T> Place<T> {
    fn new(bounds: Rectangle, id: u64, entry: Option<Arc<Entry<T>>>) -> Place<T> {
        let corner = |point: crate::geo::Point| [point.lat, point.lon];
        Place { least: corner(bounds.least), greatest: corner(bounds.greatest), entry, id }
    }
}

impl<T> RTreeObject for Place<T> {
    type Envelope = AABB<[f64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_corners(self.least, self.greatest)
    }
}

impl<T> PointDistance for Place<T> {
    fn distance_2(&self, point: &[f64; 2]) -> f64 {
        rstar::Envelope::distance_2(&self.envelope(), point)
    }

    fn contains_point(&self, point: &[f64; 2]) -> bool {
        rstar::Envelope::contains_point(&self.envelope(), point)
    }
}

impl<T> PartialEq for Place<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Places { tree: RTree::new(), lon: 0 }
    }
}

impl<T> Places<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.tree.size() == 0
    }

    pub(super) fn insert(&mut self, lon: FieldId, shape: &Shape, entry: &Arc<Entry<T>>) {
        // A latitude has one longitude: their paths differ in the last name alone.
        self.lon = lon;
        self.tree.insert(Place::new(shape.bounds(), entry.id, Some(Arc::clone(entry))));
    }

    pub(super) fn remove(&mut self, shape: &Shape, id: u64) {
        self.tree.remove(&Place::new(shape.bounds(), id, None));
    }

    /// Calls `visit` with every entry whose shape may contain the point.
    pub(super) fn candidates<'a>(
        &'a self,
        lat: Datum<'_>,
        found: &Found<'_>,
        visit: &mut impl FnMut(&'a Arc<Entry<T>>),
    ) {
        if self.is_empty() {
            return;
        }
        if let Some(point) = point(Some(lat), found.get(self.lon)) {
            let places = self.tree.locate_all_at_point([point.lat, point.lon]);
            places.filter_map(|place| place.entry.as_ref()).for_each(visit);
        }
    }
}
