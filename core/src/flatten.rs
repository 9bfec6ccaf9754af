//! Settings as MLflow params: any value becomes pairs of dotted keys and texts.
//!
//! Both ways in, [`flatten`] for types with `Serialize` and [`from_debug`] for the others, build the same small tree,
//! and one renderer writes it, so a type is recorded alike whichever way it is read.

mod debug;
mod python;
mod serialize;

use serde::Serialize;

pub use debug::from_debug;
#[cfg(feature = "file")]
pub(crate) use python::float_in;
pub use python::{float as python_float, float32 as python_float32};

use crate::error::{Error, Result};

/// The longest sequence that is written out; longer ones are abbreviated.
pub const SEQUENCE_ITEMS_MAX: usize = 20;

/// The key of a value that has no fields.
pub const ROOT_KEY: &str = "value";

/// The leading items that an abbreviated sequence shows.
const ABBREVIATED_ITEMS: usize = 3;

/// The settings in `value`, as pairs of a dotted key and a text, in the order of the fields.
///
/// | Rust | pairs |
/// |---|---|
/// | `true`, `1e16`, `0.1_f32`, NaN, -∞ | `True`, `1e+16`, `0.1`, `nan`, `-inf`, as Python writes them |
/// | text, a `char` | itself |
/// | struct, map | `field.inner = text`; the entries of a map are sorted by the text of their key |
/// | map without entries | `{}` |
/// | newtype, `Some` | what is inside |
/// | `None`, `()`, a JSON null | `None` |
/// | enum variant without data, unit struct | its name |
/// | variant with unnamed scalars | `Gaussian(80.0)` |
/// | variant with one unnamed struct or map | its name, and the fields below it |
/// | variant with several unnamed values that are not all scalars | its name, and the values below it, numbered |
/// | variant with fields | its name, and the fields below it |
/// | up to 20 scalars: array, tuple, set, bytes | `[1, 2]`, `['a', 'b']`, `[[1, 2], [3]]` |
/// | more scalars | `[0, 1, 2, ..., 99] (100 items)` |
/// | up to 20 structs or maps | `layers.0.units = 32` |
/// | more structs or maps | `layers = (100 items)`, and the first 20 |
/// | struct without fields, `PhantomData` | nothing |
///
/// The value itself may also be a sequence of pairs of a text and a value, `[("lr", 0.1), ("decay", 0.0)]`: it is taken as
/// fields. Any other value without fields has the key `value`.
///
/// # Errors
/// What the value's own `Serialize` refuses.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Optimizer { lr: f64, nesterov: bool }
/// #[derive(serde::Serialize)]
/// struct Training { epochs: u32, optimizer: Optimizer }
///
/// let config = Training { epochs: 3, optimizer: Optimizer { lr: 1e-5, nesterov: true } };
/// let pairs = runlog_core::flatten(&config)?;
/// let pairs: Vec<_> = pairs.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
/// assert_eq!(pairs, [("epochs", "3"), ("optimizer.lr", "1e-05"), ("optimizer.nesterov", "True")]);
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn flatten<T: Serialize + ?Sized>(value: &T) -> Result<Vec<(String, String)>> {
    flatten_under("", value)
}

/// The same pairs below `key`: a value without fields has that key, a field `lr` has `key.lr`.
///
/// # Errors
/// What the value's own `Serialize` refuses.
pub fn flatten_under<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Vec<(String, String)>> {
    let tree = if key.is_empty() { serialize::root(value) } else { serialize::tree(value) };
    let tree = tree.map_err(|refusal| {
        Error::invalid("cannot turn the value into params; its `Serialize` refuses").because(refusal)
    })?;
    Ok(tree.pairs_under(key))
}

/// A value on its way to pairs.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    /// Nothing worth a param: `PhantomData`.
    Absent,
    /// A number or another scalar that needs no quotes, or a name.
    Text(String),
    /// A string of the user's.
    Quoted(String),
    /// Unnamed items behind the name of a variant.
    Tuple(String, Vec<Self>),
    /// Fields; those of a variant carry its name.
    Fields(Option<String>, Vec<(String, Self)>),
    /// A sequence.
    Sequence(Items),
}

/// A sequence, of which only what can be shown is kept: weights may be among the settings.
#[derive(Clone, Debug, Default, PartialEq)]
struct Items {
    /// The first [`SEQUENCE_ITEMS_MAX`].
    first: Vec<Tree>,
    /// The last one, if it is not among the first.
    last: Option<Box<Tree>>,
    count: usize,
}

impl Items {
    fn push(&mut self, item: Tree) {
        self.count += 1;
        if self.first.len() < SEQUENCE_ITEMS_MAX {
            self.first.push(item);
        } else {
            self.last = Some(Box::new(item));
        }
    }
}

impl Tree {
    /// A text and what belongs to it, as `("lr", 0.1)` is.
    fn as_pair(&self) -> Option<(String, Self)> {
        let Self::Sequence(Items { first, last: None, .. }) = self else { return None };
        match first.as_slice() {
            [Self::Quoted(key), value] => Some((key.clone(), value.clone())),
            _ => None,
        }
    }

    /// Whether it fits into one text.
    fn is_scalar(&self) -> bool {
        match self {
            Self::Absent | Self::Text(_) | Self::Quoted(_) => true,
            Self::Tuple(_, items) => items.iter().all(Self::is_scalar),
            Self::Fields(..) => false,
            Self::Sequence(items) => items.first.iter().all(Self::is_scalar),
        }
    }

    fn pairs_under(&self, key: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        self.write(&mut key.to_owned(), &mut pairs);
        pairs
    }

    /// Writes the pairs of this node, whose own key is `path`; `path` is as before when it returns.
    fn write(&self, path: &mut String, pairs: &mut Vec<(String, String)>) {
        let own_key = |path: &str| if path.is_empty() { ROOT_KEY.to_owned() } else { path.to_owned() };
        match self {
            Self::Absent => {}
            // Of a root without fields there is nothing to say.
            Self::Fields(None, fields) if fields.is_empty() && !path.is_empty() => {
                pairs.push((path.clone(), self.text()));
            }
            Self::Fields(name, fields) => {
                if let Some(name) = name {
                    pairs.push((own_key(path), name.clone()));
                }
                for (key, value) in fields {
                    value.write_below(key, path, pairs);
                }
            }
            Self::Tuple(name, items) if !self.is_scalar() => {
                pairs.push((own_key(path), name.clone()));
                match items.as_slice() {
                    [only] => only.write(path, pairs),
                    items => {
                        for (place, item) in items.iter().enumerate() {
                            item.write_below(&place.to_string(), path, pairs);
                        }
                    }
                }
            }
            Self::Sequence(items) if !self.is_scalar() => {
                if items.last.is_some() {
                    pairs.push((own_key(path), format!("({} items)", items.count)));
                }
                for (place, item) in items.first.iter().enumerate() {
                    item.write_below(&place.to_string(), path, pairs);
                }
            }
            Self::Text(_) | Self::Quoted(_) | Self::Tuple(..) | Self::Sequence(_) => {
                pairs.push((own_key(path), self.text()));
            }
        }
    }

    fn write_below(&self, key: &str, path: &mut String, pairs: &mut Vec<(String, String)>) {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(key);
        self.write(path, pairs);
        path.truncate(length);
    }

    /// The node as one text that stands alone.
    fn text(&self) -> String {
        match self {
            Self::Quoted(text) => text.clone(),
            other => other.inline(),
        }
    }

    /// The node as one text among others.
    fn inline(&self) -> String {
        match self {
            Self::Absent => "None".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Quoted(text) => python::quoted(text),
            Self::Tuple(name, items) => format!("{name}({})", join(items)),
            Self::Sequence(Items { first, last: None, .. }) => format!("[{}]", join(first)),
            Self::Sequence(Items { first, last: Some(last), count }) => {
                let shown = join(&first[..ABBREVIATED_ITEMS.min(first.len())]);
                format!("[{shown}, ..., {}] ({count} items)", last.inline())
            }
            Self::Fields(name, fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(key, value)| format!("{key}: {}", value.inline())).collect();
                format!("{}{{{}}}", name.as_deref().unwrap_or_default(), fields.join(", "))
            }
        }
    }
}

fn join(items: &[Tree]) -> String {
    items.iter().map(Tree::inline).collect::<Vec<_>>().join(", ")
}

fn bool_text(value: bool) -> Tree {
    Tree::Text(if value { "True" } else { "False" }.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::marker::PhantomData;

    use serde::Serialize;

    use super::*;

    fn shown(pairs: Vec<(String, String)>) -> Vec<String> {
        pairs.into_iter().map(|(key, text)| format!("{key} = {text}")).collect()
    }

    /// Checks both ways in against the same pairs.
    fn check<T: Serialize + std::fmt::Debug>(value: &T, expect: &[&str]) {
        assert_eq!(shown(flatten(value).unwrap()), expect, "by Serialize");
        assert_eq!(shown(from_debug(&format!("{value:?}"))), expect, "by {value:?}");
        assert_eq!(shown(from_debug(&format!("{value:#?}"))), expect, "by {value:#?}");
    }

    #[derive(Debug, Serialize)]
    struct Layer {
        units: u32,
        dropout: Option<f32>,
    }

    #[derive(Debug, Serialize)]
    enum Kernel {
        Linear,
        Gaussian(f64),
        Polynomial(f64, u8),
        Nested(Layer),
    }

    #[derive(Debug, Serialize)]
    struct Everything {
        lr: f64,
        nesterov: bool,
        name: String,
        letter: char,
        seed: Option<u64>,
        first: Kernel,
        second: Kernel,
        third: Kernel,
        layer: Layer,
        betas: (f32, f32),
        empty: Vec<u8>,
        layers: Vec<Layer>,
        nothing: (),
        phantom: PhantomData<String>,
    }

    #[test]
    fn a_config_is_the_same_by_serialize_and_by_debug() {
        check(
            &Everything {
                lr: 1e-5,
                nesterov: true,
                name: "a \"b\", {c}\n".to_owned(),
                letter: ',',
                seed: None,
                first: Kernel::Linear,
                second: Kernel::Gaussian(80.0),
                third: Kernel::Polynomial(1.0, 2),
                layer: Layer { units: 32, dropout: Some(0.1) },
                betas: (0.9, 0.999),
                empty: vec![],
                layers: vec![Layer { units: 1, dropout: None }, Layer { units: 2, dropout: Some(1e16) }],
                nothing: (),
                phantom: PhantomData,
            },
            &[
                "lr = 1e-05",
                "nesterov = True",
                "name = a \"b\", {c}\n",
                "letter = ,",
                "seed = None",
                "first = Linear",
                "second = Gaussian(80.0)",
                "third = Polynomial(1.0, 2)",
                "layer.units = 32",
                "layer.dropout = 0.1",
                "betas = [0.9, 0.999]",
                "empty = []",
                "layers.0.units = 1",
                "layers.0.dropout = None",
                "layers.1.units = 2",
                "layers.1.dropout = 1e+16",
                "nothing = None",
            ],
        );
    }

    #[test]
    fn maps_are_sorted_and_long_sequences_abbreviated() {
        check(&HashMap::from([("b", vec![1, 2]), ("a", vec![])]), &["a = []", "b = [1, 2]"]);
        let items: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        check(&(0..20).collect::<Vec<u8>>(), &[&format!("value = [{}]", items.join(", "))]);
        check(&(0..100).collect::<Vec<u8>>(), &["value = [0, 1, 2, ..., 99] (100 items)"]);
        check(&vec![vec![1.5, 2.0], vec![f64::INFINITY]], &["value = [[1.5, 2.0], [inf]]"]);
    }

    #[test]
    fn a_value_without_fields_has_a_key_too() {
        check(&3, &["value = 3"]);
        check(&-0.5, &["value = -0.5"]);
        check(&"text", &["value = text"]);
        check(&Kernel::Linear, &["value = Linear"]);
        check(&Kernel::Gaussian(f64::NAN), &["value = Gaussian(nan)"]);
        check(&None::<u8>, &["value = None"]);
        check(&(), &["value = None"]);
    }

    #[test]
    fn what_only_serialize_tells_is_kept() {
        #[derive(Serialize)]
        struct Wrapper(f64);
        #[derive(Serialize)]
        struct L2Dist;
        #[derive(Serialize)]
        struct Empty {}
        #[derive(Serialize)]
        enum Optimizer {
            Adam { lr: f64 },
            Chain(Layer, u8),
        }
        #[derive(Serialize)]
        struct Config {
            rate: Wrapper,
            distance: L2Dist,
            empty: Empty,
            optimizer: Optimizer,
            chain: Optimizer,
            kernel: Kernel,
            by_id: HashMap<u8, bool>,
            by_pair: BTreeMap<(u8, char), f32>,
        }
        let config = Config {
            rate: Wrapper(0.5),
            distance: L2Dist,
            empty: Empty {},
            optimizer: Optimizer::Adam { lr: 0.1 },
            chain: Optimizer::Chain(Layer { units: 1, dropout: Some(0.5) }, 2),
            kernel: Kernel::Nested(Layer { units: 4, dropout: None }),
            by_id: HashMap::from([(7, false)]),
            by_pair: BTreeMap::from([((1, 'b'), f32::NEG_INFINITY), ((1, 'a'), 1e-5)]),
        };
        assert_eq!(
            shown(flatten(&config).unwrap()),
            [
                "rate = 0.5",
                "distance = L2Dist",
                "optimizer = Adam",
                "optimizer.lr = 0.1",
                "chain = Chain",
                "chain.0.units = 1",
                "chain.0.dropout = 0.5",
                "chain.1 = 2",
                "kernel = Nested",
                "kernel.units = 4",
                "kernel.dropout = None",
                "by_id.7 = False",
                "by_pair.[1, 'a'] = 1e-05",
                "by_pair.[1, 'b'] = -inf",
            ]
        );
    }

    #[test]
    fn texts_are_quoted_only_among_others_as_in_python() {
        check(&"it's", &["value = it's"]);
        check(&("a", 'b', "it's", 1, None::<u8>), &["value = ['a', 'b', \"it's\", 1, None]"]);
        check(&vec![Kernel::Linear], &["value = [Linear]"]);
        check(&HashMap::from([("a b", vec!["x"])]), &["a b = ['x']"]);
    }

    #[test]
    fn pairs_are_fields_where_nothing_else_can_be_meant() {
        assert_eq!(shown(flatten(&[("lr", 0.1), ("decay", 0.0)]).unwrap()), ["lr = 0.1", "decay = 0.0"]);
        assert_eq!(
            shown(flatten(&(("lr", 0.1), ("sizes", [1, 2]))).unwrap()),
            ["lr = 0.1", "sizes = [1, 2]"]
        );
        let many: Vec<_> = (0..100).map(|number| (number.to_string(), number)).collect();
        assert_eq!(flatten(&many).unwrap().len(), 100);
        assert_eq!(shown(flatten(&[(1, 2)]).unwrap()), ["value = [[1, 2]]"]);
        assert_eq!(shown(flatten_under("pairs", &[("lr", 0.1)]).unwrap()), ["pairs = [['lr', 0.1]]"]);
    }

    #[test]
    fn what_is_empty_is_told_below_a_key_and_nothing_is_made_of_an_empty_root() {
        let empty = BTreeMap::<String, u8>::new();
        check(&empty, &[]);
        check(&BTreeMap::from([("map", empty)]), &["map = {}"]);
        check(&Vec::<u8>::new(), &["value = []"]);
        check(&PhantomData::<u8>, &[]);
    }

    #[test]
    fn many_structs_are_counted_and_the_first_of_them_told() {
        let layers: Vec<_> = (0..21).map(|units| Layer { units, dropout: None }).collect();
        let pairs = flatten_under("layers", &layers).unwrap();
        assert_eq!(pairs.len(), 1 + 2 * SEQUENCE_ITEMS_MAX);
        assert_eq!(pairs[0].1, "(21 items)");
        assert_eq!(pairs[39], ("layers.19.units".to_owned(), "19".to_owned()));
    }

    #[test]
    fn bytes_are_a_sequence_of_numbers() {
        struct Bytes(&'static [u8]);
        impl Serialize for Bytes {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        assert_eq!(shown(flatten(&Bytes(b"ab")).unwrap()), ["value = [97, 98]"]);
        assert_eq!(shown(flatten(&Bytes(&[7; 100])).unwrap()), ["value = [7, 7, 7, ..., 7] (100 items)"]);
    }

    #[test]
    fn a_refusing_value_is_an_error_not_a_panic() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("the lock is poisoned"))
            }
        }
        let error = flatten(&Refuses).unwrap_err();
        assert!(format!("{error:#}").ends_with("the lock is poisoned"), "{error:#}");
    }
}
