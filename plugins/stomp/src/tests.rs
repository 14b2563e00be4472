//! The plugin on a fake host, called directly and through the proxy.
