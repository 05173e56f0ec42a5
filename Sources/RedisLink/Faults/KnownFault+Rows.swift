extension KnownFault {
    /// Every row, in the order of the manual.
    public static let all = [
        unreachable, lost, endedAtOnce, speaksTLS, tlsUnanswered, tlsWrongName, tlsExpired, tlsNotYetValid,
        tlsUntrusted, tlsCertificateRequired, tlsCertificateRefused, tlsFailed, timeout, silent, loading, busy,
        outOfMemory, cannotSave, protectedMode, readOnly, masterDown, noReplicas, unacknowledged, otherMaster,
        unconfirmed, noMajority, noMap, noPassword, wrongPassword, noPasswordGiven, noPermission, noScriptPermission,
        unknownCommand, tooOld, otherServer, moving, moved, maxClients, cluster, clusterDown, notReachedYet, closed,
        overloaded, scriptLost, scriptRefused, scriptFailed, refused, notAReply, unexpected, firstCommands, noDatabase,
        wrongType,
        late, unconfirmedEnd, partlyProclaimed, subjectTooBusy,
        sessionTooBusy, recordTooNew, recordDamaged, internalFault,
    ]

    static let unreachable = KnownFault(
        "Redis is out of reach", detail: ": …", means: "nobody listens there, no route, no rights to its socket",
        remedy: "is Redis running? is `redis.url` right? may the daemon's user write to its socket?")
    static let lost = KnownFault(
        "the connection to Redis was lost", means: "it ended while the question was under way",
        remedy: "usually over by itself; Redis's log says why, if it ended")
    static let endedAtOnce = KnownFault(
        "Redis ended the connection before its first answer",
        means: "its port wants TLS, or a proxy has nobody behind it",
        remedy: "does the port speak TLS? then `redis.url` begins with `rediss://`; Redis's log says more")
    static let speaksTLS = KnownFault(
        "Redis's port speaks TLS", means: "`redis.url` has no TLS", remedy: "write `rediss://` in `redis.url`")
    static let tlsUnanswered = KnownFault(
        "no TLS handshake with Redis", means: "the port does not speak TLS, or was silent for too long",
        remedy: "is it Redis's `tls-port`? a port without TLS has an address with `redis://`")
    static let tlsWrongName = KnownFault(
        "the TLS certificate of Redis is for another name", detail: ": for redis.example, not for 10.0.0.5",
        means: "the host in `redis.url` is not among the names of the certificate",
        remedy: "write the certificate's name in `redis.url`, or in `redis.tls-server-name`")
    static let tlsExpired = KnownFault(
        "the TLS certificate of Redis has expired", means: "or one of those that signed it",
        remedy: "renew it at Redis; is this host's clock right?")
    static let tlsNotYetValid = KnownFault(
        "the TLS certificate of Redis is not valid yet", means: "its time begins later, by this host's clock",
        remedy: "is this host's clock right? (chrony, systemd-timesyncd)")
    static let tlsUntrusted = KnownFault(
        "the TLS certificate of Redis is signed by nobody trusted here", detail: ": self-signed certificate",
        means: "its authority is not among those of this host, or of `redis.tls-ca-cert-file`",
        remedy: "name the file of the authority that signed it in `redis.tls-ca-cert-file`")
    static let tlsCertificateRequired = KnownFault(
        "Redis asks for a TLS client certificate", means: "`tls-auth-clients yes`, and none is configured",
        remedy: "give `redis.tls-cert-file` and `redis.tls-key-file`, or set `tls-auth-clients no` at Redis")
    static let tlsCertificateRefused = KnownFault(
        "Redis refuses the TLS client certificate", detail: ": tlsv1 alert unknown ca",
        means: "it has expired, or Redis's `tls-ca-cert-file` does not know who signed it",
        remedy: "compare `redis.tls-cert-file` with Redis's `tls-ca-cert-file`; Redis's log says more")
    static let tlsFailed = KnownFault(
        "TLS to Redis failed", detail: ": …",
        means: "no version or cipher in common; or, where it worked before, bytes that were changed on the way",
        remedy: "`openssl s_client -connect host:port` shows the same; TLS 1.2 is the least")
    public static let timeout = KnownFault(
        "Redis did not answer in time", means: "no answer within `redis.timeout` (250ms)",
        remedy:
            "a slow disk, a long command, a busy host? `redis-cli --latency` and `SLOWLOG GET` at Redis show it; raise "
            + "`redis.timeout` only together with the time-outs of the workers")
    static let silent = KnownFault(
        "Redis does not answer", means: "the connection was silent for too long and was closed",
        remedy: "does Redis hang, or drop the network its packets? `redis-cli ping` from this host")
    static let loading = KnownFault(
        "Redis is loading its data", means: "it has just been started", remedy: "wait; Redis's log says how far it is")
    static let busy = KnownFault(
        "Redis is busy with a long script", means: "a script of somebody else blocks it",
        remedy: "find whose script it is and make it shorter; the daemon never kills it, `redis-cli SCRIPT KILL` does")
    static let outOfMemory = KnownFault(
        "Redis has reached its memory limit",
        means: "`maxmemory`; ISSUE, LOGIN and SET are refused, validation and logout go on",
        remedy: "raise `maxmemory` at Redis, give it less to keep besides, or shorten `session.idle`")
    static let cannotSave = KnownFault(
        "Redis refuses writes because it cannot save to disk", means: "MISCONF",
        remedy: "is Redis's disk full, or its folder gone or not writable? Redis's log names the file")
    static let protectedMode = KnownFault(
        "Redis is in protected mode", means: "it has no password and takes no client from another host",
        remedy: "give it a user with a password (conf/redis-users.acl), or use its Unix socket")
    static let readOnly = KnownFault(
        "Redis is a read-only replica", means: "`redis.url` leads to a replica, or the master was demoted",
        remedy: "point `redis.url` to the master")
    static let masterDown = KnownFault(
        "Redis is a replica and has lost its master", means: "MASTERDOWN",
        remedy: "point `redis.url` to the master, or bring the master back")
    static let wrongType = KnownFault(
        "a key holds something of another type (WRONGTYPE)",
        means: "something else than a daemon wrote under the prefix",
        remedy: "give the site a `redis.prefix` of its own; `TYPE` at Redis shows what the key is")
    static let noReplicas = KnownFault(
        "Redis has too few replicas to accept writes", means: "`min-replicas-to-write`",
        remedy: "bring the replicas back, or lower `min-replicas-to-write` at Redis")
    static let unacknowledged = KnownFault(
        "too few replicas have the change", detail: ": 1 of 2",
        means: "fewer than `redis.wait-replicas` had it in time; it stands at the master",
        remedy: "are the replicas running and in step (`INFO replication` at Redis)? or lower `redis.wait-replicas`")
    static let otherMaster = KnownFault(
        "the Sentinels name another master", means: "a failover is under way: Redis before it is left at once",
        remedy: "nothing: the new master is used as soon as most Sentinels name it; if they do not agree, "
            + "`redis-cli -p 26379 SENTINEL MASTERS` at each")
    static let unconfirmed = KnownFault(
        "the Sentinels do not confirm that Redis is still the master",
        means: "fewer than half of them answered within 2 s, and not all replicas are in step "
            + "(`redis.sentinel-quorum: require`)",
        remedy:
            "are the Sentinels running, and can this host reach them? the log names those that do not answer")
    static let noMajority = KnownFault(
        "no majority of the Sentinels names a master",
        means: "too few answer, they do not agree, or none knows a master of that name",
        remedy: "are the Sentinels running? is the name at the end of `redis.url` the one in sentinel.conf?")
    static let noMap = KnownFault(
        "no server of the cluster is reached", means: "none of those in `redis.url` tells of a cluster",
        remedy:
            "are they running, with `cluster-enabled yes`? is the cluster made? may the daemon's user run `CLUSTER NODES`?"
    )
    static let noPassword = KnownFault(
        "Redis asks for a password (NOAUTH)", means: "the daemon has none, or the user was taken away",
        remedy: "give user and password: `redis.url`, and `redis.password-file` or `redis.password-command`")
    static let wrongPassword = KnownFault(
        "Redis refuses user or password", detail: " (WRONGPASS)", means: "one of them is wrong, or the user is off",
        remedy:
            "compare `redis.url`, and what `redis.password-file` or `redis.password-command` gives, with `ACL LIST` at Redis"
    )
    public static let noPasswordGiven = KnownFault(
        "redis.password-command gives no password", detail: ": exit status 1",
        means: "the program fails, hangs, or writes nothing or too much",
        remedy:
            "run it by hand as the daemon's user: what it writes to standard error is not kept; it is tried again by itself"
    )
    static let noPermission = KnownFault(
        "the Redis user lacks a permission", detail: " (NOPERM)", means: "its ACL misses a command or a key",
        remedy: "give it the rule in conf/redis-users.acl; `ACL LOG` at Redis names what was refused")
    static let noScriptPermission = KnownFault(
        "the Redis user lacks a permission or has no password", means: "the same, inside a script",
        remedy: "give it the rule in conf/redis-users.acl; `ACL LOG` at Redis names what was refused")
    static let unknownCommand = KnownFault(
        "Redis does not know a command that the daemon needs",
        means: "it was renamed or switched off (`rename-command`), or something else than Redis answers",
        remedy: "take `rename-command` for it out of redis.conf and restart Redis; take rights away by its ACL instead")
    static let tooOld = KnownFault(
        "Redis is too old", detail: ": 6.0.16, and 7.0 is the least", means: "the scripts use what Redis 7.0 brought",
        remedy: "update Redis to 7.0 or newer")
    static let otherServer = KnownFault(
        "the server lacks what the daemon needs", detail: ": KeyDB 6.3.4; Redis 7.0 or Valkey 7.2 is needed",
        means: "KeyDB, Dragonfly, Kvrocks or Garnet answers: no flags for scripts, or no tracking by prefix",
        remedy: "let `redis.url` lead to Redis 7.0, Valkey 7.2 or newer")
    static let moving = KnownFault(
        "the data of this Redis is being moved", detail: " to redis://10.0.0.5:6379",
        means:
            "`tokencachectl migrate` carries it there, and its mark stands here: the key `d:moved` under the prefix; not all is "
            + "there yet",
        remedy:
            "wait until `tokencachectl migrate` says that all is there; was it ended before? go on with `--resume`, or do what "
            + "it said under `To undo`, and last `redis-cli -c DEL` of that key")
    static let moved = KnownFault(
        "the data of this Redis has moved", detail: " to redis://10.0.0.5:6379",
        means:
            "`tokencachectl migrate` has carried it there, and has left its mark here: the key `d:moved` under the prefix",
        remedy:
            "write the new address in `redis.url` and restart; was the move given up? what it said under `To undo`, and last "
            + "`redis-cli -c DEL` of that key")
    static let maxClients = KnownFault(
        "Redis has reached its limit of clients", means: "its `maxclients`",
        remedy: "raise `maxclients` at Redis, or find who keeps so many connections: `CLIENT LIST`")
    static let cluster = KnownFault(
        "Redis is a cluster node and refuses", detail: " (MOVED)",
        means: "`redis.url` names one server of a cluster; or, with `cluster://`, a slot's owner was not found in time",
        remedy: "write `cluster://host:port,…` in `redis.url`; if it is so, `redis-cli --cluster check`")
    static let clusterDown = KnownFault(
        "the Redis cluster is down (CLUSTERDOWN)",
        means: "a node of a cluster that is cut off, or not all slots have a master",
        remedy: "mend the cluster: `redis-cli --cluster check`")
    public static let notReachedYet = KnownFault(
        "Redis has not been reached yet", means: "Redis was not reached since the start",
        remedy: "is Redis running? is `redis.url` right? the log has the reason")
    static let closed = KnownFault(
        "the link to Redis is closed", means: "the daemon is about to end", remedy: "nothing; it was told to end")
    static let overloaded = KnownFault(
        "too many requests wait for Redis", means: "65,536 requests or 64 MiB wait",
        remedy: "Redis is slower than the load: `redis-cli --latency`, more daemons do not help")
    static let scriptLost = KnownFault(
        "Redis does not keep its scripts", means: "a script was loaded, and gone again at once",
        remedy: "who runs `SCRIPT FLUSH` all the time? is there a proxy between?")
    static let scriptRefused = KnownFault(
        "Redis refuses the script", detail: " commit", means: "it could not be loaded",
        remedy: "Redis 7.0 or newer is needed; is there a proxy between, or something that is not Redis?")
    static let scriptFailed = KnownFault(
        "a Redis script failed", detail: " (ERR)", means: "something unusual is in the way of scripts",
        remedy: "Redis's log; is there a proxy between? who else writes below `redis.prefix`?")
    static let refused = KnownFault(
        "Redis refused the command", detail: " (ERR)", means: "in words that no row of this table is for",
        remedy: "send the same by hand: `redis-cli` with the daemon's user; Redis's log")
    static let notAReply = KnownFault(
        "Redis sent something that is not a reply", means: "what listens there speaks another protocol",
        remedy: "is `redis.url` right? does that port want TLS?")
    public static let unexpected = KnownFault(
        "Redis answered in a form that is not understood", means: "a reply that no Redis gives",
        remedy: "is there a proxy between, or something that is not Redis?")
    static let firstCommands = KnownFault(
        "Redis answered the connection's first commands unexpectedly", means: "the same, as soon as it was connected",
        remedy: "is there a proxy between, or something that is not Redis?")
    static let noDatabase = KnownFault(
        "Redis refuses the database number", means: "the number at the end of `redis.url`",
        remedy: "leave it out, or raise `databases` in redis.conf; a cluster has only 0")
    public static let late = KnownFault(
        "Redis was reached too late, nothing was changed",
        means: "a command waited so long that its script refused to act",
        remedy: "as for \"Redis did not answer in time\"; did Redis's clock jump?")
    public static let unconfirmedEnd = KnownFault(
        "the end of this session was asked for, and Redis has not confirmed it",
        means: "a REVOKE, LOGIN or ROTATE went without an answer", remedy: "log out again once Redis answers")
    public static let partlyProclaimed = KnownFault(
        "everyone is logged out, and not all servers know it yet", detail: ": 1 of 3, …",
        means: "a master was away when REVOKEEVERYONE came; daemons tell it when it is there again",
        remedy:
            "bring the master back; what is left of sessions is swept when REVOKEEVERYONE is repeated, or goes by itself"
    )
    public static let subjectTooBusy = KnownFault(
        "the subject's sessions change faster than they could be ended",
        means: "somebody logs in all the time while REVOKEALL runs", remedy: "repeat it")
    public static let sessionTooBusy = KnownFault(
        "the session is being changed faster than this request could follow", means: "32 changes came first",
        remedy: "hardly ever; report it")
    static let recordTooNew = KnownFault(
        "a session record has version", detail: " 9, this daemon reads up to 2", means: "a newer daemon wrote it",
        remedy: "update this daemon")
    static let recordDamaged = KnownFault(
        "a session record is damaged in field", detail: " …", means: "somebody else wrote to the key",
        remedy: "who writes below `redis.prefix`? REVOKE does not help; delete the key")
    static let internalFault = KnownFault(
        "an internal fault", detail: ": …", means: "a mistake of the daemon's", remedy: "report it, with the log")
}
