//! Compares the messages that crates write by hand with the schemas in `proto/peer`.
//!
//! Development only. A crate's test loads a file and calls [`Schema::check`] for each message and
//! [`Schema::check_enum`] for each enumeration; both panic with the name of what differs. The structs
//! stay hand-written, so that no build waits for a compiler of schemas.

use std::{fmt::Debug, path::Path};

use prost::Message;
use protox::prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    UnknownField, Value,
};

/// The compiled schemas of one file.
#[derive(Debug)]
pub struct Schema {
    pool: DescriptorPool,
    package: String,
    unread: Vec<String>,
}

impl Schema {
    /// Compiles a file of `proto/peer`.
    ///
    /// # Panics
    /// When the file is missing or wrong.
    #[must_use]
    pub fn load(file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/peer");
        let files = protox::compile([file], [folder]);
        let files = files.unwrap_or_else(|error| panic!("{file}: {error}"));
        let pool = DescriptorPool::from_file_descriptor_set(files)
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let package = pool
            .files()
            .next()
            .map(|file| file.package_name().to_owned());
        Self {
            pool,
            package: package.unwrap_or_default(),
            unread: Vec::new(),
        }
    }

    /// Names fields (`Message.field`) that this project neither reads nor writes.
    ///
    /// # Panics
    /// When the schema has no such field.
    #[must_use]
    pub fn without(mut self, fields: &[&str]) -> Self {
        for field in fields {
            let (message, name) = field.split_once('.').unwrap_or((field, ""));
            let known = self.message(message).get_field_by_name(name);
            assert!(known.is_some(), "no field {field}");
            self.unread.push(format!("{}.{field}", self.package));
        }
        self
    }

    /// Compares a struct with a message of the schema. `full` has every field set. The schema has to
    /// know all of its fields, the struct has to keep every field of the schema, and texts have to be
    /// texts on both sides.
    ///
    /// # Panics
    /// When the struct and the schema differ.
    pub fn check<M: Message + Default>(&self, message: &str, full: &M) {
        let descriptor = self.message(message);
        let known = decode(&descriptor, &full.encode_to_vec());
        let unknown: Vec<_> = known.unknown_fields().map(UnknownField::number).collect();
        assert!(
            unknown.is_empty(),
            "{message}: no fields {unknown:?} in the schema"
        );
        for field in self.fields(&descriptor) {
            let name = field.full_name();
            let one_of_many = field
                .containing_oneof()
                .is_some_and(|group| !group.is_synthetic());
            assert!(
                one_of_many || known.has_field(&field),
                "{name}: not set in the struct"
            );
            for sample in self.samples(&field) {
                survives::<M>(&descriptor, &field, sample);
            }
            if field.kind() == Kind::String {
                refuses_other_bytes::<M>(&field);
            }
        }
    }

    /// Compares an enumeration with the schema: the same numbers, and the same names.
    ///
    /// # Panics
    /// When the enumeration and the schema differ.
    pub fn check_enum<E: TryFrom<i32> + Debug>(&self, name: &str) {
        let full_name = format!("{}.{name}", self.package);
        let descriptor = self.pool.get_enum_by_name(&full_name);
        let descriptor = descriptor.unwrap_or_else(|| panic!("no enumeration {full_name}"));
        let highest = descriptor.values().map(|value| value.number()).max();
        for number in -1..=highest.unwrap_or_default() + 1 {
            let here = E::try_from(number)
                .ok()
                .map(|value| upper_snake(&format!("{value:?}")));
            let there = descriptor
                .get_value(number)
                .map(|value| value.name().to_owned());
            assert_eq!(here, there, "{full_name} {number}");
        }
    }

    fn message(&self, name: &str) -> MessageDescriptor {
        let full_name = format!("{}.{name}", self.package);
        let message = self.pool.get_message_by_name(&full_name);
        message.unwrap_or_else(|| panic!("no message {full_name}"))
    }

    /// The fields that this project uses.
    fn fields(&self, message: &MessageDescriptor) -> Vec<FieldDescriptor> {
        let used =
            |field: &FieldDescriptor| !self.unread.iter().any(|name| name == field.full_name());
        message.fields().filter(used).collect()
    }

    /// Values of a field that differ from its default; of an enumeration all values.
    fn samples(&self, field: &FieldDescriptor) -> Vec<Value> {
        let values: Vec<_> = match field.kind() {
            Kind::Bool => vec![Value::Bool(true)],
            Kind::Int32 => vec![Value::I32(1), Value::I32(i32::MIN)],
            Kind::Int64 => vec![Value::I64(1), Value::I64(i64::MIN)],
            Kind::Uint32 => vec![Value::U32(1), Value::U32(u32::MAX)],
            Kind::Uint64 => vec![Value::U64(1), Value::U64(u64::MAX)],
            Kind::Float => vec![Value::F32(1.5)],
            Kind::String => vec![Value::String("text".to_owned())],
            Kind::Bytes => vec![Value::Bytes(vec![0xff, 0x00].into())],
            Kind::Enum(values) => {
                let numbers = values.values().map(|value| value.number());
                let set = numbers.filter(|number| *number != 0 || field.supports_presence());
                set.map(Value::EnumNumber).collect()
            }
            Kind::Message(message) => vec![Value::Message(self.sample(&message))],
            other => panic!("{}: no samples of {other:?}", field.full_name()),
        };
        match field.cardinality() {
            Cardinality::Repeated => vec![Value::List([values.clone(), values].concat())],
            Cardinality::Optional | Cardinality::Required => values,
        }
    }

    /// A message with all fields set; of a group of alternatives the last one is set.
    fn sample(&self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in self.fields(descriptor) {
            let sample = self.samples(&field).pop();
            let sample = sample.unwrap_or_else(|| panic!("{}: no sample", field.full_name()));
            message.set_field(&field, sample);
        }
        message
    }
}

/// Asserts that the struct returns a field unchanged.
fn survives<M: Message + Default>(
    descriptor: &MessageDescriptor,
    field: &FieldDescriptor,
    sample: Value,
) {
    let name = field.full_name();
    let mut original = DynamicMessage::new(descriptor.clone());
    original.set_field(field, sample.clone());
    let read = M::decode(original.encode_to_vec().as_slice());
    let read = read.unwrap_or_else(|error| panic!("{name}: the struct refuses it: {error}"));
    let again = decode(descriptor, &read.encode_to_vec());
    assert!(again.has_field(field), "{name}: the struct loses it");
    assert_eq!(
        *again.get_field(field),
        sample,
        "{name}: the struct changes it"
    );
}

/// Asserts that the struct refuses bytes that are no text in a text field.
fn refuses_other_bytes<M: Message + Default>(field: &FieldDescriptor) {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(
        field.number(),
        prost::encoding::WireType::LengthDelimited,
        &mut bytes,
    );
    bytes.extend([1, 0xff]);
    let read = M::decode(bytes.as_slice());
    assert!(
        read.is_err(),
        "{}: not a text in the struct",
        field.full_name()
    );
}

fn decode(descriptor: &MessageDescriptor, bytes: &[u8]) -> DynamicMessage {
    let message = DynamicMessage::decode(descriptor.clone(), bytes);
    message.unwrap_or_else(|error| panic!("{}: {error}", descriptor.full_name()))
}

/// `FinAck` as schemas write it: `FIN_ACK`.
fn upper_snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Right {
        #[prost(bytes = "vec", tag = "1")]
        node: Vec<u8>,
        #[prost(string, tag = "2")]
        address: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct OneMore {
        #[prost(bytes = "vec", tag = "1")]
        node: Vec<u8>,
        #[prost(string, tag = "2")]
        address: String,
        #[prost(uint32, tag = "3")]
        port: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    struct OtherType {
        #[prost(bytes = "vec", tag = "1")]
        node: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        address: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct OneLess {
        #[prost(bytes = "vec", tag = "1")]
        node: Vec<u8>,
    }

    fn check(full: &(impl Message + Default)) {
        Schema::load("directory.proto").check("RelayHeld", full);
    }

    #[test]
    fn a_struct_that_agrees_passes() {
        check(&Right {
            node: vec![1],
            address: "a".into(),
        });
    }

    #[test]
    #[should_panic(expected = "no fields [3]")]
    fn a_field_that_the_schema_lacks_is_found() {
        check(&OneMore {
            node: vec![1],
            address: "a".into(),
            port: 1,
        });
    }

    #[test]
    #[should_panic(expected = "not a text")]
    fn a_field_of_another_type_is_found() {
        check(&OtherType {
            node: vec![1],
            address: vec![1],
        });
    }

    #[test]
    #[should_panic(expected = "not set")]
    fn a_field_that_the_struct_lacks_is_found() {
        check(&OneLess { node: vec![1] });
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    enum Kind {
        Http = 0,
        Udp = 1,
    }

    #[test]
    #[should_panic(expected = "UDP")]
    fn a_value_of_another_name_is_found() {
        Schema::load("tunnel.proto").check_enum::<Kind>("Kind");
    }
}
