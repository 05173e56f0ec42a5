import Foundation
import Histogram
import TestSupport
import Testing

@testable import LoadTest

/// Requests at fixed times, and a server that stalls.
@Suite("Open loop", .serialized)
struct OpenLoopTests {
    @Test("what was due and never sent is counted within its time only, and waited at least as long as it says")
    func backlog() {
        // Due at 1,000, 1,100 … from the 3rd on unsent.
        let backlog = Backlog(from: 2, interval: 100, begin: 1_000)
        #expect(backlog.count(from: 0, until: 1_500) == 3)
        #expect(backlog.parts(from: 0, until: 1_500).map(\.meant) == [1_200, 1_300, 1_400])
        #expect(backlog.parts(from: 1_301, until: 1_501).map(\.meant) == [1_400, 1_500])
        #expect(backlog.count(from: 0, until: 1_200) == 0 && backlog.parts(from: 0, until: 900) == [])
    }

    @Test("a hundred million of them take a bounded number of steps, and none is lost")
    func boundedBacklog() {
        let backlog = Backlog(from: 0, interval: 10, begin: 0)
        let parts = backlog.parts(from: 0, until: 1_000_000_000)
        #expect(parts.count == Backlog.mostParts)
        #expect(parts.reduce(0) { $0 + $1.count } == 100_000_000)
        #expect(parts.last == Backlog.Part(meant: 999_999_990, count: 10_000))
    }

    @Test("a server that stands still until past the end shows in every percentile")
    func stall() throws {
        let bed = try TestBed(programs: Self.programs(), cores: Cores())
        defer { bed.end() }
        let redis = try bed.startRedis("redis", core: nil)
        var shape = LoadShape(socketPath: redis.socketPath)
        shape.connections = 4
        shape.pace = .open(perSecond: 1_000)
        shape.duration = .seconds(1)
        let ping = RESP.command(["PING"])
        let lane = LaneSpec(rows: RequestRows(bytes: ping, stride: ping.count), form: ReplyForm())
        var observer = LoadObserver()
        observer.begins = { kill(redis.process, SIGSTOP) }
        let outcome = try Load.run(shape, lanes: [lane], observer: observer)
        kill(redis.process, SIGCONT)
        #expect(outcome.unanswered == 4 && (990...996).contains(outcome.unsent))
        let latency = try #require(LatencySummary(outcome.latencies))
        #expect(latency.count == UInt64(outcome.unanswered + outcome.unsent))
        // Two seconds of grace behind a second in which nothing came: due in the middle of it, two and a half.
        #expect(
            (2_450_000...3_000_000).contains(latency.p50) && latency.p90 > 2_850_000 && latency.highest >= 2_990_000)
    }

    @Test("requests that are sent once end with the last of them: none is missing at a rate that outlasts them")
    func exhausted() throws {
        let bed = try TestBed(programs: Self.programs(), cores: Cores())
        defer { bed.end() }
        let redis = try bed.startRedis("redis", core: nil)
        var shape = LoadShape(socketPath: redis.socketPath)
        shape.pace = .open(perSecond: 1_000)
        shape.duration = .seconds(30)
        let ping = RESP.command(["PING"])
        let rows = RequestRows(bytes: Array(repeating: ping, count: 200).flatMap { $0 }, stride: ping.count)
        let outcome = try Load.run(shape, lanes: [LaneSpec(rows: rows, order: .once, form: ReplyForm())])
        #expect(outcome.isExhausted && outcome.unsent == 0 && outcome.unanswered == 0 && outcome.seconds < 10)
        #expect(outcome.latencies.totalCount == 200)
    }

    private static func programs() throws -> Programs {
        var programs = try Programs.find(
            daemon: PackageFolder.program("tokencached"),
            searchPath: ProcessInfo.processInfo.environment["PATH"] ?? "")
        programs.launcher = PackageFolder.program("tokencache-load")
        return programs
    }
}
