//! The registry of errors: every error that leaves the process has one row here.

use std::fmt;

use serde_json::Value;

/// Declares the registry: per error an id, a status, a message and a sentence for the manual. Makes from it the
/// variants of [`ErrorId`] and one constructor of [`ApiError`] each, whose arguments are the message's placeholders.
macro_rules! registry {
    ($(
        $variant:ident, $constructor:ident($($argument:ident),*), $status:literal, $id:literal,
        $message:literal, $meaning:literal;
    )*) => {
        /// Names one row of the registry of errors.
        ///
        /// The dotted text of [`ErrorId::as_str`] is stable: it is promised to clients and plugins and never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorId {
            $(
                #[doc = concat!("`", $id, "`, status ", stringify!($status), ": ", $meaning)]
                $variant,
            )*
        }

        impl ErrorId {
            /// Every row, in the order of the registry.
            pub const ALL: &'static [ErrorId] = &[$(ErrorId::$variant),*];

            /// Returns the stable dotted id.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorId::$variant => $id,)* }
            }

            /// Returns the status: an HTTP status code, the same on every protocol.
            pub fn status(self) -> u16 {
                match self { $(ErrorId::$variant => $status,)* }
            }

            /// Returns the message with its placeholders in braces.
            pub fn template(self) -> &'static str {
                match self { $(ErrorId::$variant => $message,)* }
            }

            /// Returns the manual's sentence: what happened and what to do about it.
            pub fn meaning(self) -> &'static str {
                match self { $(ErrorId::$variant => $meaning,)* }
            }
        }

        impl ApiError {
            $(
                #[doc = concat!("Makes an error `", $id, "`. ", $meaning)]
                pub fn $constructor($($argument: impl fmt::Display),*) -> ApiError {
                    ApiError::new(ErrorId::$variant, format!($message))
                }
            )*
        }
    };
}

registry! {
    NotJson, not_json(reason), 400, "api.request.not_json",
    "the request is not valid JSON: {reason}",
    "The message could not be parsed, or nests deeper than 127 levels; the reason names line and column.";

    NotAnObject, not_an_object(found), 400, "api.request.not_an_object",
    "the request must be a JSON object, got {found}",
    "A request message is one JSON object. Over REST the body may also be an array.";

    TooLarge, too_large(found, limit), 413, "api.request.too_large",
    "the request has {found} bytes, at most {limit} are accepted",
    "Split the request, or raise the server's limit on request size.";

    FieldNotText, field_not_text(field, found), 400, "api.request.field_not_text",
    "the request field `{field}` must be a string, got {found}",
    "Names and ids are strings; numbers are accepted and taken as their decimal text.";

    OptionNotText, option_not_text(field, found), 400, "api.request.option_not_text",
    "the request option `{field}` must be a string, got {found}; to store a field of this name, wrap the document in `body`",
    "`state`, `scope` and `users` are options of a subscription wherever they stand at the root of a request.";

    ContentType, content_type(found), 400, "api.request.content_type",
    "Invalid request content-type. Expected \"application/json\", got: \"{found}\"",
    "REST speaks JSON only: send `Content-Type: application/json`, or none.";

    Charset, charset(found), 400, "api.request.charset",
    "Charset of the Request content-type must be utf-8. Expected \"application/json; charset=utf-8\", got: \"{found}\"",
    "JSON is UTF-8: send `charset=utf-8`, or no charset.";

    NoController, no_controller(), 400, "api.request.no_controller",
    "No controller provided for object",
    "The request has no `controller`.";

    NoAction, no_action(), 400, "api.request.no_action",
    "No action provided for object",
    "The request has no `action`.";

    UnknownAction, unknown_action(action, controller), 400, "api.request.unknown_action",
    "No corresponding action {action} in controller {controller}",
    "No such controller or action exists; names are case-sensitive, `read.serverInfo` lists them all.";

    NotBuilt, not_built(action, controller), 501, "api.request.not_built",
    "The action {action} of controller {controller} is not available yet",
    "The action belongs to the API but this version of the server does not answer it yet.";

    Overloaded, overloaded(), 503, "api.request.overloaded",
    "Request discarded: Kuzzle Server is temporarily overloaded",
    "Too many requests wait for an answer, in all or from this client; nothing was done. Try again later.";

    TokenInvalid, token_invalid(), 401, "security.token.invalid",
    "Json Web Token Error",
    "The Bearer token was not issued by this server. Log in again, or send no token to act as the anonymous user.";

    OperatorsOnly, operators_only(controller), 403, "security.operators_only",
    "the controller {controller} is for operators: ask it over REST, or with `kuzzle-host`",
    "The controllers `broker` and `server` manage the server. They are answered over REST alone, and there not to pages of other origins.";

    ArgumentsMissing, arguments_missing(needed), 400, "api.arguments.missing",
    "Unable to build a path with those params. Supply at least {needed}",
    "The action needs an index, a collection (`type`) or a document id (`id`) that the request does not name.";

    BodyEmpty, body_empty(), 400, "api.arguments.body_empty",
    "The body can't be empty",
    "The action stores or publishes a document, and the body is absent, empty or not an object.";

    BodyNotObject, body_not_object(found), 400, "api.arguments.body_not_object",
    "The body must be a JSON object, got {found}",
    "A document is a JSON object; arrays belong to `bulk.import`.";

    IndexesNotArray, indexes_not_array(), 400, "api.arguments.indexes_not_array",
    "The indexes attribute must be an array",
    "`admin.deleteIndexes` takes the names of the indexes to delete in `body.indexes`.";

    CollectionType, collection_type(found), 400, "api.arguments.collection_type",
    "listCollections: unrecognized type argument: \"{found}\"",
    "`type` is `all`, `stored` or `realtime`.";

    ArgumentNeeded, argument_needed(name), 400, "api.arguments.needed",
    "the argument `{name}` is needed",
    "The action needs this argument in the request's body, or over REST in its path or query string.";

    ArgumentInvalid, argument_invalid(name, found, expected), 400, "api.arguments.invalid",
    "the argument `{name}` is {found}, expected {expected}",
    "An argument is of another kind, or out of range.";

    SearchByGet, search_by_get(), 400, "api.arguments.search_by_get",
    "The action _search can't be done with a GET",
    "Search with POST, or name a document other than `_search`.";

    DocumentNotFound, document_not_found(), 404, "documents.document.not_found",
    "Not Found",
    "No document has this id in this collection.";

    DocumentToDeleteNotFound, document_to_delete_not_found(), 400, "documents.document.nothing_to_delete",
    "Not Found",
    "No document has this id in this collection, so nothing was deleted.";

    DocumentToReplaceNotFound, document_to_replace_not_found(id), 404, "documents.document.nothing_to_replace",
    "Document with id {id} not found.",
    "`replace` needs a document of this id; `createOrReplace` does not.";

    DocumentExists, document_exists(reason), 400, "documents.document.already_exists",
    "{reason}",
    "`create` found a document of this id; `createOrReplace` does not mind.";

    DocumentMissing, document_missing(reason), 400, "documents.document.missing",
    "{reason}",
    "`update` needs a document of this id to merge into.";

    DocumentInvalid, document_invalid(reason), 400, "documents.document.invalid",
    "{reason}",
    "The document cannot be stored as it is: it is too large or nests too deep; the message says what and how much.";

    IndexExists, index_exists(reason), 400, "documents.index.already_exists",
    "{reason}",
    "`createIndex` found an index of this name.";

    IndexMissing, index_missing(reason), 400, "documents.index.missing",
    "{reason}",
    "The index does not exist, and only the writing of documents creates one on the way.";

    NameInvalid, name_invalid(reason), 400, "documents.name.invalid",
    "{reason}",
    "No index, collection or document may have this name; the message says which rule it breaks.";

    LimitReached, limit_reached(reason), 400, "documents.limit.reached",
    "{reason}",
    "The store holds as many indexes or collections as it may.";

    Unavailable, unavailable(reason), 503, "documents.store.unavailable",
    "{reason}",
    "The document store takes no writes at the moment, because its disk is full, say. Nothing was stored; reads go on, and writes resume by themselves when the cause is gone.";

    IndexNotFound, index_not_found(reason), 404, "documents.index.not_found",
    "{reason}",
    "The index that was to be read does not exist.";

    SearchInvalid, search_invalid(reason), 400, "documents.search.invalid",
    "{reason}",
    "The search cannot be understood, asks for something that is not supported, or goes beyond a limit; the message names it, its place as a JSON pointer, and what is allowed.";

    SearchNull, search_null(), 400, "documents.search.null",
    "null is not a valid document ID",
    "A deletion by query needs a body; `{}` stands for all documents of the collection.";

    MappingInvalid, mapping_invalid(reason), 400, "documents.mapping.invalid",
    "{reason}",
    "The mapping cannot be understood, or contradicts the one that the collection has; the message names the field.";

    MappingNotFound, mapping_not_found(index), 404, "documents.mapping.not_found",
    "No mapping for index \"{index}\"",
    "The index does not exist, or has no such collection.";

    AutoRefreshMissing, auto_refresh_missing(), 400, "documents.auto_refresh.missing",
    "mandatory parameter \"autoRefresh\" not found.",
    "`admin.setAutoRefresh` takes `true` or `false` in `body.autoRefresh`.";

    AutoRefreshInvalid, auto_refresh_invalid(found), 400, "documents.auto_refresh.invalid",
    "Invalid type for autoRefresh, expected Boolean got {found}",
    "`admin.setAutoRefresh` takes `true` or `false` in `body.autoRefresh`, not a text or a number.";

    BulkMissing, bulk_missing(), 400, "documents.bulk.missing",
    "Bulk import: Parse error: document <body> is missing",
    "`bulk.import` takes an array of lines with at least one in it: an action, then the document where the action has one.";

    BulkInvalid, bulk_invalid(line, reason), 400, "documents.bulk.invalid",
    "Bulk import: Parse error: line {line}: {reason}",
    "A line of an import is not what has to stand there. Lines count from 1; nothing was imported.";

    BulkNoCollection, bulk_no_collection(), 400, "documents.bulk.no_collection",
    "Missing data collection argument",
    "An action of an import names no index or no collection (`_index`, `_type`), and neither does the request; `details.line` has its line. Nothing was imported.";

    ImportedInPart, imported_in_part(), 206, "documents.bulk.imported_in_part",
    "Some errors on bulk",
    "Some actions of an import failed and all others were done; `errors` has each failure with its reason.";

    DeletedInPart, deleted_in_part(), 206, "documents.index.deleted_in_part",
    "Some indexes could not be deleted",
    "`admin.deleteIndexes` deleted some of the indexes; `errors` says which ones are left and why.";

    BrokerNotFound, broker_not_found(reason), 404, "broker.not_found",
    "{reason}",
    "No virtual host, connection, exchange, queue, binding or session of this name exists; the message names what was looked for.";

    BrokerInvalid, broker_invalid(reason), 400, "broker.invalid",
    "{reason}",
    "The broker knows no such kind of exchange, or cannot read a message's properties.";

    BrokerRefused, broker_refused(reason), 403, "broker.access_refused",
    "{reason}",
    "The name is the broker's own, or the exchange takes no messages from clients.";

    BrokerLocked, broker_locked(reason), 409, "broker.locked",
    "{reason}",
    "The queue belongs to a connection; others see it and cannot use it.";

    BrokerPrecondition, broker_precondition(reason), 412, "broker.precondition_failed",
    "{reason}",
    "There is an exchange or queue of this name that is declared otherwise, an argument is not valid, or what should be unused or empty is not; the message says which.";

    BrokerFull, broker_full(reason), 503, "broker.full",
    "{reason}",
    "A queue that refuses more is full, or a limit of the broker is reached. Nothing was done.";

    BrokerUnavailable, broker_unavailable(reason), 503, "broker.unavailable",
    "the change is made but not yet on the disk: {reason}",
    "The broker's journal cannot be written, because its disk is full, say. The change is in force, and is written by itself when the disk allows it; until then a crash loses it.";

    DefinitionsInvalid, definitions_invalid(count), 400, "broker.definitions.invalid",
    "nothing was imported: the definitions have {count} problem(s)",
    "`errors` has each problem with a JSON pointer to its place in the definitions.";

    ProtocolNotFound, protocol_not_found(reason), 404, "server.protocol.not_found",
    "{reason}",
    "The file of the plugins declares no protocol of this name.";

    ProtocolUnchanged, protocol_unchanged(reason), 409, "server.protocol.unchanged",
    "{reason}",
    "The file of the plugins has a mistake or cannot be written, so nothing was switched; the message has each mistake with its place.";

    BackupRefused, backup_refused(reason), 409, "server.backup.refused",
    "{reason}",
    "The directory for the backup is not an absolute path, is there already, or lies within the data directory, or another backup is being made. Nothing was written.";

    BackupFailed, backup_failed(reason), 503, "server.backup.failed",
    "{reason}",
    "The backup could not be written, because the disk is full, say, or what is kept could not be read. What was written of it was removed; the server goes on.";

    Internal, internal(reason), 500, "server.internal",
    "Internal error: {reason}",
    "A fault of the server; its log has more.";
}

/// An error as a client receives it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The row of the registry this error is an instance of.
    pub id: ErrorId,
    /// HTTP status code, the same on every protocol.
    pub status: u16,
    /// What a person reads; old clients compare some of these texts, so they stay as they were.
    pub message: String,
    /// Machine-readable particulars, for example `{"subCode":2}` with an invalid token.
    pub details: Option<Value>,
    /// The parts that failed when the rest of the request was done (status 206); empty otherwise.
    pub errors: Vec<Value>,
}

impl ApiError {
    /// Makes an error of the given row with a message of its own. Prefer the constructors named after the rows, which
    /// fill in the row's message.
    pub fn new(id: ErrorId, message: impl Into<String>) -> ApiError {
        ApiError { id, status: id.status(), message: message.into(), details: None, errors: Vec::new() }
    }

    /// Adds machine-readable particulars.
    pub fn with_details(mut self, details: Value) -> ApiError {
        self.details = Some(details);
        self
    }

    /// Adds the parts that failed.
    pub fn with_errors(mut self, errors: Vec<Value>) -> ApiError {
        self.errors = errors;
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

/// Renders the registry as a Markdown table for the manual: id, status, message, meaning.
pub fn errors_as_markdown() -> String {
    let mut page = String::from("| id | status | message | meaning |\n|---|---|---|---|\n");
    for id in ErrorId::ALL {
        let cells = [
            format!("`{}`", id.as_str()),
            id.status().to_string(),
            format!("`{}`", id.template()),
            id.meaning().to_string(),
        ];
        page.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_dotted_and_lower_case() {
        let ids: HashSet<&str> = ErrorId::ALL.iter().map(|id| id.as_str()).collect();
        assert_eq!(ids.len(), ErrorId::ALL.len());
        for id in ids {
            let parts: Vec<&str> = id.split('.').collect();
            assert!(parts.len() >= 2, "{id}");
            assert!(
                parts.iter().all(|part| !part.is_empty()
                    && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')),
                "{id}"
            );
        }
    }

    #[test]
    fn statuses_are_those_of_the_error_classes() {
        for id in ErrorId::ALL {
            assert!(
                [206, 400, 401, 403, 404, 409, 412, 413, 500, 501, 503, 504].contains(&id.status()),
                "{} has {}",
                id.as_str(),
                id.status()
            );
        }
    }

    #[test]
    fn meanings_are_sentences() {
        for id in ErrorId::ALL {
            assert!(id.meaning().ends_with('.'), "{}", id.as_str());
        }
    }

    #[test]
    fn constructors_fill_the_placeholders() {
        let error = ApiError::unknown_action("fly", "write");
        assert_eq!(error.message, "No corresponding action fly in controller write");
        assert_eq!((error.id, error.status), (ErrorId::UnknownAction, 400));
        assert_eq!(
            ApiError::content_type("text/plain").message,
            "Invalid request content-type. Expected \"application/json\", got: \"text/plain\""
        );
        assert_eq!(
            ErrorId::TooLarge.template(),
            "the request has {found} bytes, at most {limit} are accepted"
        );
    }

    #[test]
    fn markdown_has_a_row_per_error() {
        let page = errors_as_markdown();
        assert_eq!(page.lines().count(), ErrorId::ALL.len() + 2);
        for (line, id) in page.lines().skip(2).zip(ErrorId::ALL) {
            assert!(line.starts_with(&format!("| `{}` | {} | ", id.as_str(), id.status())), "{line}");
            assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
        }
    }
}
