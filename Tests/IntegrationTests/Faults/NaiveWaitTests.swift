import Glibc
import TestSupport
import Testing

/// Why the daemon writes before it waits.
@Suite("WAIT on a connection that writes nothing", .demanding)
struct NaiveWaitTests {
    @Test(
        "on Redis 8 and Valkey 9 a WAIT without a write of its own answers at once, of a replica that stands still",
        arguments: [OtherServer.redis8, .valkey])
    func naive(server: OtherServer) throws {
        let site = try ReplicaWaitTests.Site(replicas: 1, program: server.program())
        defer { site.end() }
        let (writer, waiter) = (try RESPClient(path: site.master.socket), try RESPClient(path: site.master.socket))
        _ = try waiter.call("WAIT", "1", "1000")
        site.replicas[0].signal(SIGSTOP)
        for number in 0..<20 {
            #expect(try writer.call("SET", "a", "\(number)") == .simple("OK"))
            // It says that the replica has it.
            #expect(try waiter.call("WAIT", "1", "100") == .integer(1))
        }
        #expect(try waiter.call("SET", "b", "1") == .simple("OK"))
        #expect(try waiter.call("WAIT", "1", "100") == .integer(0))
    }
}
