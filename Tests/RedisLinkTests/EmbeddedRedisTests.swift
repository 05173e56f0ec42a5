import EventLoop
import Glibc
import Logging
import TestSupport
import Testing

@testable import EmbeddedRedis
@testable import RedisLink

/// One loop with an embedded Redis on it.
private final class House {
    let loop: EventLoop
    let redis: EmbeddedRedis
    private(set) var readiness: Result<RedisEndpoint, EmbeddedRedisError>?

    init(_ directory: String, executable: String = "redis-server") throws {
        loop = try EventLoop()
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        redis = EmbeddedRedis(loop: loop, directory: directory, executable: executable, logger: logger)
    }

    func run(_ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: (@escaping () -> Void) -> Void)
    {
        loop.run(what, sourceLocation: sourceLocation, body)
    }

    func start() -> Result<RedisEndpoint, EmbeddedRedisError>? {
        run("ready") { done in
            redis.start { [unowned self] in
                #expect(readiness == nil)
                readiness = $0
                done()
            }
        }
        return readiness
    }

    func stop(within limit: Duration = .seconds(10)) {
        run("stopped") { redis.stop(within: limit, done: $0) }
    }

    /// Sends one command over a link of its own.
    func call(_ words: String...) -> Result<RedisReply, RedisFault>? {
        var settings = LinkSettings()
        settings.timeout = .seconds(10)
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let link = RedisLink(
            host: LinkHost(loop: loop), endpoint: redis.endpoint, settings: settings, scripts: [], logger: logger)
        link.start()
        var result: Result<RedisReply, RedisFault>?
        run(words.joined(separator: " ")) { done in
            link.send(RedisCommand(words.map { Array($0.utf8) }), repeatable: false) {
                result = $0
                done()
            }
        }
        link.close()
        return result
    }
}

@Suite("The embedded Redis")
struct EmbeddedRedisTests {
    @Test("it starts with its settings, and ends")
    func startsAndEnds() throws {
        let folder = try TemporaryFolder()
        let house = try House(folder.path + "/state")
        #expect(try house.start()?.get().description == folder.path + "/state/redis/redis.sock")
        var status = stat()
        #expect(lstat(folder.path + "/state/redis", &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(lstat(folder.path + "/state/redis/redis.sock", &status) == 0 && status.st_mode & 0o777 == 0o600)
        for (name, value) in [
            ("appendonly", "yes"), ("appendfsync", "everysec"), ("save", ""), ("maxmemory-policy", "noeviction"),
            ("port", "0"),
        ] {
            #expect(house.call("CONFIG", "GET", name) == .success(.array([.text(name), .text(value)])))
        }
        let processID = try #require(house.redis.processID)
        #expect(getpgid(processID) == processID)
        house.stop()
        #expect(kill(processID, 0) != 0 && errno == ESRCH)
        #expect(house.redis.processID == nil)
    }

    @Test("a killed server is started again with its data")
    func killedServer() throws {
        let folder = try TemporaryFolder()
        let house = try House(folder.path)
        _ = house.start()
        #expect(house.call("SET", "a", "1") == .success(.status("OK")))
        let first = try #require(house.redis.processID)
        kill(first, SIGKILL)
        let ticker = Ticker(loop: house.loop)
        house.run("restart") { done in
            ticker.until({ house.redis.restarts == 1 && house.redis.processID != nil }, done)
        }
        #expect(house.redis.processID != first)
        let bench = try Bench(house.redis.endpoint) { $0.timeout = .seconds(10) }
        bench.waitReady()
        #expect(bench.call("GET", "a") == .success(.text("1")))
        house.stop()
    }

    @Test("one left over from a crash is ended, and its data are there again")
    func leftOver() throws {
        let folder = try TemporaryFolder()
        // What a daemon that was killed leaves behind: a server, and no lock.
        let before = try RedisFolder(stateDirectory: folder.path)
        let program = try #require(findExecutable("redis-server"))
        let orphan = try before.spawn(executable: program, appendFsync: .always)
        before.note(processID: orphan)
        defer {
            kill(orphan, SIGKILL)
            waitpid(orphan, nil, 0)
        }
        let bench = try Bench(.unix(path: before.socketRoute)) { $0.timeout = .seconds(10) }
        bench.waitReady()
        #expect(bench.call("SET", "a", "1") == .success(.status("OK")))
        #expect(before.leftOvers() == [orphan])
        try #require(throws: EmbeddedRedisError.inUse(path: folder.path + "/redis")) {
            try RedisFolder(stateDirectory: folder.path)
        }
        flock(before.lock, LOCK_UN)

        let house = try House(folder.path)
        #expect(house.start() == .success(house.redis.endpoint))
        #expect(house.redis.processID != orphan)
        #expect(house.call("GET", "a") == .success(.text("1")))
        house.stop()
    }

    @Test("strangers are not taken for left-overs")
    func strangers() throws {
        let folder = try TemporaryFolder()
        let held = try RedisFolder(stateDirectory: folder.path)
        // A number that was given to somebody else since, this very process's parent for one.
        held.note(processID: getppid())
        #expect(held.leftOvers().isEmpty)
    }

    @Test("two daemons never share a state directory")
    func twoDaemons() throws {
        let folder = try TemporaryFolder()
        let first = try House(folder.path)
        _ = first.start()
        let second = try House(folder.path)
        #expect(second.start() == .failure(.inUse(path: folder.path + "/redis")))
        #expect(first.call("PING") == .success(.status("PONG")))
        first.stop()
        let third = try House(folder.path)
        #expect(third.start() == .success(third.redis.endpoint))
        third.stop()
    }

    @Test("a missing program is an error that says what to install")
    func missingProgram() throws {
        let folder = try TemporaryFolder()
        let house = try House(folder.path, executable: "no-such-redis-server")
        guard case .failure(let error)? = house.start() else { return #expect(Bool(false)) }
        #expect(error.description.contains("install the package redis-server"))
    }

    @Test("a program that keeps failing is quoted")
    func failingProgram() throws {
        let folder = try TemporaryFolder()
        let script = folder.path + "/broken"
        let text = "#!/bin/sh\necho disk on fire\nexit 3\n"
        // A program that somebody has open for writing cannot be run: no child of another test may inherit it.
        let file = open(script, O_WRONLY | O_CREAT | O_CLOEXEC, 0o700)
        _ = Glibc.write(file, text, text.utf8.count)
        close(file)
        let house = try House(folder.path, executable: script)
        guard case .failure(.keepsFailing(let end, let lines))? = house.start() else { return #expect(Bool(false)) }
        #expect(end == "exit status 3")
        #expect(lines.last == "disk on fire")
    }

    @Test("a long state directory is reached by a short way")
    func longStateDirectory() throws {
        let folder = try TemporaryFolder()
        let long = folder.path + "/" + String(repeating: "d", count: 120)
        let house = try House(long)
        guard case .success? = house.start() else { return #expect(Bool(false)) }
        #expect(house.call("PING") == .success(.status("PONG")))
        house.stop()
    }

    @Test("a server that ignores SIGTERM is killed")
    func ignoresTerm() throws {
        let folder = try TemporaryFolder()
        let house = try House(folder.path)
        _ = house.start()
        let processID = try #require(house.redis.processID)
        kill(processID, SIGSTOP)
        house.stop(within: .milliseconds(100))
        #expect(kill(processID, 0) != 0)
    }

    @Test("it may be stopped before it is ready")
    func stopBeforeReady() throws {
        let folder = try TemporaryFolder()
        let house = try House(folder.path)
        house.redis.start { #expect($0 == .failure(.stopped)) }
        house.stop()
    }

    @Test("an owner that goes away leaves nothing behind")
    func ownerGoesAway() throws {
        let folder = try TemporaryFolder()
        var house: House? = try House(folder.path)
        _ = house?.start()
        let processID = try #require(house?.redis.processID)
        house = nil
        #expect(kill(processID, 0) != 0)
    }
}

/// Looks at a condition every few milliseconds, for what announces itself by no event.
private final class Ticker {
    private let loop: EventLoop
    private var timer: LoopTimer?

    init(loop: EventLoop) {
        self.loop = loop
    }

    func until(_ condition: @escaping () -> Bool, _ done: @escaping () -> Void) {
        timer = loop.makeTimer { [unowned self] in
            if condition() { done() } else { timer?.start(after: .milliseconds(2)) }
        }
        timer?.start(after: .zero)
    }
}
