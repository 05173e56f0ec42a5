import EventLoop
import Glibc
import TestSupport
import Testing
import UnixTime

@testable import RedisLink

/// The rows of docs on reliability that concern one data connection, each on a real redis-server.
@Suite("A link to a real Redis")
struct LiveRedisTests {
    let echo = RedisScript(name: "echo", source: Array("return ARGV[1]".utf8))
    let write = RedisScript(name: "write", source: Array("redis.call('SET', KEYS[1], ARGV[1]) return 1".utf8))
    let tidy = RedisScript(
        name: "tidy", source: Array("#!lua flags=allow-oom\nredis.call('SET', KEYS[1], ARGV[1]) return 1".utf8))

    @Test("a ready link knows the server's clock, role, version, run and policy")
    func ready() throws {
        let server = try RedisProcess("--maxmemory-policy", "allkeys-lru")
        let bench = try Bench(server.endpoint, scripts: [echo])
        bench.waitReady()
        #expect(bench.link.serverInfo.role == "master")
        #expect(bench.link.serverInfo.version?.hasPrefix("7.") == true)
        #expect(bench.link.serverInfo.runID?.utf8.count == 40)
        #expect(bench.link.serverInfo.maxmemoryPolicy == "allkeys-lru")
        let clock = try #require(bench.link.serverTime)
        #expect(abs(clock - UnixSeconds(Int64(time(nil))).milliseconds) < 2000)
        #expect(bench.call("SET", "a", "1") == .success(.status("OK")))
        #expect(bench.call("GET", "a") == .success(.text("1")))
        #expect(bench.call("GET", "none") == .success(.null))
        #expect(bench.call(echo, "binary \r\n\0 safe") == .success(.text("binary \r\n\0 safe")))
    }

    @Test("the replies of a long pipeline keep their order")
    func longPipeline() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint) { $0.timeout = .seconds(10) }
        bench.waitReady()
        var order: [Int] = []
        bench.run { done in
            for number in 0..<20_000 {
                bench.link.send(RedisCommand("ECHO", number), repeatable: true) { result in
                    #expect(result == .success(.text(String(number))))
                    order.append(number)
                    if number == 19_999 { done() }
                }
            }
        }
        #expect(order == Array(0..<20_000))
        #expect(bench.link.pendingRequests == 0)
    }

    @Test("a lost script cache is repaired unseen")
    func lostScripts() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint, scripts: [echo])
        bench.waitReady()
        bench.call("SCRIPT", "FLUSH")
        #expect(bench.call(echo, "x") == .success(.text("x")))
        #expect(bench.link.counters.scriptReloads == 1)
        #expect(bench.call(echo, "y") == .success(.text("y")))
        #expect(bench.link.counters.scriptReloads == 1)
    }

    @Test("what is repeatable is repeated after a kill, the rest fails")
    func killedServer() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint) { $0.timeout = .seconds(5) }
        let admin = try Bench(server.endpoint)
        bench.waitReady()
        admin.waitReady()
        // Held by Redis while the connection dies.
        admin.call("CLIENT", "PAUSE", "60000", "ALL")
        var results: [Result<RedisReply, RedisFault>?] = [nil, nil]
        bench.link.send(RedisCommand("ECHO", "read"), repeatable: true) { results[0] = $0 }
        bench.link.send(RedisCommand("ECHO", "write"), repeatable: false) { results[1] = $0 }
        bench.pause(.milliseconds(20))
        server.kill9()
        try server.start()
        bench.wait("lost") { $0 != .ready }
        bench.waitReady()
        #expect(bench.call("PING") == .success(.status("PONG")))
        #expect(results[0] == .success(.text("read")))
        #expect(results[1]?.faultKind == .closed)
    }

    @Test("a late reply is never given to another request")
    func lateReply() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint) { $0.timeout = .seconds(1) }
        // Its own link must bear the pause that it asks for.
        let admin = try Bench(server.endpoint) { $0.timeout = .seconds(10) }
        bench.waitReady()
        admin.waitReady()
        for round in 0..<3 {
            #expect(admin.call("CLIENT", "PAUSE", "1400", "ALL") == .success(.status("OK")))
            let began = MonotonicInstant.now()
            #expect(bench.call("ECHO", "late\(round)").faultKind == .timeout)
            let waited = MonotonicInstant.now() - began
            #expect(waited > .milliseconds(990))
            #expect(bench.call("ECHO", "own\(round)") == .success(.text("own\(round)")))
        }
        #expect(bench.link.counters.lateReplies >= 3)
        #expect(bench.link.counters.connects == 1)
    }

    @Test("a silent server is given up and found again")
    func silentServer() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint) {
            $0.connectTimeout = .milliseconds(300)
            $0.timeout = .seconds(1)
        }
        bench.waitReady()
        server.signal(SIGSTOP)
        #expect(bench.call("PING").faultKind == .timeout)
        bench.waitDown(.timeout)
        let began = MonotonicInstant.now()
        #expect(bench.call("PING").faultKind == .timeout)
        #expect(MonotonicInstant.now() - began < .milliseconds(900), "waited for the timeout once more")
        server.signal(SIGCONT)
        bench.waitReady()
        #expect(bench.call("ECHO", "x") == .success(.text("x")))
    }

    @Test("a server that is loading is waited for")
    func loadingServer() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint) { $0.timeout = .seconds(5) }
        bench.waitReady()
        bench.call("DEBUG", "POPULATE", "2000", "k", "100")
        bench.call("SAVE")
        server.kill9()
        try server.start("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
        bench.waitDown(.loading)
        bench.waitReady()
        #expect(bench.call("DBSIZE") == .success(.integer(2000)))
    }

    @Test("a busy server is unavailable at once, and its script is left alone")
    func busyServer() throws {
        let server = try RedisProcess("--busy-reply-threshold", "50")
        let bench = try Bench(server.endpoint) { $0.timeout = .seconds(2) }
        let admin = try Bench(server.endpoint) { $0.timeout = .milliseconds(50) }
        bench.waitReady()
        admin.waitReady()
        admin.call("EVAL", "local t=redis.call('TIME')[1] while redis.call('TIME')[1]-t < 3 do end return 1", "0")
        #expect(bench.call("PING").faultKind == .busy)
        #expect(bench.link.state == .ready)
        bench.run(atMost: .seconds(10)) { done in
            func again() {
                bench.link.send(RedisCommand("PING"), repeatable: true) { result in
                    if result == .success(.status("PONG")) { done() } else { again() }
                }
            }
            again()
        }
    }

    @Test("out of memory refuses writes, but not the scripts with the flag")
    func outOfMemory() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint, scripts: [write, tidy])
        bench.waitReady()
        bench.call("CONFIG", "SET", "maxmemory", "1")
        #expect(bench.call("SET", "a", "1").faultKind == .outOfMemory)
        #expect(bench.call(write, "1").faultKind == .outOfMemory)
        #expect(bench.call(tidy, "1") == .success(.integer(1)))
        #expect(bench.link.counters.connects == 1)
    }

    @Test("a demoted master is read-only, then down, and comes back")
    func demotedMaster() throws {
        let server = try RedisProcess()
        let bench = try Bench(server.endpoint)
        let admin = try Bench(server.endpoint) { $0.requiresMaster = false }
        bench.waitReady()
        admin.waitReady()
        admin.call("REPLICAOF", "127.0.0.1", "1")
        #expect(bench.call("SET", "a", "1").faultKind == .readOnly)
        bench.waitDown(.readOnly)
        #expect(bench.call("GET", "a").faultKind == .readOnly)
        admin.call("REPLICAOF", "NO", "ONE")
        bench.waitReady()
        #expect(bench.call("SET", "a", "1") == .success(.status("OK")))
    }

    @Test("a replica without its master is told")
    func masterDown() throws {
        let server = try RedisProcess("--replica-serve-stale-data", "no")
        let bench = try Bench(server.endpoint)
        bench.waitReady()
        bench.call("REPLICAOF", "127.0.0.1", "1")
        #expect(bench.call("GET", "a").faultKind == .masterDown)
    }

    @Test("too few replicas refuse writes and no reads")
    func tooFewReplicas() throws {
        let server = try RedisProcess("--min-replicas-to-write", "1")
        let bench = try Bench(server.endpoint, scripts: [write])
        bench.waitReady()
        #expect(bench.call("SET", "a", "1").faultKind == .noReplicas)
        #expect(bench.call(write, "1").faultKind == .noReplicas)
        #expect(bench.call("GET", "a") == .success(.null))
    }

    @Test("disk errors refuse writes and do not take the link down")
    func diskErrors() throws {
        let server = try RedisProcess("--enable-protected-configs", "yes", "--save", "1 1")
        let bench = try Bench(server.endpoint) { $0.timeout = .seconds(2) }
        bench.waitReady()
        mkdir(server.folder + "/gone", 0o700)
        bench.call("CONFIG", "SET", "dir", server.folder + "/gone")
        rmdir(server.folder + "/gone")
        bench.call("SET", "a", "1")
        bench.call("BGSAVE")
        bench.run("MISCONF") { done in
            func again() {
                bench.link.send(RedisCommand("DEL", "a"), repeatable: true) { result in
                    if result.faultKind == .misconfigured { done() } else { again() }
                }
            }
            again()
        }
        let second = try Bench(server.endpoint)
        second.waitReady()
        #expect(second.call("GET", "b") == .success(.null))
    }

    @Test("missing, wrong and lost rights are faults of credentials")
    func credentials() throws {
        let server = try RedisProcess("--requirepass", "right")
        let none = try Bench(server.endpoint)
        none.waitDown(.credentials)
        let wrong = try Bench(.unix(path: server.socket, login: RedisLogin(password: RedisPassword("wrong"))))
        wrong.waitDown(.credentials)
        #expect(wrong.link.counters.failures == 1)
        let right = try Bench(
            .unix(path: server.socket, login: RedisLogin(password: RedisPassword("right"), database: 3)))
        right.waitReady()
        #expect(right.call("PING") == .success(.status("PONG")))
        // Rights taken away later are faults of single requests.
        right.call("ACL", "SETUSER", "little", "on", ">pw", "~*", "+@all", "-set", "-config")
        let little = RedisLogin(user: "little", password: RedisPassword("pw"))
        let limited = try Bench(.unix(path: server.socket, login: little), scripts: [write])
        limited.waitReady()
        #expect(limited.link.serverInfo.maxmemoryPolicy == nil)
        #expect(limited.call("SET", "a", "1").faultKind == .credentials)
        #expect(limited.call(write, "1").faultKind == .credentials)
        right.call("ACL", "DELUSER", "little")
        limited.waitDown(.credentials)
    }

    @Test("the password is read again for every connection")
    func passwordIsReadAgain() throws {
        let server = try RedisProcess("--requirepass", "first")
        let file = PasswordFile()
        let bench = try Bench(server.endpoint) {
            $0.password = { file.password.map { .success($0) } }
            $0.reconnectMaximum = .milliseconds(100)
        }
        bench.waitDown(.credentials)
        file.password = RedisPassword("first")
        bench.waitReady()
    }

    @Test("a server with no place for a client is waited for")
    func clientLimit() throws {
        let server = try RedisProcess("--maxclients", "1")
        var first: Bench? = try Bench(server.endpoint)
        first?.waitReady()
        let second = try Bench(server.endpoint)
        second.waitDown(.maxClients)
        first = nil
        second.waitReady()
    }

    @Test("a server that is not there is told at once")
    func unreachable() throws {
        let bench = try Bench(.unix(path: "/tmp/there-is-no-redis-here.sock"))
        #expect(bench.call("PING").faultKind == .unreachable)
        bench.waitDown(.unreachable)
        #expect(bench.call("PING").faultKind == .unreachable)
    }
}

/// Stands for the file; each test uses it on its own thread only.
private final class PasswordFile: @unchecked Sendable {
    // Read and written on the one thread that runs its test and that test's loop.
    var password: RedisPassword?
}
