//! A walk through a list from its newest element, in steps that a caller may interrupt.

/// Where a walk stands and what it found. Elements have indices; the newest has the highest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The lowest index to look at.
    pub(crate) start: u64,
    /// The indices from here on are done.
    pub(crate) end: u64,
    /// Matching elements to pass over before the first is found.
    pub(crate) skip: u64,
    /// How many elements are wanted.
    pub(crate) wanted: usize,
    /// Elements or blocks of them that may still be looked at.
    pub(crate) steps: usize,
    /// What was found, newest first.
    pub(crate) found: Vec<u64>,
}

impl Scan {
    /// Whether nothing is left to look for.
    pub(crate) fn is_done(&self) -> bool {
        self.end <= self.start || self.found.len() >= self.wanted
    }

    /// Takes a step, unless the walk is done or has taken all its steps.
    pub(crate) fn step(&mut self) -> bool {
        if self.is_done() || self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        true
    }

    /// Passes over the block of `len` elements that ends here when all its `matching` elements are
    /// to be skipped.
    pub(crate) fn skip_block(&mut self, len: u64, matching: u64) -> bool {
        if self.end - self.start < len || matching > self.skip {
            return false;
        }
        self.end -= len;
        self.skip -= matching;
        true
    }

    /// Takes a matching element.
    pub(crate) fn take(&mut self, element: u64) {
        match self.skip {
            0 => self.found.push(element),
            _ => self.skip -= 1,
        }
    }
}
