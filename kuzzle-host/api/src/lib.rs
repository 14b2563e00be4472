//! Controllers and actions: the one place that orders check, act and notify.
