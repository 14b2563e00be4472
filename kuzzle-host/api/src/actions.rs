//! Every controller and action of the API, as data.

mod admin;
mod arguments;
mod broker;
mod bulk;
mod read;
mod server;
mod server_info;
mod write;

pub(crate) use broker::tables;
use kuzzle_model::Request;

use crate::Origin;
use crate::api::Core;
use crate::step::Step;

/// One action of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionName {
    /// The controller's name.
    pub controller: &'static str,
    /// The action's name.
    pub action: &'static str,
    /// Whether this version answers it; if not, it is answered 501.
    pub built: bool,
}

/// Returns every action of the API, by controller; those of a controller with two names come under both.
pub fn actions() -> impl Iterator<Item = ActionName> {
    CONTROLLERS.iter().flat_map(|controller| {
        controller.names.iter().flat_map(|name| {
            controller.actions.iter().map(|action| ActionName {
                controller: name,
                action: action.name,
                built: action.run.is_some(),
            })
        })
    })
}

/// What the table says of a controller and an action.
pub(crate) enum Lookup {
    Built(Run),
    NotYet,
    Unknown,
}

/// Starts an action.
pub(crate) type Run = fn(&Core, Request, &Origin) -> Step;

pub(crate) fn find(controller: &str, action: &str) -> Lookup {
    let actions =
        CONTROLLERS.iter().find(|entry| entry.names.contains(&controller)).map(|entry| entry.actions);
    match actions.and_then(|actions| actions.iter().find(|entry| entry.name == action)) {
        Some(Action { run: Some(run), .. }) => Lookup::Built(*run),
        Some(Action { run: None, .. }) => Lookup::NotYet,
        None => Lookup::Unknown,
    }
}

/// Tells whether a controller is for those who run the server, and not for every client.
pub(crate) fn is_for_operators(controller: &str) -> bool {
    OPERATORS.contains(&controller)
}

/// Controllers that manage the server itself.
const OPERATORS: [&str; 2] = ["broker", "server"];

struct Controller {
    names: &'static [&'static str],
    actions: &'static [Action],
}

struct Action {
    name: &'static str,
    run: Option<Run>,
}

const fn built(name: &'static str, run: Run) -> Action {
    Action { name, run: Some(run) }
}

/// An action that belongs to the API and is answered 501 until it is built.
const fn not_yet(name: &'static str) -> Action {
    Action { name, run: None }
}

static CONTROLLERS: &[Controller] = &[
    Controller {
        names: &["write"],
        actions: &[
            built("create", write::create),
            built("createOrReplace", write::create_or_replace),
            built("replace", write::replace),
            built("update", write::update),
            built("delete", write::delete),
            built("deleteByQuery", write::delete_by_query),
            built("createCollection", write::create_collection),
            not_yet("publish"),
        ],
    },
    Controller {
        names: &["read"],
        actions: &[
            built("get", read::get),
            built("search", read::search),
            built("count", read::count),
            built("listCollections", read::list_collections),
            built("listIndexes", read::list_indexes),
            built("now", read::now),
            built("serverInfo", server_info::server_info),
        ],
    },
    Controller {
        names: &["subscribe"],
        actions: &[not_yet("on"), not_yet("join"), not_yet("off"), not_yet("count"), not_yet("list")],
    },
    Controller {
        names: &["broker"],
        actions: &[
            built("overview", broker::overview),
            built("listConnections", broker::list_connections),
            built("getConnection", broker::get_connection),
            built("closeConnection", broker::close_connection),
            built("listChannels", broker::list_channels),
            built("listExchanges", broker::list_exchanges),
            built("getExchange", broker::get_exchange),
            built("declareExchange", broker::declare_exchange),
            built("deleteExchange", broker::delete_exchange),
            built("publish", broker::publish),
            built("listQueues", broker::list_queues),
            built("getQueue", broker::get_queue),
            built("declareQueue", broker::declare_queue),
            built("deleteQueue", broker::delete_queue),
            built("purgeQueue", broker::purge_queue),
            built("getMessages", broker::get_messages),
            built("listBindings", broker::list_bindings),
            built("bind", broker::bind),
            built("unbind", broker::unbind),
            built("listConsumers", broker::list_consumers),
            built("listSessions", broker::list_sessions),
            built("getSession", broker::get_session),
            built("deleteSession", broker::delete_session),
            built("exportDefinitions", broker::export_definitions),
            built("importDefinitions", broker::import_definitions),
        ],
    },
    Controller {
        names: &["server"],
        actions: &[
            built("listProtocols", server::list_protocols),
            built("enableProtocol", server::enable_protocol),
            built("disableProtocol", server::disable_protocol),
            built("listProblems", server::list_problems),
            built("exportDocuments", server::export_documents),
            built("backup", server::backup),
        ],
    },
    Controller { names: &["bulk"], actions: &[built("import", bulk::import)] },
    Controller {
        names: &["admin"],
        actions: &[
            built("updateMapping", admin::update_mapping),
            built("getMapping", admin::get_mapping),
            not_yet("getStats"),
            not_yet("getLastStats"),
            not_yet("getAllStats"),
            built("truncateCollection", admin::truncate_collection),
            built("deleteIndexes", admin::delete_indexes),
            built("createIndex", admin::create_index),
            built("deleteIndex", admin::delete_index),
            not_yet("removeRooms"),
            built("refreshIndex", admin::refresh_index),
            built("getAutoRefresh", admin::get_auto_refresh),
            built("setAutoRefresh", admin::set_auto_refresh),
        ],
    },
    Controller {
        names: &["auth"],
        actions: &[
            not_yet("login"),
            not_yet("logout"),
            not_yet("checkToken"),
            not_yet("getCurrentUser"),
            not_yet("getMyRights"),
            not_yet("updateSelf"),
        ],
    },
    Controller {
        names: &["security"],
        actions: &[
            not_yet("getRole"),
            not_yet("mGetRoles"),
            not_yet("searchRoles"),
            not_yet("createRole"),
            not_yet("createOrReplaceRole"),
            not_yet("updateRole"),
            not_yet("deleteRole"),
            not_yet("getProfile"),
            not_yet("getProfileRights"),
            not_yet("mGetProfiles"),
            not_yet("searchProfiles"),
            not_yet("createProfile"),
            not_yet("createOrReplaceProfile"),
            not_yet("updateProfile"),
            not_yet("deleteProfile"),
            not_yet("getUser"),
            not_yet("getUserRights"),
            not_yet("searchUsers"),
            not_yet("createUser"),
            not_yet("createOrReplaceUser"),
            not_yet("updateUser"),
            not_yet("deleteUser"),
        ],
    },
    Controller {
        names: &["ms", "memoryStorage"],
        actions: &[
            not_yet("append"),
            not_yet("bgrewriteaof"),
            not_yet("bgsave"),
            not_yet("bitcount"),
            not_yet("bitop"),
            not_yet("bitpos"),
            not_yet("blpop"),
            not_yet("brpop"),
            not_yet("brpoplpush"),
            not_yet("dbsize"),
            not_yet("decr"),
            not_yet("decrby"),
            not_yet("del"),
            not_yet("discard"),
            not_yet("dump"),
            not_yet("exec"),
            not_yet("exists"),
            not_yet("expire"),
            not_yet("expireat"),
            not_yet("flushdb"),
            not_yet("geoadd"),
            not_yet("geodist"),
            not_yet("geohash"),
            not_yet("geopos"),
            not_yet("georadius"),
            not_yet("georadiusbymember"),
            not_yet("get"),
            not_yet("getbit"),
            not_yet("getrange"),
            not_yet("getset"),
            not_yet("hdel"),
            not_yet("hexists"),
            not_yet("hget"),
            not_yet("hgetall"),
            not_yet("hincrby"),
            not_yet("hincrbyfloat"),
            not_yet("hkeys"),
            not_yet("hlen"),
            not_yet("hmget"),
            not_yet("hmset"),
            not_yet("hset"),
            not_yet("hsetnx"),
            not_yet("hstrlen"),
            not_yet("hvals"),
            not_yet("incr"),
            not_yet("incrby"),
            not_yet("incrbyfloat"),
            not_yet("info"),
            not_yet("keys"),
            not_yet("lastsave"),
            not_yet("lindex"),
            not_yet("linsert"),
            not_yet("llen"),
            not_yet("lpop"),
            not_yet("lpush"),
            not_yet("lpushx"),
            not_yet("lrange"),
            not_yet("lrem"),
            not_yet("lset"),
            not_yet("ltrim"),
            not_yet("mget"),
            not_yet("mset"),
            not_yet("msetnx"),
            not_yet("multi"),
            not_yet("object"),
            not_yet("persist"),
            not_yet("pexpire"),
            not_yet("pexpireat"),
            not_yet("pfadd"),
            not_yet("pfcount"),
            not_yet("pfmerge"),
            not_yet("ping"),
            not_yet("psetex"),
            not_yet("pttl"),
            not_yet("publish"),
            not_yet("randomkey"),
            not_yet("rename"),
            not_yet("renamenx"),
            not_yet("restore"),
            not_yet("rpop"),
            not_yet("rpoplpush"),
            not_yet("rpush"),
            not_yet("rpushx"),
            not_yet("sadd"),
            not_yet("save"),
            not_yet("scard"),
            not_yet("sdiff"),
            not_yet("sdiffstore"),
            not_yet("set"),
            not_yet("setbit"),
            not_yet("setex"),
            not_yet("setnx"),
            not_yet("setrange"),
            not_yet("sinter"),
            not_yet("sinterstore"),
            not_yet("sismember"),
            not_yet("smembers"),
            not_yet("smove"),
            not_yet("sort"),
            not_yet("spop"),
            not_yet("srandmember"),
            not_yet("srem"),
            not_yet("strlen"),
            not_yet("sunion"),
            not_yet("sunionstore"),
            not_yet("time"),
            not_yet("ttl"),
            not_yet("type"),
            not_yet("unwatch"),
            not_yet("wait"),
            not_yet("watch"),
            not_yet("zadd"),
            not_yet("zcard"),
            not_yet("zcount"),
            not_yet("zincrby"),
            not_yet("zinterstore"),
            not_yet("zlexcount"),
            not_yet("zrange"),
            not_yet("zrangebylex"),
            not_yet("zrangebyscore"),
            not_yet("zrank"),
            not_yet("zrem"),
            not_yet("zremrangebylex"),
            not_yet("zremrangebyrank"),
            not_yet("zremrangebyscore"),
            not_yet("zrevrange"),
            not_yet("zrevrangebylex"),
            not_yet("zrevrangebyscore"),
            not_yet("zrevrank"),
            not_yet("zscore"),
            not_yet("zunionstore"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_action_is_listed_twice() {
        let names: Vec<ActionName> = actions().collect();
        let distinct: HashSet<(&str, &str)> =
            names.iter().map(|name| (name.controller, name.action)).collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn both_names_of_memory_storage_have_the_same_actions() {
        let under = |controller: &str| -> Vec<&'static str> {
            actions().filter(|name| name.controller == controller).map(|name| name.action).collect()
        };
        assert_eq!(under("ms"), under("memoryStorage"));
        assert_eq!(under("ms").len(), 131);
    }

    #[test]
    fn names_are_case_sensitive_and_whole() {
        assert!(matches!(find("write", "create"), Lookup::Built(_)));
        assert!(matches!(find("write", "publish"), Lookup::NotYet));
        for (controller, action) in [
            ("Write", "create"),
            ("write", "Create"),
            ("write", "creat"),
            ("write", ""),
            ("", ""),
            ("ms", "flushall"),
        ] {
            assert!(matches!(find(controller, action), Lookup::Unknown), "{controller}.{action}");
        }
    }

    #[test]
    fn lookup_and_list_agree() {
        for name in actions() {
            let built = matches!(find(name.controller, name.action), Lookup::Built(_));
            assert_eq!(built, name.built, "{name:?}");
        }
    }
}
