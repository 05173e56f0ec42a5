import Glibc
import Histogram
import Testing

@testable import LoadTest

@Suite("What measurements come to")
struct StatisticsTests {
    @Test("the median of an odd and of an even number of rounds, with their span")
    func medians() {
        #expect(Spread([3, 1, 2]).map { [$0.median, $0.lowest, $0.highest] } == [2, 1, 3])
        #expect(Spread([4, 1, 2, 3]).map { [$0.median, $0.lowest, $0.highest] } == [2.5, 1, 4])
        #expect(Spread([]) == nil)
        #expect(Spread([.nan, 5, .infinity])?.median == 5)
    }

    @Test("a ratio is taken within each round: a slow round slows both")
    func ratios() {
        let ratio = Spread.ratio([100, 50, 200], to: [200, 100, 400])
        #expect(ratio == Spread([0.5, 0.5, 0.5]))
        #expect(Spread.ratio([1, 2], to: [0, 4])?.median == 0.5)
        #expect(Spread.ratio([1], to: []) == nil)
    }

    @Test("percentiles are those of the values, to three digits")
    func percentiles() throws {
        var histogram = LoadOutcome.emptyHistogram
        for microseconds in 1...10_000 { histogram.record(UInt64(microseconds) * 1_000) }
        let summary = try #require(LatencySummary(histogram))
        #expect(summary.count == 10_000)
        for (value, wanted) in [
            (summary.p50, 5_000.0), (summary.p90, 9_000), (summary.p99, 9_900), (summary.p999, 9_990),
            (summary.highest, 10_000), (summary.mean, 5_000.5),
        ] {
            #expect(abs(value - wanted) <= wanted / 500, "\(value) is not \(wanted)")
        }
        #expect(LatencySummary(LoadOutcome.emptyHistogram) == nil)
    }

    @Test("the curve rises, ends at 100 % and is dense in the tail")
    func curve() throws {
        var histogram = LoadOutcome.emptyHistogram
        for value in 1...100_000 { histogram.record(UInt64(value) * 100) }
        let curve = try #require(LatencySummary(histogram)).curve
        #expect(curve.last?.percentile == 100)
        #expect(zip(curve, curve.dropFirst()).allSatisfy { $0.microseconds <= $1.microseconds })
        #expect(curve.count { $0.percentile > 99 } > 10)
    }

    @Test("the text for plotters has HdrHistogram's columns and end")
    func distribution() {
        var histogram = LoadOutcome.emptyHistogram
        for value in 1...1_000 { histogram.record(UInt64(value) * 1_000) }
        let text = percentileDistribution(of: histogram)
        #expect(text.contains("Value") && text.contains("1/(1-Percentile)"))
        #expect(text.contains("#[Max     =") && text.contains("Total count    =         1000]"))
    }

    @Test("outcomes of several threads come together")
    func merging() {
        var one = LoadOutcome()
        one.answered = 10
        one.seconds = 2
        one.clientCPU = 1
        one.repeats = [1, 2]
        one.fail("status unknown", count: 2)
        one.laneLatencies = [LoadOutcome.emptyHistogram, LoadOutcome.emptyHistogram]
        var other = one
        other.answered = 30
        other.clientCPU = 1.5
        other.laneLatencies[1].record(5)
        one.merge(other)
        #expect(one.answered == 40 && one.throughput == 20 && one.clientCPU == 1.5)
        #expect(one.failures == ["status unknown": 4] && one.repeats == [2, 4] && one.latencies.totalCount == 1)
        #expect(one.laneLatencies.map(\.totalCount) == [0, 1])
    }

    @Test("a server that invents errors does not fill the memory")
    func manyFailures() {
        var outcome = LoadOutcome()
        for number in 0..<1_000 { outcome.fail("ERR \(number)") }
        #expect(outcome.failures.count == 17 && outcome.failures["other"] == 984 && outcome.failureCount == 1_000)
    }

    @Test("the client is named as the bottleneck only if the server had time left")
    func bottleneck() {
        #expect(Bottleneck.isClient(clientLoad: 0.99, serverLoad: 0.7))
        #expect(!Bottleneck.isClient(clientLoad: 0.99, serverLoad: 0.99))
        #expect(!Bottleneck.isClient(clientLoad: 0.6, serverLoad: 0.5))
        #expect(Bottleneck.isClient(clientLoad: 0.99, serverLoad: nil))
    }

    @Test("CPU time is read behind a name that tries to confuse")
    func processStat() {
        let rest = "S 1 2 3 0 -1 4194560 5 6 7 8 150 50 0 0 20 0 1 0 99 1000 10"
        #expect(ProcessAccounting.parseCPUSeconds("7 (a) b) \(rest)", ticksPerSecond: 100) == 2)
        #expect(ProcessAccounting.parseCPUSeconds("7 (x", ticksPerSecond: 100) == nil)
        #expect(ProcessAccounting.parseScheduledSeconds("1500000000 12 3\n") == 1.5)
        #expect(ProcessAccounting.parseScheduledSeconds("") == nil)
        // What a process is told of itself grows with what it does.
        let before = ProcessAccounting.cpuSeconds(of: getpid()) ?? .infinity
        let end = ContinuousClock.now + .milliseconds(50)
        while ContinuousClock.now < end {}
        #expect((ProcessAccounting.cpuSeconds(of: getpid()) ?? 0) > before)
    }

    @Test("cores: apart where there are two, a third for the store, nothing held with one")
    func cores() {
        #expect(Cores.apart([4]) == Cores())
        #expect(Cores.apart([0, 1]) == Cores(server: 0, client: 1, store: 0))
        #expect(Cores.apart([0, 1, 2, 3]) == Cores(server: 0, client: 3, store: 1))
        #expect(Cores.apart([0, 1, 2, 3], clientThreads: 2) == Cores(server: 0, client: 2, store: 1))
    }

    @Test("what stands still is the machine, and watching it leaves the thread where it was")
    func stalls() throws {
        #expect(MachineStalls.measure([]) == nil)
        let cores = Cores.allowed
        let stalls = try #require(MachineStalls.measure(cores, seconds: 0.05))
        #expect((0...1).contains(stalls.share) && stalls.longest > 0)
        #expect(stalls.share == 0 || stalls.longest > MachineStalls.threshold)
        #expect(Cores.current == cores)
    }
}
