//! Every route of the REST API, as data.
//!
//! Within a verb the first declared route that matches wins. Literals match whatever their case; a parameter (`:name`)
//! takes one whole segment, or what follows a literal beginning (`_:action`).

/// A verb of HTTP that routes are declared for. `HEAD` is served by `GET`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Reads.
    Get,
    /// Creates, or asks with a body.
    Post,
    /// Deletes.
    Delete,
    /// Creates or replaces under a name.
    Put,
}

use Verb::{Delete as DELETE, Get as GET, Post as POST, Put as PUT};

impl Verb {
    /// All of them, in alphabetical order.
    pub(crate) const ALL: [Verb; 4] = [DELETE, GET, POST, PUT];

    /// The verb as HTTP writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            GET => "GET",
            POST => "POST",
            DELETE => "DELETE",
            PUT => "PUT",
        }
    }
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The verb.
    pub(crate) verb: Verb,
    /// The path below [`BASE`], or a whole path when the route is not versioned.
    pub(crate) path: &'static str,
    /// The controller.
    pub(crate) controller: &'static str,
    /// The action, or `:action` where the path names it.
    pub(crate) action: &'static str,
    /// Whether the path is below [`BASE`].
    pub(crate) versioned: bool,
}

/// What versioned paths begin with.
pub(crate) const BASE: &str = "/api/1.0";

const fn route(verb: Verb, path: &'static str, controller: &'static str, action: &'static str) -> Route {
    Route { verb, path, controller, action, versioned: true }
}

const fn unversioned(
    verb: Verb,
    path: &'static str,
    controller: &'static str,
    action: &'static str,
) -> Route {
    Route { verb, path, controller, action, versioned: false }
}

impl Route {
    /// The whole path.
    pub(crate) fn full_path(&self) -> String {
        if self.versioned { format!("{BASE}{}", self.path) } else { self.path.to_owned() }
    }
}

/// The table, in the order of declaration.
#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    unversioned(GET, "/api/_serverInfo", "read", "serverInfo"),
    route(GET, "/_logout", "auth", "logout"),
    route(GET, "/_getLastStats", "admin", "getLastStats"),
    route(GET, "/_getAllStats", "admin", "getAllStats"),
    route(GET, "/_login/:strategy", "auth", "login"),
    route(GET, "/_now", "read", "now"),
    route(GET, "/_listIndexes", "read", "listIndexes"),
    route(GET, "/_listSubscriptions", "subscribe", "list"),
    route(GET, "/roles/:id", "security", "getRole"),
    route(GET, "/profiles/:id", "security", "getProfile"),
    route(GET, "/profiles/:id/_rights", "security", "getProfileRights"),
    route(GET, "/:index/_listCollections", "read", "listCollections"),
    route(GET, "/:index/_listCollections/:type", "read", "listCollections"),
    route(GET, "/:index/:collection/_mapping", "admin", "getMapping"),
    route(GET, "/:index/_autoRefresh", "admin", "getAutoRefresh"),
    route(GET, "/users/_me", "auth", "getCurrentUser"),
    route(GET, "/users/_me/_rights", "auth", "getMyRights"),
    route(GET, "/users/:id", "security", "getUser"),
    route(GET, "/users/:id/_rights", "security", "getUserRights"),
    route(GET, "/ms/_bitpos/:id/:bit", "ms", "bitpos"),
    route(GET, "/ms/_dbsize", "ms", "dbsize"),
    route(GET, "/ms/_dump/:id", "ms", "dump"),
    route(GET, "/ms/_exists/:id", "ms", "exists"),
    route(GET, "/ms/_goedist/:id/:member1/:member2", "ms", "geodist"),
    route(GET, "/ms/_geodist/:id/:member1/:member2", "ms", "geodist"),
    route(GET, "/ms/_geohash/:id/:member", "ms", "geohash"),
    route(GET, "/ms/_geopos/:id/:member", "ms", "geopos"),
    route(GET, "/ms/_georadius/:id", "ms", "georadius"),
    route(GET, "/ms/_georadiusbymember/:id", "ms", "georadiusbymember"),
    route(GET, "/ms/_getbit/:id/:offset", "ms", "getbit"),
    route(GET, "/ms/_getrange/:id/:start/:end", "ms", "getrange"),
    route(GET, "/ms/_hget/:id/:field", "ms", "hget"),
    route(GET, "/ms/_hgetall/:id", "ms", "hgetall"),
    route(GET, "/ms/_hkeys/:id", "ms", "hkeys"),
    route(GET, "/ms/_hlen/:id", "ms", "hlen"),
    route(GET, "/ms/_hmget/:id/:field", "ms", "hmget"),
    route(GET, "/ms/_hstrlen/:id/:field", "ms", "hstrlen"),
    route(GET, "/ms/_hvals/:id", "ms", "hvals"),
    route(GET, "/ms/_info/:section", "ms", "info"),
    route(GET, "/ms/_info", "ms", "info"),
    route(GET, "/ms/_keys/:pattern", "ms", "keys"),
    route(GET, "/ms/_lastsave", "ms", "lastsave"),
    route(GET, "/ms/_lindex/:id/:idx", "ms", "lindex"),
    route(GET, "/ms/_llen/:id", "ms", "llen"),
    route(GET, "/ms/_lrange/:id/:start/:stop", "ms", "lrange"),
    route(GET, "/ms/_mget/:id", "ms", "mget"),
    route(GET, "/ms/_mget", "ms", "mget"),
    route(GET, "/ms/_object", "ms", "object"),
    route(GET, "/ms/_pfcount/:id", "ms", "pfcount"),
    route(GET, "/ms/_pfcount", "ms", "pfcount"),
    route(GET, "/ms/_ping", "ms", "ping"),
    route(GET, "/ms/_pttl/:id", "ms", "pttl"),
    route(GET, "/ms/_randomkey", "ms", "randomkey"),
    route(GET, "/ms/_scard/:id", "ms", "scard"),
    route(GET, "/ms/_sdiff/:id", "ms", "sdiff"),
    route(GET, "/ms/_sinter/:id", "ms", "sinter"),
    route(GET, "/ms/_sismember/:id/:member", "ms", "sismember"),
    route(GET, "/ms/_smembers/:id", "ms", "smembers"),
    route(GET, "/ms/_srandmember/:id/:count", "ms", "srandmember"),
    route(GET, "/ms/_srandmember/:id", "ms", "srandmember"),
    route(GET, "/ms/_strlen/:id", "ms", "strlen"),
    route(GET, "/ms/_time", "ms", "time"),
    route(GET, "/ms/_ttl/:id", "ms", "ttl"),
    route(GET, "/ms/_type/:id", "ms", "type"),
    route(GET, "/ms/_zcard/:id", "ms", "zcard"),
    route(GET, "/ms/_zcount/:id/:min/:max", "ms", "zcount"),
    route(GET, "/ms/_zlexcount/:id/:min/:max", "ms", "zlexcount"),
    route(GET, "/ms/_zrange/:id/:start/:stop", "ms", "zrange"),
    route(GET, "/ms/_zrangebylex/:id/:min/:max", "ms", "zrangebylex"),
    route(GET, "/ms/_zrangebyscore/:id/:min/:max", "ms", "zrangebyscore"),
    route(GET, "/ms/_zrank/:id/:member", "ms", "zrank"),
    route(GET, "/ms/_zrevrange/:id/:start/:stop", "ms", "zrevrange"),
    route(GET, "/ms/_zrevrangebylex/:id/:min/:max", "ms", "zrevrangebylex"),
    route(GET, "/ms/_zrevrangebyscore/:id/:max/:min", "ms", "zrevrangebyscore"),
    route(GET, "/ms/_zrevrank/:id/:member", "ms", "zrevrank"),
    route(GET, "/ms/_zscore/:id/:member", "ms", "zscore"),
    route(GET, "/ms/:id", "ms", "get"),
    route(GET, "/:index/:collection/:id", "read", "get"),
    route(POST, "/_bulk", "bulk", "import"),
    route(POST, "/_getStats", "admin", "getStats"),
    route(POST, "/roles/_search", "security", "searchRoles"),
    route(POST, "/roles/_mget", "security", "mGetRoles"),
    route(POST, "/roles/_create", "security", "createRole"),
    route(POST, "/roles/:id", "security", "updateRole"),
    route(POST, "/profiles/_search", "security", "searchProfiles"),
    route(POST, "/profiles/_mget", "security", "mGetProfiles"),
    route(POST, "/profiles/_create", "security", "createProfile"),
    route(POST, "/profiles/:id", "security", "updateProfile"),
    route(POST, "/users/_search", "security", "searchUsers"),
    route(POST, "/users/_create", "security", "createUser"),
    route(POST, "/users/:id", "security", "updateUser"),
    route(POST, "/_login", "auth", "login"),
    route(POST, "/_checkToken", "auth", "checkToken"),
    route(POST, "/_login/:strategy", "auth", "login"),
    route(POST, "/ms/_append/:id", "ms", "append"),
    route(POST, "/ms/_bgrewriteaof", "ms", "bgrewriteaof"),
    route(POST, "/ms/_bgsave", "ms", "bgsave"),
    route(POST, "/ms/_bitop/:operation/:destkey/:key", "ms", "bitop"),
    route(POST, "/ms/_bitop/:operation/:destkey", "ms", "bitop"),
    route(POST, "/ms/_blpop", "ms", "blpop"),
    route(POST, "/ms/_blpop/:id", "ms", "blpop"),
    route(POST, "/ms/_brpop", "ms", "brpop"),
    route(POST, "/ms/_brpop/:id", "ms", "brpop"),
    route(POST, "/ms/_brpoplpush", "ms", "brpoplpush"),
    route(POST, "/ms/_decr/:id", "ms", "decr"),
    route(POST, "/ms/_decrby/:id", "ms", "decrby"),
    route(POST, "/ms/_discard", "ms", "discard"),
    route(POST, "/ms/_exec", "ms", "exec"),
    route(POST, "/ms/_expire/:id", "ms", "expire"),
    route(POST, "/ms/_expireat/:id", "ms", "expireat"),
    route(POST, "/ms/_flushdb", "ms", "flushdb"),
    route(POST, "/ms/_geoadd/:id", "ms", "geoadd"),
    route(POST, "/ms/_getset/:id", "ms", "getset"),
    route(POST, "/ms/_hincrby/:id", "ms", "hincrby"),
    route(POST, "/ms/_hincrbyfloat/:id", "ms", "hincrbyfloat"),
    route(POST, "/ms/_hmset/:id", "ms", "hmset"),
    route(POST, "/ms/_hset/:id", "ms", "hset"),
    route(POST, "/ms/_hsetnx/:id", "ms", "hsetnx"),
    route(POST, "/ms/_incr/:id", "ms", "incr"),
    route(POST, "/ms/_incrby/:id", "ms", "incrby"),
    route(POST, "/ms/_incrbyfloat/:id", "ms", "incrbyfloat"),
    route(POST, "/ms/_linsert/:id", "ms", "linsert"),
    route(POST, "/ms/_lpop/:id", "ms", "lpop"),
    route(POST, "/ms/_lpush/:id", "ms", "lpush"),
    route(POST, "/ms/_lpushx/:id", "ms", "lpushx"),
    route(POST, "/ms/_lset/:id", "ms", "lset"),
    route(POST, "/ms/_ltrim/:id", "ms", "ltrim"),
    route(POST, "/ms/_mset/:id", "ms", "mset"),
    route(POST, "/ms/_mset", "ms", "mset"),
    route(POST, "/ms/_msetnx", "ms", "msetnx"),
    route(POST, "/ms/_multi", "ms", "multi"),
    route(POST, "/ms/_persist/:id", "ms", "persist"),
    route(POST, "/ms/_pexpire/:id", "ms", "pexpire"),
    route(POST, "/ms/_pexpireat/:id", "ms", "pexpireat"),
    route(POST, "/ms/_pfadd/:id", "ms", "pfadd"),
    route(POST, "/ms/_pfmerge", "ms", "pfmerge"),
    route(POST, "/ms/_psetex/:id", "ms", "psetex"),
    route(POST, "/ms/_psetex", "ms", "psetex"),
    route(POST, "/ms/_publish/:channel", "ms", "publish"),
    route(POST, "/ms/_rename/:id", "ms", "rename"),
    route(POST, "/ms/_renamenx/:id", "ms", "renamenx"),
    route(POST, "/ms/_restore/:id", "ms", "restore"),
    route(POST, "/ms/_rpop/:id", "ms", "rpop"),
    route(POST, "/ms/_rpoplpush", "ms", "rpoplpush"),
    route(POST, "/ms/_rpush/:id", "ms", "rpush"),
    route(POST, "/ms/_rpushx/:id", "ms", "rpushx"),
    route(POST, "/ms/_sadd/:id", "ms", "sadd"),
    route(POST, "/ms/_save", "ms", "save"),
    route(POST, "/ms/_sdiffstore/:id", "ms", "sdiffstore"),
    route(POST, "/ms/_sdiffstore", "ms", "sdiffstore"),
    route(POST, "/ms/_setbit/:id", "ms", "setbit"),
    route(POST, "/ms/_setex/:id", "ms", "setex"),
    route(POST, "/ms/_setnx/:id", "ms", "setnx"),
    route(POST, "/ms/_setrange/:id", "ms", "setrange"),
    route(POST, "/ms/_sinterstore/:id", "ms", "sinterstore"),
    route(POST, "/ms/_smove/:id", "ms", "smove"),
    route(POST, "/ms/_smove", "ms", "smove"),
    route(POST, "/ms/_sort/:id", "ms", "sort"),
    route(POST, "/ms/_spop/:id", "ms", "spop"),
    route(POST, "/ms/_sunion/:id", "ms", "sunion"),
    route(POST, "/ms/_sunionstore/:id", "ms", "sunionstore"),
    route(POST, "/ms/_zadd/:id", "ms", "zadd"),
    route(POST, "/ms/_zincrby/:id", "ms", "zincrby"),
    route(POST, "/ms/_zinterstore", "ms", "zinterstore"),
    route(POST, "/ms/_zunionstore", "ms", "zunionstore"),
    route(POST, "/ms/:id", "ms", "set"),
    route(POST, "/:index/_bulk", "bulk", "import"),
    route(POST, "/:index/_refresh", "admin", "refreshIndex"),
    route(POST, "/:index/_autoRefresh", "admin", "setAutoRefresh"),
    route(POST, "/:index/:collection/_bulk", "bulk", "import"),
    route(POST, "/:index/:collection/_search", "read", "search"),
    route(POST, "/:index/:collection/_count", "read", "count"),
    route(POST, "/:index/:collection/_create", "write", "create"),
    route(POST, "/:index/:collection", "write", "publish"),
    route(DELETE, "/_deleteIndexes", "admin", "deleteIndexes"),
    route(DELETE, "/roles/:id", "security", "deleteRole"),
    route(DELETE, "/profiles/:id", "security", "deleteProfile"),
    route(DELETE, "/users/:id", "security", "deleteUser"),
    route(DELETE, "/ms/_hdel/:id", "ms", "hdel"),
    route(DELETE, "/ms/_lrem/:id", "ms", "lrem"),
    route(DELETE, "/ms/_srem/:id", "ms", "srem"),
    route(DELETE, "/ms/_zrem/:id", "ms", "zrem"),
    route(DELETE, "/ms/_zremrangebylex/:id", "ms", "zremrangebylex"),
    route(DELETE, "/ms/_zremrangebyscore/:id", "ms", "zremrangebyscore"),
    route(DELETE, "/ms/:id", "ms", "del"),
    route(DELETE, "/ms", "ms", "del"),
    route(DELETE, "/:index", "admin", "deleteIndex"),
    route(DELETE, "/:index/:collection/_query", "write", "deleteByQuery"),
    route(DELETE, "/:index/:collection/_truncate", "admin", "truncateCollection"),
    route(DELETE, "/:index/:collection/:id", "write", "delete"),
    route(PUT, "/roles/:id", "security", "createOrReplaceRole"),
    route(PUT, "/roles/:id/_createOrReplace", "security", "createOrReplaceRole"),
    route(PUT, "/profiles/:id", "security", "createOrReplaceProfile"),
    route(PUT, "/profiles/:id/_createOrReplace", "security", "createOrReplaceProfile"),
    route(PUT, "/users/:id", "security", "createOrReplaceUser"),
    route(PUT, "/_updateSelf", "auth", "updateSelf"),
    route(PUT, "/:index", "admin", "createIndex"),
    route(PUT, "/:index/:collection", "write", "createCollection"),
    route(PUT, "/:index/:collection/_mapping", "admin", "updateMapping"),
    route(PUT, "/:index/:collection/:id/_:action", "write", ":action"),
    route(PUT, "/:index/:collection/:id", "write", "createOrReplace"),
];
