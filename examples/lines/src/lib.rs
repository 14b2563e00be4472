//! Lines of JSON over TCP: one request a line in, one response a line out, notifications as lines.

mod allocator;
mod lines;

// A plugin may have any allocator: nothing that crosses to the host is freed by another than made it.
#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

kuzzle_plugin_api::export_plugin!(lines::Lines, name = "lines", label = "lines");
