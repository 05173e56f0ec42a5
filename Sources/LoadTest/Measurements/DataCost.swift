/// How much data a session has.
public enum SessionData: String, CaseIterable, Codable, Sendable {
    case none
    /// Nearly as much as the near cache keeps of a session, in one piece.
    case oneField = "one-field"
    /// About as much, in many pieces.
    case hundredFields = "hundred-fields"

    /// Names and values.
    var fields: [(name: String, value: String)] {
        func value(_ count: Int) -> String { String(repeating: "v", count: count) }
        return switch self {
        case .none: []
        case .oneField: [("f00", value(3_997))]
        case .hundredFields: (0..<100).map { ("f\($0 / 10)\($0 % 10)", value(30)) }
        }
    }

    /// Of names and values.
    public var bytes: Int { fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count } }

    /// As tables name it.
    public var title: String {
        switch self {
        case .none: "no data"
        case .oneField: "1 field of \(Figures.grouped(bytes)) bytes"
        case .hundredFields: "100 fields of \(Figures.grouped(bytes)) bytes"
        }
    }

    /// Makes a session with it.
    var issueRow: RequestRows {
        let data = fields.isEmpty ? [] : ["DATA"] + fields.flatMap { [$0.name, $0.value] }
        return RESP.row(["TOKEN.ISSUE"] + data)
    }
}

/// What is asked about sessions with data; none of them asks for the data.
public enum DataCommand: String, CaseIterable, Codable, Sendable {
    case validate = "TOKEN.VALIDATE"
    case visit = "TOKEN.VISIT"

    func lane(_ tokens: TokenPool) -> LaneSpec {
        LaneSpec(
            rows: tokens.requests(rawValue), form: ReplyForm(statuses: ["valid", "rotated"], repeatsSid: true))
    }
}

/// P6's last clause: hits of sessions with and without data, in turn.
struct DataCost {
    private struct Series {
        var command: DataCommand
        var data: SessionData
        var lane: LaneSpec
        var microseconds: [Double] = []
    }

    private var series: [Series] = []

    /// Makes as many sessions of each kind, and has the near cache know them.
    init(_ sessions: Int, shape: LoadShape) throws(LoadTestError) {
        for data in SessionData.allCases {
            let tokens = try SessionSource.issue(sessions, shape: shape, row: data.issueRow)
            try SessionSource.warm(tokens, shape: shape)
            series += DataCommand.allCases.map { Series(command: $0, data: data, lane: $0.lane(tokens)) }
        }
    }

    /// One round: `cost` of each, µs.
    mutating func measure(_ cost: (LaneSpec) throws(LoadTestError) -> Double) throws(LoadTestError) {
        var round: [Double] = []
        for one in series { round.append(try cost(one.lane)) }
        for (index, microseconds) in round.enumerated() { series[index].microseconds.append(microseconds) }
    }

    var rows: [DataRow] {
        DataCommand.allCases.flatMap { command in
            let own = series.filter { $0.command == command }
            let base = own.first { $0.data == .none }?.microseconds ?? []
            return own.compactMap { one -> DataRow? in
                guard let microseconds = Spread(one.microseconds),
                    let ratio = Spread.ratio(one.microseconds, to: base)
                else { return nil }
                return DataRow(command: command, data: one.data, microseconds: microseconds, ratio: ratio)
            }
        }
    }
}
