/// The figures that the daemon must reach, and whether it did.
enum Targets {
    static func judge(_ result: ComparisonResult) -> [FigureResult] {
        func table(_ form: ClientForm) -> ComparisonTable? { result.tables.first { $0.form == form } }
        let one = table(.oneInFlight)
        let sixteen = table(.sixteenInFlight)
        let each = table(.connectionEach)
        func cpu(_ table: ComparisonTable?, to other: Contender) -> Spread? {
            table?.ratio(.tokencached, to: other, \.microseconds)
        }
        let cold = result.cold?.ratio(.tokencached, to: .redisEvalsha)
        let tails = result.mixedTails
        return [
            atMost(0.8, cpu(one, to: .redisGet), "P1", "hit, 1 in flight: CPU per request to redis GET's"),
            atMost(0.42, cpu(one, to: .redisEvalsha), "P1", "… to redis EVALSHA's"),
            atMost(1.0, cpu(one, to: .limit), "P1", "… to the limit's"),
            atLeast(1.2, one?.ratio(.tokencached, to: .redisGet), "P1", "… throughput to redis GET"),
            atMost(0.6, cpu(sixteen, to: .redisGet), "P2", "16 in flight: CPU per request to redis GET's"),
            atMost(0.15, cpu(sixteen, to: .redisEvalsha), "P2", "… to redis EVALSHA's"),
            atMost(1.25, cpu(sixteen, to: .limit), "P2", "… to the limit's"),
            atLeast(1.6, sixteen?.ratio(.tokencached, to: .redisGet), "P2", "… throughput to redis GET"),
            atMost(0.88, cpu(each, to: .redisGet), "P3", "a connection per request: CPU to redis GET's"),
            atMost(1.12, cpu(each, to: .limit), "P3", "… to the limit's"),
            atLeast(0.9, cold, "P4", "cold: throughput to EVALSHA directly to Redis"),
            atMost(
                2, Spread(tails.map(\.p90)), "P7", "hits of the mix at half of saturation: p90 to that of hits alone"),
            atMost(2, Spread(tails.map(\.p99)), "P7", "… p99"),
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
