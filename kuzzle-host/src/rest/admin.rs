//! The page for operators, and the files that it is made of. They are part of the program, so that the page works without any
//! network but the server itself.

/// A file that is served as it is.
pub(super) struct StaticFile {
    path: &'static str,
    /// Its `Content-Type`.
    pub(super) media_type: &'static str,
    /// All of it.
    pub(super) text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: [StaticFile; 6] = [
    StaticFile { path: "/_admin", media_type: HTML, text: include_str!("admin/admin.html") },
    StaticFile { path: "/_admin/admin.css", media_type: CSS, text: include_str!("admin/admin.css") },
    StaticFile { path: "/_admin/admin.js", media_type: SCRIPT, text: include_str!("admin/admin.js") },
    StaticFile { path: "/_admin/dom.js", media_type: SCRIPT, text: include_str!("admin/dom.js") },
    StaticFile { path: "/_admin/views.js", media_type: SCRIPT, text: include_str!("admin/views.js") },
    StaticFile { path: "/_admin/queue.js", media_type: SCRIPT, text: include_str!("admin/queue.js") },
];

/// The file of a path, which has no slash at its end.
pub(super) fn file(path: &str) -> Option<&'static StaticFile> {
    FILES.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would need the network, or what the page's own policy forbids.
    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_no_script_stands_in_it() {
        for file in &FILES {
            for foreign in ["https://", "//cdn", "@import", "eval(", "innerHTML", "document.write"] {
                assert!(!file.text.contains(foreign), "{}: {foreign}", file.path);
            }
        }
        let page = file("/_admin").unwrap().text;
        for forbidden in ["<script>", "<style", " style=", " onclick="] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(file("/_admin/").is_none() && file("/_admin/nothing.js").is_none());
    }
}
