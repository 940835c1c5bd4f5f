//! How orders are distributed over products.

use clap::ValueEnum;

/// How often each product is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Distribution {
    /// All products equally often
    Uniform,
    /// A few products often and most seldom
    Zipf,
}

impl Distribution {
    /// Its name on the command line and in the report.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Distribution::Uniform => "uniform",
            Distribution::Zipf => "zipf",
        }
    }
}

/// Picks products by a [`Distribution`].
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    /// For each product, the cumulative share of choices; empty when the distribution is uniform.
    cumulative: Vec<f64>,
}

/// The exponent that benchmarks usually take: the second product is ordered about half as often as
/// the first.
const ZIPF_EXPONENT: f64 = 0.99;

impl Sampler {
    /// A sampler for this many products, at least one.
    pub(crate) fn new(distribution: Distribution, products: usize) -> Sampler {
        match distribution {
            Distribution::Uniform => Sampler::uniform(),
            Distribution::Zipf => Sampler::zipf(products),
        }
    }

    fn uniform() -> Sampler {
        Sampler { cumulative: Vec::new() }
    }

    fn zipf(products: usize) -> Sampler {
        let weights = (1..=products).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
        let total: f64 = weights.clone().sum();
        let mut sum = 0.0;
        let cumulative = weights.map(|weight| {
            sum += weight / total;
            sum
        });
        Sampler { cumulative: cumulative.collect() }
    }

    /// Picks an index below `products` from evenly distributed `bits`.
    pub(crate) fn choose(&self, bits: u64, products: usize) -> usize {
        if self.cumulative.is_empty() {
            return bits as usize % products;
        }
        // A float between 0 and 1 has 53 bits.
        let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        // Rounding may leave the last sum a little below 1.
        self.cumulative.partition_point(|cumulative| *cumulative <= unit).min(products - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_prefers_the_first_and_reaches_the_last() {
        let sampler = Sampler::zipf(100);
        let mut counts = [0_u32; 100];
        let choices = 100_000_u64;
        for number in 0..choices {
            counts[sampler.choose(number * (u64::MAX / choices), 100)] += 1;
        }
        // The sum of the weights is about 5.36.
        assert!((17_000..21_000).contains(&counts[0]), "{counts:?}");
        assert!(counts[0] > counts[1] && counts[1] > counts[9] && counts[99] > 0, "{counts:?}");
        assert_eq!(sampler.choose(u64::MAX, 100), 99);
        assert_eq!(Sampler::uniform().choose(205, 100), 5);
    }
}
