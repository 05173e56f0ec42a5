import TestSupport
import Testing

/// Every reply of Redis comes late by the same time, so that an answer's time tells how many were waited for one after the
/// other.
@Suite("P4: round trips to Redis", .demanding, .needsNearCache, .enabled(if: Topology.ofTests == .alone))
struct RoundTripTests {
    private static let delay = Duration.milliseconds(200)

    @Test(
        "each command waits for Redis exactly as often as docs/sessions.md says",
        arguments: Dictionary(grouping: CommandCost.all, by: \.settings).values)
    func documented(_ commands: [CommandCost]) throws {
        let settings = commands[0].settings.merging(["redis.timeout": "10s"]) { own, _ in own }
        try withNearCache(settings: settings) { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            for command in commands {
                let documented = try command.documented().roundTrips
                var counts: [Int] = []
                // A machine that was busy just then makes them look more, never fewer.
                while counts.count < 3, counts.last != documented {
                    // By the other daemon: this one knows nothing of the session.
                    let prepared = try command.prepare(far)
                    letPass(.milliseconds(50))
                    world.proxy.treat(.data) { $0.delay = Self.delay }
                    let start = ContinuousClock.now
                    let reply = try near.fields(prepared)
                    let elapsed = ContinuousClock.now - start
                    world.proxy.treat(.data) { $0.delay = .zero }
                    #expect(reply.status == command.status, "\(command): \(reply)")
                    counts.append(Int(elapsed / Self.delay))
                    // What follows the answer is let through.
                    letPass(Self.delay)
                }
                #expect(counts.last == documented, "\(command): round trips \(counts)")
            }
        }
    }
}
