internal import RedisLink

/// The Lua scripts, embedded in the binary. Each file's header says keys, arguments and reply.
enum SessionScripts {
    /// `commit.lua`, allowed on a full Redis: rotation, confirmation, limits, data that is taken, the end of a session.
    static let commit = script("commit", PackageResources.commit_lua, flags: "flags=allow-oom")
    /// `commit.lua` for what needs memory: new sessions, logins, data.
    static let store = script("store", PackageResources.commit_lua, flags: "")
    static let touch = script("touch", PackageResources.touch_lua, flags: "flags=allow-oom")
    static let enter = script("enter", PackageResources.enter_lua, flags: "")
    /// `enter` and `store` in one, where the session and its subject's index stand on one server.
    static let admit = script(
        "admit",
        function("enter", PackageResources.enter_lua) + function("commit", PackageResources.commit_lua)
            + PackageResources.admit_lua, flags: "")
    static let tidy = script("tidy", PackageResources.tidy_lua, flags: "flags=allow-oom")

    static let note = script("note", PackageResources.note_lua, flags: "flags=allow-oom")
    static let spend = script("spend", PackageResources.spend_lua, flags: "")

    static let epoch = script("epoch", PackageResources.epoch_lua, flags: "flags=allow-oom")
    static let sweep = script("sweep", PackageResources.sweep_lua, flags: "flags=allow-oom")

    static let lease = script("lease", PackageResources.lease_lua, flags: "flags=allow-oom")

    static let mark = script("mark", PackageResources.mark_lua, flags: "")

    static let all = [commit, store, touch, enter, admit, tidy, note, spend, epoch, sweep, lease, mark]

    /// The first line makes Redis 7 check the flags before it runs anything.
    private static func script(_ name: String, _ body: [UInt8], flags: String) -> RedisScript {
        RedisScript(name: name, source: Array("#!lua \(flags)\n".utf8) + body)
    }

    /// A script as a function of another.
    private static func function(_ name: String, _ body: [UInt8]) -> [UInt8] {
        Array("local function \(name)(KEYS, ARGV)\n".utf8) + body + Array("\nend\n".utf8)
    }
}
