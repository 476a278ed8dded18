//! Files of the content store: a record that is read is written as the same bytes.
#![cfg_attr(fuzzing, no_main)]

use peerwork_store::fuzzing;

peerwork_fuzz::target!(|data: &[u8]| {
    fuzzing::segment(data);
    fuzzing::pins_log(data);
});
