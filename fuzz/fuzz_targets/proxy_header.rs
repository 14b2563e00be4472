//! The PROXY protocol's header: the verdict does not depend on how the bytes were cut.
#![no_main]

use kuzzle_plugin_api::sdk::parse_proxy_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = parse_proxy_header(data);
    for end in 0..data.len() {
        match parse_proxy_header(&data[..end]) {
            Ok(None) => {}
            Ok(Some(header)) => {
                assert!(header.length <= end, "no more bytes than there are");
                assert_eq!(whole, Ok(Some(header)), "what follows changes nothing");
                break;
            }
            Err(_) => {
                assert!(whole.is_err(), "what follows makes no header of it");
                break;
            }
        }
    }
});
