/// Bars to the right, in groups with a scale each, with the spread of the rounds over them.
struct BarChart {
    struct Bar {
        var label: String
        var value: Double
        var lowest: Double
        var highest: Double
        /// Beside the bar.
        var text: String
        /// Number of its colour.
        var color: Int
        var isOwn = false
    }

    struct Group {
        var title: String
        var bars: [Bar]
    }

    var title: String
    var groups: [Group]

    private static let width = 760.0
    private static let labelWidth = 130.0
    private static let valueWidth = 150.0
    private static let barHeight = 18.0
    private static let step = 25.0
    private static let groupHead = 30.0
    private static let groupGap = 14.0

    var picture: Picture {
        let groups = groups.filter { !$0.bars.isEmpty }
        let bars = groups.reduce(0.0) { $0 + Double($1.bars.count) * Self.step + Self.groupHead + Self.groupGap }
        var picture = Picture(width: Self.width, height: bars + 4, title: title)
        var y = 0.0
        let room = Self.width - Self.labelWidth - Self.valueWidth
        for group in groups {
            picture.text(0, y + 18, group.title, class: "strong")
            y += Self.groupHead
            let most = group.bars.map { max($0.value, min($0.highest, $0.value * 1.6)) }.max() ?? 1
            let scale = most > 0 ? room / most : 0
            for bar in group.bars {
                let middle = y + Self.barHeight / 2
                picture.text(Self.labelWidth - 10, middle + 4, bar.label, class: bar.isOwn ? "end strong" : "end")
                let hint = "\(group.title), \(bar.label): \(bar.text)"
                picture.bar(
                    Self.labelWidth, y, max(1, bar.value * scale), Self.barHeight, class: "f\(bar.color)", hint: hint)
                let end = Self.labelWidth + min(bar.highest * scale, room)
                if bar.highest > bar.lowest {
                    picture.line(Self.labelWidth + bar.lowest * scale, middle, end, middle, class: "whisker")
                }
                let after = max(end, Self.labelWidth + bar.value * scale)
                picture.text(after + 8, middle + 4, bar.text, class: bar.isOwn ? "strong" : "")
                y += Self.step
            }
            y += Self.groupGap
        }
        return picture
    }
}

extension BarChart {
    /// Throughput, a group for each form of load.
    init(_ comparison: ComparisonResult) {
        self.init("Requests a second", "requests/s", comparison, \.throughput) { contender, speed in
            let ratio = contender == .limit ? "" : speed.ratio.map { "   \(Figures.ratio($0.median)) ×" } ?? ""
            return Figures.rate(speed.throughput.median) + ratio + (speed.isClientBound ? " *" : "")
        }
    }

    /// Server CPU a request, a group for each form of load.
    init(cpuOf comparison: ComparisonResult) {
        self.init("Server CPU a request", "server CPU a request", comparison, \.serverMicroseconds) { _, speed in
            speed.serverMicroseconds.map { Figures.time(microseconds: $0.median) } ?? ""
        }
    }

    private init(
        _ title: String, _ what: String, _ comparison: ComparisonResult, _ value: (Speed) -> Spread?,
        text: (Contender, Speed) -> String
    ) {
        self.title = title
        groups = comparison.tables.map { table in
            Group(
                title: "\(table.form.title), \(what)",
                bars: table.rows.compactMap { row in
                    value(row.speed).map { spread in
                        Bar(
                            label: row.subject.shortTitle, value: spread.median, lowest: spread.lowest,
                            highest: spread.highest, text: text(row.subject, row.speed), color: row.subject.color,
                            isOwn: row.subject == .tokencached)
                    }
                })
        }
    }

    /// Throughput of workloads.
    init(_ workloads: [WorkloadResult]) {
        title = "Requests a second"
        groups = [
            Group(
                title: "requests/s",
                bars: workloads.enumerated().map { index, result in
                    Bar(
                        label: result.workload.rawValue, value: result.throughput, lowest: result.throughput,
                        highest: result.throughput, text: Figures.rate(result.throughput),
                        color: index % Markup.colorCount)
                })
        ]
    }
}

extension Markup {
    /// Colours that `colors.css` numbers.
    static let colorCount = 7
}

extension Contender {
    /// The same colour everywhere.
    var color: Int {
        switch self {
        case .tokencached: 0
        case .redisGet: 1
        case .redisEvalsha: 2
        case .memcached: 3
        case .limit: 4
        }
    }
}
