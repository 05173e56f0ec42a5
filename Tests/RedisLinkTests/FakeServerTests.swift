import EventLoop
import Glibc
import TestSupport
import Testing

@testable import RedisLink

/// A server that says what the test tells it, whatever it is asked.
final class FakeServer: DescriptorHandler {
    private let loop: EventLoop
    private var listener: Listener?
    private var watch: DescriptorWatch?
    private(set) var accepted = 0
    /// Called with the commands read so far in this connection; answers what to send.
    var onCommands: ((Int) -> String?)?
    private var commandsSeen = 0

    /// Answers to the preparation of a link without scripts, in its order.
    static let preparation =
        "+PONG\r\n+OK\r\n$5\r\nhello\r\n$5\r\nhello\r\n*0\r\n*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"

    init(loop: EventLoop, path: String) throws {
        self.loop = loop
        let bound = try UnixListener.bind(path: path)
        listener = loop.listen(on: bound.descriptor) { [unowned self] in take($0) }
    }

    deinit {
        drop()
        listener?.close()
    }

    func drop() {
        guard let watch else { return }
        watch.cancel()
        close(watch.descriptor)
        self.watch = nil
    }

    func say(_ text: String) {
        guard let watch else { return }
        _ = send(watch.descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
    }

    private func take(_ descriptor: Int32) {
        drop()
        accepted += 1
        commandsSeen = 0
        watch = loop.watch(descriptor, handler: self)
        watch?.setReading(true)
    }

    func readable() -> Bool {
        guard let watch else { return false }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = read(watch.descriptor, &buffer, buffer.count)
        guard count > 0 else {
            drop()
            return false
        }
        commandsSeen += buffer[..<count].count { $0 == UInt8(ascii: "*") }
        if let text = onCommands?(commandsSeen) { say(text) }
        return count == buffer.count
    }

    func writable() {}
}

@Suite("A link to a server that lies")
struct FakeServerTests {
    /// A link on a fake server that has prepared it, and then answers a request with `text`.
    private func ask(_ text: String, closing: Bool = false) throws -> (RedisFault.Kind?, LinkCounters, Int) {
        let folder = try TemporaryFolder()
        let bench = try Bench(.unix(path: folder.path + "/s"))
        let server = try FakeServer(loop: bench.loop, path: folder.path + "/s")
        server.onCommands = { [unowned server] seen in
            if seen == 6 { return FakeServer.preparation }
            server.say(text)
            if closing { server.drop() }
            return nil
        }
        bench.waitReady()
        let result = bench.call("GET", "a")
        return (result.faultKind, bench.link.counters, server.accepted)
    }

    @Test(
        "an absurd reply closes the connection and is counted",
        arguments: [
            "*2000000000\r\n", "$99999999999\r\n", "HTTP/1.1 200 OK\r\n", ":1x\r\n", "*-7\r\n",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ])
    func absurdReply(text: String) throws {
        let (kind, counters, _) = try ask(text)
        #expect(kind == .protocolError)
        #expect(counters.protocolErrors == 1)
    }

    @Test("a reply that is cut off by the end is a loss")
    func truncatedReply() throws {
        let (kind, counters, _) = try ask("$10\r\nhal", closing: true)
        #expect(kind == .closed)
        #expect(counters.protocolErrors == 0)
    }

    @Test("a reply that never ends is a timeout")
    func endlessReply() throws {
        let (kind, _, _) = try ask("$10\r\nhal")
        #expect(kind == .timeout)
    }

    @Test("one reply too many closes the connection")
    func oneReplyTooMany() throws {
        let folder = try TemporaryFolder()
        let bench = try Bench(.unix(path: folder.path + "/s"))
        let server = try FakeServer(loop: bench.loop, path: folder.path + "/s")
        server.onCommands = { seen in seen == 6 ? FakeServer.preparation : "+A\r\n+B\r\n" }
        bench.waitReady()
        #expect(bench.call("PING") == .success(.status("A")))
        bench.wait("reconnected") { _ in server.accepted == 2 }
        #expect(bench.link.counters.protocolErrors == 1)
    }

    @Test("a link may be closed and dropped in its own completion")
    func closedInCompletion() throws {
        let folder = try TemporaryFolder()
        var bench: Bench? = try Bench(.unix(path: folder.path + "/s"))
        let loop = try #require(bench).loop
        let server = try FakeServer(loop: loop, path: folder.path + "/s")
        // The second reply is still to be taken when nobody is left to take it.
        server.onCommands = { seen in seen == 6 ? FakeServer.preparation : "+A\r\n+B\r\n" }
        bench?.waitReady()
        var result: Result<RedisReply, RedisFault>?
        let guardian = loop.makeTimer { loop.stop() }
        guardian.start(after: .seconds(20))
        bench?.link.send(RedisCommand("PING"), repeatable: false) {
            #expect(result == nil)
            result = $0
            bench?.link.close()
            bench = nil
            loop.later { loop.stop() }
        }
        weak let link = bench?.link
        loop.run()
        #expect(result == .success(.status("A")))
        #expect(bench == nil && link == nil)
    }

    @Test("a connection that breaks again and again backs off")
    func breaksAgain() throws {
        let folder = try TemporaryFolder()
        let bench = try Bench(.unix(path: folder.path + "/s"))
        let server = try FakeServer(loop: bench.loop, path: folder.path + "/s")
        server.onCommands = { [unowned server] seen in
            server.say(FakeServer.preparation)
            server.drop()
            return nil
        }
        let began = MonotonicInstant.now()
        bench.wait("five connections") { _ in server.accepted >= 5 }
        // Twice at once, then after 50, 100 and 200 ms, each up to a quarter less: not thousands.
        #expect(MonotonicInstant.now() - began >= .milliseconds(250))
    }
}
