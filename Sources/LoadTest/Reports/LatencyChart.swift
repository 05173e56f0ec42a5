internal import Foundation

/// Latency by percentile. The axis of percentiles is logarithmic in what is left to 100 %, so that the tail, which
/// is what users notice, has as much room as the rest; so is the axis of times.
struct LatencyChart {
    struct Curve {
        var label: String
        var summary: LatencySummary
        var color: Int
        var isOwn = false
        var isDashed = false
    }

    var title: String
    var curves: [Curve]

    private static let width = 760.0
    private static let height = 400.0
    private static let left = 64.0
    private static let right = 150.0
    private static let top = 16.0
    private static let bottom = 44.0

    var picture: Picture {
        var picture = Picture(width: Self.width, height: Self.height, title: title)
        guard !curves.isEmpty else { return picture }
        // The axis ends where one request of all stands alone.
        let nines = min(6, max(2, (curves.map { log10(Double(max(10, $0.summary.count))) }.max() ?? 2)))
        let lowest = curves.compactMap { $0.summary.curve.first?.microseconds }.filter { $0 > 0 }.min() ?? 1
        let highest = curves.map(\.summary.highest).max() ?? 1_000
        let low = log10(lowest).rounded(.down)
        let high = max(low + 1, log10(highest).rounded(.up))
        let axes = Axes(nines: nines, low: low, high: high)
        drawGrid(&picture, axes)
        for curve in curves { draw(curve, &picture, axes) }
        drawLabels(&picture, axes)
        return picture
    }

    private struct Axes {
        var nines: Double
        var low: Double
        var high: Double

        func x(_ percentile: Double) -> Double {
            let remaining = max(1 - percentile / 100, pow(10, -nines))
            return left + -log10(remaining) / nines * (width - left - right)
        }

        func y(_ microseconds: Double) -> Double {
            let share = (log10(max(microseconds, 1e-3)) - low) / (high - low)
            return height - bottom - min(1, max(0, share)) * (height - top - bottom)
        }
    }

    private func drawGrid(_ picture: inout Picture, _ axes: Axes) {
        for exponent in stride(from: axes.low, through: axes.high, by: 1) {
            let time = pow(10, exponent)
            picture.line(Self.left, axes.y(time), Self.width - Self.right, axes.y(time), class: "grid")
            picture.text(Self.left - 8, axes.y(time) + 4, Self.tick(microseconds: time), class: "end soft")
        }
        for (percentile, text) in [
            (0.0, "0 %"), (50, "50 %"), (90, "90 %"), (99, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %"),
            (99.999, "99.999 %"),
        ] where -log10(1 - percentile / 100) <= axes.nines + 1e-9 {
            let x = axes.x(percentile)
            picture.line(x, Self.top, x, Self.height - Self.bottom, class: "grid")
            picture.text(x, Self.height - Self.bottom + 18, text, class: "mid soft")
        }
        picture.line(
            Self.left, Self.height - Self.bottom, Self.width - Self.right, Self.height - Self.bottom, class: "axis")
        picture.text(
            (Self.left + Self.width - Self.right) / 2, Self.height - 6, "share of requests answered within",
            class: "mid soft")
    }

    /// `10 µs`, `1 ms`: powers of ten, without decimals.
    private static func tick(microseconds value: Double) -> String {
        switch value {
        case 1e6...: "\(Int(value / 1e6)) s"
        case 1e3...: "\(Int(value / 1e3)) ms"
        case 1...: "\(Int(value)) µs"
        default: "\(Figures.fixed(value, 1)) µs"
        }
    }

    private func draw(_ curve: Curve, _ picture: inout Picture, _ axes: Axes) {
        // The last point stands for the slowest request: as far right as one request of so many can be.
        let furthest = 100 - 100 / Double(max(10, curve.summary.count))
        let points = curve.summary.curve.map { point in
            (axes.x(min(point.percentile, furthest)), axes.y(point.microseconds))
        }
        var style = "curve c\(curve.color)"
        if curve.isOwn { style += " own" }
        if curve.isDashed { style += " dashed" }
        let hint =
            "\(curve.label): p50 \(Figures.time(microseconds: curve.summary.p50)), "
            + "p99 \(Figures.time(microseconds: curve.summary.p99)), "
            + "p99.9 \(Figures.time(microseconds: curve.summary.p999))"
        picture.curve(points, class: style, hint: hint)
    }

    /// Names at the curves' ends, moved apart where they would meet.
    private func drawLabels(_ picture: inout Picture, _ axes: Axes) {
        var labels = curves.map { curve in (curve: curve, y: axes.y(curve.summary.highest) + 4) }
        labels.sort { $0.y < $1.y }
        let gap = 17.0
        for index in labels.indices.dropFirst() { labels[index].y = max(labels[index].y, labels[index - 1].y + gap) }
        let overflow = (labels.last?.y ?? 0) - (Self.height - Self.bottom)
        if overflow > 0 {
            labels[labels.count - 1].y -= overflow
            for index in labels.indices.dropLast().reversed() {
                labels[index].y = min(labels[index].y, labels[index + 1].y - gap)
            }
        }
        let x = Self.width - Self.right + 12
        for label in labels {
            picture.line(
                x, label.y - 4, x + 16, label.y - 4,
                class: "curve c\(label.curve.color)"
                    + (label.curve.isOwn ? " own" : "") + (label.curve.isDashed ? " dashed" : ""))
            picture.text(x + 22, label.y, label.curve.label, class: label.curve.isOwn ? "strong" : "")
        }
    }
}

extension LatencyChart {
    init(_ comparison: ComparisonResult) {
        title = "Latency by percentile"
        curves = comparison.latencies.map { row in
            Curve(
                label: row.contender.shortTitle, summary: row.summary, color: row.contender.color,
                isOwn: row.contender == .tokencached, isDashed: row.contender == .limit)
        }
        if let latency = comparison.mixed?.latency {
            curves.append(Curve(label: "94/5/1 mix", summary: latency, color: 0, isDashed: true))
        }
    }

    init(_ workloads: [WorkloadResult]) {
        title = "Latency by percentile"
        curves = workloads.enumerated().compactMap { index, result in
            result.latency.map {
                Curve(label: result.workload.rawValue, summary: $0, color: index % Markup.colorCount)
            }
        }
    }
}
