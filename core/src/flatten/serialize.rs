//! The way in for types with `Serialize`: a serializer whose output is a [`Tree`]. It refuses nothing by itself.

use std::fmt;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Items, Tree, bool_text, python};

pub(super) fn tree<T: Serialize + ?Sized>(value: &T) -> Result<Tree, Refusal> {
    value.serialize(TreeSerializer { is_root: false })
}

/// As [`tree`], where pairs of a text and a value are fields.
pub(super) fn root<T: Serialize + ?Sized>(value: &T) -> Result<Tree, Refusal> {
    value.serialize(TreeSerializer { is_root: true })
}

/// What a value's own `Serialize` said when it refused.
#[derive(Debug)]
pub(super) struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl serde::ser::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct TreeSerializer {
    is_root: bool,
}

fn text(value: &impl ToString) -> Tree {
    Tree::Text(value.to_string())
}

impl Serializer for TreeSerializer {
    type Ok = Tree;
    type Error = Refusal;
    type SerializeSeq = Sequence;
    type SerializeTuple = Sequence;
    type SerializeTupleStruct = Sequence;
    type SerializeTupleVariant = TupleVariant;
    type SerializeMap = Map;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    fn serialize_bool(self, value: bool) -> Result<Tree, Refusal> {
        Ok(bool_text(value))
    }
    fn serialize_i8(self, value: i8) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_i16(self, value: i16) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_i32(self, value: i32) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_i64(self, value: i64) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_i128(self, value: i128) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_u8(self, value: u8) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_u16(self, value: u16) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_u32(self, value: u32) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_u64(self, value: u64) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_u128(self, value: u128) -> Result<Tree, Refusal> {
        Ok(text(&value))
    }
    fn serialize_f32(self, value: f32) -> Result<Tree, Refusal> {
        Ok(Tree::Text(python::float32(value)))
    }
    fn serialize_f64(self, value: f64) -> Result<Tree, Refusal> {
        Ok(Tree::Text(python::float(value)))
    }
    fn serialize_char(self, value: char) -> Result<Tree, Refusal> {
        Ok(Tree::Quoted(value.to_string()))
    }
    fn serialize_str(self, value: &str) -> Result<Tree, Refusal> {
        Ok(Tree::Quoted(value.to_owned()))
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Tree, Refusal> {
        let mut items = Items::default();
        for byte in value {
            items.push(Tree::Text(byte.to_string()));
        }
        Ok(Tree::Sequence(items))
    }
    fn serialize_none(self) -> Result<Tree, Refusal> {
        Ok(Tree::Text("None".to_owned()))
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Tree, Refusal> {
        tree(value)
    }
    /// `()`, and what JSON calls null.
    fn serialize_unit(self) -> Result<Tree, Refusal> {
        self.serialize_none()
    }
    fn serialize_unit_struct(self, name: &'static str) -> Result<Tree, Refusal> {
        Ok(if name == "PhantomData" { Tree::Absent } else { Tree::Text(name.to_owned()) })
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Tree, Refusal> {
        Ok(text(&variant))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Tree, Refusal> {
        tree(value)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Tree, Refusal> {
        Ok(Tree::Tuple(variant.to_owned(), vec![tree(value)?]))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Sequence, Refusal> {
        Ok(Sequence::new(self.is_root))
    }
    fn serialize_tuple(self, _: usize) -> Result<Sequence, Refusal> {
        Ok(Sequence::new(self.is_root))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Sequence, Refusal> {
        Ok(Sequence::new(self.is_root))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<TupleVariant, Refusal> {
        Ok(TupleVariant { variant, items: Vec::with_capacity(length) })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Map, Refusal> {
        Ok(Map { key: None, entries: Vec::new() })
    }
    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields, Refusal> {
        Ok(Fields { variant: None, fields: Vec::with_capacity(length) })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Fields, Refusal> {
        Ok(Fields { variant: Some(variant), fields: Vec::with_capacity(length) })
    }
}

struct Sequence {
    items: Items,
    /// What came so far, while it may still be fields.
    pairs: Option<Vec<(String, Tree)>>,
}

impl Sequence {
    fn new(may_be_fields: bool) -> Self {
        Self { items: Items::default(), pairs: may_be_fields.then(Vec::new) }
    }
}

impl SerializeSeq for Sequence {
    type Ok = Tree;
    type Error = Refusal;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let item = tree(value)?;
        match (&mut self.pairs, item.as_pair()) {
            (Some(pairs), Some(pair)) => pairs.push(pair),
            _ => self.pairs = None,
        }
        self.items.push(item);
        Ok(())
    }
    fn end(self) -> Result<Tree, Refusal> {
        Ok(match self.pairs {
            Some(pairs) if !pairs.is_empty() => Tree::Fields(None, pairs),
            _ => Tree::Sequence(self.items),
        })
    }
}

impl SerializeTuple for Sequence {
    type Ok = Tree;
    type Error = Refusal;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Tree, Refusal> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleStruct for Sequence {
    type Ok = Tree;
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Tree, Refusal> {
        SerializeSeq::end(self)
    }
}

struct TupleVariant {
    variant: &'static str,
    items: Vec<Tree>,
}

impl SerializeTupleVariant for TupleVariant {
    type Ok = Tree;
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.items.push(tree(value)?);
        Ok(())
    }
    fn end(self) -> Result<Tree, Refusal> {
        Ok(Tree::Tuple(self.variant.to_owned(), self.items))
    }
}

struct Map {
    key: Option<String>,
    entries: Vec<(String, Tree)>,
}

impl SerializeMap for Map {
    type Ok = Tree;
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.key = Some(tree(key)?.text());
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let key = self.key.take().unwrap_or_default();
        self.entries.push((key, tree(value)?));
        Ok(())
    }
    fn end(mut self) -> Result<Tree, Refusal> {
        self.entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Tree::Fields(None, self.entries))
    }
}

struct Fields {
    variant: Option<&'static str>,
    fields: Vec<(String, Tree)>,
}

impl SerializeStruct for Fields {
    type Ok = Tree;
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.fields.push((key.to_owned(), tree(value)?));
        Ok(())
    }
    fn end(self) -> Result<Tree, Refusal> {
        Ok(match self.variant {
            None if self.fields.is_empty() => Tree::Absent,
            variant => Tree::Fields(variant.map(str::to_owned), self.fields),
        })
    }
}

impl SerializeStructVariant for Fields {
    type Ok = Tree;
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        SerializeStruct::serialize_field(self, key, value)
    }
    fn end(self) -> Result<Tree, Refusal> {
        SerializeStruct::end(self)
    }
}
