//! Intervals that contain a point.

/// What an interval belongs to.
pub(crate) trait Item {
    /// Tells items apart whose intervals are the same.
    fn id(&self) -> u64;
}

/// Items of a leaf before it is divided; it is searched by comparing all of them.
const LEAF_MAX: usize = 48;
/// Children of a branch before it is divided.
const BRANCH_MAX: usize = 32;

/// Closed intervals, each with an item, of which those are found that contain a point.
///
/// A B-tree in the order of lower ends that knows, of each child, the greatest upper end. A leaf is visited only when it
/// holds an interval that contains the point, at the edge of the search aside; so a search costs what it finds.
/// Insertion and removal touch one path. With `()` for points it is an ordered list.
#[derive(Debug)]
pub(crate) struct Intervals<P, T> {
    root: Node<P, T>,
    len: usize,
}

#[derive(Debug)]
enum Node<P, T> {
    Leaf(Leaf<P, T>),
    Branch(Box<Branch<P, T>>),
}

#[derive(Debug)]
struct Leaf<P, T> {
    lows: Vec<P>,
    highs: Vec<P>,
    items: Vec<T>,
}

#[derive(Debug)]
struct Branch<P, T> {
    /// The first interval of each child, with its item's id. What is removed stays here as a bound.
    firsts: Vec<(P, P, u64)>,
    /// The greatest upper end in each child.
    highs: Vec<P>,
    children: Vec<Node<P, T>>,
}

impl<P: Ord + Copy, T: Item> Default for Intervals<P, T> {
    fn default() -> Self {
        Intervals { root: Node::Leaf(Leaf::new()), len: 0 }
    }
}

impl<P: Ord + Copy, T: Item> Intervals<P, T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, low: P, high: P, item: T) {
        self.len += 1;
        if let Some((first, right)) = self.root.insert(low, high, item) {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Leaf::new()));
            let left_first = left.first().unwrap_or(first);
            let highs = [&left, &right].into_iter().filter_map(Node::high).collect();
            let branch = Branch { firsts: vec![left_first, first], highs, children: vec![left, right] };
            self.root = Node::Branch(Box::new(branch));
        }
    }

    /// Removes the interval of an item.
    pub(crate) fn remove(&mut self, low: P, high: P, id: u64) -> Option<T> {
        let removed = self.root.remove(low, high, id)?;
        self.len -= 1;
        if let Node::Branch(branch) = &mut self.root
            && branch.children.len() == 1
            && let Some(only) = branch.children.pop()
        {
            self.root = only;
        }
        Some(removed)
    }

    /// Calls `visit` with the items of all intervals that contain a point.
    pub(crate) fn containing<'a>(&'a self, point: P, visit: &mut impl FnMut(&'a T)) {
        self.root.containing(point, visit);
    }
}

impl<T: Item> Intervals<(), T> {
    /// Calls `visit` with every item.
    pub(crate) fn for_each<'a>(&'a self, visit: &mut impl FnMut(&'a T)) {
        self.root.containing((), visit);
    }
}

impl<P: Ord + Copy, T: Item> Leaf<P, T> {
    fn new() -> Self {
        Leaf { lows: Vec::new(), highs: Vec::new(), items: Vec::new() }
    }

    fn key(&self, at: usize) -> (P, P, u64) {
        (self.lows[at], self.highs[at], self.items[at].id())
    }

    /// Where a key is, or would be.
    fn search(&self, key: (P, P, u64)) -> Result<usize, usize> {
        let (mut from, mut to) = (0, self.items.len());
        while from < to {
            let middle = (from + to) / 2;
            // The item is looked at only where the ends are the same: it lies elsewhere in memory.
            let order = (self.lows[middle], self.highs[middle])
                .cmp(&(key.0, key.1))
                .then_with(|| self.items[middle].id().cmp(&key.2));
            match order {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(from)
    }

    fn split(&mut self) -> Self {
        let middle = self.items.len() / 2;
        Leaf {
            lows: self.lows.split_off(middle),
            highs: self.highs.split_off(middle),
            items: self.items.split_off(middle),
        }
    }
}

/// The right half of a node that was divided, with its first key.
type Split<P, T> = Option<((P, P, u64), Node<P, T>)>;

impl<P: Ord + Copy, T: Item> Node<P, T> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.items.len(),
            Node::Branch(branch) => branch.children.len(),
        }
    }

    fn max(&self) -> usize {
        match self {
            Node::Leaf(_) => LEAF_MAX,
            Node::Branch(_) => BRANCH_MAX,
        }
    }

    fn first(&self) -> Option<(P, P, u64)> {
        match self {
            Node::Leaf(leaf) => (!leaf.items.is_empty()).then(|| leaf.key(0)),
            Node::Branch(branch) => branch.firsts.first().copied(),
        }
    }

    fn high(&self) -> Option<P> {
        let highs = match self {
            Node::Leaf(leaf) => &leaf.highs,
            Node::Branch(branch) => &branch.highs,
        };
        highs.iter().max().copied()
    }

    fn insert(&mut self, low: P, high: P, item: T) -> Split<P, T> {
        match self {
            Node::Leaf(leaf) => {
                let at = match leaf.search((low, high, item.id())) {
                    Ok(at) | Err(at) => at,
                };
                leaf.lows.insert(at, low);
                leaf.highs.insert(at, high);
                leaf.items.insert(at, item);
                if leaf.items.len() <= LEAF_MAX {
                    return None;
                }
                let right = leaf.split();
                Some((right.key(0), Node::Leaf(right)))
            }
            Node::Branch(branch) => {
                let key = (low, high, item.id());
                let at = branch.child_of(key);
                branch.firsts[at] = branch.firsts[at].min(key);
                let split = branch.children[at].insert(low, high, item);
                branch.highs[at] = branch.highs[at].max(high);
                let (first, right) = split?;
                branch.refresh_high(at);
                if let Some(high) = right.high() {
                    branch.firsts.insert(at + 1, first);
                    branch.highs.insert(at + 1, high);
                    branch.children.insert(at + 1, right);
                }
                if branch.children.len() <= BRANCH_MAX {
                    return None;
                }
                let right = branch.split();
                Some((right.firsts[0], Node::Branch(Box::new(right))))
            }
        }
    }

    fn remove(&mut self, low: P, high: P, id: u64) -> Option<T> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.search((low, high, id)).ok()?;
                leaf.lows.remove(at);
                leaf.highs.remove(at);
                Some(leaf.items.remove(at))
            }
            Node::Branch(branch) => {
                let at = branch.child_of((low, high, id));
                let removed = branch.children[at].remove(low, high, id)?;
                branch.tidy(at);
                Some(removed)
            }
        }
    }

    fn containing<'a>(&'a self, point: P, visit: &mut impl FnMut(&'a T)) {
        match self {
            Node::Leaf(leaf) => {
                let begun = leaf.lows.partition_point(|low| *low <= point);
                for (high, item) in leaf.highs[..begun].iter().zip(&leaf.items) {
                    if point <= *high {
                        visit(item);
                    }
                }
            }
            Node::Branch(branch) => {
                for ((first, high), child) in branch.firsts.iter().zip(&branch.highs).zip(&branch.children) {
                    if first.0 > point {
                        break;
                    }
                    if point <= *high {
                        child.containing(point, visit);
                    }
                }
            }
        }
    }

    /// Takes in the sibling to its right.
    fn append(&mut self, right: Node<P, T>) {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(mut right)) => {
                left.lows.append(&mut right.lows);
                left.highs.append(&mut right.highs);
                left.items.append(&mut right.items);
            }
            (Node::Branch(left), Node::Branch(mut right)) => {
                left.firsts.append(&mut right.firsts);
                left.highs.append(&mut right.highs);
                left.children.append(&mut right.children);
            }
            // Siblings are of one height.
            (Node::Leaf(_), Node::Branch(_)) | (Node::Branch(_), Node::Leaf(_)) => {}
        }
    }
}

impl<P: Ord + Copy, T: Item> Branch<P, T> {
    /// The child in which a key is, or belongs.
    fn child_of(&self, key: (P, P, u64)) -> usize {
        self.firsts.partition_point(|first| *first <= key).saturating_sub(1)
    }

    fn refresh_high(&mut self, at: usize) {
        if let Some(high) = self.children[at].high() {
            self.highs[at] = high;
        }
    }

    fn split(&mut self) -> Self {
        let middle = self.children.len() / 2;
        Branch {
            firsts: self.firsts.split_off(middle),
            highs: self.highs.split_off(middle),
            children: self.children.split_off(middle),
        }
    }

    /// After a removal from a child: takes it out when it is empty, and joins it to a neighbour when both are small.
    fn tidy(&mut self, at: usize) {
        let len = self.children[at].len();
        if len == 0 {
            if self.children.len() > 1 {
                self.take(at);
            }
            return;
        }
        self.refresh_high(at);
        if len >= self.children[at].max() / 4 {
            return;
        }
        for left in [at.saturating_sub(1), at] {
            let Some(pair) = self.children.get(left..left + 2) else { continue };
            if pair[0].len() + pair[1].len() <= pair[0].max() / 2 {
                let right = self.take(left + 1);
                self.children[left].append(right);
                self.refresh_high(left);
                return;
            }
        }
    }

    fn take(&mut self, at: usize) -> Node<P, T> {
        self.firsts.remove(at);
        self.highs.remove(at);
        self.children.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Item for u64 {
        fn id(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn a_search_finds_what_a_scan_finds() {
        let mut intervals = Intervals::<u8, u64>::default();
        let mut model: Vec<(u8, u8, u64)> = Vec::new();
        let mut random = 7u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for round in 0..60_000u64 {
            // It grows, shrinks to nearly nothing, and grows again.
            let growing = round / 10_000 % 2 == 0;
            if model.is_empty() || next(10) < if growing { 8 } else { 2 } {
                let low = next(256) as u8;
                let high = low.saturating_add(next(if round % 3 == 0 { 200 } else { 4 }) as u8);
                intervals.insert(low, high, round);
                model.push((low, high, round));
            } else {
                let at = next(model.len() as u64) as usize;
                let (low, high, id) = model.swap_remove(at);
                assert_eq!(intervals.remove(low, high, id), Some(id));
                assert_eq!(intervals.remove(low, high, id), None);
            }
            if round % 97 == 0 {
                let point = next(256) as u8;
                let mut found = Vec::new();
                intervals.containing(point, &mut |id| found.push(*id));
                found.sort_unstable();
                let mut expected: Vec<u64> =
                    model.iter().filter(|it| it.0 <= point && point <= it.1).map(|it| it.2).collect();
                expected.sort_unstable();
                assert_eq!(found, expected);
            }
        }
        for (low, high, id) in model {
            assert_eq!(intervals.remove(low, high, id), Some(id));
        }
        assert!(intervals.is_empty());
    }

    #[test]
    fn a_list_keeps_its_order() {
        let mut list = Intervals::<(), u64>::default();
        for id in 0..1000 {
            list.insert((), (), id);
        }
        assert_eq!(list.remove((), (), 500), Some(500));
        let mut found = Vec::new();
        list.for_each(&mut |id| found.push(*id));
        assert_eq!(found, (0..1000).filter(|id| *id != 500).collect::<Vec<_>>());
    }
}
