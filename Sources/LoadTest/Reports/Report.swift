public import Foundation

/// Everything that one call measured. Its JSON form is what `--json` prints.
public struct Report: Codable, Sendable {
    /// When it began, ISO 8601 in UTC.
    public var startedAt: String
    /// How to repeat it.
    public var command: String
    public var machine: MachineFacts
    public var workloads: [WorkloadResult] = []
    public var comparison: ComparisonResult?
    public var scale: ScaleResult?
    public var guests: GuestResult?
    /// Why it ended before everything was measured; nil if it did not. What it holds was finished before.
    public var ended: String?

    public init(command: String, machine: MachineFacts, startedAt: Date = Date()) {
        self.command = command
        self.machine = machine
        self.startedAt = startedAt.formatted(.iso8601)
    }

    /// Whether anything was measured.
    public var holdsResults: Bool { !workloads.isEmpty || comparison != nil || scale != nil || guests != nil }

    /// What every form of it says first if it ended early.
    var endedNote: String? {
        ended.map { "Ended early (\($0)): only what was finished before that is here." }
    }

    /// Whether every request was answered as it should be.
    public var isClean: Bool { workloads.allSatisfy(\.isClean) }

    /// Figures that were measured and not reached.
    public var missed: [FigureResult] {
        ((comparison?.figures ?? []) + (scale?.figures ?? []) + (guests?.figures ?? [])).filter {
            $0.isReached == false
        }
    }

    public func json() -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { return "{}" }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}
