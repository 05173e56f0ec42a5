/// The figures that the daemon must reach, and whether it did.
enum Targets {
    static func judge(_ result: ComparisonResult) -> [FigureResult] {
        func table(_ form: ClientForm) -> ComparisonTable? { result.tables.first { $0.form == form } }
        let one = table(.oneInFlight)
        let sixteen = table(.sixteenInFlight)
        let each = table(.connectionEach)
        let cpu = one?.ratio(.tokencached, to: .redisGet, \.microseconds)
        let cold = result.cold?.ratio(.tokencached, to: .redisEvalsha)
        return [
            atLeast(1.0, one?.ratio(.tokencached, to: .redisGet), "P1", "hit, 1 in flight: throughput to redis GET"),
            atLeast(1.6, one?.ratio(.tokencached, to: .redisEvalsha), "P1", "… to redis EVALSHA"),
            atLeast(0.85, one?.ratio(.tokencached, to: .limit), "P1", "… to the limit"),
            atMost(1.0, cpu, "P1", "… CPU per request to redis GET's"),
            atLeast(1.0, sixteen?.ratio(.tokencached, to: .redisGet), "P2", "16 in flight: to redis GET"),
            atLeast(4.0, sixteen?.ratio(.tokencached, to: .redisEvalsha), "P2", "… to redis EVALSHA"),
            atLeast(1.1, each?.ratio(.tokencached, to: .redisGet), "P3", "a connection per request: to redis GET"),
            atLeast(0.8, cold, "P4", "cold: throughput to EVALSHA directly to Redis"),
            atMost(3.0, Spread(result.mixedTails), "P7", "hits of the mix at half of saturation: p99 to p50"),
        ]
    }

    static func atLeast(_ wanted: Double, _ measured: Spread?, _ id: String, _ text: String) -> FigureResult {
        FigureResult(
            id: id, text: text, wanted: "≥ \(Figures.ratio(wanted))",
            measured: measured.map(Figures.ratio) ?? "not measured", isReached: measured.map { $0.median >= wanted })
    }

    static func atMost(_ wanted: Double, _ measured: Spread?, _ id: String, _ text: String) -> FigureResult {
        FigureResult(
            id: id, text: text, wanted: "≤ \(Figures.ratio(wanted))",
            measured: measured.map(Figures.ratio) ?? "not measured", isReached: measured.map { $0.median <= wanted })
    }
}
