//! Which product is asked for how often.

/// How often each of the products is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    /// For each product, the share of choices up to and with it; empty when all are alike.
    up_to: Vec<f64>,
}

/// The exponent of the usual benchmarks: the second product is asked for nearly half as often as
/// the first.
const ZIPF_EXPONENT: f64 = 0.99;

impl Spread {
    /// All alike.
    pub(crate) fn uniform() -> Spread {
        Spread { up_to: Vec::new() }
    }

    /// A few often and most seldom, after Zipf.
    pub(crate) fn zipf(products: usize) -> Spread {
        let weights = (1..=products).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
        let total: f64 = weights.clone().sum();
        let mut sum = 0.0;
        let up_to = weights.map(|weight| {
            sum += weight / total;
            sum
        });
        Spread { up_to: up_to.collect() }
    }

    /// The place of a product below `products`, from evenly scattered bits.
    pub(crate) fn choose(&self, bits: u64, products: usize) -> usize {
        if self.up_to.is_empty() {
            return bits as usize % products;
        }
        // 53 bits are what a float between 0 and 1 has.
        let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        // Rounding may leave the last sum a little below 1.
        self.up_to.partition_point(|up_to| *up_to <= unit).min(products - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_prefers_the_first_and_reaches_the_last() {
        let spread = Spread::zipf(100);
        let mut counts = [0_u32; 100];
        let choices = 100_000_u64;
        for number in 0..choices {
            counts[spread.choose(number * (u64::MAX / choices), 100)] += 1;
        }
        // The sum of the weights is about 5.36.
        assert!((17_000..21_000).contains(&counts[0]), "{counts:?}");
        assert!(counts[0] > counts[1] && counts[1] > counts[9] && counts[99] > 0, "{counts:?}");
        assert_eq!(spread.choose(u64::MAX, 100), 99);
        assert_eq!(Spread::uniform().choose(205, 100), 5);
    }
}
