//! How a metric is declared: its field, its name, its help and its registration in one place.

use super::client_programs::{ClientPrograms, ProgramFamily};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

/// One label of a closed set: its key and its value.
pub(crate) type Label = [(&'static str, &'static str); 1];

/// A label whose values the configuration names, such as the shards.
pub(crate) type NameLabel = [(&'static str, String); 1];

/// Two labels of closed sets.
type LabelPair = [(&'static str, &'static str); 2];

/// A gauge that is no whole number.
pub type FractionGauge = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Declares a struct of metrics that registers itself. The doc comment of a field is the help of its
/// metric. What follows the field's type is a method of [`Registration`].
macro_rules! metrics {
    ($(
        $(#[$doc:meta])*
        $visibility:vis struct $Group:ident {
            $(
                $(#[doc = $help:literal])+
                $scope:vis $field:ident: $Type:ty = $method:ident($($argument:expr),+);
            )+
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        $visibility struct $Group {
            $(
                $(#[doc = $help])+
                $scope $field: $Type,
            )+
        }

        impl $Group {
            /// Makes the metrics, at zero, and adds them to a registry.
            pub(in crate::telemetry) fn register(
                registry: &mut prometheus_client::registry::Registry,
            ) -> Self {
                Self {$(
                    $field: $crate::telemetry::metrics::registration::Registration {
                        registry: &mut *registry,
                        help: concat!($($help),+),
                    }
                    .$method($($argument),+),
                )+}
            }
        }
    )+};
}

pub(crate) use metrics;

/// A metric that is being registered.
pub(crate) struct Registration<'a> {
    pub registry: &'a mut Registry,
    /// The doc comment of its field.
    pub help: &'static str,
}

impl Registration<'_> {
    /// Registers a metric that exists. The registry ends the help with a full stop.
    fn add<M: Metric + Clone>(self, name: &str, metric: M) -> M {
        let help = self.help.trim().trim_end_matches('.');
        self.registry.register(name, help, metric.clone());
        metric
    }

    pub fn named<M: Metric + Clone + Default>(self, name: &str) -> M {
        self.add(name, M::default())
    }

    /// Registers a metric per value of one label, each looked up once.
    pub fn labelled<M: Metric + Clone + Default, const N: usize>(
        self,
        name: &str,
        label: &'static str,
        values: [&'static str; N],
    ) -> [M; N]
    where
        Family<Label, M>: Metric,
    {
        let family = self.add(name, Family::<Label, M>::default());
        values.map(|value| family.get_or_create_owned(&[(label, value)]))
    }

    /// Registers the sessions of each client program.
    pub fn by_program(self, name: &str) -> ClientPrograms {
        ClientPrograms::new(self.add(name, ProgramFamily::default()))
    }

    /// Registers a metric per pair of values of two labels, each looked up once.
    pub fn crossed<M: Metric + Clone + Default, const A: usize, const B: usize>(
        self,
        name: &str,
        (outer, outers): (&'static str, [&'static str; A]),
        (inner, inners): (&'static str, [&'static str; B]),
    ) -> [[M; B]; A]
    where
        Family<LabelPair, M>: Metric,
    {
        let family = self.add(name, Family::<LabelPair, M>::default());
        outers.map(|one| {
            inners.map(|other| family.get_or_create_owned(&[(outer, one), (inner, other)]))
        })
    }
}
